//! What a container may do: the pod's wishes and its own, made one.

use cri::v1;
use pod::{Pod, api};

use crate::{node::Node, reason::Reason};

mod profile;

/// Who a container runs as when its manifest does not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ImageUser {
    /// The image says nothing.
    #[default]
    Root,
    /// A number.
    Id(i64),
    /// A name that stands in the image's own files.
    Name(String),
}

impl ImageUser {
    /// As the runtime tells it.
    #[must_use]
    pub fn of(image: &v1::Image) -> Self {
        match (&image.uid, image.username.as_str()) {
            (Some(uid), _) => Self::Id(uid.value),
            (None, "") => Self::Root,
            (None, name) => Self::Name(name.to_owned()),
        }
    }
}

/// Hidden from containers: they tell of the host, or harm it.
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Not to be written by containers.
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// The security context of one container.
///
/// # Errors
///
/// It would run as root against its own word, or names a profile that there is not.
pub(crate) fn of_container(
    node: &Node,
    pod: &Pod,
    container: &api::Container,
    image: &ImageUser,
) -> Result<v1::LinuxContainerSecurityContext, Reason> {
    let none = api::PodSecurityContext::default();
    let spec = pod.api.spec.as_ref();
    let of_pod = spec
        .and_then(|spec| spec.security_context.as_ref())
        .unwrap_or(&none);
    let none = api::SecurityContext::default();
    let own = container.security_context.as_ref().unwrap_or(&none);

    let user = own.run_as_user.or(of_pod.run_as_user);
    if own.run_as_non_root.or(of_pod.run_as_non_root) == Some(true) {
        check_not_root(container, user, image)?;
    }
    let (run_as_user, run_as_username) = match (user, image) {
        (Some(user), _) => (Some(user), String::new()),
        (None, ImageUser::Id(user)) => (Some(*user), String::new()),
        (None, ImageUser::Name(name)) => (None, name.clone()),
        (None, ImageUser::Root) => (Some(0), String::new()),
    };
    let group = own.run_as_group.or(of_pod.run_as_group);
    let unmasked = own.proc_mount.as_deref() == Some("Unmasked");
    let paths = |paths: &[&str]| -> Vec<String> {
        let kept = paths.iter().filter(|_| !unmasked);
        kept.map(|path| (*path).to_owned()).collect()
    };
    let mut masked_paths = paths(&MASKED);
    if !unmasked {
        masked_paths.extend(node.masked_paths.iter().cloned());
    }
    let seccomp = own.seccomp_profile.as_ref();
    let selinux = own.se_linux_options.as_ref();
    Ok(v1::LinuxContainerSecurityContext {
        capabilities: own.capabilities.as_ref().map(capabilities),
        privileged: own.privileged.unwrap_or_default(),
        namespace_options: Some(namespaces(spec)),
        selinux_options: selinux
            .or(of_pod.se_linux_options.as_ref())
            .map(selinux_options),
        run_as_user: run_as_user.map(|value| v1::Int64Value { value }),
        run_as_username,
        run_as_group: group.map(|value| v1::Int64Value { value }),
        readonly_rootfs: own.read_only_root_filesystem.unwrap_or_default(),
        supplemental_groups: groups(of_pod),
        supplemental_groups_policy: groups_policy(of_pod).into(),
        no_new_privs: own.allow_privilege_escalation == Some(false),
        masked_paths,
        readonly_paths: paths(&READ_ONLY),
        seccomp: Some(profile::seccomp(
            node,
            container,
            seccomp.or(of_pod.seccomp_profile.as_ref()),
        )?),
        apparmor: profile::apparmor(pod, container, own, of_pod)?,
    })
}

/// The security context of the process that holds a pod's namespaces.
pub(crate) fn of_sandbox(spec: Option<&api::PodSpec>) -> v1::LinuxSandboxSecurityContext {
    let none = api::PodSecurityContext::default();
    let of_pod = spec
        .and_then(|spec| spec.security_context.as_ref())
        .unwrap_or(&none);
    let user = of_pod.run_as_user;
    v1::LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(spec)),
        selinux_options: of_pod.se_linux_options.as_ref().map(selinux_options),
        run_as_user: user.map(|value| v1::Int64Value { value }),
        // A runtime refuses a group without a user, and the containers get it all the same.
        run_as_group: of_pod
            .run_as_group
            .filter(|_| user.is_some())
            .map(|value| v1::Int64Value { value }),
        supplemental_groups: groups(of_pod),
        supplemental_groups_policy: groups_policy(of_pod).into(),
        // A runtime refuses privileged containers in any other sandbox.
        privileged: spec.is_some_and(|spec| crate::qos::containers(spec).any(is_privileged)),
        seccomp: Some(v1::SecurityProfile {
            profile_type: v1::security_profile::ProfileType::RuntimeDefault.into(),
            localhost_ref: String::new(),
        }),
        ..v1::LinuxSandboxSecurityContext::default()
    }
}

fn is_privileged(container: &api::Container) -> bool {
    let context = container.security_context.as_ref();
    context.and_then(|context| context.privileged) == Some(true)
}

fn check_not_root(
    container: &api::Container,
    user: Option<i64>,
    image: &ImageUser,
) -> Result<(), Reason> {
    let name = || container.name.clone();
    match (user, image) {
        (Some(0), _) => Err(Reason::RootByManifest(name())),
        (Some(_), _) => Ok(()),
        (None, ImageUser::Root | ImageUser::Id(0)) => Err(Reason::RootByImage(name())),
        (None, ImageUser::Id(_)) => Ok(()),
        (None, ImageUser::Name(user)) => Err(Reason::NamedUser {
            container: name(),
            user: user.clone(),
        }),
    }
}

/// Which namespaces of the node a pod shares, and whether its containers share their processes.
pub(crate) fn namespaces(spec: Option<&api::PodSpec>) -> v1::NamespaceOption {
    let said = |field: fn(&api::PodSpec) -> Option<bool>| spec.and_then(field) == Some(true);
    let shared = |with_node: bool| {
        if with_node {
            v1::NamespaceMode::Node
        } else {
            v1::NamespaceMode::Pod
        }
    };
    let pid = if said(|spec| spec.host_pid) {
        v1::NamespaceMode::Node
    } else if said(|spec| spec.share_process_namespace) {
        v1::NamespaceMode::Pod
    } else {
        v1::NamespaceMode::Container
    };
    v1::NamespaceOption {
        network: shared(said(|spec| spec.host_network)).into(),
        ipc: shared(said(|spec| spec.host_ipc)).into(),
        pid: pid.into(),
        ..v1::NamespaceOption::default()
    }
}

fn groups(of_pod: &api::PodSecurityContext) -> Vec<i64> {
    let more = of_pod.supplemental_groups.iter().flatten();
    of_pod.fs_group.iter().chain(more).copied().collect()
}

fn groups_policy(of_pod: &api::PodSecurityContext) -> v1::SupplementalGroupsPolicy {
    match of_pod.supplemental_groups_policy.as_deref() {
        Some("Strict") => v1::SupplementalGroupsPolicy::Strict,
        _ => v1::SupplementalGroupsPolicy::Merge,
    }
}

fn capabilities(asked: &api::Capabilities) -> v1::Capability {
    v1::Capability {
        add_capabilities: asked.add.clone().unwrap_or_default(),
        drop_capabilities: asked.drop.clone().unwrap_or_default(),
        add_ambient_capabilities: Vec::new(),
    }
}

fn selinux_options(options: &api::SELinuxOptions) -> v1::SeLinuxOption {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    v1::SeLinuxOption {
        user: text(&options.user),
        role: text(&options.role),
        r#type: text(&options.type_),
        level: text(&options.level),
    }
}

#[cfg(test)]
mod tests;
