//! Security contexts.

use super::{
    containers, each, one_of,
    text::{is_sysctl, steps_back},
};
use crate::{api, report::Report};

/// Users and groups: what the kernel's numbers allow.
const IDS: std::ops::RangeInclusive<i64> = 0..=i32::MAX as i64;

pub(super) fn check(spec: &api::PodSpec, report: &mut Report<'_>) {
    if let Some(context) = &spec.security_context {
        of_pod(spec, context, report);
    }
    for (field, _, container) in containers::all(spec) {
        if let Some(context) = &container.security_context {
            of_container(&format!("{field}.securityContext"), spec, context, report);
        }
    }
}

fn of_pod(spec: &api::PodSpec, context: &api::PodSecurityContext, report: &mut Report<'_>) {
    const AT: &str = "spec.securityContext";
    for (value, name) in [
        (context.run_as_user, "runAsUser"),
        (context.run_as_group, "runAsGroup"),
        (context.fs_group, "fsGroup"),
    ] {
        id(value, || format!("{AT}.{name}"), report);
    }
    for (field, group) in each(
        context.supplemental_groups.as_ref(),
        &format!("{AT}.supplementalGroups"),
    ) {
        id(Some(*group), || field, report);
    }
    one_of(
        context.fs_group_change_policy.as_deref(),
        &["OnRootMismatch", "Always"],
        || format!("{AT}.fsGroupChangePolicy"),
        report,
    );
    one_of(
        context.supplemental_groups_policy.as_deref(),
        &["Merge", "Strict"],
        || format!("{AT}.supplementalGroupsPolicy"),
        report,
    );
    seccomp(AT, context.seccomp_profile.as_ref(), report);
    apparmor(AT, context.app_armor_profile.as_ref(), report);
    windows(AT, context.windows_options.is_some(), report);
    let mut names = std::collections::BTreeSet::new();
    for (field, sysctl) in each(context.sysctls.as_ref(), &format!("{AT}.sysctls")) {
        let field = format!("{field}.name");
        if !is_sysctl(&sysctl.name) {
            report.error(
                field,
                "is no name of a kernel parameter",
                "write it as in /proc/sys, with dots",
            );
            continue;
        }
        let name = sysctl.name.replace('/', ".");
        let hosts = (
            spec.host_network == Some(true) && name.starts_with("net."),
            "hostNetwork",
        );
        let ipcs = (
            spec.host_ipc == Some(true)
                && (name.starts_with("kernel.shm")
                    || name.starts_with("kernel.msg")
                    || name.starts_with("fs.mqueue.")
                    || name == "kernel.sem"),
            "hostIPC",
        );
        for (clash, with) in [hosts, ipcs] {
            if clash {
                report.error(
                    field.clone(),
                    format!("cannot be set together with {with}: it would change the node"),
                    format!("set it on the node itself, or remove {with}"),
                );
            }
        }
        if !names.insert(name) {
            report.error(field, "is set twice", "remove one of the two");
        }
    }
}

fn of_container(
    at: &str,
    spec: &api::PodSpec,
    context: &api::SecurityContext,
    report: &mut Report<'_>,
) {
    id(context.run_as_user, || format!("{at}.runAsUser"), report);
    id(context.run_as_group, || format!("{at}.runAsGroup"), report);
    seccomp(at, context.seccomp_profile.as_ref(), report);
    apparmor(at, context.app_armor_profile.as_ref(), report);
    windows(at, context.windows_options.is_some(), report);
    one_of(
        context.proc_mount.as_deref(),
        &["Default", "Unmasked"],
        || format!("{at}.procMount"),
        report,
    );
    if context.proc_mount.as_deref() == Some("Unmasked") && spec.host_users != Some(false) {
        report.error(
            format!("{at}.procMount"),
            "can be Unmasked only in a pod with hostUsers: false",
            "remove it",
        );
    }
    if context.allow_privilege_escalation == Some(false) {
        let adds = context
            .capabilities
            .as_ref()
            .and_then(|list| list.add.as_ref());
        let admin = adds.is_some_and(|list| {
            list.iter()
                .any(|name| matches!(name.as_str(), "SYS_ADMIN" | "CAP_SYS_ADMIN"))
        });
        for (clash, with) in [
            (context.privileged == Some(true), "privileged: true"),
            (admin, "the capability SYS_ADMIN"),
        ] {
            if clash {
                report.error(
                    format!("{at}.allowPrivilegeEscalation"),
                    format!("cannot be false together with {with}"),
                    "remove one of the two",
                );
            }
        }
    }
    for (list, name) in [("add", "add"), ("drop", "drop")] {
        let capabilities = context.capabilities.as_ref();
        let entries = match list {
            "add" => capabilities.and_then(|both| both.add.as_ref()),
            _ => capabilities.and_then(|both| both.drop.as_ref()),
        };
        for (field, entry) in each(entries, &format!("{at}.capabilities.{name}")) {
            if let Some(bare) = entry.strip_prefix("CAP_") {
                report.warn(
                    "capability-prefix",
                    field,
                    "has the prefix CAP_, which runtimes may not know",
                    format!("write {bare}"),
                );
            }
        }
    }
}

fn id(value: Option<i64>, field: impl FnOnce() -> String, report: &mut Report<'_>) {
    if value.is_some_and(|value| !IDS.contains(&value)) {
        report.error(
            field(),
            format!("must be from 0 to {}", IDS.end()),
            "write the number of a user or group",
        );
    }
}

fn seccomp(at: &str, profile: Option<&api::SeccompProfile>, report: &mut Report<'_>) {
    let Some(profile) = profile else { return };
    let at = format!("{at}.seccompProfile");
    let localhost = profile.localhost_profile.as_deref();
    kind_of_profile(&at, &profile.type_, localhost, report);
    if localhost.is_some_and(|path| path.starts_with('/') || steps_back(path)) {
        report.error(
            format!("{at}.localhostProfile"),
            "must be a path inside the directory of profiles",
            "write it without a leading '/' and without '..'",
        );
    }
}

fn apparmor(at: &str, profile: Option<&api::AppArmorProfile>, report: &mut Report<'_>) {
    if let Some(profile) = profile {
        let at = format!("{at}.appArmorProfile");
        let localhost = profile.localhost_profile.as_deref();
        kind_of_profile(&at, &profile.type_, localhost, report);
    }
}

/// Only a profile of the node has a name.
fn kind_of_profile(at: &str, kind: &str, localhost: Option<&str>, report: &mut Report<'_>) {
    one_of(
        Some(kind),
        &["RuntimeDefault", "Unconfined", "Localhost"],
        || format!("{at}.type"),
        report,
    );
    let field = format!("{at}.localhostProfile");
    match (kind, localhost.filter(|name| !name.is_empty())) {
        ("Localhost", None) => report.error(
            field,
            "is required when type is Localhost",
            "name the profile on this node",
        ),
        ("RuntimeDefault" | "Unconfined", Some(_)) => report.error(
            field,
            "can be set only when type is Localhost",
            "remove it, or write type: Localhost",
        ),
        _ => {}
    }
}

fn windows(at: &str, set: bool, report: &mut Report<'_>) {
    if set {
        report.error(
            format!("{at}.windowsOptions"),
            "cannot be set on Linux",
            "remove it",
        );
    }
}
