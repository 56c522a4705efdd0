//! The fields of the pod itself: policies, names on the network, DNS, tolerations.

use std::net::IpAddr;

use super::{
    each, one_of,
    text::{is_label, is_qualified_name, is_subdomain},
};
use crate::{api, report::Report};

pub(super) fn check(spec: &api::PodSpec, report: &mut Report<'_>) {
    one_of(
        spec.restart_policy.as_deref(),
        &["Always", "OnFailure", "Never"],
        || "spec.restartPolicy".into(),
        report,
    );
    if spec
        .active_deadline_seconds
        .is_some_and(|seconds| seconds < 1)
    {
        report.error(
            "spec.activeDeadlineSeconds",
            "must be 1 or more",
            "remove it for a pod that may run for ever",
        );
    }
    if spec
        .termination_grace_period_seconds
        .is_some_and(|seconds| seconds < 0)
    {
        report.error(
            "spec.terminationGracePeriodSeconds",
            "must not be negative",
            "write the seconds that the containers get to stop, for example 30",
        );
    }
    names(spec, report);
    dns(spec, report);
    aliases(spec, report);
    tolerations(spec, report);
    if let Some(os) = &spec.os {
        one_of(Some(&os.name), &["linux"], || "spec.os.name".into(), report);
    }
    one_of(
        spec.preemption_policy.as_deref(),
        &["PreemptLowerPriority", "Never"],
        || "spec.preemptionPolicy".into(),
        report,
    );
    if spec.host_users == Some(false) {
        for (set, field) in [(spec.host_pid, "hostPID"), (spec.host_ipc, "hostIPC")] {
            if set == Some(true) {
                report.error(
                    format!("spec.{field}"),
                    "cannot be true while hostUsers is false",
                    "a pod with users of its own has namespaces of its own: remove one of the two",
                );
            }
        }
    }
    if spec.host_pid == Some(true) && spec.share_process_namespace == Some(true) {
        report.error(
            "spec.shareProcessNamespace",
            "cannot be true together with hostPID",
            "remove it: with hostPID all containers see all processes anyway",
        );
    }
}

fn names(spec: &api::PodSpec, report: &mut Report<'_>) {
    for (value, field) in [(&spec.hostname, "hostname"), (&spec.subdomain, "subdomain")] {
        if let Some(value) = value.as_deref()
            && !value.is_empty()
            && !is_label(value)
        {
            report.error(
                format!("spec.{field}"),
                "must be a DNS label: at most 63 lower-case letters, digits and '-'",
                "write one name without dots",
            );
        }
    }
    if let Some(name) = spec.hostname_override.as_deref() {
        if name.len() > 64 || !is_subdomain(name) {
            report.error(
                "spec.hostnameOverride",
                "must be a DNS name of at most 64 characters",
                "write the name that `hostname` shall print in the containers",
            );
        }
        if spec.host_network == Some(true) {
            report.error(
                "spec.hostnameOverride",
                "cannot be set together with hostNetwork",
                "remove it: such a pod has the node's name",
            );
        }
        if spec.set_hostname_as_fqdn == Some(true) {
            report.error(
                "spec.hostnameOverride",
                "cannot be set together with setHostnameAsFQDN",
                "keep one of the two",
            );
        }
    }
    for (field, name) in [
        ("priorityClassName", &spec.priority_class_name),
        ("runtimeClassName", &spec.runtime_class_name),
    ] {
        if let Some(name) = name.as_deref()
            && !name.is_empty()
            && !is_subdomain(name)
        {
            report.error(
                format!("spec.{field}"),
                "must be a DNS name",
                "write the name of the class",
            );
        }
    }
}

fn dns(spec: &api::PodSpec, report: &mut Report<'_>) {
    one_of(
        spec.dns_policy.as_deref(),
        &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"],
        || "spec.dnsPolicy".into(),
        report,
    );
    let config = spec.dns_config.as_ref();
    let servers = config.and_then(|config| config.nameservers.as_ref());
    if spec.dns_policy.as_deref() == Some("None") && servers.is_none_or(Vec::is_empty) {
        report.error(
            "spec.dnsConfig",
            "needs a name server when dnsPolicy is None",
            "add dnsConfig.nameservers with one address at least",
        );
    }
    if servers.is_some_and(|servers| servers.len() > 3) {
        report.error(
            "spec.dnsConfig.nameservers",
            "cannot have more than 3 entries",
            "a resolver asks three at most",
        );
    }
    for (field, server) in each(servers, "spec.dnsConfig.nameservers") {
        address(server, field, report);
    }
    let searches = config.and_then(|config| config.searches.as_ref());
    let length = searches.map_or(0, |list| {
        list.iter().map(|name| name.len() + 1).sum::<usize>()
    });
    if searches.is_some_and(|searches| searches.len() > 32) || length > 2049 {
        report.error(
            "spec.dnsConfig.searches",
            "cannot have more than 32 entries or 2048 characters",
            "keep those that are needed",
        );
    }
    for (field, name) in each(searches, "spec.dnsConfig.searches") {
        let bare = name.strip_suffix('.').unwrap_or(name);
        if name != "." && !is_subdomain(bare) {
            report.error(
                field,
                "must be a DNS name",
                "write a domain, for example example.org",
            );
        }
    }
    let options = config.and_then(|config| config.options.as_ref());
    for (field, option) in each(options, "spec.dnsConfig.options") {
        if option.name.as_deref().unwrap_or_default().is_empty() {
            report.error(
                format!("{field}.name"),
                "is required and missing",
                "name an option of resolv.conf, for example ndots",
            );
        }
    }
}

fn aliases(spec: &api::PodSpec, report: &mut Report<'_>) {
    for (field, alias) in each(spec.host_aliases.as_ref(), "spec.hostAliases") {
        address(&alias.ip, format!("{field}.ip"), report);
        for (field, name) in each(alias.hostnames.as_ref(), &format!("{field}.hostnames")) {
            if !is_subdomain(name) {
                report.error(field, "must be a DNS name", "write a name in lower case");
            }
        }
    }
}

pub(super) fn address(text: &str, field: String, report: &mut Report<'_>) {
    if text.parse::<IpAddr>().is_err() {
        report.error(
            field,
            "must be an IP address",
            "write it in numbers, for example 10.96.0.10 or fd00::10",
        );
    }
}

fn tolerations(spec: &api::PodSpec, report: &mut Report<'_>) {
    for (field, toleration) in each(spec.tolerations.as_ref(), "spec.tolerations") {
        let key = toleration.key.as_deref().unwrap_or_default();
        let operator = toleration.operator.as_deref().unwrap_or("Equal");
        one_of(
            Some(operator),
            &["Exists", "Equal", "Lt", "Gt"],
            || format!("{field}.operator"),
            report,
        );
        one_of(
            toleration
                .effect
                .as_deref()
                .filter(|effect| !effect.is_empty()),
            &["NoSchedule", "PreferNoSchedule", "NoExecute"],
            || format!("{field}.effect"),
            report,
        );
        if !key.is_empty() && !is_qualified_name(key) {
            report.error(
                format!("{field}.key"),
                "is no name of a taint",
                "write 'name' or 'prefix.example/name'",
            );
        }
        if key.is_empty() && operator != "Exists" {
            report.error(
                format!("{field}.operator"),
                "must be Exists when there is no key",
                "name the taint's key, or write Exists to tolerate all taints",
            );
        }
        if operator == "Exists"
            && toleration
                .value
                .as_deref()
                .is_some_and(|value| !value.is_empty())
        {
            report.error(
                format!("{field}.value"),
                "must be empty when operator is Exists",
                "remove the value, or write operator: Equal",
            );
        }
        if toleration.toleration_seconds.is_some()
            && toleration.effect.as_deref() != Some("NoExecute")
        {
            report.error(
                format!("{field}.effect"),
                "must be NoExecute when tolerationSeconds is set",
                "add effect: NoExecute, or remove tolerationSeconds",
            );
        }
    }
}
