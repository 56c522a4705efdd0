//! Who a container is and what it may do. Nothing here is ever ignored.

use super::row::{Object, Row, no, yes};

const fn plain(field: &'static str) -> Row {
    yes(field, "")
}

const WINDOWS: &str = "pods run on Linux";

pub(super) const POD: Object = Object {
    name: "PodSecurityContext",
    rows: &[
        yes("appArmorProfile", "of containers that do not set their own"),
        yes(
            "fsGroup",
            "of emptyDir and downward API volumes, never of host paths",
        ),
        plain("fsGroupChangePolicy"),
        plain("runAsGroup"),
        yes("runAsNonRoot", "checked before each start"),
        plain("runAsUser"),
        no("seLinuxChangePolicy", "volumes are labelled in one way"),
        yes("seLinuxOptions", "passed on to the runtime"),
        yes("seccompProfile", "of containers that do not set their own"),
        plain("supplementalGroups"),
        yes(
            "supplementalGroupsPolicy",
            "Strict where the runtime has it, else refused",
        ),
        yes(
            "sysctls",
            "the safe ones, and those that the agent's configuration allows",
        ),
        no("windowsOptions", WINDOWS),
    ],
};

pub(super) const CONTAINER: Object = Object {
    name: "SecurityContext",
    rows: &[
        yes("allowPrivilegeEscalation", "false sets no_new_privs"),
        yes(
            "appArmorProfile",
            "passed on to the runtime; the runtime's own unless set",
        ),
        yes("capabilities", "passed on to the runtime"),
        plain("privileged"),
        yes("procMount", "Unmasked needs a user namespace"),
        plain("readOnlyRootFilesystem"),
        plain("runAsGroup"),
        yes("runAsNonRoot", "checked before each start"),
        plain("runAsUser"),
        yes("seLinuxOptions", "passed on to the runtime"),
        yes(
            "seccompProfile",
            "Unconfined unless set here or for the pod, as under a kubelet",
        ),
        no("windowsOptions", WINDOWS),
    ],
};

pub(super) const CAPABILITIES: Object = Object {
    name: "Capabilities",
    rows: &[plain("add"), plain("drop")],
};

pub(super) const SECCOMP: Object = Object {
    name: "SeccompProfile",
    rows: &[
        yes(
            "localhostProfile",
            "below the seccomp directory of the agent's root directory",
        ),
        plain("type"),
    ],
};

pub(super) const APP_ARMOR: Object = Object {
    name: "AppArmorProfile",
    rows: &[
        yes("localhostProfile", "must be loaded on the host"),
        plain("type"),
    ],
};

pub(super) const SELINUX: Object = Object {
    name: "SELinuxOptions",
    rows: &[plain("level"), plain("role"), plain("type"), plain("user")],
};

pub(super) const SYSCTL: Object = Object {
    name: "Sysctl",
    rows: &[plain("name"), plain("value")],
};
