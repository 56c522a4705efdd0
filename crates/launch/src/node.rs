//! What pods are told of their node and what the node has for them.

use std::collections::BTreeMap;

use pod::{env, quantity::Amount};

/// The node, its settings and what was found out about it. Paths are absolute and have no slash
/// at the end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// As in `spec.nodeName`.
    pub name: String,
    /// Its addresses as configured, the first one first; none when nothing is configured.
    pub ips: Vec<String>,
    /// Where names are looked up.
    pub dns: Dns,
    /// Whole memory in bytes: OOM scores are shares of it.
    pub memory: u64,
    /// What it has for pods by name of the resource, `cpu` and `memory` at least: the value of a
    /// `resourceFieldRef` to a limit that is not set.
    pub allocatable: BTreeMap<String, Amount>,
    /// How pods are put into cgroups.
    pub cgroups: Cgroups,
    /// Sizes of huge pages as the kernel's cgroup files write them: `2MB`, `1GB`.
    pub huge_pages: Vec<String>,
    /// More paths to hide from containers: the `thermal_throttle` directories of processors that
    /// exist here.
    pub masked_paths: Vec<String>,
    /// Whether SELinux is on: files of the agent's own are then labelled for the container.
    pub selinux: bool,
    /// Whether containers that say nothing get the runtime's seccomp profile instead of none.
    pub seccomp_default: bool,
    /// Whether the runtime makes mounts below a read-only mount read-only too.
    pub recursive_read_only: bool,
    /// Runtime classes and the handlers that they stand for.
    pub handlers: BTreeMap<String, String>,
    /// The agent's directory: `pods/<uid>` and `seccomp` are below it.
    pub root: String,
    /// The directory of all logs of pods.
    pub logs: String,
}

/// Settings of name look-up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dns {
    /// The text of the configured `resolv.conf`.
    pub resolv_conf: String,
    /// Addresses of the cluster's DNS; none outside of a cluster.
    pub cluster: Vec<String>,
    /// The cluster's domain, without a dot at the end; empty outside of a cluster.
    pub domain: String,
}

/// Which cgroups the kernel and the runtime have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cgroups {
    /// Who names the cgroups of pods. `None` leaves that to the runtime: it is right for any
    /// runtime, while the wrong driver breaks every pod.
    pub driver: Option<Driver>,
    /// Version 2 alone is mounted.
    pub unified: bool,
    /// The kernel accounts swap.
    pub swap: bool,
}

/// What the runtime is configured to make cgroups with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// Directories.
    Cgroupfs,
    /// Slices and scopes.
    Systemd,
}

impl Node {
    /// What a pod may be told about itself and its node. `sandbox_ips` are the runtime's: it says
    /// none for a pod on the node's network, whose addresses are the node's.
    #[must_use]
    pub fn facts(&self, pod: &pod::Pod, sandbox_ips: &[String]) -> env::Facts {
        let spec = pod.api.spec.as_ref();
        let on_host = spec.and_then(|spec| spec.host_network).unwrap_or_default();
        env::Facts {
            node_name: self.name.clone(),
            host_ips: self.ips.clone(),
            pod_ips: if on_host { &self.ips } else { sandbox_ips }.to_vec(),
            allocatable: self.allocatable.clone(),
        }
    }
}
