//! Containers of both kinds: names, images, commands, ports, variables, mounts.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    each, one_of, probes, spec,
    text::{is_label, is_port_name, is_variable_name, steps_back},
};
use crate::{api, report::Report};

/// Whether a container comes before the others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One of `spec.containers`.
    Main,
    /// An init container that has to end.
    Init,
    /// An init container that stays: `restartPolicy: Always`.
    Sidecar,
}

impl Kind {
    /// Whether it may have probes and hooks.
    pub(super) fn stays(self) -> bool {
        self != Self::Init
    }
}

/// All containers with their paths and kinds, in the order of their starts.
pub(super) fn all(spec: &api::PodSpec) -> impl Iterator<Item = (String, Kind, &api::Container)> {
    let init =
        each(spec.init_containers.as_ref(), "spec.initContainers").map(|(field, container)| {
            let kind = if container.restart_policy.as_deref() == Some("Always") {
                Kind::Sidecar
            } else {
                Kind::Init
            };
            (field, kind, container)
        });
    let main = each(Some(&spec.containers), "spec.containers")
        .map(|(field, container)| (field, Kind::Main, container));
    init.chain(main)
}

pub(super) fn check(spec: &api::PodSpec, report: &mut Report<'_>) {
    if spec.containers.is_empty() {
        report.error(
            "spec.containers",
            "needs one container at least",
            "add a container with a name and an image",
        );
    }
    if spec
        .ephemeral_containers
        .as_ref()
        .is_some_and(|list| !list.is_empty())
    {
        report.error(
            "spec.ephemeralContainers",
            "cannot be in a new pod",
            "remove them: they are added to pods that run, through the API",
        );
    }
    let mut names = BTreeSet::new();
    let mut host_ports = BTreeMap::new();
    for (field, kind, container) in all(spec) {
        if container.name.is_empty() {
            report.error(
                format!("{field}.name"),
                "is required and missing",
                "name the container",
            );
        } else if !is_label(&container.name) {
            report.error(
                format!("{field}.name"),
                "must be a DNS label: at most 63 lower-case letters, digits and '-'",
                "write a name without dots and capitals",
            );
        } else if !names.insert(container.name.as_str()) {
            report.error(
                format!("{field}.name"),
                "is the name of another container of this pod",
                "names are unique among init containers and containers together",
            );
        }
        image(&field, container, report);
        words(&field, kind, container, report);
        ports(&field, container, spec.host_network == Some(true), report);
        if kind != Kind::Init {
            taken_twice(&field, container, &mut host_ports, report);
        }
        variables(&field, container, report);
        mounts(&field, spec, container, report);
        probes::check(&field, kind, spec, container, report);
    }
}

fn image(field: &str, container: &api::Container, report: &mut Report<'_>) {
    let image = container.image.as_deref().unwrap_or_default();
    if image.is_empty() {
        report.error(
            format!("{field}.image"),
            "is required and missing",
            "name an image, best with its digest",
        );
    } else if image.trim() != image {
        report.error(
            format!("{field}.image"),
            "has blanks around it",
            "remove them",
        );
    }
}

fn words(field: &str, kind: Kind, container: &api::Container, report: &mut Report<'_>) {
    one_of(
        container.image_pull_policy.as_deref(),
        &["Always", "IfNotPresent", "Never"],
        || format!("{field}.imagePullPolicy"),
        report,
    );
    one_of(
        container.termination_message_policy.as_deref(),
        &["File", "FallbackToLogsOnError"],
        || format!("{field}.terminationMessagePolicy"),
        report,
    );
    one_of(
        container.restart_policy.as_deref(),
        &["Always", "OnFailure", "Never"],
        || format!("{field}.restartPolicy"),
        report,
    );
    let rules = container.restart_policy_rules.as_ref();
    if rules.is_some_and(|rules| !rules.is_empty()) && container.restart_policy.is_none() {
        report.error(
            format!("{field}.restartPolicyRules"),
            "needs restartPolicy of the same container",
            "add restartPolicy: Never (or another) to the container",
        );
    }
    for (field, resize) in each(
        container.resize_policy.as_ref(),
        &format!("{field}.resizePolicy"),
    ) {
        one_of(
            Some(&resize.resource_name),
            &["cpu", "memory"],
            || format!("{field}.resourceName"),
            report,
        );
        one_of(
            Some(&resize.restart_policy),
            &["NotRequired", "RestartContainer"],
            || format!("{field}.restartPolicy"),
            report,
        );
    }
    if kind == Kind::Init
        && container
            .resize_policy
            .as_ref()
            .is_some_and(|list| !list.is_empty())
    {
        report.error(
            format!("{field}.resizePolicy"),
            "cannot be set on an init container that ends",
            "remove it",
        );
    }
}

fn ports(field: &str, container: &api::Container, host_network: bool, report: &mut Report<'_>) {
    let mut names = BTreeSet::new();
    for (field, port) in each(container.ports.as_ref(), &format!("{field}.ports")) {
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            if !is_port_name(name) {
                report.error(
                    format!("{field}.name"),
                    "is no name of a port: at most 15 lower-case letters, digits and '-', one letter at least",
                    "shorten it, for example probe-port",
                );
            } else if !names.insert(name) {
                report.error(
                    format!("{field}.name"),
                    "is the name of another port of this container",
                    "give each port a name of its own",
                );
            }
        }
        number(
            i64::from(port.container_port),
            format!("{field}.containerPort"),
            report,
        );
        if let Some(host) = port.host_port.filter(|port| *port != 0) {
            number(i64::from(host), format!("{field}.hostPort"), report);
            if host_network && host != port.container_port {
                report.error(
                    format!("{field}.hostPort"),
                    "must equal containerPort under hostNetwork",
                    "remove hostPort: the container listens on the node's own port",
                );
            }
        }
        one_of(
            port.protocol.as_deref(),
            &["TCP", "UDP", "SCTP"],
            || format!("{field}.protocol"),
            report,
        );
        if let Some(ip) = port.host_ip.as_deref().filter(|ip| !ip.is_empty()) {
            spec::address(ip, format!("{field}.hostIP"), report);
        }
    }
}

/// The number of a port, as all rules about ports say it.
pub(super) fn number(port: i64, field: String, report: &mut Report<'_>) {
    if !(1..=65535).contains(&port) {
        report.error(
            field,
            "must be a port from 1 to 65535",
            "write the port's number",
        );
    }
}

fn taken_twice<'a>(
    field: &str,
    container: &'a api::Container,
    taken: &mut BTreeMap<(i32, &'a str, &'a str), String>,
    report: &mut Report<'_>,
) {
    for (field, port) in each(container.ports.as_ref(), &format!("{field}.ports")) {
        let Some(number) = port.host_port.filter(|port| *port != 0) else {
            continue;
        };
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let ip = port.host_ip.as_deref().unwrap_or_default();
        let field = format!("{field}.hostPort");
        match taken.entry((number, protocol, ip)) {
            std::collections::btree_map::Entry::Occupied(first) => report.error(
                field,
                format!("is taken by {}", first.get()),
                "two containers of a pod cannot have one port of the node",
            ),
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(field);
            }
        }
    }
}

/// What `fieldRef` can name in a variable.
const FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// What `resourceFieldRef` can name, but for huge pages.
const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
];

fn variables(field: &str, container: &api::Container, report: &mut Report<'_>) {
    for (field, variable) in each(container.env.as_ref(), &format!("{field}.env")) {
        if !is_variable_name(&variable.name) {
            report.error(
                format!("{field}.name"),
                "is no name of a variable: printable characters without '='",
                "write a name such as LOG_LEVEL",
            );
        }
        let Some(from) = &variable.value_from else {
            continue;
        };
        if variable
            .value
            .as_deref()
            .is_some_and(|value| !value.is_empty())
        {
            report.error(
                format!("{field}.valueFrom"),
                "cannot be set together with value",
                "keep one of the two",
            );
        }
        let sources = [
            from.field_ref.is_some(),
            from.resource_field_ref.is_some(),
            from.config_map_key_ref.is_some(),
            from.secret_key_ref.is_some(),
            from.file_key_ref.is_some(),
        ];
        if sources.iter().filter(|set| **set).count() != 1 {
            report.error(
                format!("{field}.valueFrom"),
                "must name exactly one source",
                "keep one of fieldRef and resourceFieldRef",
            );
        }
        if let Some(reference) = &from.field_ref {
            field_reference(
                &reference.field_path,
                FIELDS,
                format!("{field}.valueFrom.fieldRef.fieldPath"),
                report,
            );
        }
        if let Some(reference) = &from.resource_field_ref {
            resource_reference(
                &reference.resource,
                format!("{field}.valueFrom.resourceFieldRef.resource"),
                report,
            );
        }
    }
    for (field, from) in each(container.env_from.as_ref(), &format!("{field}.envFrom")) {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        if !prefix.is_empty() && !is_variable_name(prefix) {
            report.error(
                format!("{field}.prefix"),
                "is no beginning of a variable's name",
                "write printable characters without '='",
            );
        }
    }
}

/// A `fieldPath`; `metadata.labels['k']` and `metadata.annotations['k']` are always allowed.
pub(super) fn field_reference(path: &str, words: &[&str], field: String, report: &mut Report<'_>) {
    let keyed = ["metadata.labels['", "metadata.annotations['"]
        .iter()
        .any(|head| {
            path.strip_prefix(head)
                .and_then(|rest| rest.strip_suffix("']"))
                .is_some_and(|key| super::text::is_qualified_name(&key.to_ascii_lowercase()))
        });
    if !keyed && !words.contains(&path) {
        let advice = match yaml::spelling::closest(path, words) {
            Some(word) => format!("did you mean '{word}'?"),
            None => format!(
                "write one of {}, metadata.labels['key'] or metadata.annotations['key']",
                words.join(", ")
            ),
        };
        report.error(field, "is no field that can be referred to", advice);
    }
}

/// A `resource` of a `resourceFieldRef`.
pub(super) fn resource_reference(resource: &str, field: String, report: &mut Report<'_>) {
    let huge = ["limits.hugepages-", "requests.hugepages-"]
        .iter()
        .any(|head| {
            resource
                .strip_prefix(head)
                .is_some_and(|size| !size.is_empty())
        });
    if !huge {
        one_of(Some(resource), RESOURCES, || field, report);
    }
}

fn mounts(field: &str, spec: &api::PodSpec, container: &api::Container, report: &mut Report<'_>) {
    let declared: BTreeSet<&str> = spec
        .volumes
        .iter()
        .flatten()
        .map(|volume| volume.name.as_str())
        .collect();
    let privileged = container
        .security_context
        .as_ref()
        .and_then(|context| context.privileged)
        == Some(true);
    let mut paths = BTreeSet::new();
    for (field, mount) in each(
        container.volume_mounts.as_ref(),
        &format!("{field}.volumeMounts"),
    ) {
        if !declared.contains(mount.name.as_str()) {
            let names: Vec<&str> = declared.iter().copied().collect();
            let advice = match yaml::spelling::closest(&mount.name, &names) {
                Some(name) => format!("did you mean '{name}'?"),
                None => "add the volume to spec.volumes".to_owned(),
            };
            report.error(format!("{field}.name"), "is no volume of this pod", advice);
        }
        if mount.mount_path.is_empty() {
            report.error(
                format!("{field}.mountPath"),
                "is required and missing",
                "write where the volume shall appear in the container",
            );
        } else if mount.mount_path.contains(':') {
            report.error(
                format!("{field}.mountPath"),
                "must not contain ':'",
                "choose another path",
            );
        } else if !paths.insert(mount.mount_path.as_str()) {
            report.error(
                format!("{field}.mountPath"),
                "is the path of another mount of this container",
                "give each mount a path of its own",
            );
        }
        sub_paths(&field, mount, report);
        one_of(
            mount.mount_propagation.as_deref(),
            &["None", "HostToContainer", "Bidirectional"],
            || format!("{field}.mountPropagation"),
            report,
        );
        if mount.mount_propagation.as_deref() == Some("Bidirectional") && !privileged {
            report.error(
                format!("{field}.mountPropagation"),
                "can be Bidirectional in privileged containers only",
                "write HostToContainer, or set securityContext.privileged",
            );
        }
        recursively(&field, mount, report);
    }
}

fn sub_paths(field: &str, mount: &api::VolumeMount, report: &mut Report<'_>) {
    let set = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    if set(&mount.sub_path) && set(&mount.sub_path_expr) {
        report.error(
            format!("{field}.subPathExpr"),
            "cannot be set together with subPath",
            "keep one of the two",
        );
    }
    for (value, name) in [
        (&mount.sub_path, "subPath"),
        (&mount.sub_path_expr, "subPathExpr"),
    ] {
        let value = value.as_deref().unwrap_or_default();
        if value.starts_with('/') || steps_back(value) {
            report.error(
                format!("{field}.{name}"),
                "must be a path inside the volume",
                "write it without a leading '/' and without '..'",
            );
        }
    }
}

fn recursively(field: &str, mount: &api::VolumeMount, report: &mut Report<'_>) {
    let Some(value) = mount.recursive_read_only.as_deref() else {
        return;
    };
    one_of(
        Some(value),
        &["Disabled", "IfPossible", "Enabled"],
        || format!("{field}.recursiveReadOnly"),
        report,
    );
    if value != "Disabled" && mount.read_only != Some(true) {
        report.error(
            format!("{field}.recursiveReadOnly"),
            "needs readOnly: true",
            "add readOnly: true to the mount",
        );
    }
    if value != "Disabled"
        && mount
            .mount_propagation
            .as_deref()
            .is_some_and(|propagation| propagation != "None")
    {
        report.error(
            format!("{field}.recursiveReadOnly"),
            "needs mountPropagation: None",
            "remove mountPropagation",
        );
    }
}
