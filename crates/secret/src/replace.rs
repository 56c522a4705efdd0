//! Replaces a file so that every reader, also one after a power cut, finds the old content
//! or the new one, whole.

use std::{
    collections::hash_map::RandomState,
    ffi::{OsStr, OsString},
    fs,
    hash::{BuildHasher as _, Hasher as _},
    io,
    path::{Path, PathBuf},
};

use crate::disk::{Disk, Owner, directory_of};

/// What the new file looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits.
    pub mode: u32,
    /// `None` leaves the file to whoever runs this.
    pub owner: Option<Owner>,
}

/// A file was not replaced, or not durably.
#[derive(Debug, thiserror::Error)]
#[error("{}: {step} failed; check the disk's space and health", path.display())]
pub struct ReplaceError {
    /// The file that was to be replaced.
    pub path: PathBuf,
    /// Which step.
    pub step: &'static str,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// Writes `bytes` to a temporary file beside `target`, makes them durable, renames the file
/// over `target` and makes the name durable.
///
/// # Errors
/// [`ReplaceError`]. Before the rename the temporary file is removed again if the disk lets
/// us, and `target` is as it was; in the last step `target` may be either.
pub fn replace<D: Disk>(
    disk: &D,
    target: &Path,
    bytes: &[u8],
    attributes: Attributes,
) -> Result<(), ReplaceError> {
    let failed = |step| {
        move |source| ReplaceError {
            path: target.to_owned(),
            step,
            source,
        }
    };
    let mut name = prefix(target);
    name.push(format!(
        "{:016x}",
        RandomState::new().build_hasher().finish()
    ));
    let temporary = target.with_file_name(name);
    let mut file = disk
        .create(&temporary)
        .map_err(failed("creating a temporary file beside it"))?;
    let result = fill(disk, &mut file, bytes, attributes)
        .map_err(|(step, source)| failed(step)(source))
        .and_then(|()| {
            disk.rename(&temporary, target)
                .map_err(failed("renaming the new file into place"))
        });
    if result.is_err() {
        // Whoever opens the directory next removes what stays behind.
        let _ = disk.remove(&temporary);
        return result;
    }
    disk.sync_directory(directory_of(target))
        .map_err(failed("syncing its directory"))
}

fn fill<D: Disk>(
    disk: &D,
    file: &mut D::File,
    bytes: &[u8],
    attributes: Attributes,
) -> Result<(), (&'static str, io::Error)> {
    if let Some(owner) = attributes.owner {
        disk.set_owner(file, owner)
            .map_err(|error| ("setting the owner of the new file", error))?;
    }
    disk.set_mode(file, attributes.mode)
        .map_err(|error| ("setting the mode of the new file", error))?;
    disk.write(file, bytes)
        .map_err(|error| ("writing the new file", error))?;
    disk.sync(file)
        .map_err(|error| ("syncing the new file", error))
}

/// Removes temporary files that an interrupted [`replace`] of `target` left behind, and
/// returns them. Only for whoever holds the lock that guards `target`.
///
/// # Errors
/// The directory cannot be listed, or a file in it not be removed.
pub fn remove_leftovers<D: Disk>(disk: &D, target: &Path) -> Result<Vec<PathBuf>, ReplaceError> {
    let failed = |step| {
        move |source| ReplaceError {
            path: target.to_owned(),
            step,
            source,
        }
    };
    let prefix = prefix(target);
    let entries = fs::read_dir(directory_of(target)).map_err(failed("listing its directory"))?;
    let mut removed = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed("listing its directory"))?;
        let name = entry.file_name();
        if name
            .as_encoded_bytes()
            .starts_with(prefix.as_encoded_bytes())
        {
            disk.remove(&entry.path())
                .map_err(failed("removing a left-over temporary file"))?;
            removed.push(entry.path());
        }
    }
    Ok(removed)
}

/// Hidden, and recognisable as a leftover of `target` and of nothing else.
fn prefix(target: &Path) -> OsString {
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or(OsStr::new("file")));
    name.push(".tmp-");
    name
}

#[cfg(test)]
mod tests;
