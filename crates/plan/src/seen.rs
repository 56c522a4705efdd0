//! What the runtime lists about one pod.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// All sandboxes and containers that carry one namespace and name, of whatever owner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// In any order.
    pub sandboxes: Vec<SeenSandbox>,
    /// The highest attempt that a log file of a container speaks of, by container name: what
    /// remains of the count when the runtime has forgotten the container.
    pub logged: BTreeMap<String, u32>,
}

/// Who made a sandbox, as its annotations tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// This instance of the agent.
    Us,
    /// A kubelet, from a file or a URL: taken over where that is allowed.
    Kubelet,
    /// Anybody else: another agent, a kubelet's API pod, crictl. Never touched. The text says
    /// who, for messages.
    Foreign(String),
}

/// One sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenSandbox {
    /// The runtime's id.
    pub id: String,
    /// Who made it.
    pub owner: Owner,
    /// The pod's uid.
    pub uid: String,
    /// Which content it was made from; empty when it is not ours.
    pub revision: String,
    /// Which source the manifest came from.
    pub source: String,
    /// Which boot it was made in, if it says so.
    pub boot: Option<String>,
    /// Its place in the row of sandboxes of the uid.
    pub attempt: u32,
    /// Whether the runtime calls it READY.
    pub ready: bool,
    /// Wall clock in nanoseconds since 1970. Shown, and used for nothing but a last tie.
    pub created: i64,
    /// Whether it shares the node's network.
    pub host_network: bool,
    /// Addresses: `None` when nobody asked, empty when the runtime says there are none.
    pub ips: Option<Vec<IpAddr>>,
    /// How long its containers have to stop, as noted on them; `None` when nothing is noted.
    pub grace: Option<Duration>,
    /// Its containers, in any order.
    pub containers: Vec<SeenContainer>,
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenContainer {
    /// The runtime's id.
    pub id: String,
    /// The name in the pod.
    pub name: String,
    /// Its place in the row of instances of that name.
    pub attempt: u32,
    /// What it is doing.
    pub state: ContainerState,
    /// Whether a preStop hook is noted on it.
    pub pre_stop: bool,
    /// Its place in the start order of the sidecars, if it is one.
    pub sidecar: Option<u32>,
    /// Wall clock in nanoseconds since 1970, shown only.
    pub created: i64,
    /// The image as the runtime names it.
    pub image: String,
    /// The image's id.
    pub image_id: String,
}

/// What a container is doing. Times are wall clock in nanoseconds since 1970, shown only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// Made and never started.
    Created,
    /// Runs.
    Running {
        /// Since when.
        started: i64,
    },
    /// Ended.
    Exited(Exit),
    /// The runtime does not know. It may run.
    Unknown,
}

/// How a container ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exit {
    /// The exit code.
    pub code: i32,
    /// The runtime's word for it: `Completed`, `Error`, `OOMKilled`, `StartError`.
    pub reason: String,
    /// What the container left as its last words.
    pub message: String,
    /// When it started.
    pub started: i64,
    /// When it ended.
    pub finished: i64,
}

impl Exit {
    /// Whether an init container that ended like this is done.
    #[must_use]
    pub fn well(&self) -> bool {
        self.code == 0 && self.reason != "OOMKilled"
    }
}

impl SeenContainer {
    /// Whether a process of it may be there.
    #[must_use]
    pub fn alive(&self) -> bool {
        matches!(
            self.state,
            ContainerState::Running { .. } | ContainerState::Unknown
        )
    }

    /// How it ended, if it ended.
    #[must_use]
    pub fn exit(&self) -> Option<&Exit> {
        match &self.state {
            ContainerState::Exited(exit) => Some(exit),
            _ => None,
        }
    }
}

impl SeenSandbox {
    /// Whether it, or anything in it, still holds a process, a port or an address.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.ready || self.containers.iter().any(SeenContainer::alive)
    }

    /// Whether it was made from this version of the pod.
    #[must_use]
    pub fn is(&self, uid: &str, revision: &str) -> bool {
        self.owner == Owner::Us && self.uid == uid && self.revision == revision
    }

    /// The newest instance of a container in this sandbox: by attempt, because clocks step.
    #[must_use]
    pub fn newest(&self, name: &str) -> Option<&SeenContainer> {
        self.containers
            .iter()
            .filter(|container| container.name == name)
            .max_by_key(|container| (container.attempt, container.created, &container.id))
    }
}

impl Seen {
    /// Sandboxes that this agent made.
    pub fn ours(&self) -> impl Iterator<Item = &SeenSandbox> {
        self.sandboxes
            .iter()
            .filter(|sandbox| sandbox.owner == Owner::Us)
    }

    /// Whether there is anything that this agent looks after, or has to stop.
    pub(crate) fn concerns_us(&self, take_over: bool) -> bool {
        self.sandboxes.iter().any(|sandbox| match sandbox.owner {
            Owner::Us => true,
            Owner::Kubelet => take_over && sandbox.alive(),
            Owner::Foreign(_) => false,
        })
    }

    /// The newest sandbox of a version: by attempt, because clocks step.
    #[must_use]
    pub fn newest(&self, uid: &str, revision: &str) -> Option<&SeenSandbox> {
        self.ours()
            .filter(|sandbox| sandbox.is(uid, revision))
            .max_by_key(|sandbox| (sandbox.attempt, sandbox.created, &sandbox.id))
    }

    /// Every instance of a container in sandboxes of a uid, newest first, with its sandbox.
    #[must_use]
    pub fn instances(&self, uid: &str, name: &str) -> Vec<(&SeenSandbox, &SeenContainer)> {
        let mut found: Vec<_> = self
            .ours()
            .filter(|sandbox| sandbox.uid == uid)
            .flat_map(|sandbox| {
                let of_name = sandbox.containers.iter().filter(|seen| seen.name == name);
                of_name.map(move |container| (sandbox, container))
            })
            .collect();
        found.sort_by_key(|(sandbox, container)| {
            std::cmp::Reverse((
                sandbox.attempt,
                container.attempt,
                container.created,
                &container.id,
            ))
        });
        found
    }
}
