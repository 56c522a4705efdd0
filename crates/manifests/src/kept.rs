//! Last good manifests on disk, for an agent that starts when a source cannot be read.
//!
//! One file a manifest, named by a hash of its name: a line with a format number and the SHA-256
//! of everything after it, a line of JSON, and the manifest's bytes. A file that was damaged is
//! told and not used. The agent holds the lock on its root directory, so nobody else writes here.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use secret::{
    disk::{Disk as _, OsDisk},
    file::{FileError, FileRule, Symlinks, read},
    replace::{Attributes, ReplaceError, replace},
};
use serde::{Deserialize, Serialize};

use crate::{
    directory::{Before, Memory},
    facts::{Digest, Identity},
    remote::KeptBody,
    rules::MAX_BYTES,
};

/// Begins every file; the number changes with the format.
const FORMAT: &str = "staticpodd-kept-1 ";
/// Which directory the manifests are from.
const PLACE: &str = "place";
const ENDING: &str = ".kept";
const RULE: FileRule = FileRule {
    forbidden_mode: 0o077,
    max_bytes: MAX_BYTES + (1 << 20),
    symlinks: Symlinks::Refuse,
};

/// Something kept cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The directory of a source cannot be made or listed.
    #[error("{} cannot be used to keep manifests in", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("a kept manifest cannot be read")]
    Read(#[from] FileError),
    /// A file is not what was written.
    #[error("{} is damaged: {what}; it is not used, and is written anew once its source has been read", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How it shows.
        what: &'static str,
    },
    /// A file cannot be written.
    #[error("a manifest cannot be kept")]
    Write(#[from] ReplaceError),
    /// A file cannot be removed.
    #[error("{} is not needed any more and cannot be removed", path.display())]
    Remove {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The head of a kept manifest.
#[derive(Serialize, Deserialize)]
struct Head {
    file: String,
    pods: Vec<String>,
    accepted: i64,
}

/// Where the manifests were.
#[derive(Serialize, Deserialize)]
struct Place {
    identity: Identity,
    boot: String,
}

/// The store of one source.
#[derive(Debug, Clone)]
pub struct Kept {
    directory: PathBuf,
    boot: String,
}

/// What a store holds.
#[derive(Debug, Default)]
pub struct Remembered {
    /// Manifests of files, by name.
    pub files: Vec<Memory>,
    /// Which directory they are from.
    pub before: Option<Before>,
    /// The body of a URL.
    pub body: Option<KeptBody>,
    /// What cannot be used.
    pub damaged: Vec<KeptError>,
}

/// The kernel's name of this boot; empty where it cannot be read, which is no boot at all.
#[must_use]
pub fn boot() -> String {
    let path = "/proc/sys/kernel/random/boot_id";
    let text = fs::read_to_string(path).unwrap_or_default();
    text.trim().to_owned()
}

impl Kept {
    /// The store of `source` (its path or URL) below `root`, made where it is missing. `boot`
    /// names this boot ([`boot`]). Blocks.
    ///
    /// # Errors
    /// The directory cannot be made or listed. Single damaged files are in the answer.
    pub fn open(root: &Path, source: &str, boot: String) -> Result<(Self, Remembered), KeptError> {
        let directory = root.join("manifests").join(short(source.as_bytes()));
        let failed = |source| KeptError::Directory {
            path: directory.clone(),
            source,
        };
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&directory).map_err(failed)?;
        let kept = Self { directory, boot };
        let failed = |source| KeptError::Directory {
            path: kept.directory.clone(),
            source,
        };
        let mut remembered = Remembered::default();
        for entry in fs::read_dir(&kept.directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let bytes = name.as_encoded_bytes();
            if bytes.starts_with(b".") {
                // Of a write that did not come to its end.
                let _ = OsDisk.remove(&kept.directory.join(&name));
            } else if bytes.ends_with(ENDING.as_bytes())
                && let Err(error) = kept.recall(&name, &mut remembered)
            {
                remembered.damaged.push(error);
            }
        }
        remembered
            .files
            .sort_by(|one, other| one.file.cmp(&other.file));
        Ok((kept, remembered))
    }

    /// Keeps the manifest of a file. Blocks.
    ///
    /// # Errors
    /// [`KeptError::Write`]; what was kept before is as it was.
    pub fn put(&self, memory: &Memory) -> Result<(), KeptError> {
        let Some(file) = memory.file.to_str() else {
            return Ok(());
        };
        let head = Head {
            file: file.to_owned(),
            pods: vec![memory.pod.clone()],
            accepted: memory.accepted,
        };
        self.write(&name_of(file), &head, &memory.bytes)
    }

    /// Keeps the body of a URL. Blocks.
    ///
    /// # Errors
    /// [`KeptError::Write`]; what was kept before is as it was.
    pub fn put_body(&self, body: &KeptBody) -> Result<(), KeptError> {
        let head = Head {
            file: String::new(),
            pods: body.pods.clone(),
            accepted: body.accepted,
        };
        self.write(&name_of(""), &head, &body.bytes)
    }

    /// Keeps which directory the manifests are from. Blocks.
    ///
    /// # Errors
    /// [`KeptError::Write`]; what was kept before is as it was.
    pub fn put_place(&self, identity: Identity) -> Result<(), KeptError> {
        let place = Place {
            identity,
            boot: self.boot.clone(),
        };
        self.write(&format!("{PLACE}{ENDING}"), &place, &[])
    }

    /// Forgets the manifest of a file; one that is not kept is fine. Blocks.
    ///
    /// # Errors
    /// [`KeptError::Remove`].
    pub fn remove(&self, file: &OsStr) -> Result<(), KeptError> {
        let Some(file) = file.to_str() else {
            return Ok(());
        };
        let path = self.directory.join(name_of(file));
        match OsDisk.remove(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(KeptError::Remove { path, source })
            }
            _ => Ok(()),
        }
    }

    fn write<H: Serialize>(&self, name: &str, head: &H, body: &[u8]) -> Result<(), KeptError> {
        let mut rest = serde_json::to_vec(head).unwrap_or_default();
        rest.push(b'\n');
        rest.extend_from_slice(body);
        let mut bytes = Vec::with_capacity(FORMAT.len() + 65 + rest.len());
        // Writing to a Vec cannot fail.
        let _ = writeln!(bytes, "{FORMAT}{}", Digest::of(&rest));
        bytes.append(&mut rest);
        let attributes = Attributes {
            mode: 0o600,
            owner: None,
        };
        replace(&OsDisk, &self.directory.join(name), &bytes, attributes)?;
        Ok(())
    }

    fn recall(&self, name: &OsStr, into: &mut Remembered) -> Result<(), KeptError> {
        let path = self.directory.join(name);
        let bytes = read(&path, &RULE)?;
        let damaged = |what| KeptError::Damaged {
            path: path.clone(),
            what,
        };
        let (head, body) = checked(&bytes).map_err(damaged)?;
        let unreadable = |_| damaged("its head is of another version");
        if name.as_encoded_bytes() == format!("{PLACE}{ENDING}").as_bytes() {
            let place: Place = serde_json::from_slice(head).map_err(unreadable)?;
            into.before = Some(Before {
                identity: place.identity,
                same_boot: !self.boot.is_empty() && place.boot == self.boot,
            });
            return Ok(());
        }
        let head: Head = serde_json::from_slice(head).map_err(unreadable)?;
        if name.as_encoded_bytes() != name_of(&head.file).as_bytes() {
            return Err(damaged("it has the name of another one"));
        }
        let bytes: Arc<[u8]> = Arc::from(body);
        let Head {
            file,
            pods,
            accepted,
        } = head;
        if file.is_empty() {
            into.body = Some(KeptBody {
                accepted,
                pods,
                bytes,
            });
        } else {
            into.files.push(Memory {
                file: OsString::from(file),
                pod: pods.concat(),
                accepted,
                bytes,
            });
        }
        Ok(())
    }
}

/// Head and body of a file whose hash is right.
fn checked(bytes: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let rest = bytes.strip_prefix(FORMAT.as_bytes());
    let rest = rest.ok_or("it does not begin as a kept manifest does")?;
    let (digest, rest) = line(rest).ok_or("it ends early")?;
    if Digest::of(rest).to_string().as_bytes() != digest {
        return Err("its hash does not fit its content");
    }
    line(rest).ok_or("it has no head")
}

/// Up to the first line end, and what follows it.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&byte| byte == b'\n')?;
    let (line, rest) = bytes.split_at(at);
    Some((line, rest.get(1..)?))
}

fn name_of(file: &str) -> String {
    format!("{}{ENDING}", short(file.as_bytes()))
}

/// 32 hex digits: enough that two names never meet.
fn short(bytes: &[u8]) -> String {
    let mut text = Digest::of(bytes).to_string();
    text.truncate(32);
    text
}

#[cfg(test)]
mod tests;
