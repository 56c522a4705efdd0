//! What a container mounts, made ready: its volumes, and the parts of them that it wants.

use std::path::{Path, PathBuf};

use pod::api;
use thiserror::Error;

use crate::{
    host::HostError,
    mounts,
    subpath::{self, Part, SubPathError},
    volumes::{self, Setting, Volume, VolumeError},
};

/// Why a container cannot start: something that it mounts.
#[derive(Debug, Error)]
pub enum PrepareError {
    /// A volume that it mounts.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A part of a volume.
    #[error("container {container}, mount {mount}: {source}")]
    SubPath {
        /// As in the manifest.
        container: String,
        /// In the container.
        mount: String,
        /// What is wrong, with the path.
        source: SubPathError,
    },
    /// A volume that the pod does not have.
    #[error(
        "container {container}, mount {mount}: the pod has no volume {volume}: correct the name"
    )]
    Unknown {
        /// As in the manifest.
        container: String,
        /// In the container.
        mount: String,
        /// As the mount names it.
        volume: String,
    },
    /// Runtimes are told paths as text.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl PrepareError {
    /// The word under which a kubelet shows it, as an event or in the status of a container.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Volume(_) | Self::Host(_) => volumes::FAILED_MOUNT,
            Self::SubPath { .. } | Self::Unknown { .. } => subpath::CONFIG_ERROR,
        }
    }
}

/// Sets up the volumes of one container and the parts that it mounts, one for each of its
/// `volumeMounts`, in their order. For every start of it. Volumes that only others mount do not
/// hold it up.
///
/// # Errors
/// The container must not be started. It is worth trying again.
pub fn volumes_of(
    setting: &Setting<'_>,
    container: &api::Container,
    environment: &[(String, String)],
) -> Result<Vec<mounts::Volume>, PrepareError> {
    let wanted = container.volume_mounts.as_deref().unwrap_or_default();
    let ready = volumes::set_up(setting, |name| {
        wanted.iter().any(|mount| mount.name == name)
    })?;
    wanted
        .iter()
        .enumerate()
        .map(|(index, mount)| {
            let volume = ready.iter().find(|volume| volume.name == mount.name);
            let volume = volume.ok_or_else(|| PrepareError::Unknown {
                container: container.name.clone(),
                mount: mount.mount_path.clone(),
                volume: mount.name.clone(),
            })?;
            let path = part_of(setting, container, volume, index, mount, environment).map_err(
                |source| PrepareError::SubPath {
                    container: container.name.clone(),
                    mount: mount.mount_path.clone(),
                    source,
                },
            )?;
            Ok(mounts::Volume {
                path: text(&path)?,
                read_only: volume.is_read_only(),
                own: volume.is_managed(),
            })
        })
        .collect()
}

fn part_of(
    setting: &Setting<'_>,
    container: &api::Container,
    volume: &Volume,
    index: usize,
    mount: &api::VolumeMount,
    environment: &[(String, String)],
) -> Result<PathBuf, SubPathError> {
    let Some(path) = subpath::chosen(mount, environment)? else {
        return Ok(volume.path.clone());
    };
    let part = Part {
        volume: &volume.name,
        on_host: &volume.path,
        container: &container.name,
        index,
        path: &path,
    };
    subpath::prepare(setting.directory, &part)
}

/// A path that is not UTF-8 would become another one, which a runtime would make.
fn text(path: &Path) -> Result<String, HostError> {
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| HostError::Name {
            name: path.display().to_string(),
        })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use pod::env::Facts;

    use super::*;
    use crate::{host::Root, volumes::tests::pod};

    fn prepare(spec: &str) -> Result<Vec<mounts::Volume>, PrepareError> {
        let place = tempfile::tempdir().unwrap();
        let directory = Root::open(place.path()).unwrap().pod("u").unwrap();
        let pod = pod(spec);
        let setting = Setting {
            directory: &directory,
            pod: &pod,
            facts: &Facts::default(),
            now: Timestamp::UNIX_EPOCH,
        };
        let container = &pod.api.spec.as_ref().unwrap().containers[0];
        volumes_of(&setting, container, &[])
    }

    #[test]
    fn each_mount_gets_its_volume_in_the_order_of_the_mounts() {
        let ready = prepare(
            r#"{"containers": [{"name": "c", "volumeMounts": [
                {"name": "null", "mountPath": "/n"},
                {"name": "empty", "mountPath": "/e"},
                {"name": "about", "mountPath": "/a"},
                {"name": "null", "mountPath": "/m"}]}],
            "volumes": [
                {"name": "about", "downwardAPI": {"items": []}},
                {"name": "empty", "emptyDir": {}},
                {"name": "other", "hostPath": {"path": "/nowhere/at/all"}},
                {"name": "null", "hostPath": {"path": "/dev/null", "type": "CharDevice"}}]}"#,
        )
        .unwrap();
        let kinds: Vec<_> = ready
            .iter()
            .map(|volume| (volume.read_only, volume.own))
            .collect();
        assert_eq!(
            kinds,
            [(false, false), (false, true), (true, true), (false, false)]
        );
        assert_eq!(
            (&*ready[0].path, &*ready[3].path),
            ("/dev/null", "/dev/null")
        );
        assert!(ready[1].path.ends_with("kubernetes.io~empty-dir/empty"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let with = |mount: &str| {
            let spec = format!(
                r#"{{"containers": [{{"name": "c", "volumeMounts": [{mount}]}}], "volumes": [
                    {{"name": "v", "emptyDir": {{}}}},
                    {{"name": "s", "hostPath": {{"path": "/nowhere/s", "type": "Socket"}}}}]}}"#
            );
            let error = prepare(&spec).unwrap_err();
            (error.code(), error.to_string())
        };
        let (code, text) = with(r#"{"name": "s", "mountPath": "/s"}"#);
        assert_eq!(code, "FailedMount");
        assert_eq!(
            text,
            "volume s: /nowhere/s is missing: start what makes it, the agent tries again"
        );
        let (code, text) = with(r#"{"name": "x", "mountPath": "/x"}"#);
        assert_eq!(code, "CreateContainerConfigError");
        assert!(text.ends_with("the pod has no volume x: correct the name"));
        let (code, text) = with(r#"{"name": "v", "mountPath": "/v", "subPathExpr": "$(NO)"}"#);
        assert_eq!(code, "CreateContainerConfigError");
        assert!(
            text.starts_with("container c, mount /v: subPathExpr"),
            "{text}"
        );
    }
}
