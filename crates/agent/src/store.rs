//! What must outlive the agent: one small file for each pod, and the lock of the root directory.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use plan::{Persisted, PodKey};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Why something cannot be kept, or what was kept cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory is not there or not ours.
    #[error("the agent's directory {path} cannot be used")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another agent works with this root directory.
    #[error(
        "another agent holds {path}: there is one agent for each root directory; stop the other \
         one, or give this one another --root-dir"
    )]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// A file that says nothing any more. It was set aside.
    #[error(
        "what was remembered of a pod in {path} is damaged ({why}) and was set aside as \
         {path}.damaged: a pod that runs once per boot may run once more"
    )]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It cannot be written.
    #[error("what is remembered of pod {key} cannot be written to {path}")]
    Unwritten {
        /// Whose.
        key: PodKey,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

#[derive(Serialize, Deserialize)]
struct Page {
    namespace: String,
    name: String,
    kept: Persisted,
}

/// The store. While it lives no other agent can open the same root directory.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
    _lock: File,
}

/// What a store holds at first.
#[derive(Debug, Default)]
pub(crate) struct Recalled {
    pub(crate) kept: BTreeMap<PodKey, Persisted>,
    pub(crate) damaged: Vec<StoreError>,
}

/// Something to be written: `None` removes.
pub(crate) type Note = (PodKey, Option<Persisted>);

const ENDING: &str = "json";

impl Store {
    /// Takes the lock and reads everything. Blocks.
    pub(crate) fn open(root: &Path) -> Result<(Self, Recalled), StoreError> {
        let directory = root.join("state");
        let unusable = |source| StoreError::Directory {
            path: directory.clone(),
            source,
        };
        fs::create_dir_all(&directory).map_err(unusable)?;
        let path = root.join("agent.lock");
        let lock = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(unusable)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(StoreError::Locked { path });
        }
        let mut recalled = Recalled::default();
        for entry in fs::read_dir(&directory).map_err(unusable)? {
            let path = entry.map_err(unusable)?.path();
            if path.extension().is_none_or(|ending| ending != ENDING) {
                continue;
            }
            match read(&path) {
                Ok(page) => {
                    let key = PodKey::new(page.namespace, page.name);
                    let _ = recalled.kept.insert(key, page.kept);
                }
                Err(why) => {
                    let mut aside = path.clone().into_os_string();
                    aside.push(".damaged");
                    // If even that fails, the next start says so again.
                    let _ = fs::rename(&path, aside);
                    recalled.damaged.push(StoreError::Damaged { path, why });
                }
            }
        }
        Ok((
            Self {
                directory,
                _lock: lock,
            },
            recalled,
        ))
    }

    /// Writes notes, each atomically; those that failed come back. Blocks.
    pub(crate) fn write(&self, notes: Vec<Note>) -> Vec<(PodKey, StoreError)> {
        let mut failed = Vec::new();
        for (key, kept) in notes {
            let path = self.directory.join(file_name(&key));
            let written = match kept {
                Some(kept) => put(&path, &key, kept),
                None => match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                },
            };
            if let Err(source) = written {
                let note = key.clone();
                failed.push((note, StoreError::Unwritten { key, path, source }));
            }
        }
        // Without it, a power cut may bring back what was there before; it is said again then.
        let _ = File::open(&self.directory).and_then(|directory| directory.sync_all());
        failed
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A name cannot hold what a path must not, whatever a pod is called.
fn file_name(key: &PodKey) -> String {
    let digest = hex(key.to_string().as_bytes());
    let short: String = digest.chars().take(32).collect();
    format!("{short}.{ENDING}")
}

fn put(path: &Path, key: &PodKey, kept: Persisted) -> io::Result<()> {
    let page = Page {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        kept,
    };
    let text = serde_json::to_string(&page)?;
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    writeln!(file, "{}\n{text}", hex(text.as_bytes()))?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

fn read(path: &Path) -> Result<Page, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let (sum, text) = text.split_once('\n').ok_or("it is cut off")?;
    let text = text.trim_end_matches('\n');
    if sum != hex(text.as_bytes()) {
        return Err("its checksum is another one".to_owned());
    }
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> PodKey {
        PodKey::new("default", name)
    }

    #[test]
    fn what_was_written_is_there_at_the_next_start_and_what_was_removed_is_not() {
        let root = tempfile::tempdir().unwrap();
        let (store, recalled) = Store::open(root.path()).unwrap();
        assert!(recalled.kept.is_empty());
        let notes = ["a", "b"].map(|name| (key(name), Some(Persisted::default())));
        assert!(store.write(notes.into()).is_empty());
        assert!(
            store
                .write(vec![(key("a"), None), (key("c"), None)])
                .is_empty()
        );
        drop(store);
        let (_store, recalled) = Store::open(root.path()).unwrap();
        assert_eq!(recalled.kept.keys().collect::<Vec<_>>(), [&key("b")]);
        assert!(recalled.damaged.is_empty());
    }

    #[test]
    fn one_root_directory_has_one_agent() {
        let root = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(root.path()).unwrap();
        let second = Store::open(root.path());
        assert!(matches!(second, Err(StoreError::Locked { .. })));
        drop(store);
        Store::open(root.path()).unwrap();
    }

    #[test]
    fn a_damaged_file_is_named_set_aside_and_hurts_no_other() {
        let root = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(root.path()).unwrap();
        let notes = ["a", "b"].map(|name| (key(name), Some(Persisted::default())));
        assert!(store.write(notes.into()).is_empty());
        drop(store);
        let path = root.path().join("state").join(file_name(&key("a")));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("default", "defaulT")).unwrap();
        let (store, recalled) = Store::open(root.path()).unwrap();
        assert_eq!(recalled.kept.keys().collect::<Vec<_>>(), [&key("b")]);
        assert!(
            matches!(&recalled.damaged[..], [StoreError::Damaged { why, .. }]
            if why.contains("checksum"))
        );
        drop(store);
        let (_store, recalled) = Store::open(root.path()).unwrap();
        assert!(recalled.damaged.is_empty());
    }
}
