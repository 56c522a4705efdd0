//! The volumes of a pod on this host.
//!
//! [`set_up`] is for every start of a container, not only for the first of a pod: host paths are
//! checked again each time, and what is already right is not touched.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use pod::{Pod, api, env::Facts};
use thiserror::Error;

use crate::{
    host::{HostError, PodDir, create_new, make_directories, make_directory},
    host_path, mounting,
    ownership::Group,
    writer,
};

mod downward;
mod memory;

pub use crate::host_path::{Found, HostPathError};

/// The word under which an event shows a [`VolumeError`].
pub const FAILED_MOUNT: &str = "FailedMount";

const EMPTY_DIR: &str = "kubernetes.io~empty-dir";
const DOWNWARD: &str = "kubernetes.io~downward-api";
const PROJECTED: &str = "kubernetes.io~projected";

/// A volume that containers may mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// As in the manifest.
    pub name: String,
    /// Where it is on the host.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
}

/// What a volume is, as far as its mounts differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The host's own.
    HostPath,
    /// Of the pod, as long as it lives.
    EmptyDir,
    /// Files about the pod.
    Downward,
}

impl Volume {
    /// Whether the agent made it, and may have it labelled for the container.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.kind != Kind::HostPath
    }

    /// Whether every mount of it is read-only, whatever the mount says.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.kind == Kind::Downward
    }
}

/// Why a container cannot start: one of its volumes.
#[derive(Debug, Error)]
pub enum VolumeError {
    /// A path of the host is not what it should be.
    #[error("volume {volume}: {source}")]
    HostPath {
        /// As in the manifest.
        volume: String,
        /// What is wrong, with the path.
        source: HostPathError,
    },
    /// A file about the pod has no content.
    #[error(
        "volume {volume}: the file {file} names a field or a resource that there is not: correct it"
    )]
    Content {
        /// As in the manifest.
        volume: String,
        /// Its path in the volume.
        file: String,
    },
    /// A kind that needs an API server or a plugin.
    #[error("volume {volume}: the agent has no volumes of its kind: use hostPath or emptyDir")]
    Unknown {
        /// As in the manifest.
        volume: String,
    },
    /// The system refused something.
    #[error("volume {volume}: {source}")]
    Host {
        /// As in the manifest.
        volume: String,
        /// What was refused, with the path.
        source: HostError,
    },
}

/// Where and for whom volumes are set up.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// The pod's place on the host.
    pub directory: &'a PodDir,
    /// The pod.
    pub pod: &'a Pod,
    /// What files about the pod may say.
    pub facts: &'a Facts,
    /// In names of directories, for people.
    pub now: Timestamp,
}

/// Sets up the volumes that `wanted` chooses by name, in the order of the manifest, so that one
/// may make what the next one needs. Stops at the first that fails.
///
/// # Errors
/// Nothing that mounts the volume may start. It is worth trying again.
pub fn set_up(
    setting: &Setting<'_>,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Volume>, VolumeError> {
    let spec = setting.pod.api.spec.as_ref();
    let volumes = spec.and_then(|spec| spec.volumes.as_ref());
    volumes
        .into_iter()
        .flatten()
        .filter(|volume| wanted(&volume.name))
        .map(|volume| set_up_one(setting, volume))
        .collect()
}

fn set_up_one(setting: &Setting<'_>, volume: &api::Volume) -> Result<Volume, VolumeError> {
    let done = |path: PathBuf, kind| Volume {
        name: volume.name.clone(),
        path,
        kind,
    };
    let host = |source| VolumeError::Host {
        volume: volume.name.clone(),
        source,
    };
    if let Some(source) = &volume.host_path {
        let kind = source.type_.as_deref().unwrap_or_default();
        host_path::prepare(&source.path, kind).map_err(|source| VolumeError::HostPath {
            volume: volume.name.clone(),
            source,
        })?;
        return Ok(done(PathBuf::from(&source.path), Kind::HostPath));
    }
    if let Some(source) = &volume.empty_dir {
        let path = empty_dir(setting, &volume.name, source).map_err(host)?;
        return match path {
            Some(path) => Ok(done(path, Kind::EmptyDir)),
            None => Err(VolumeError::Unknown {
                volume: volume.name.clone(),
            }),
        };
    }
    let (plugin, items) = match (&volume.downward_api, &volume.projected) {
        (Some(source), _) => (DOWNWARD, downward::of_volume(source)),
        (None, Some(source)) => (PROJECTED, downward::of_projected(source)),
        (None, None) => (DOWNWARD, None),
    };
    let items = items.ok_or_else(|| VolumeError::Unknown {
        volume: volume.name.clone(),
    })?;
    let files = downward::files(&items, &setting.pod.api, setting.facts).map_err(|file| {
        VolumeError::Content {
            volume: volume.name.clone(),
            file,
        }
    })?;
    let path = setting
        .directory
        .volume(plugin, &volume.name)
        .map_err(host)?;
    write_files(setting, &path, &files).map_err(host)?;
    Ok(done(path, Kind::Downward))
}

/// Where an emptyDir is on the host, whether it is there or not.
pub(crate) fn place_of_empty_dir(directory: &PodDir, name: &str) -> Result<PathBuf, HostError> {
    directory.volume(EMPTY_DIR, name)
}

/// `None` for a medium that is neither disk nor memory.
fn empty_dir(
    setting: &Setting<'_>,
    name: &str,
    source: &api::EmptyDirVolumeSource,
) -> Result<Option<PathBuf>, HostError> {
    let in_memory = match source.medium.as_deref().unwrap_or_default() {
        "" => false,
        "Memory" => true,
        _ => return Ok(None),
    };
    let path = setting.directory.volume(EMPTY_DIR, name)?;
    let marker = setting.directory.marker(EMPTY_DIR, name)?;
    let is_mounted = !in_memory || mounting::points()?.contains(&path);
    if is_mounted && path.is_dir() && marker.exists() {
        return Ok(Some(path));
    }
    make_parents(&path)?;
    make_directory(&path, 0o777)?;
    if !is_mounted {
        let limit = memory::bound(
            setting.pod.api.spec.as_ref(),
            source.size_limit.as_ref(),
            setting.facts,
        );
        mounting::tmpfs(&path, limit)?;
    }
    if let Some(group) = group(setting.pod, false) {
        group.give(&path)?;
    }
    make_parents(&marker)?;
    if !marker.exists() {
        let _ = create_new(&marker, 0o640)?;
    }
    Ok(Some(path))
}

fn write_files(setting: &Setting<'_>, path: &Path, files: &writer::Files) -> Result<(), HostError> {
    make_parents(path)?;
    make_directory(path, 0o755)?;
    let stamp = setting.now.strftime("%Y_%m_%d_%H_%M_%S").to_string();
    writer::write(path, files, group(setting.pod, true), &stamp)
}

fn make_parents(path: &Path) -> Result<(), HostError> {
    path.parent()
        .map_or(Ok(()), |parent| make_directories(parent, 0o750))
}

/// The group of `fsGroup`.
fn group(pod: &Pod, is_read_only: bool) -> Option<Group> {
    let context = pod.api.spec.as_ref()?.security_context.as_ref()?;
    Some(Group {
        id: u32::try_from(context.fs_group?).ok()?,
        only_on_mismatch: context.fs_group_change_policy.as_deref() == Some("OnRootMismatch"),
        is_read_only,
    })
}

#[cfg(test)]
pub(crate) mod tests;
