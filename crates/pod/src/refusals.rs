//! Features that cannot be given, by the values of fields: those that this agent never has, and
//! those that depend on the runtime.
//!
//! What is silently left out would be worse than a pod that does not start.

use std::collections::BTreeSet;

use crate::{api, report::Report};

/// What a runtime and its configuration offer beside what all of them do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuntimeFeatures {
    /// Pods with `hostUsers: false`: containerd 2.0 or later, and mounts with mapped ids.
    pub user_namespaces: bool,
    /// Mounts with `recursiveReadOnly: Enabled`: containerd 2.0 or later.
    pub recursive_read_only: bool,
    /// `supplementalGroupsPolicy: Strict`: containerd 2.0 or later.
    pub strict_groups: bool,
    /// Names that `runtimeClassName` may have, from the agent's own table.
    pub runtime_classes: BTreeSet<String>,
    /// Sysctls that are allowed beside the safe ones; a `*` at the end stands for anything.
    pub unsafe_sysctls: Vec<String>,
}

/// Something that a pod asks for and does not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Path in the manifest.
    pub field: String,
    /// A predicate of the field, lower case, no full stop.
    pub reason: String,
    /// What to do about it.
    pub advice: String,
}

/// Those that are safe for other pods: they belong to a namespace of their own.
const SAFE_SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

/// The longest uid: twice that of an API server's.
const LONGEST_UID: usize = 72;

/// Directories and control groups are called after a uid, so that `../..` must not be one.
fn is_uid(text: &str) -> bool {
    text.len() <= LONGEST_UID
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Reports values that no runtime makes possible here.
pub(crate) fn check(pod: &api::Pod, report: &mut Report<'_>) {
    if !pod.metadata.uid.as_deref().is_none_or(is_uid) {
        report.error(
            "metadata.uid",
            "must be letters, digits and '-': directories are called after it",
            "remove it to get one, or write a UUID",
        );
    }
    let Some(spec) = &pod.spec else { return };
    if let Some(os) = &spec.os
        && os.name != "linux"
    {
        report.error(
            "spec.os.name",
            "is not supported: pods run on Linux",
            "write linux, or remove the section",
        );
    }
    for (number, volume) in spec.volumes.iter().flatten().enumerate() {
        let medium = volume
            .empty_dir
            .as_ref()
            .and_then(|dir| dir.medium.as_deref());
        if medium.is_some_and(|medium| medium.starts_with("HugePages")) {
            report.error(
                format!("spec.volumes[{number}].emptyDir.medium"),
                "is not supported: huge pages are not mounted",
                "write Memory, or remove the line for a directory on disk",
            );
        }
    }
}

/// Everything that this runtime does not offer.
#[must_use]
pub fn by_runtime(pod: &api::Pod, features: &RuntimeFeatures) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let Some(spec) = &pod.spec else {
        return refusals;
    };
    let mut refuse = |field: String, reason: &str, advice: &str| {
        refusals.push(Refusal {
            field,
            reason: reason.to_owned(),
            advice: advice.to_owned(),
        });
    };
    if spec.host_users == Some(false) && !features.user_namespaces {
        refuse(
            "spec.hostUsers".into(),
            "needs user namespaces, which this runtime does not have",
            "remove it, or use containerd 2.0 or later",
        );
    }
    if let Some(class) = &spec.runtime_class_name
        && !class.is_empty()
        && !features.runtime_classes.contains(class)
    {
        refuse(
            "spec.runtimeClassName".into(),
            "is not in the agent's table of runtime classes",
            "add the class to the table, or remove it",
        );
    }
    if let Some(context) = &spec.security_context {
        if context.supplemental_groups_policy.as_deref() == Some("Strict")
            && !features.strict_groups
        {
            refuse(
                "spec.securityContext.supplementalGroupsPolicy".into(),
                "cannot be Strict: this runtime adds the groups of the image",
                "write Merge, or use containerd 2.0 or later",
            );
        }
        for (number, sysctl) in context.sysctls.iter().flatten().enumerate() {
            if !is_allowed(&sysctl.name, &features.unsafe_sysctls) {
                refuse(
                    format!("spec.securityContext.sysctls[{number}].name"),
                    "is not among the safe sysctls, nor allowed by the agent's configuration",
                    "remove it, or allow it with allowedUnsafeSysctls",
                );
            }
        }
    }
    if !features.recursive_read_only {
        for field in recursive_mounts(spec) {
            refuse(
                field,
                "cannot be Enabled: this runtime makes only the topmost mount read-only",
                "write IfPossible, or use containerd 2.0 or later",
            );
        }
    }
    refusals
}

fn is_allowed(name: &str, patterns: &[String]) -> bool {
    let name = name.replace('/', ".");
    SAFE_SYSCTLS.contains(&name.as_str())
        || patterns
            .iter()
            .any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == *pattern,
            })
}

fn recursive_mounts(spec: &api::PodSpec) -> Vec<String> {
    let init = spec.init_containers.as_deref().unwrap_or_default();
    let mut fields = Vec::new();
    for (list, containers) in [
        ("initContainers", init),
        ("containers", spec.containers.as_slice()),
    ] {
        for (number, container) in containers.iter().enumerate() {
            for (at, mount) in container.volume_mounts.iter().flatten().enumerate() {
                if mount.recursive_read_only.as_deref() == Some("Enabled") {
                    fields.push(format!(
                        "spec.{list}[{number}].volumeMounts[{at}].recursiveReadOnly"
                    ));
                }
            }
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(spec: &serde_json::Value) -> api::Pod {
        let pod = serde_json::json!({"apiVersion": "v1", "kind": "Pod", "spec": spec});
        serde_json::from_value(pod).unwrap()
    }

    fn said(pod: &api::Pod) -> Vec<String> {
        let places = crate::places::Places::default();
        let mut report = Report::new(&places);
        check(pod, &mut report);
        let (errors, _) = report.finish();
        errors.into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn a_uid_that_leads_out_of_its_directory_is_refused() {
        let with = |uid: &str| {
            let mut pod = pod(&serde_json::json!({}));
            pod.metadata.uid = Some(uid.to_owned());
            said(&pod)
        };
        for uid in ["", "12345", "6f1c1a52-2f53-4a44-9d43-6a1d8e3f7b10", "0aB"] {
            assert_eq!(with(uid), [""; 0], "{uid}");
        }
        for uid in [
            "..",
            "../../etc",
            "a/b",
            "a b",
            "a_b",
            "a\0",
            "é",
            &"a".repeat(73),
        ] {
            assert_eq!(with(uid), ["metadata.uid"], "{uid}");
        }
    }

    #[test]
    fn values_that_no_runtime_makes_possible_are_refused() {
        let pod = pod(&serde_json::json!({
            "os": {"name": "windows"},
            "volumes": [
                {"name": "a", "emptyDir": {"medium": "Memory"}},
                {"name": "b", "emptyDir": {"medium": "HugePages-2Mi"}},
            ],
        }));
        assert_eq!(
            said(&pod),
            ["spec.os.name", "spec.volumes[1].emptyDir.medium"]
        );
    }

    fn demanding() -> api::Pod {
        pod(&serde_json::json!({
            "hostUsers": false,
            "runtimeClassName": "gvisor",
            "securityContext": {
                "supplementalGroupsPolicy": "Strict",
                "sysctls": [
                    {"name": "net.ipv4.tcp_syncookies", "value": "1"},
                    {"name": "net/ipv4/ping_group_range", "value": "0 1"},
                    {"name": "kernel.msgmax", "value": "1"},
                ],
            },
            "initContainers": [{"name": "a", "volumeMounts": [
                {"name": "v", "mountPath": "/v", "recursiveReadOnly": "Enabled"},
            ]}],
            "containers": [{"name": "b", "volumeMounts": [
                {"name": "v", "mountPath": "/v", "recursiveReadOnly": "IfPossible"},
                {"name": "w", "mountPath": "/w", "recursiveReadOnly": "Enabled"},
            ]}],
        }))
    }

    #[test]
    fn what_a_runtime_lacks_is_refused_and_named() {
        let refused = by_runtime(&demanding(), &RuntimeFeatures::default());
        let fields: Vec<&str> = refused
            .iter()
            .map(|refusal| refusal.field.as_str())
            .collect();
        assert_eq!(
            fields,
            [
                "spec.hostUsers",
                "spec.runtimeClassName",
                "spec.securityContext.supplementalGroupsPolicy",
                "spec.securityContext.sysctls[2].name",
                "spec.initContainers[0].volumeMounts[0].recursiveReadOnly",
                "spec.containers[0].volumeMounts[1].recursiveReadOnly",
            ]
        );
    }

    #[test]
    fn what_a_runtime_has_is_not_refused() {
        let features = RuntimeFeatures {
            user_namespaces: true,
            recursive_read_only: true,
            strict_groups: true,
            runtime_classes: ["gvisor".to_owned()].into(),
            unsafe_sysctls: vec!["kernel.msg*".to_owned()],
        };
        assert_eq!(by_runtime(&demanding(), &features), []);
        let modest = pod(&serde_json::json!({"hostUsers": true, "runtimeClassName": ""}));
        assert_eq!(by_runtime(&modest, &RuntimeFeatures::default()), []);
    }
}
