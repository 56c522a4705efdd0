//! What a runtime is asked for before any container: what the containers of a pod share.

use std::collections::BTreeMap;

use cri::v1;
use pod::{Pod, api, marks};

use crate::{
    dns, hostname,
    names::{self, check_uid},
    node::Node,
    parent,
    reason::Reason,
    resources, security,
};

/// The sandbox of a pod; `attempt` is 0 for its first, and one more than that of the newest after
/// it.
///
/// # Errors
///
/// The pod's uid cannot name a directory, its host name does not fit, or it wants a user
/// namespace.
pub fn sandbox(pod: &Pod, node: &Node, attempt: u32) -> Result<v1::PodSandboxConfig, Reason> {
    check_uid(&pod.uid)?;
    let none = api::PodSpec::default();
    let spec = pod.api.spec.as_ref().unwrap_or(&none);
    if spec.host_users == Some(false) {
        return Err(Reason::UserNamespace);
    }
    let hostname = if spec.host_network.unwrap_or_default() {
        String::new()
    } else {
        hostname::for_kernel(spec, &hostname::of(pod, &node.dns)?)?
    };
    let mut labels = pod.api.metadata.labels.clone().unwrap_or_default();
    labels.extend(pod_labels(pod));
    Ok(v1::PodSandboxConfig {
        metadata: Some(v1::PodSandboxMetadata {
            name: pod.key.name.clone(),
            uid: pod.uid.clone(),
            namespace: pod.key.namespace.clone(),
            attempt,
        }),
        hostname,
        log_directory: format!("{}/{}", node.logs, names::pod_logs(pod)),
        dns_config: Some(dns::of(pod, &node.dns).config),
        port_mappings: spec.containers.iter().flat_map(ports).collect(),
        labels,
        annotations: annotations(pod),
        linux: Some(v1::LinuxPodSandboxConfig {
            cgroup_parent: parent::of(pod, node.cgroups),
            security_context: Some(security::of_sandbox(Some(spec))),
            sysctls: sysctls(spec),
            overhead: None,
            resources: Some(resources::of_pod(node.cgroups, spec)),
        }),
    })
}

/// How the runtime is to run the pod, from the agent's own table; empty is the runtime's default.
///
/// # Errors
///
/// The table does not have the pod's runtime class.
pub fn handler(pod: &Pod, node: &Node) -> Result<String, Reason> {
    let spec = pod.api.spec.as_ref();
    match spec.and_then(|spec| spec.runtime_class_name.as_deref()) {
        None | Some("") => Ok(String::new()),
        Some(class) => node
            .handlers
            .get(class)
            .cloned()
            .ok_or_else(|| Reason::RuntimeClass(class.to_owned())),
    }
}

/// By which a pod's sandboxes and containers are found.
pub(crate) fn pod_labels(pod: &Pod) -> BTreeMap<String, String> {
    [
        (marks::POD_NAME, &pod.key.name),
        (marks::POD_NAMESPACE, &pod.key.namespace),
        (marks::POD_UID, &pod.uid),
    ]
    .map(|(label, value)| (label.to_owned(), value.clone()))
    .into()
}

/// The pod's own, but for what only the agent may write.
fn annotations(pod: &Pod) -> BTreeMap<String, String> {
    let mut annotations = pod.api.metadata.annotations.clone().unwrap_or_default();
    annotations.retain(|annotation, _| !marks::WRITTEN.contains(&annotation.as_str()));
    annotations
}

/// Every port of a regular container, those without a port of the host too: network plug-ins skip
/// them.
fn ports(container: &api::Container) -> Vec<v1::PortMapping> {
    let mut mappings = Vec::new();
    for port in container.ports.iter().flatten() {
        let protocol = match port.protocol.as_deref() {
            Some("UDP") => v1::Protocol::Udp,
            Some("SCTP") => v1::Protocol::Sctp,
            _ => v1::Protocol::Tcp,
        };
        let mapping = v1::PortMapping {
            protocol: protocol.into(),
            container_port: port.container_port,
            host_port: port.host_port.unwrap_or_default(),
            host_ip: port.host_ip.clone().unwrap_or_default(),
        };
        if !mappings.contains(&mapping) {
            mappings.push(mapping);
        }
    }
    mappings
}

fn sysctls(spec: &api::PodSpec) -> BTreeMap<String, String> {
    let context = spec.security_context.as_ref();
    let sysctls = context.and_then(|context| context.sysctls.as_deref());
    let sysctls = sysctls.unwrap_or_default().iter();
    sysctls
        .map(|sysctl| (dotted(&sysctl.name), sysctl.value.clone()))
        .collect()
}

/// `net/ipv4/conf/eth0.1/arp` is `net.ipv4.conf.eth0/1.arp`: the first separator tells which form
/// it is.
fn dotted(name: &str) -> String {
    let first = name.find(['.', '/']).and_then(|at| name.get(at..));
    if first.is_none_or(|rest| rest.starts_with('.')) {
        return name.to_owned();
    }
    let swap = |letter| match letter {
        '/' => '.',
        '.' => '/',
        letter => letter,
    };
    name.chars().map(swap).collect()
}

#[cfg(test)]
mod tests;
