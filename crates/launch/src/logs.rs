//! Logs of containers: their directories, their rotation and the links that log shippers follow.
//!
//! The runtime writes `<pod>/<container>/<restart count>.log`. What is rotated away is named
//! `<log>.YYYYMMDD-HHMMSS` in UTC and compressed one rotation later, so that readers find the
//! end of a log plain.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use pod::{Pod, PodKey};
use thiserror::Error;

use crate::{
    host::{HostError, component, create_new, make_directories, make_directory, names as list},
    names, tree,
};

mod turn;

pub use turn::Limits;
use turn::Rotated;

/// Where all logs are, by default `/var/log/pods` and `/var/log/containers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logs {
    /// The directory of all logs.
    pub pods: PathBuf,
    /// The directory of links to logs.
    pub links: PathBuf,
}

/// A log was not rotated. Nothing is lost: the container goes on writing where it wrote.
#[derive(Debug, Error)]
pub enum RotationError<E> {
    /// The system refused it.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The runtime did not open a new file. The log has its old name again.
    #[error("the runtime did not reopen {}; the agent tries again", log.display())]
    Reopen {
        /// The log.
        log: PathBuf,
        /// What the runtime said.
        #[source]
        source: E,
    },
}

/// What a look at a log led to.
#[derive(Debug, Default)]
pub struct Turned {
    /// Whether the runtime writes to a new file.
    pub is_rotated: bool,
    /// What was not compressed or not removed. It is tried again.
    pub left: Vec<HostError>,
}

impl Logs {
    /// The directory of a pod's logs.
    ///
    /// # Errors
    /// Its name would lead elsewhere.
    pub fn of_pod(&self, pod: &Pod) -> Result<PathBuf, HostError> {
        Ok(self.pods.join(component(&names::pod_logs(pod))?))
    }

    /// Makes the directory of a container's logs, 0755, and all above it.
    ///
    /// # Errors
    /// The system refused it.
    pub fn make(&self, pod: &Pod, container: &str) -> Result<PathBuf, HostError> {
        make_directories(&self.pods, 0o755)?;
        let of_pod = self.of_pod(pod)?;
        make_directory(&of_pod, 0o755)?;
        let path = of_pod.join(component(container)?);
        make_directory(&path, 0o755)?;
        Ok(path)
    }

    /// The restart count that follows from the logs alone: one more than the highest that has a
    /// log, and 0 if there is none.
    ///
    /// # Errors
    /// The directory is there and cannot be listed.
    pub fn next_restart_count(&self, pod: &Pod, container: &str) -> Result<u32, HostError> {
        let files = list(&self.of_pod(pod)?.join(component(container)?))?;
        let highest = names::highest_logged(files.iter().filter_map(|name| name.to_str()));
        Ok(highest.map_or(0, |highest| highest.saturating_add(1)))
    }

    /// Makes the link to a container's log, in place of any that has its name.
    ///
    /// # Errors
    /// The system refused it; the container needs no link.
    pub fn link(
        &self,
        pod: &Pod,
        container: &str,
        id: &str,
        log: &Path,
    ) -> Result<PathBuf, HostError> {
        make_directories(&self.links, 0o755)?;
        let name = names::log_link(pod, container, id);
        let path = self.links.join(component(&name)?);
        if fs::read_link(&path).is_ok_and(|found| found == log) {
            return Ok(path);
        }
        let by = self.links.join(format!(".link-{:016x}", fastrand::u64(..)));
        symlink(log, &by).map_err(HostError::io(&by, "making a symlink"))?;
        fs::rename(&by, &path).map_err(|error| {
            let _ = fs::remove_file(&by);
            HostError::io(&path, "putting a symlink in place")(error)
        })?;
        Ok(path)
    }

    /// Removes links to logs that are gone, and says which. Links that lead elsewhere belong to
    /// somebody else. `is_running` knows containers by the beginning of
    /// their id (a long name was cut within it): a log is gone for a moment while it is rotated.
    ///
    /// # Errors
    /// The directory cannot be listed, or a link not be removed.
    pub fn remove_dead_links(
        &self,
        is_running: impl Fn(&str) -> bool,
    ) -> Result<Vec<PathBuf>, HostError> {
        let mut removed = Vec::new();
        for name in list(&self.links)? {
            let path = self.links.join(&name);
            let Ok(target) = fs::read_link(&path) else {
                continue;
            };
            let id = name.to_str().and_then(id_of);
            let is_ours = target.starts_with(&self.pods) && id.is_some();
            let is_gone = fs::symlink_metadata(&target)
                .is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
            if is_ours && is_gone && !id.is_some_and(&is_running) {
                fs::remove_file(&path).map_err(HostError::io(&path, "removing a dead link"))?;
                removed.push(path);
            }
        }
        Ok(removed)
    }

    /// Removes all logs of a pod, whose manifest may be gone. Symlinks among them are not
    /// followed.
    ///
    /// # Errors
    /// Part of it is left.
    pub fn remove(&self, key: &PodKey, uid: &str) -> Result<(), HostError> {
        let name = format!("{}_{}_{uid}", key.namespace, key.name);
        tree::remove(&self.pods.join(component(&name)?))
    }
}

/// `<pod>_<namespace>_<container>-<id>.log`; the name of a long one may have been cut within it.
fn id_of(link: &str) -> Option<&str> {
    let (_, id) = link.strip_suffix(".log")?.rsplit_once('-')?;
    Some(id)
}

/// Rotates a log if it is time: `reopen` asks the runtime for a new file, after the old one has
/// got another name and before anything else is done to it; also where there is no file. To be
/// called every ten seconds or so for each log of a container that runs, by one caller at a time.
///
/// # Errors
/// The log was not rotated.
pub fn rotate<E>(
    log: &Path,
    limits: Limits,
    now: Timestamp,
    reopen: impl FnOnce() -> Result<(), E>,
) -> Result<Turned, RotationError<E>> {
    let size = match fs::symlink_metadata(log) {
        Ok(found) if found.is_file() => found.len(),
        // Whoever renamed it did not live to ask for a new one: the runtime writes to it still.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let reopened = reopen().map_err(|source| RotationError::Reopen {
                log: log.to_owned(),
                source,
            });
            return reopened.map(|()| Turned::default());
        }
        // Not what a runtime writes to.
        _ => return Ok(Turned::default()),
    };
    let directory = log.parent().unwrap_or(Path::new("/"));
    let Some(name) = log.file_name().and_then(|name| name.to_str()) else {
        return Ok(Turned::default());
    };
    if size < limits.bytes {
        return Ok(Turned::default());
    }
    let files = list(directory)?;
    let files: Vec<&str> = files.iter().filter_map(|file| file.to_str()).collect();
    let plan = turn::plan(name, &files, limits, now);
    let mut left = Vec::new();
    for file in &plan.remove {
        keep(&mut left, remove_file(&directory.join(file)));
    }
    let target = directory.join(&plan.rename_to);
    fs::rename(log, &target).map_err(HostError::io(log, "renaming the full log"))?;
    if let Err(source) = reopen() {
        // As before, unless the runtime did open a new file in spite of what it said.
        let log = log.to_owned();
        if fs::symlink_metadata(&log).is_err() {
            fs::rename(&target, &log)
                .map_err(HostError::io(&target, "giving the log its name back"))?;
        }
        return Err(RotationError::Reopen { log, source });
    }
    for file in &plan.compress {
        keep(&mut left, compress(&directory.join(file)));
    }
    Ok(Turned {
        is_rotated: true,
        left,
    })
}

/// Removes a log of one instance of a container and all that was rotated away from it.
///
/// # Errors
/// Part of it is left.
pub fn remove(log: &Path) -> Result<(), HostError> {
    let directory = log.parent().unwrap_or(Path::new("/"));
    let Some(name) = log.file_name().and_then(|name| name.to_str()) else {
        return Ok(());
    };
    for file in list(directory)? {
        let file = file.to_str().unwrap_or_default();
        if file == name || Rotated::read(name, file).is_some() || turn::is_litter(name, file) {
            remove_file(&directory.join(file))?;
        }
    }
    Ok(())
}

fn keep(left: &mut Vec<HostError>, result: Result<(), HostError>) {
    left.extend(result.err());
}

fn remove_file(path: &Path) -> Result<(), HostError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(HostError::io(path, "removing an old log")(error))
        }
        _ => Ok(()),
    }
}

/// Puts `<path>.gz` in the place of a file, whole or not at all.
fn compress(path: &Path) -> Result<(), HostError> {
    let with = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let (target, temporary) = (with(turn::PACKED), with(turn::UNFINISHED));
    remove_file(&temporary)?;
    let written = pack(path, &temporary)
        .and_then(|()| {
            fs::rename(&temporary, &target).map_err(HostError::io(
                &target,
                "putting the compressed log in place",
            ))
        })
        .inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        });
    written.and_then(|()| remove_file(path))
}

fn pack(path: &Path, temporary: &Path) -> Result<(), HostError> {
    let failed = HostError::io::<io::Error>;
    let mut plain = File::open(path).map_err(failed(path, "opening an old log"))?;
    let mode = plain
        .metadata()
        .map(|found| std::os::unix::fs::MetadataExt::mode(&found) & 0o777)
        .map_err(failed(path, "looking at an old log"))?;
    let mut packed = GzEncoder::new(create_new(temporary, mode)?, Compression::default());
    io::copy(&mut plain, &mut packed)
        .and_then(|_| packed.finish())
        .and_then(|file| file.sync_all())
        .map_err(failed(temporary, "compressing an old log"))
}

#[cfg(test)]
mod tests;
