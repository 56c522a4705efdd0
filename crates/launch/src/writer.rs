//! Files that change all at once: `name -> ..data/name`, `..data -> ..<time>.<random>`. One
//! rename of `..data` swaps them, so that no reader sees a part of a change.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fs,
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, symlink},
    path::{Component, Path, PathBuf},
};

use crate::{
    host::{HostError, create_new, make_directory, names},
    ownership::Group,
    tree,
};

const DATA: &str = "..data";
const DATA_NEW: &str = "..data_tmp";
const LINK_NEW: &str = "..link_tmp";

/// Content and mode of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    pub(crate) mode: u32,
}

/// Files by their relative path.
pub(crate) type Files = BTreeMap<PathBuf, Content>;

/// Makes a directory hold exactly these files. Nothing is written when it does already. `stamp`
/// is part of a name, for people.
///
/// # Errors
/// A path leads out of the directory, or the system refused a step. Then readers see the files
/// as they were before, or as they should be; the next call sets the rest right.
pub(crate) fn write(
    directory: &Path,
    files: &Files,
    group: Option<Group>,
    stamp: &str,
) -> Result<(), HostError> {
    if let Some(path) = files.keys().find(|path| !stays_inside(path)) {
        return Err(HostError::Name {
            name: path.display().to_string(),
        });
    }
    let current = match current(directory) {
        Some(current) if holds(&directory.join(&current), files, group) => current,
        _ => {
            let staged = stage(directory, files, group, stamp)?;
            swap(directory, &staged)?;
            staged
        }
    };
    link(directory, files)?;
    tidy(directory, files, &current)
}

/// Names that begin with two dots are the writer's own.
fn stays_inside(path: &Path) -> bool {
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    let is_foreign = path
        .components()
        .next()
        .is_some_and(|first| !first.as_os_str().as_encoded_bytes().starts_with(b".."));
    is_foreign && path.components().all(is_plain)
}

/// What `..data` points to, if that is a directory beside it.
fn current(directory: &Path) -> Option<OsString> {
    let target = fs::read_link(directory.join(DATA)).ok()?.into_os_string();
    let is_ours = is_version(&target);
    (is_ours && directory.join(&target).is_dir()).then_some(target)
}

fn is_version(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    let is_other = [DATA, DATA_NEW, LINK_NEW]
        .iter()
        .any(|other| name == *other);
    bytes.starts_with(b"..") && bytes.len() > 2 && !bytes.contains(&b'/') && !is_other
}

/// Whether a version is exactly these files, with their modes and their group.
fn holds(version: &Path, files: &Files, group: Option<Group>) -> bool {
    let is_right = |(path, content): (&PathBuf, &Content)| {
        let path = version.join(path);
        let Ok(found) = fs::symlink_metadata(&path) else {
            return false;
        };
        found.is_file()
            && found.mode() & 0o7777 == wanted_mode(content.mode, group)
            && group.is_none_or(|group| found.gid() == group.id)
            && fs::read(&path).is_ok_and(|bytes| bytes == content.bytes)
    };
    files.iter().all(is_right) && count(version).is_ok_and(|count| count == files.len())
}

fn wanted_mode(mode: u32, group: Option<Group>) -> u32 {
    group.map_or(mode, |group| group.mode(mode, false))
}

fn count(directory: &Path) -> io::Result<usize> {
    let mut files = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        files += if entry.file_type()?.is_dir() {
            count(&entry.path())?
        } else {
            1
        };
    }
    Ok(files)
}

/// A new version that nothing points to yet.
fn stage(
    directory: &Path,
    files: &Files,
    group: Option<Group>,
    stamp: &str,
) -> Result<OsString, HostError> {
    let name = OsString::from(format!("..{stamp}.{:010}", fastrand::u32(..)));
    let version = directory.join(&name);
    make_directory(&version, 0o755)?;
    for (path, content) in files {
        let target = version.join(path);
        let mut above = version.clone();
        for part in path.parent().into_iter().flat_map(Path::components) {
            above.push(part);
            make_directory(&above, 0o755)?;
        }
        create_new(&target, content.mode)?
            .write_all(&content.bytes)
            .map_err(HostError::io(&target, "writing the file"))?;
    }
    if let Some(group) = group {
        group.give(&version)?;
    }
    Ok(name)
}

/// From here on readers see the new version.
fn swap(directory: &Path, version: &OsStr) -> Result<(), HostError> {
    point(directory, DATA_NEW, OsStr::new(DATA), Path::new(version))
}

/// Makes `name` a symlink to `target`, whatever it was before.
fn point(directory: &Path, by: &str, name: &OsStr, target: &Path) -> Result<(), HostError> {
    let (by, name) = (directory.join(by), directory.join(name));
    remove_entry(&by)?;
    symlink(target, &by).map_err(HostError::io(&by, "making a symlink"))?;
    if fs::symlink_metadata(&name).is_ok_and(|found| found.is_dir()) {
        tree::remove(&name)?;
    }
    fs::rename(&by, &name).map_err(HostError::io(&name, "putting a symlink in place"))
}

/// The first parts of all paths.
fn tops(files: &Files) -> BTreeSet<&OsStr> {
    let paths = files.keys().filter_map(|path| path.components().next());
    paths.map(Component::as_os_str).collect()
}

/// Every file is to be found by its own name, through `..data`.
fn link(directory: &Path, files: &Files) -> Result<(), HostError> {
    for top in tops(files) {
        let target = Path::new(DATA).join(top);
        let is_right = fs::read_link(directory.join(top)).is_ok_and(|found| found == target);
        if !is_right {
            point(directory, LINK_NEW, top, &target)?;
        }
    }
    Ok(())
}

/// Removes names that are no longer, and other versions.
fn tidy(directory: &Path, files: &Files, current: &OsStr) -> Result<(), HostError> {
    let tops = tops(files);
    for name in names(directory)? {
        let stays = name == DATA || name == current || tops.contains(name.as_os_str());
        if !stays {
            remove_entry(&directory.join(&name))?;
        }
    }
    Ok(())
}

fn remove_entry(path: &Path) -> Result<(), HostError> {
    match fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(found) if found.is_dir() => tree::remove(path),
        Ok(_) => fs::remove_file(path).map_err(HostError::io(path, "removing it")),
    }
}

#[cfg(test)]
mod tests;
