//! From lists of the runtime to what the planner is shown. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use cri::v1::{Container, ContainerState as Listed, PodSandbox, PodSandboxState};
use plan::{ContainerState, Exit, Owner, PodKey, Seen, SeenContainer, SeenSandbox};

use crate::marks::{self, Marks};

/// Both lists; the sandboxes were asked for first, so that no container lacks its sandbox for long.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lists {
    pub(crate) sandboxes: Vec<PodSandbox>,
    pub(crate) containers: Vec<Container>,
}

/// What only a question about one thing tells.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Question {
    /// Addresses of a sandbox that is ready.
    Sandbox(String),
    /// Since when a container runs.
    Running(String),
    /// How a container ended.
    Exited(String),
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fact {
    Sandbox {
        host_network: bool,
        ips: Vec<IpAddr>,
    },
    Running {
        started: i64,
    },
    Exited(Exit),
}

/// Answers so far.
#[derive(Debug, Default)]
pub(crate) struct Facts(BTreeMap<Question, Fact>);

impl Facts {
    pub(crate) fn learn(&mut self, question: Question, fact: Fact) {
        let _ = self.0.insert(question, fact);
    }

    fn keep(&mut self, asked: &BTreeSet<Question>) {
        self.0.retain(|question, _| asked.contains(question));
    }
}

/// What is known of one container beside what the planner is shown.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) sandbox: String,
    pub(crate) annotations: Marks,
}

/// What the lists show.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    /// Pods of which everything is known.
    pub(crate) seen: BTreeMap<PodKey, Seen>,
    /// Questions to be asked before the others can be shown.
    pub(crate) open: BTreeMap<Question, PodKey>,
    /// By container id.
    pub(crate) records: BTreeMap<String, Record>,
}

impl Sight {
    /// Pods that cannot be shown yet.
    pub(crate) fn hidden(&self) -> BTreeSet<&PodKey> {
        self.open.values().collect()
    }
}

/// Puts the lists together. `ours` is the value of our ownership annotation.
pub(crate) fn read(lists: Lists, facts: &mut Facts, ours: &str) -> Sight {
    let mut sight = Sight::default();
    let mut asked = BTreeSet::new();
    let mut inside: BTreeMap<String, Vec<Container>> = BTreeMap::new();
    for container in lists.containers {
        let room = inside.entry(container.pod_sandbox_id.clone()).or_default();
        room.push(container);
    }
    for sandbox in lists.sandboxes {
        let Some(name) = sandbox.metadata.clone() else {
            continue;
        };
        let key = PodKey::new(name.namespace, name.name);
        let owner = marks::owner_of(&sandbox.annotations, ours);
        let mut desk = Desk {
            key: &key,
            ours: owner == Owner::Us,
            facts,
            asked: &mut asked,
            sight: &mut sight,
        };
        let containers = inside.remove(&sandbox.id).unwrap_or_default();
        let grace = containers
            .iter()
            .filter_map(|c| marks::grace(&c.annotations));
        let grace: Option<Duration> = grace.max();
        let containers = containers.into_iter().map(|c| desk.container(c)).collect();
        let ready = sandbox.state() == PodSandboxState::SandboxReady;
        let (host_network, ips) = desk.network(&sandbox.id, ready);
        let seen = SeenSandbox {
            owner,
            uid: name.uid,
            revision: marks::revision(&sandbox.annotations),
            source: marks::source(&sandbox.annotations),
            boot: marks::boot(&sandbox.annotations),
            attempt: name.attempt,
            ready,
            created: sandbox.created_at,
            host_network,
            ips,
            grace,
            containers,
            id: sandbox.id,
        };
        sight.seen.entry(key).or_default().sandboxes.push(seen);
    }
    let Sight { seen, open, .. } = &mut sight;
    for key in open.values() {
        let _ = seen.remove(key);
    }
    facts.keep(&asked);
    sight
}

struct Desk<'a> {
    key: &'a PodKey,
    ours: bool,
    facts: &'a Facts,
    asked: &'a mut BTreeSet<Question>,
    sight: &'a mut Sight,
}

impl Desk<'_> {
    /// The answer, or a note that it is missing. Nobody asks about what is not ours.
    fn ask(&mut self, question: Question) -> Option<Fact> {
        if !self.ours {
            return None;
        }
        let known = self.facts.0.get(&question).cloned();
        if known.is_none() {
            let _ = self.sight.open.insert(question.clone(), self.key.clone());
        }
        let _ = self.asked.insert(question);
        known
    }

    fn network(&mut self, id: &str, ready: bool) -> (bool, Option<Vec<IpAddr>>) {
        if !ready {
            return (false, None);
        }
        match self.ask(Question::Sandbox(id.to_owned())) {
            Some(Fact::Sandbox { host_network, ips }) => (host_network, Some(ips)),
            _ => (false, None),
        }
    }

    fn container(&mut self, container: Container) -> SeenContainer {
        let id = container.id.clone();
        let state = match container.state() {
            Listed::ContainerCreated => ContainerState::Created,
            Listed::ContainerUnknown => ContainerState::Unknown,
            Listed::ContainerRunning => match self.ask(Question::Running(id.clone())) {
                Some(Fact::Running { started }) => ContainerState::Running { started },
                _ => ContainerState::Running { started: 0 },
            },
            Listed::ContainerExited => match self.ask(Question::Exited(id.clone())) {
                Some(Fact::Exited(exit)) => ContainerState::Exited(exit),
                _ => ContainerState::Exited(Exit::default()),
            },
        };
        let name = container.metadata.clone().unwrap_or_default();
        let seen = SeenContainer {
            id: id.clone(),
            name: name.name,
            attempt: name.attempt,
            state,
            pre_stop: marks::has_pre_stop(&container.annotations),
            sidecar: marks::sidecar(&container.annotations),
            created: container.created_at,
            image: container.image.unwrap_or_default().image,
            image_id: container.image_ref,
        };
        let record = Record {
            sandbox: container.pod_sandbox_id,
            annotations: container.annotations,
        };
        let _ = self.sight.records.insert(id, record);
        seen
    }
}
