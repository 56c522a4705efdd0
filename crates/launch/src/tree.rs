//! Trees that containers wrote: walked by descriptors, so that no symlink, however quickly it
//! was swapped in, leads out of them.

use std::{
    ffi::{CString, OsStr},
    fs, io,
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use rustix::{
    fs::{
        AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, chownat, fstat, openat,
        openat2, renameat, unlinkat,
    },
    io::Errno,
};

use crate::host::HostError;

/// Deeper directories are brought up before they are emptied, so that no container can make a
/// tree that is too deep for the agent's stack or its descriptors.
const DEEPEST: usize = 32;

const INSIDE: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Removes a directory and all that is in it. What a symlink points to stays; so does what is
/// mounted in it, and then the directory stays with it. One that is not there is fine.
///
/// # Errors
/// Something could not be removed.
pub(crate) fn remove(path: &Path) -> Result<(), HostError> {
    let failed = HostError::io::<Errno>;
    let top = match openat(CWD, path, INSIDE, Mode::empty()) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(failed(path, "opening the directory to remove it")(error)),
    };
    let mut lifted = 0;
    loop {
        let before = lifted;
        empty(top.as_fd(), top.as_fd(), 0, &mut lifted)
            .map_err(failed(path, "removing what is in it"))?;
        if lifted == before {
            break;
        }
    }
    drop(top);
    fs::remove_dir(path).map_err(HostError::io(path, "removing the directory"))
}

/// Removes what is in a directory at `depth`. What lies too deep is `lifted` to `top`.
fn empty(
    directory: BorrowedFd<'_>,
    top: BorrowedFd<'_>,
    depth: usize,
    lifted: &mut u64,
) -> Result<(), Errno> {
    for name in content(directory)? {
        let refused = match unlinkat(directory, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => continue,
            // Which of the two a directory gives depends on the file system.
            Err(refused @ (Errno::ISDIR | Errno::PERM)) => refused,
            Err(error) => return Err(error),
        };
        if depth >= DEEPEST {
            let above = format!(".removed-{:016x}-{lifted}", fastrand::u64(..));
            renameat(directory, &name, top, above)?;
            *lifted += 1;
            continue;
        }
        let inside = match enter(directory, &name) {
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(refused),
            inside => inside?,
        };
        empty(inside.as_fd(), top, depth + 1, lifted)?;
        drop(inside);
        match unlinkat(directory, &name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Opens a directory by its single name, but not through a symlink and not into what is mounted
/// there. Kernels before 5.6 cannot refuse the latter; the table of mounts was asked before.
fn enter(directory: BorrowedFd<'_>, name: &CString) -> Result<OwnedFd, Errno> {
    let stay = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    match openat2(directory, name, INSIDE, Mode::empty(), stay) {
        Err(Errno::NOSYS) => openat(directory, name, INSIDE, Mode::empty()),
        result => result,
    }
}

fn content(directory: BorrowedFd<'_>) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.as_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

/// Gives a tree to a group: every file in it and `path` itself. `mode_of` says what the mode of
/// a file becomes, of its old mode and of whether it is a directory. Symlinks get the group and
/// are not followed.
///
/// # Errors
/// Something could not be given.
pub(crate) fn give_to_group(
    path: &Path,
    group: u32,
    mode_of: &dyn Fn(u32, bool) -> u32,
) -> Result<(), HostError> {
    let act = "giving it to the group of fsGroup";
    let mut open = Vec::new();
    let top = openat(CWD, path, INSIDE, Mode::empty()).map_err(HostError::io(path, act))?;
    give(&top, group, mode_of).map_err(HostError::io(path, act))?;
    open.push(top);
    while let Some(directory) = open.pop() {
        let entries = content(directory.as_fd()).map_err(HostError::io(path, act))?;
        for name in entries {
            let shown = || path.join(OsStr::from_bytes(name.to_bytes()));
            let file = openat(
                &directory,
                &name,
                OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .map_err(HostError::io(&shown(), act))?;
            let is_directory = give(&file, group, mode_of).map_err(HostError::io(&shown(), act))?;
            if is_directory {
                let inside = enter(directory.as_fd(), &name);
                open.push(inside.map_err(HostError::io(&shown(), act))?);
            }
        }
    }
    Ok(())
}

/// By descriptor, so that owner and mode go to the same file. Says whether it is a directory.
fn give(file: &OwnedFd, group: u32, mode_of: &dyn Fn(u32, bool) -> u32) -> io::Result<bool> {
    chownat(
        file,
        c"",
        None,
        Some(Gid::from_raw(group)),
        AtFlags::EMPTY_PATH,
    )?;
    let found = fstat(file)?;
    let kind = FileType::from_raw_mode(found.st_mode);
    let is_directory = kind == FileType::Directory;
    if kind != FileType::Symlink {
        let mode = mode_of(found.st_mode & 0o7777, is_directory);
        // A descriptor of a path only has no mode to set but by this name of it.
        let name = format!("/proc/self/fd/{}", file.as_raw_fd());
        rustix::fs::chmod(name, Mode::from_raw_mode(mode))?;
    }
    Ok(is_directory)
}

#[cfg(test)]
mod tests;
