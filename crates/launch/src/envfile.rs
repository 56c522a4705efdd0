//! Variables from files that init containers wrote: `fileKeyRef`.
//!
//! A file has lines `NAME='value'`. A value is what stands between its quotes, over several lines
//! if need be. Empty lines and those that begin with `#` are passed over, and so is space around
//! `=`, before a name and behind a value. Of a name that comes twice, the last value counts.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::AsRawFd as _,
    path::Path,
};

use pod::{Pod, api};
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, fstat, openat},
    io::Errno,
};
use thiserror::Error;

use crate::{
    host::{HostError, PodDir},
    subpath::{self, SubPathError},
    volumes,
};

/// The largest file that is read, in bytes.
const MOST: u64 = 64 * 1024;

/// Why a variable cannot be had from its file.
#[derive(Debug, Error)]
pub enum EnvFileError {
    /// Files of the host, and those about the pod, are not for this.
    #[error("the pod has no emptyDir volume {0}: name one that an init container writes to")]
    Volume(String),
    /// It leads out of its volume.
    #[error(transparent)]
    Path(#[from] SubPathError),
    /// Not there.
    #[error("the file {path} is not in volume {volume}: let an init container write it")]
    Missing {
        /// As in the manifest.
        volume: String,
        /// As in the manifest.
        path: String,
    },
    /// Not one of those that are read.
    #[error("the file {path} of volume {volume} is no regular file of at most 64 KiB in UTF-8")]
    Kind {
        /// As in the manifest.
        volume: String,
        /// As in the manifest.
        path: String,
    },
    /// The system refused to read it.
    #[error("the file {path} of volume {volume} cannot be read: {source}")]
    Read {
        /// As in the manifest.
        volume: String,
        /// As in the manifest.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is written in another way. Says nothing of its content, which may be secret.
    #[error("line {line} of the file {path} of volume {volume}: {fault}")]
    Text {
        /// As in the manifest.
        volume: String,
        /// As in the manifest.
        path: String,
        /// From 1.
        line: usize,
        /// What is wrong there.
        fault: Fault,
    },
    /// It does not have the name.
    #[error("the file {path} of volume {volume} has no variable {key}")]
    Key {
        /// As in the manifest.
        volume: String,
        /// As in the manifest.
        path: String,
        /// As in the manifest.
        key: String,
    },
    /// The volume's name cannot be that of a directory.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Fault {
    /// Nothing is given a value.
    #[error("it is no variable: write NAME='value'")]
    NoVariable,
    /// A name with space in it, or none.
    #[error("the name in front of = is empty, or has characters that names do not have")]
    Name,
    /// Shells would take it apart.
    #[error("the value does not stand in single quotes: write NAME='value'")]
    Unquoted,
    /// The file ends within a value.
    #[error("the value that begins here has no closing quote")]
    Open,
    /// More than a value.
    #[error("something follows the closing quote of a value")]
    Trailing,
}

/// The value that a `fileKeyRef` names; nothing where it is optional and not there.
///
/// # Errors
/// [`EnvFileError`]: the container must not be started. It is worth trying again.
pub fn value(
    pod: &Pod,
    directory: &PodDir,
    wanted: &api::FileKeySelector,
) -> Result<Option<String>, EnvFileError> {
    let (volume, path) = (wanted.volume_name.clone(), wanted.path.clone());
    let found = text(pod, directory, &volume, &path)?;
    let Some(text) = found else {
        return match wanted.optional {
            Some(true) => Ok(None),
            _ => Err(EnvFileError::Missing { volume, path }),
        };
    };
    match find(&text, &wanted.key) {
        Ok(None) if wanted.optional != Some(true) => Err(EnvFileError::Key {
            volume,
            path,
            key: wanted.key.clone(),
        }),
        Ok(value) => Ok(value),
        Err((line, fault)) => Err(EnvFileError::Text {
            volume,
            path,
            line,
            fault,
        }),
    }
}

/// The text of a file in a volume; nothing where there is none. Who writes the volume may put
/// anything there, so it is opened only once it is known for a file of the volume.
fn text(
    pod: &Pod,
    directory: &PodDir,
    volume: &str,
    path: &str,
) -> Result<Option<String>, EnvFileError> {
    let spec = pod.api.spec.as_ref();
    let mut volumes = spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    if !volumes.any(|own| own.name == volume && own.empty_dir.is_some()) {
        return Err(EnvFileError::Volume(volume.to_owned()));
    }
    subpath::check(path)?;
    let top = volumes::place_of_empty_dir(directory, volume)?;
    let names = || (volume.to_owned(), path.to_owned());
    let unread = |source: io::Error| {
        let (volume, path) = names();
        EnvFileError::Read {
            volume,
            path,
            source,
        }
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat(CWD, &top, flags, Mode::empty())
        .and_then(|top| subpath::resolve(&top, Path::new(path)));
    let file = match opened {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(subpath::explain(&top, path, error).into()),
    };
    let kind = || {
        let (volume, path) = names();
        EnvFileError::Kind { volume, path }
    };
    let found = fstat(&file).map_err(|error| unread(error.into()))?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(kind());
    }
    // The descriptor only refers to the file; this is the way to read that very one.
    let readable = File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(unread)?;
    let mut bytes = Vec::new();
    let read = readable.take(MOST + 1).read_to_end(&mut bytes);
    let read = read.map_err(unread)?;
    if u64::try_from(read).is_ok_and(|read| read > MOST) {
        return Err(kind());
    }
    String::from_utf8(bytes).map(Some).map_err(|_| kind())
}

/// The value of a name in a text that has to be right as a whole; else the line that is not.
fn find(text: &str, key: &str) -> Result<Option<String>, (usize, Fault)> {
    let mut value = None;
    let mut rest = text;
    while !rest.is_empty() {
        let line = 1 + text
            .get(..text.len() - rest.len())
            .map_or(0, |before| before.matches('\n').count());
        let fail = |fault| (line, fault);
        let (first, behind) = rest.split_once('\n').unwrap_or((rest, ""));
        let trimmed = first.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            rest = behind;
            continue;
        }
        let (name, assigned) = match first.split_once('=') {
            Some((name, _)) => (name.trim(), rest.get(name.len() + 1..).unwrap_or_default()),
            None => return Err(fail(Fault::NoVariable)),
        };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(fail(Fault::Name));
        }
        let assigned = assigned.trim_start_matches([' ', '\t']);
        let quoted = assigned.strip_prefix('\'').ok_or(fail(Fault::Unquoted))?;
        let (inside, after) = quoted.split_once('\'').ok_or(fail(Fault::Open))?;
        let (end, behind) = after.split_once('\n').unwrap_or((after, ""));
        if !end.trim().is_empty() {
            return Err(fail(Fault::Trailing));
        }
        if name == key {
            value = Some(inside.to_owned());
        }
        rest = behind;
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
