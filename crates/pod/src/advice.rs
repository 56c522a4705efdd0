//! What is allowed and unwise.
//!
//! Each rule has a stable name, by which a report can be searched and a machine can count.

use std::path::Path;

use crate::{api, report::Report};

/// Reports everything that a careful author would write otherwise. The pod carries the API's
/// defaults; what was written and what was not, `Report::places` knows.
pub fn check(pod: &api::Pod, report: &mut Report<'_>) {
    let Some(spec) = &pod.spec else { return };
    priority(spec, report);
    namespaces(spec, report);
    for (field, container) in containers(spec) {
        image(&field, container, report);
        root(&field, spec, container, report);
        privileged(&field, container, report);
        fractions(&field, container, report);
        probes(&field, spec, container, report);
    }
    files(spec, report);
}

/// What lies at a path of the node, as far as rules care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A Unix socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A FIFO or something else that no hostPath type names.
    Other,
}

/// Reports host paths that would keep the pod from starting on the node that `look` sees: it gives
/// what lies at a path, links followed, or nothing.
pub fn check_host(pod: &api::Pod, look: impl Fn(&Path) -> Option<Found>, report: &mut Report<'_>) {
    let volumes = pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    for (at, volume) in volumes.enumerate() {
        let Some(host) = &volume.host_path else {
            continue;
        };
        let field = format!("spec.volumes[{at}].hostPath.path");
        let path = Path::new(&host.path);
        let kind = host.type_.as_deref().unwrap_or_default();
        let found = look(path);
        let wanted = match kind {
            "Directory" | "DirectoryOrCreate" => Some((Found::Directory, "directory")),
            "File" | "FileOrCreate" => Some((Found::File, "file")),
            "Socket" => Some((Found::Socket, "socket")),
            "CharDevice" => Some((Found::CharDevice, "character device")),
            "BlockDevice" => Some((Found::BlockDevice, "block device")),
            _ => None,
        };
        match (found, wanted) {
            (None, _) if kind == "DirectoryOrCreate" => {}
            (None, _)
                if kind == "FileOrCreate"
                    && path
                        .parent()
                        .is_some_and(|parent| look(parent) == Some(Found::Directory)) => {}
            (None, _) if kind == "FileOrCreate" => report.warn(
                "host-path-missing",
                field,
                "is in a directory that does not exist here, and only the file is created",
                "create the directory, or mount it with type: DirectoryOrCreate before this volume",
            ),
            (None, _) => report.warn(
                "host-path-missing",
                field,
                "does not exist here: the pod waits until it does",
                "create it, or write a type that ends in OrCreate",
            ),
            (Some(found), Some((wanted, name))) if found != wanted => report.warn(
                "host-path-type",
                field,
                format!("is no {name} here: the pod waits until it is one"),
                "mount what is there, or correct the type",
            ),
            _ => {}
        }
    }
}

/// All containers with their paths, in the order of their starts.
fn containers(spec: &api::PodSpec) -> impl Iterator<Item = (String, &api::Container)> {
    let paths =
        |list: &'static str| move |(at, container)| (format!("spec.{list}[{at}]"), container);
    let init = spec.init_containers.iter().flatten().enumerate();
    let main = spec.containers.iter().enumerate();
    init.map(paths("initContainers"))
        .chain(main.map(paths("containers")))
}

/// The class that makes a pod count as critical for the node.
const CRITICAL: &str = "system-node-critical";

fn priority(spec: &api::PodSpec, report: &mut Report<'_>) {
    if spec.priority_class_name.as_deref() == Some(CRITICAL) && spec.priority.is_none() {
        report.warn(
            "priority-number",
            "spec.priorityClassName",
            "is not resolved for static pods: without the number this pod is stopped first when the node shuts down",
            "add priority: 2000001000 beside it",
        );
    }
}

fn image(field: &str, container: &api::Container, report: &mut Report<'_>) {
    let image = container.image.as_deref().unwrap_or_default();
    if image.is_empty() {
        return;
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    let at = format!("{field}.image");
    if !image.contains('@') {
        let tag = name.split_once(':').map(|(_, tag)| tag);
        if matches!(tag, None | Some("latest")) {
            report.warn(
                "image-latest",
                at,
                "has no tag but latest: nobody knows what will run after the next pull",
                "name the version and its digest: image:1.2.3@sha256:...",
            );
        } else {
            report.warn(
                "image-digest",
                at,
                "has a tag and no digest: a tag can be moved to another image",
                "add the digest: image:1.2.3@sha256:...",
            );
        }
    }
    if container.image_pull_policy.as_deref() == Some("Always") {
        let written = format!("{field}.imagePullPolicy");
        let at = if report.places().holds(&written) {
            written
        } else {
            format!("{field}.image")
        };
        report.warn(
            "pull-always",
            at,
            "is pulled at every start: without its registry the container cannot start again",
            "write imagePullPolicy: IfNotPresent, and name the image by its digest",
        );
    }
}

fn root(field: &str, spec: &api::PodSpec, container: &api::Container, report: &mut Report<'_>) {
    let own = container.security_context.as_ref();
    let pod = spec.security_context.as_ref();
    if own.and_then(|own| own.read_only_root_filesystem) != Some(true) {
        report.warn(
            "writable-root",
            field,
            "can write to the root file system of its image",
            "set securityContext.readOnlyRootFilesystem: true, and mount an emptyDir where it writes",
        );
    }
    let user = own
        .and_then(|own| own.run_as_user)
        .or_else(|| pod.and_then(|pod| pod.run_as_user));
    let non_root = own
        .and_then(|own| own.run_as_non_root)
        .or_else(|| pod.and_then(|pod| pod.run_as_non_root));
    if user == Some(0) || (user.is_none() && non_root != Some(true)) {
        report.warn(
            "root-user",
            field,
            if user == Some(0) {
                "runs as root"
            } else {
                "runs as the user of its image, which may be root"
            },
            "set securityContext.runAsUser to a number that is not 0, or runAsNonRoot: true",
        );
    }
}

fn privileged(field: &str, container: &api::Container, report: &mut Report<'_>) {
    let context = container.security_context.as_ref();
    if context.and_then(|context| context.privileged) == Some(true) {
        report.warn(
            "privileged",
            format!("{field}.securityContext.privileged"),
            "gives the container the whole node",
            "add the capabilities and mounts that it needs instead",
        );
    }
}

/// Network of the node is what static pods are usually for; its processes and its memory are not.
fn namespaces(spec: &api::PodSpec, report: &mut Report<'_>) {
    for (set, field, what) in [
        (
            spec.host_pid,
            "hostPID",
            "see and signal all processes of the node",
        ),
        (spec.host_ipc, "hostIPC", "use the node's shared memory"),
    ] {
        if set == Some(true) {
            report.warn(
                "host-namespace",
                format!("spec.{field}"),
                format!("lets the containers {what}"),
                "remove it, unless the pod serves the node itself",
            );
        }
    }
}

/// `64m` of memory is a fifteenth of a byte, and nearly always meant to be `64Mi`.
fn fractions(field: &str, container: &api::Container, report: &mut Report<'_>) {
    let Some(resources) = &container.resources else {
        return;
    };
    for (amounts, list) in [
        (&resources.limits, "limits"),
        (&resources.requests, "requests"),
    ] {
        for (name, quantity) in amounts.iter().flatten() {
            let bytes = name == "memory" || name == "ephemeral-storage";
            if bytes && quantity.0.ends_with(['m', 'u', 'n']) {
                report.warn(
                    "fraction-of-a-byte",
                    format!("{field}.resources.{list}[{name}]"),
                    "is counted in fractions of a byte",
                    "write Mi instead of m",
                );
            }
        }
    }
}

fn probes(field: &str, spec: &api::PodSpec, container: &api::Container, report: &mut Report<'_>) {
    if spec.host_network != Some(true) {
        return;
    }
    for (probe, name) in [
        (&container.liveness_probe, "livenessProbe"),
        (&container.readiness_probe, "readinessProbe"),
        (&container.startup_probe, "startupProbe"),
    ] {
        let Some(probe) = probe else { continue };
        let handler = match (&probe.http_get, &probe.tcp_socket) {
            (Some(get), _) if get.host.is_none() => "httpGet",
            (_, Some(socket)) if socket.host.is_none() => "tcpSocket",
            _ => continue,
        };
        report.warn(
            "probe-host",
            format!("{field}.{name}.{handler}"),
            "names no host under hostNetwork: here it asks 127.0.0.1, a kubelet without an API server asks an empty name",
            "add host: 127.0.0.1, or the address on which the program listens",
        );
    }
}

/// Files that programs replace by renaming: a mount of the file keeps showing the old one.
const REPLACED: &[&str] = &[
    "resolv.conf",
    "hosts",
    "hostname",
    "localtime",
    "passwd",
    "group",
    "machine-id",
    "mtab",
];

/// Endings of files that are usually renewed by renaming.
const RENEWED: &[&str] = &[
    ".crt", ".pem", ".key", ".conf", ".token", ".jwt", ".yaml", ".yml", ".json",
];

fn files(spec: &api::PodSpec, report: &mut Report<'_>) {
    for (at, volume) in spec.volumes.iter().flatten().enumerate() {
        let Some(host) = &volume.host_path else {
            continue;
        };
        let field = format!("spec.volumes[{at}].hostPath.path");
        let kind = host.type_.as_deref().unwrap_or_default();
        let name = host.path.rsplit('/').next().unwrap_or_default();
        if matches!(kind, "File" | "FileOrCreate")
            && (REPLACED.contains(&name) || RENEWED.iter().any(|ending| name.ends_with(ending)))
        {
            report.warn(
                "file-replaced",
                field,
                "is a file of a kind that is replaced by renaming: the container would go on seeing the old one",
                "mount its directory",
            );
        } else if kind == "Socket" {
            report.warn(
                "socket-replaced",
                field,
                "is a socket, which its program makes anew at every start: the container would keep the dead one",
                "mount its directory",
            );
        } else if kind.is_empty() {
            report.warn(
                "host-path-untyped",
                field,
                "has no type, so that anything found there is mounted",
                "add type: Directory, File, Socket or one that ends in OrCreate",
            );
        }
    }
}

#[cfg(test)]
mod tests;
