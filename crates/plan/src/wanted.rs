//! What a manifest asks for, reduced to what decisions need.

use std::{net::IpAddr, time::Duration};

/// Namespace and full name of a pod. At any time at most one pod of a key runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodKey {
    /// The namespace.
    pub namespace: String,
    /// The name, with the node's suffix where there is one.
    pub name: String,
}

impl PodKey {
    /// A key from its two parts.
    #[must_use]
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl std::fmt::Display for PodKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}/{}", self.namespace, self.name)
    }
}

/// One version of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Whose name it takes.
    pub key: PodKey,
    /// Identity. An edited manifest may keep it.
    pub uid: String,
    /// Hash of the content. Another revision is another version, whatever the uid says.
    pub revision: String,
    /// Which source it was read from; the same text as on its sandboxes.
    pub source: String,
    /// The pod's own policy: decides what a dead sandbox means. Containers carry theirs.
    pub restart: RestartPolicy,
    /// Shares the node's network: needs neither an address nor a working network.
    pub host_network: bool,
    /// Ports of the node that it takes; two pods that take the same one never live together.
    pub host_ports: Vec<HostPort>,
    /// How long its containers have to stop.
    pub grace: Duration,
    /// `stop-all` goes from the lowest to the highest.
    pub priority: i32,
    /// At most this long from the first sandbox on, then the pod has failed.
    pub active_deadline: Option<Duration>,
    /// Runs again after a reboot, although it ended. Implied by [`RestartPolicy::Never`].
    pub once_per_boot: bool,
    /// Init containers and sidecars, in their order.
    pub init: Vec<WantedContainer>,
    /// The others, in their order.
    pub mains: Vec<WantedContainer>,
    /// What must be there before the pod starts.
    pub gates: Gates,
}

impl Wanted {
    /// All containers, in the order in which they start.
    pub fn containers(&self) -> impl Iterator<Item = &WantedContainer> {
        self.init.iter().chain(&self.mains)
    }

    /// The container of a name.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&WantedContainer> {
        self.containers().find(|container| container.name == name)
    }

    /// Whether a reboot makes an ended pod run again.
    #[must_use]
    pub fn each_boot(&self) -> bool {
        self.once_per_boot || self.restart == RestartPolicy::Never
    }
}

/// A port of the node.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HostPort {
    /// On this address of the node; `None` is every address.
    pub ip: Option<IpAddr>,
    /// The number.
    pub port: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
}

impl HostPort {
    /// Whether two pods could not both have theirs.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let any = |ip: Option<IpAddr>| ip.is_none_or(|ip| ip.is_unspecified());
        self.port == other.port
            && self.protocol == other.protocol
            && (any(self.ip) || any(other.ip) || self.ip == other.ip)
    }
}

/// When a container that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// After every exit.
    Always,
    /// After an exit with another code than 0.
    OnFailure,
    /// Not at all.
    Never,
}

/// What a container is for its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Runs once, to its end, before the next one.
    Init,
    /// Starts in the order of the init containers and then goes on beside the others.
    Sidecar,
    /// A regular container.
    Main,
}

/// One container of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedContainer {
    /// Its name, unique in the pod.
    pub name: String,
    /// What it is for its pod.
    pub kind: Kind,
    /// The policy that holds for this container: its own, else the pod's. A sidecar's is
    /// [`RestartPolicy::Always`].
    pub restart: RestartPolicy,
    /// What single exit codes mean, before the policy is asked. The first that fits decides.
    pub rules: Vec<ExitRule>,
    /// Which probes and hooks it has.
    pub has: Features,
    /// How long it has to stop after a failed liveness probe, if that differs from the pod's.
    pub liveness_grace: Option<Duration>,
    /// The same after a failed startup probe.
    pub startup_grace: Option<Duration>,
}

/// Probes and hooks that a container has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// A startup probe: it counts as started once that has passed.
    pub startup_probe: bool,
    /// A readiness probe: it is ready only while that passes.
    pub readiness_probe: bool,
    /// A preStop hook.
    pub pre_stop: bool,
}

/// What an exit code means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitRule {
    /// The codes.
    pub codes: Vec<i32>,
    /// Whether the rule fits codes that are in the list (`In`) or those that are not (`NotIn`).
    pub listed: bool,
    /// What to do.
    pub then: ExitAction,
}

impl ExitRule {
    /// Whether the rule speaks about this code.
    #[must_use]
    pub fn fits(&self, code: i32) -> bool {
        self.codes.contains(&code) == self.listed
    }
}

/// What an [`ExitRule`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitAction {
    /// This container starts again, whatever the policy.
    Restart,
    /// All containers of the pod stop and start again from the first init container, in the
    /// same sandbox.
    RestartAll,
}

/// What must be there before a pod gets its sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gates {
    /// Pods that must be ready (or have ended well).
    pub pods: Vec<PodKey>,
    /// Paths that must exist on the host.
    pub paths: Vec<String>,
    /// How long to wait at most; `None` waits for ever.
    pub limit: Option<Duration>,
    /// What happens then.
    pub at_limit: AtLimit,
}

/// What happens when a gate stays shut for too long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AtLimit {
    /// The pod has failed until it is edited, restarted by request, or the node reboots.
    #[default]
    Fail,
    /// The pod starts all the same.
    Start,
}
