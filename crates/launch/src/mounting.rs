//! What is mounted where, as the kernel says, and the few mounts that the agent makes itself.

use std::{
    ffi::{CString, OsString},
    fs, io,
    os::{
        fd::{AsRawFd as _, BorrowedFd},
        unix::ffi::OsStringExt as _,
    },
    path::{Path, PathBuf},
};

use rustix::{
    io::Errno,
    mount::{MountFlags, UnmountFlags, mount, mount_bind},
};

use crate::host::HostError;

const TABLE: &str = "/proc/self/mountinfo";

/// The mount points of this process, as the kernel lists them: a later one may hide an earlier.
///
/// # Errors
/// The table cannot be read.
pub(crate) fn points() -> Result<Vec<PathBuf>, HostError> {
    let table = fs::read(TABLE).map_err(HostError::io(
        Path::new(TABLE),
        "reading the table of mounts",
    ))?;
    Ok(parse(&table))
}

/// The fifth field of each line, in which the kernel writes blanks as octal numbers.
fn parse(table: &[u8]) -> Vec<PathBuf> {
    table
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(|field| PathBuf::from(OsString::from_vec(unescape(field))))
        .collect()
}

fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, behind)) = rest.split_first() {
        let octal = behind
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| {
                let digits = std::str::from_utf8(digits).ok()?;
                u8::from_str_radix(digits, 8).ok()
            });
        match octal {
            Some(byte) => {
                plain.push(byte);
                rest = behind.get(3..).unwrap_or_default();
            }
            None => {
                plain.push(*first);
                rest = behind;
            }
        }
    }
    plain
}

/// Those at a place or below it, in the order in which they can be unmounted: the newest first.
pub(crate) fn at_or_below(points: &[PathBuf], place: &Path) -> Vec<PathBuf> {
    let below = points.iter().filter(|point| point.starts_with(place));
    let mut below: Vec<PathBuf> = below.cloned().collect();
    below.reverse();
    below
}

/// A file system in memory of at most `size` bytes (without one: half of the machine's memory),
/// open to all. It is not swapped where the kernel can promise that (Linux 6.4).
///
/// # Errors
/// The system refused it.
pub(crate) fn tmpfs(target: &Path, size: Option<u64>) -> Result<(), HostError> {
    let act = "mounting memory there";
    let mut options = "mode=0777".to_owned();
    if let Some(size) = size {
        options.push_str(&format!(",size={size}"));
    }
    let attempt = |options: String| -> io::Result<()> {
        let options = CString::new(options)?;
        Ok(mount(
            "tmpfs",
            target,
            "tmpfs",
            MountFlags::empty(),
            options.as_c_str(),
        )?)
    };
    match attempt(format!("{options},noswap")) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => attempt(options),
        result => result,
    }
    .map_err(HostError::io(target, act))
}

/// Makes what a descriptor stands for appear at `target`, whatever its name means by now.
///
/// # Errors
/// The system refused it.
pub(crate) fn bind(source: BorrowedFd<'_>, target: &Path) -> Result<(), HostError> {
    let source = format!("/proc/self/fd/{}", source.as_raw_fd());
    mount_bind(source, target).map_err(HostError::io(target, "mounting a part of a volume there"))
}

/// Ends the newest mount at `target`, never at what a symlink there leads to.
///
/// # Errors
/// The system refused it, as it does while something uses the mount.
pub(crate) fn unmount(target: &Path) -> Result<(), HostError> {
    rustix::mount::unmount(target, UnmountFlags::NOFOLLOW)
        .map_err(HostError::io(target, "unmounting"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_their_blanks() {
        let table = b"1 0 0:1 / / rw - ext4 /dev/vda rw\n\
            2 1 0:2 / /a\\040b\\134c rw,relatime shared:1 - tmpfs tmpfs rw\n\
            3 2 0:3 /x /a\\040b\\134c/d rw - tmpfs tmpfs rw\n";
        let points = parse(table);
        assert_eq!(
            points,
            ["/", "/a b\\c", "/a b\\c/d"].map(PathBuf::from).to_vec()
        );
        assert_eq!(
            at_or_below(&points, Path::new("/a b\\c")),
            ["/a b\\c/d", "/a b\\c"].map(PathBuf::from).to_vec()
        );
        assert_eq!(at_or_below(&points, Path::new("/a")), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_torn_table_gives_what_is_whole() {
        assert_eq!(parse(b"1 0 0:1 /\n\\\n"), Vec::<PathBuf>::new());
        assert_eq!(unescape(b"\\04"), b"\\04");
        assert_eq!(unescape(b"\\999x"), b"\\999x");
    }

    #[test]
    fn the_root_is_mounted_here() {
        assert!(points().unwrap().contains(&PathBuf::from("/")));
    }
}
