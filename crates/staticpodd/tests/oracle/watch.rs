//! What is seen of the runtime: every sandbox and container that ever was, and what happened.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use cri::{Client, Runtime as _};
use fake_cri::containerd::Rig;
use jiff::Timestamp;
use serde_json::Value;

use crate::ground::NODE;

/// A sandbox, or a container, as the runtime knew it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) id: String,
    /// Name of the container; `sandbox` for a sandbox.
    pub(crate) name: String,
    pub(crate) attempt: u32,
    /// Id of the sandbox.
    pub(crate) sandbox: String,
    /// The pod: name without that of the node, uid.
    pub(crate) pod: String,
    pub(crate) uid: String,
    /// What the agent has asked for.
    pub(crate) config: Value,
    /// What the runtime made of it.
    pub(crate) spec: Value,
    /// Addresses, of a sandbox.
    pub(crate) ip: String,
    /// Nanoseconds since 1970.
    pub(crate) created: i64,
}

/// What happened to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Started,
    Ended(u64),
    /// A command was run inside.
    Command,
    /// The command ended.
    CommandEnded(u64),
}

/// Something that happened to a container.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) what: What,
    pub(crate) time: Timestamp,
}

/// All of it.
pub(crate) struct Watch {
    runtime: tokio::runtime::Runtime,
    client: Client,
    pub(crate) seen: BTreeMap<String, Seen>,
    pub(crate) events: Vec<Event>,
    /// Ids of sandboxes that the runtime has now.
    pub(crate) there: BTreeSet<String>,
}

impl Watch {
    pub(crate) fn new(rig: &Rig) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let client = {
            let _inside = runtime.enter();
            rig.client()
        };
        Self {
            runtime,
            client,
            seen: BTreeMap::new(),
            events: Vec::new(),
            there: BTreeSet::new(),
        }
    }

    /// Looks anew. `home`: where the runtime's events are written.
    pub(crate) fn look(&mut self, home: &Path) {
        let (sandboxes, fresh) = self.runtime.block_on(ask(&self.client, &self.seen));
        self.there = sandboxes;
        for seen in fresh {
            self.seen.insert(seen.id.clone(), seen);
        }
        let text = fs::read_to_string(home.join("events")).unwrap();
        let whole = text.rfind('\n').unwrap_or_default();
        self.events = text[..whole].lines().filter_map(event).collect();
    }

    /// Pods of this name, by uid, the oldest first.
    pub(crate) fn pods(&self, pod: &str) -> Vec<String> {
        let mut sandboxes: Vec<&Seen> = self.of(pod).filter(|seen| seen.is_sandbox()).collect();
        sandboxes.sort_by_key(|seen| seen.created);
        let mut uids: Vec<String> = Vec::new();
        for sandbox in sandboxes {
            if !uids.contains(&sandbox.uid) {
                uids.push(sandbox.uid.clone());
            }
        }
        uids
    }

    pub(crate) fn of<'a>(&'a self, pod: &'a str) -> impl Iterator<Item = &'a Seen> + 'a {
        self.seen.values().filter(move |seen| seen.pod == pod)
    }

    /// `main.0`, or `2/main.0` in the second pod.
    pub(crate) fn label(&self, seen: &Seen) -> String {
        let pods = self.pods(&seen.pod);
        let number = pods.iter().position(|uid| *uid == seen.uid);
        let own = format!("{}.{}", seen.name, seen.attempt);
        match number {
            None | Some(0) => own,
            Some(number) => format!("{}/{own}", number + 1),
        }
    }

    pub(crate) fn find(&self, pod: &str, label: &str) -> Option<&Seen> {
        let mut all = self.seen.values();
        all.find(|seen| seen.pod == pod && self.label(seen) == label)
    }

    /// When something has happened to the pod for the last time; commands inside do not count.
    pub(crate) fn last(&self, pod: &str) -> Option<Timestamp> {
        let is_command = |what| matches!(what, What::Command | What::CommandEnded(_));
        let of_pod = |event: &&Event| {
            let seen = self.seen.get(&event.id);
            seen.is_some_and(|seen| seen.pod == pod) && !is_command(event.what)
        };
        self.events.iter().rfind(of_pod).map(|event| event.time)
    }

    pub(crate) fn runs(&self, seen: &Seen) -> bool {
        let ended = |what| matches!(what, What::Ended(_));
        self.has(&seen.id, |what| what == What::Started) && !self.has(&seen.id, ended)
    }

    /// Whether something of the pod runs; files and cgroups of others go whenever that suits.
    pub(crate) fn is_alive(&self, uid: &str) -> bool {
        let mut containers = self.seen.values().filter(|seen| !seen.is_sandbox());
        containers.any(|seen| seen.uid == uid && self.runs(seen))
    }

    pub(crate) fn has(&self, id: &str, test: impl Fn(What) -> bool) -> bool {
        let mut events = self.events.iter();
        events.any(|event| event.id == id && test(event.what))
    }
}

impl Seen {
    pub(crate) fn is_sandbox(&self) -> bool {
        self.id == self.sandbox
    }
}

/// The sandboxes that are there, and whatever is not known yet.
async fn ask(client: &Client, known: &BTreeMap<String, Seen>) -> (BTreeSet<String>, Vec<Seen>) {
    let mut fresh = Vec::new();
    let sandboxes = client.list_pod_sandbox(None).await.unwrap_or_default();
    let mut owners = BTreeMap::new();
    for sandbox in &sandboxes {
        let Some(name) = sandbox.metadata.clone() else {
            continue;
        };
        let pod = name.name.strip_suffix(&format!("-{NODE}"));
        let pod = pod.unwrap_or(&name.name).to_owned();
        owners.insert(sandbox.id.clone(), (pod.clone(), name.uid.clone()));
        if known.contains_key(&sandbox.id) {
            continue;
        }
        // Gone in between, or not made yet: the next look tells.
        let Ok(told) = client.pod_sandbox_status(&sandbox.id, true).await else {
            continue;
        };
        let info = told.info.get("info").map_or("", String::as_str);
        let info: Value = serde_json::from_str(info).unwrap_or_default();
        fresh.push(Seen {
            id: sandbox.id.clone(),
            name: "sandbox".to_owned(),
            attempt: name.attempt,
            sandbox: sandbox.id.clone(),
            pod,
            uid: name.uid,
            config: info["config"].clone(),
            spec: info["runtimeSpec"].clone(),
            ip: told.status.network.unwrap_or_default().ip,
            created: sandbox.created_at,
        });
    }
    for container in client.list_containers(None).await.unwrap_or_default() {
        let (false, Some(name)) = (known.contains_key(&container.id), container.metadata) else {
            continue;
        };
        let owner = owners.get(&container.pod_sandbox_id).cloned();
        let owner = owner.or_else(|| {
            let sandbox = known.get(&container.pod_sandbox_id)?;
            Some((sandbox.pod.clone(), sandbox.uid.clone()))
        });
        let (Some((pod, uid)), Ok(told)) =
            (owner, client.container_status(&container.id, true).await)
        else {
            continue;
        };
        let info = told.info.get("info").map_or("", String::as_str);
        let info: Value = serde_json::from_str(info).unwrap_or_default();
        fresh.push(Seen {
            id: container.id,
            name: name.name,
            attempt: name.attempt,
            sandbox: container.pod_sandbox_id,
            pod,
            uid,
            config: info["config"].clone(),
            spec: info["runtimeSpec"].clone(),
            ip: String::new(),
            created: container.created_at,
        });
    }
    let there = sandboxes.into_iter().map(|sandbox| sandbox.id).collect();
    (there, fresh)
}

/// `2026-01-02 03:04:05.67 +0000 UTC k8s.io /tasks/exit {"container_id": ...}`.
fn event(line: &str) -> Option<Event> {
    let (head, data) = line.split_once('{')?;
    let mut words = head.split_whitespace();
    let time = format!("{}T{}Z", words.next()?, words.next()?);
    let topic = words.next_back()?;
    let data: Value = serde_json::from_str(&format!("{{{data}")).ok()?;
    let id = data["container_id"].as_str()?.to_owned();
    let status = data["exit_status"].as_u64().unwrap_or_default();
    let own = data["id"].as_str().is_none_or(|process| process == id);
    let what = match topic {
        "/tasks/start" => What::Started,
        "/tasks/exit" if own => What::Ended(status),
        "/tasks/exit" => What::CommandEnded(status),
        "/tasks/exec-started" => What::Command,
        _ => return None,
    };
    Some(Event {
        id,
        what,
        time: time.parse().ok()?,
    })
}
