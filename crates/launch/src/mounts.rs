//! What a container mounts, from what was prepared on the host.

use cri::v1;
use pod::api;

use crate::{node::Node, reason::Reason};

/// Where a container looks for names of hosts.
pub(crate) const HOSTS: &str = "/etc/hosts";

/// What stands on the host for one container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prepared {
    /// One for each of the container's `volumeMounts`, in their order.
    pub volumes: Vec<Volume>,
    /// The file for `/etc/hosts`.
    pub hosts: Option<String>,
    /// The file for the container's last words.
    pub termination_log: Option<String>,
}

/// A volume, or what a sub-path names in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Volume {
    /// Absolute, and there.
    pub path: String,
    /// Whatever the mount says.
    pub read_only: bool,
    /// The agent made it for the pod, and SELinux may label it: nothing of a hostPath.
    pub own: bool,
}

/// In the order of the manifest, then the file of host names, then the one of last words.
///
/// # Errors
///
/// A mount for which nothing was prepared: a runtime would make an empty directory of root.
pub(crate) fn of(
    node: &Node,
    container: &api::Container,
    prepared: &Prepared,
) -> Result<Vec<v1::Mount>, Reason> {
    let wanted = container.volume_mounts.as_deref().unwrap_or_default();
    let mut mounts = Vec::with_capacity(wanted.len() + 2);
    for (number, mount) in wanted.iter().enumerate() {
        let volume = prepared
            .volumes
            .get(number)
            .filter(|volume| volume.path.starts_with('/'))
            .ok_or_else(|| Reason::Mount {
                container: container.name.clone(),
                path: mount.mount_path.clone(),
            })?;
        mounts.push(of_volume(node, mount, volume));
    }
    let of_file = |host_path: &str, container_path: &str| v1::Mount {
        container_path: absolute(container_path),
        host_path: host_path.to_owned(),
        selinux_relabel: node.selinux,
        ..v1::Mount::default()
    };
    if let Some(hosts) = &prepared.hosts
        && wanted.iter().all(|mount| mount.mount_path != HOSTS)
    {
        mounts.push(of_file(hosts, HOSTS));
    }
    let message = container.termination_message_path.as_deref();
    if let (Some(log), Some(path)) = (&prepared.termination_log, message)
        && !path.is_empty()
    {
        mounts.push(of_file(log, path));
    }
    Ok(mounts)
}

fn of_volume(node: &Node, mount: &api::VolumeMount, volume: &Volume) -> v1::Mount {
    let propagation = match mount.mount_propagation.as_deref() {
        Some("HostToContainer") => v1::MountPropagation::PropagationHostToContainer,
        Some("Bidirectional") => v1::MountPropagation::PropagationBidirectional,
        _ => v1::MountPropagation::PropagationPrivate,
    };
    let below = match mount.recursive_read_only.as_deref() {
        // Pods that ask this of a runtime without it are refused before they come here.
        Some("Enabled") => true,
        Some("IfPossible") => node.recursive_read_only,
        _ => false,
    };
    v1::Mount {
        container_path: absolute(&mount.mount_path),
        host_path: volume.path.clone(),
        readonly: mount.read_only.unwrap_or_default() || volume.read_only,
        selinux_relabel: volume.own && node.selinux,
        propagation: propagation.into(),
        recursive_read_only: below,
        ..v1::Mount::default()
    }
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    }
}

#[cfg(test)]
mod tests;
