//! A small world: a runtime, manifests, a disk, and an agent that does what the planner says.
//! Every effect is checked against what really happened, which the planner cannot see.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use plan::{
    Action, Cause, ContainerState, Exit, Failure, FailureClass, Kind, Order, Outcome, Owner,
    Persisted, Planner, PodKey, RestartPolicy, Runtime, Seen, SeenContainer, SeenSandbox, Settings,
    Verdict, Wanted,
};

use crate::build::seconds;

mod agent;
mod effects;
mod judge;

/// How an order goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Done,
    Failed,
    PullFailed,
    PostStartFailed,
    /// Nothing happened, and nobody knows.
    Lost,
    /// It happened, and nobody knows.
    DoneLost,
    /// The answer is lost, the name is taken, and it happens some time later.
    Late,
}

/// What the world knows and the planner does not.
#[derive(Debug, Default)]
struct Ledger {
    /// Init containers that ended well, by sandbox.
    completed: BTreeSet<(String, String)>,
    /// Sidecars that ran, by sandbox.
    started: BTreeSet<(String, String)>,
    /// Per pod that restarts never: the sandbox in which it ran in this boot.
    ran: BTreeMap<PodKey, String>,
    /// Main containers that ended well and restart only on failure.
    done: BTreeSet<(PodKey, String)>,
    /// How often a pod was edited or removed.
    changes: BTreeMap<PodKey, u32>,
    /// That number when a sandbox was ordered.
    born: BTreeMap<String, u32>,
    requested: BTreeSet<PodKey>,
    bad_verdicts: BTreeSet<String>,
    bad_hooks: BTreeSet<String>,
    /// Sandboxes that appeared after they had been given up on.
    late: BTreeSet<String>,
    /// Pods of which there are such sandboxes: they may share directories with later ones.
    late_pods: BTreeSet<PodKey>,
}

/// An order under way, and how often its pod had been edited when it was given.
#[derive(Debug, Clone)]
struct Taken {
    order: Order,
    born: u32,
}

pub(crate) struct World {
    pub(crate) planner: Planner,
    now: Duration,
    epoch: Duration,
    boot: u32,
    wall: i64,
    up: bool,
    complete: bool,
    paths: BTreeSet<String>,
    boxes: Vec<(PodKey, SeenSandbox)>,
    late: Vec<Taken>,
    orders: Vec<Taken>,
    manifests: BTreeMap<PodKey, Arc<Wanted>>,
    versions: BTreeMap<(String, String), Arc<Wanted>>,
    /// As the agent writes it.
    disk: BTreeMap<PodKey, String>,
    dirs: BTreeSet<String>,
    ledger: Ledger,
    serial: u32,
    /// What happens now was given up on long ago, and nobody could have reckoned with it.
    too_late: bool,
}

fn settings(boot: u32) -> Settings {
    Settings {
        boot: format!("boot{boot}"),
        take_over: true,
    }
}

impl World {
    pub(crate) fn new(strangers: Vec<(PodKey, SeenSandbox)>) -> Self {
        let mut world = Self {
            planner: Planner::new(settings(0), BTreeMap::new()),
            now: seconds(1000),
            epoch: Duration::ZERO,
            boot: 0,
            wall: 1_700_000_000,
            up: true,
            complete: true,
            paths: BTreeSet::new(),
            boxes: strangers,
            late: Vec::new(),
            orders: Vec::new(),
            manifests: BTreeMap::new(),
            versions: BTreeMap::new(),
            disk: BTreeMap::new(),
            dirs: BTreeSet::new(),
            ledger: Ledger::default(),
            serial: 0,
            too_late: false,
        };
        world.start_agent();
        world
    }

    pub(crate) fn want(&mut self, wanted: Wanted) {
        let wanted = Arc::new(wanted);
        let key = wanted.key.clone();
        if self.manifests.get(&key) == Some(&wanted) {
            return;
        }
        self.change(&key);
        let version = (wanted.uid.clone(), wanted.revision.clone());
        self.versions.insert(version, Arc::clone(&wanted));
        self.manifests.insert(key, Arc::clone(&wanted));
        self.planner.want(wanted);
    }

    pub(crate) fn remove(&mut self, key: &PodKey) {
        if self.manifests.remove(key).is_some() {
            self.change(key);
            self.planner.unwant(key);
        }
    }

    fn change(&mut self, key: &PodKey) {
        *self.ledger.changes.entry(key.clone()).or_default() += 1;
        self.ledger.ran.remove(key);
        self.ledger.done.retain(|(pod, _)| pod != key);
    }

    pub(crate) fn request_restart(&mut self, key: &PodKey) {
        if self.planner.restart(key, None) {
            self.ledger.requested.insert(key.clone());
            self.ledger.ran.remove(key);
            self.ledger.done.retain(|(pod, _)| pod != key);
        }
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    pub(crate) fn step_clock(&mut self, by: i64) {
        self.wall += by;
    }

    pub(crate) fn set_source(&mut self, complete: bool) {
        self.complete = complete;
        self.planner.source("file", complete);
    }

    pub(crate) fn set_paths(&mut self, present: bool) {
        self.paths = if present {
            ["/ready".to_owned()].into()
        } else {
            BTreeSet::new()
        };
        self.planner.paths(self.paths.clone());
    }

    pub(crate) fn set_runtime(&mut self, up: bool) {
        self.up = up;
        if !up {
            for order in std::mem::take(&mut self.orders) {
                self.report(&order, &Outcome::Lost);
            }
        }
        self.tell_runtime();
    }

    fn tell_runtime(&mut self) {
        self.planner.runtime(if self.up {
            Runtime::Up { network: true }
        } else {
            Runtime::Down
        });
    }

    /// The nth running container ends by itself.
    pub(crate) fn exit(&mut self, nth: usize, code: i32) {
        let running = self.running();
        let Some((key, id)) = running.get(nth % running.len().max(1)).cloned() else {
            return;
        };
        let wall = self.wall;
        let orders = &self.orders;
        let killed = orders.iter().any(|order| {
            matches!(&order.order.action, Action::KillContainer { container, .. } if *container == id)
        });
        let Some((sandbox, container)) = self.find(&id) else {
            return;
        };
        let ready = sandbox.ready;
        let (sandbox_id, uid) = (sandbox.id.clone(), sandbox.uid.clone());
        let revision = sandbox.revision.clone();
        container.state = exit(code, wall);
        let name = container.name.clone();
        let view = self.planner.view(&key);
        let ending = view.is_some_and(|view| view.remembered().ending(&sandbox_id).is_some());
        let Some(wanted) = self
            .manifests
            .get(&key)
            .filter(|w| w.uid == uid && w.revision == revision)
        else {
            return;
        };
        let newest = self.listed(&key);
        let newest = newest
            .newest(&uid, &revision)
            .map(|sandbox| sandbox.id.clone());
        let Some(spec) = wanted.container(&name) else {
            return;
        };
        if spec.kind == Kind::Init && code == 0 {
            self.ledger
                .completed
                .insert((sandbox_id.clone(), name.clone()));
        }
        let natural = !killed && !ending && ready && newest == Some(sandbox_id);
        if natural
            && spec.kind == Kind::Main
            && spec.restart == RestartPolicy::OnFailure
            && code == 0
        {
            self.ledger.done.insert((key, name));
        }
    }

    /// The nth standing sandbox dies, its containers live on.
    pub(crate) fn kill_sandbox(&mut self, nth: usize) {
        let mut ready: Vec<&mut SeenSandbox> = self
            .boxes
            .iter_mut()
            .map(|(_, sandbox)| sandbox)
            .filter(|sandbox| sandbox.ready && sandbox.owner == Owner::Us)
            .collect();
        let count = ready.len().max(1);
        if let Some(sandbox) = ready.get_mut(nth % count) {
            sandbox.ready = false;
        }
    }

    /// Somebody removes a dead container that the agent has seen dead.
    pub(crate) fn remove_dead(&mut self, nth: usize) {
        if !self.up {
            return;
        }
        let dead: Vec<String> = self
            .boxes
            .iter()
            .flat_map(|(_, sandbox)| &sandbox.containers)
            .filter(|container| container.exit().is_some())
            .map(|container| container.id.clone())
            .collect();
        let Some(id) = dead.get(nth % dead.len().max(1)) else {
            return;
        };
        let known = self.planner.views().any(|(_, view)| {
            let seen = view.seen().into_iter().flat_map(|seen| &seen.sandboxes);
            seen.flat_map(|sandbox| &sandbox.containers)
                .any(|container| container.id == *id && container.exit().is_some())
        });
        if known {
            self.drop_container(id);
        }
    }

    /// The probes judge the nth running container.
    pub(crate) fn probe(&mut self, nth: usize, good: bool) {
        let running = self.running();
        let Some((key, id)) = running.get(nth % running.len().max(1)).cloned() else {
            return;
        };
        if !good {
            self.ledger.bad_verdicts.insert(id.clone());
        }
        self.judge_container(&key, &id, good);
    }

    fn judge_container(&mut self, key: &PodKey, id: &str, good: bool) {
        if let Some((sandbox, container)) = self.find(id) {
            let name = container.name.clone();
            self.ledger.started.insert((sandbox.id, name));
        }
        let verdict = Verdict {
            started: Some(true),
            live: good,
            ready: good,
        };
        self.planner.verdict(key, id, verdict);
    }

    pub(crate) fn stranger_leaves(&mut self) {
        self.boxes
            .retain(|(_, sandbox)| !matches!(sandbox.owner, Owner::Foreign(_)));
    }

    /// The agent is killed. Orders under way are cut off, some with their effect.
    pub(crate) fn restart_agent(&mut self, with_effect: bool) {
        for order in std::mem::take(&mut self.orders) {
            if with_effect && self.up {
                self.effect(&order);
            }
        }
        self.epoch = self.now;
        self.start_agent();
    }

    pub(crate) fn reboot(&mut self) {
        self.orders.clear();
        self.late.clear();
        self.boot += 1;
        self.up = true;
        let wall = self.wall;
        for (_, sandbox) in &mut self.boxes {
            sandbox.ready = false;
            for container in &mut sandbox.containers {
                if container.alive() {
                    container.state = exit(255, wall);
                }
            }
        }
        self.ledger.ran.clear();
        let anew = |key: &PodKey| {
            self.manifests
                .get(key)
                .is_none_or(|wanted| wanted.each_boot())
        };
        self.ledger.done.retain(|(key, _)| !anew(key));
        self.epoch = self.now;
        self.start_agent();
    }

    fn read_disk(&self) -> BTreeMap<PodKey, Persisted> {
        let read = |text: &String| serde_json::from_str(text).unwrap();
        self.disk
            .iter()
            .map(|(key, text)| (key.clone(), read(text)))
            .collect()
    }

    fn start_agent(&mut self) {
        self.planner = Planner::new(settings(self.boot), self.read_disk());
        self.ledger.requested.clear();
        self.planner.source("file", self.complete);
        for wanted in self.manifests.values() {
            self.planner.want(Arc::clone(wanted));
        }
        self.planner.paths(self.paths.clone());
        self.tell_runtime();
        if self.up {
            let ticket = self.planner.ticket();
            self.planner.see_all(ticket, self.list());
        }
    }

    /// Something that was given up on happens after all.
    pub(crate) fn late_effects(&mut self) {
        for order in std::mem::take(&mut self.late) {
            if self.up {
                self.too_late = true;
                self.effect(&order);
                self.too_late = false;
                self.ledger.late_pods.extend(order.order.key.clone());
                self.ledger.late.insert(format!("s{}", self.serial));
            }
        }
    }

    fn list(&self) -> BTreeMap<PodKey, Seen> {
        let mut all: BTreeMap<PodKey, Seen> = BTreeMap::new();
        for (key, sandbox) in &self.boxes {
            let seen = all.entry(key.clone()).or_default();
            seen.sandboxes.push(sandbox.clone());
        }
        all
    }

    pub(crate) fn listed(&self, key: &PodKey) -> Seen {
        self.list().remove(key).unwrap_or_default()
    }

    fn running(&self) -> Vec<(PodKey, String)> {
        self.boxes
            .iter()
            .filter(|(_, sandbox)| sandbox.owner == Owner::Us)
            .flat_map(|(key, sandbox)| {
                let alive = sandbox.containers.iter().filter(|c| c.alive());
                alive.map(|c| (key.clone(), c.id.clone()))
            })
            .collect()
    }

    fn find(&mut self, id: &str) -> Option<(SeenSandbox, &mut SeenContainer)> {
        for (_, sandbox) in &mut self.boxes {
            let copy = sandbox.clone();
            if let Some(found) = sandbox.containers.iter_mut().find(|c| c.id == *id) {
                return Some((copy, found));
            }
        }
        None
    }

    fn drop_container(&mut self, id: &str) {
        for (_, sandbox) in &mut self.boxes {
            sandbox.containers.retain(|container| container.id != *id);
        }
    }

    pub(crate) fn manifests(&self) -> impl Iterator<Item = &Arc<Wanted>> {
        self.manifests.values()
    }

    pub(crate) fn dirs(&self) -> &BTreeSet<String> {
        &self.dirs
    }

    pub(crate) fn ours(&self) -> BTreeSet<PodKey> {
        let ours = self.boxes.iter().filter(|(_, s)| s.owner == Owner::Us);
        ours.map(|(key, _)| key.clone()).collect()
    }

    /// Every running init container ends well and every other passes its probes.
    pub(crate) fn fair_weather(&mut self) {
        for (key, id) in self.running() {
            let kind = self.find(&id).map(|(sandbox, c)| {
                let version = (sandbox.uid.clone(), sandbox.revision.clone());
                (version, c.name.clone())
            });
            let kind = kind.and_then(|(version, name)| {
                self.versions
                    .get(&version)?
                    .container(&name)
                    .map(|c| c.kind)
            });
            if kind == Some(Kind::Init) {
                let at = self.running().iter().position(|(_, other)| *other == id);
                self.exit(at.unwrap_or_default(), 0);
            } else {
                // A probe that failed fails again, also when an agent forgot.
                let good = !self.ledger.bad_verdicts.contains(&id);
                self.judge_container(&key, &id, good);
            }
        }
    }
}

fn exit(code: i32, wall: i64) -> ContainerState {
    ContainerState::Exited(Exit {
        code,
        reason: if code == 0 { "Completed" } else { "Error" }.into(),
        message: String::new(),
        started: wall,
        finished: wall,
    })
}

fn failed(class: FailureClass) -> Outcome {
    Outcome::Failed(Failure {
        class,
        reason: "Refused".into(),
        message: "the world refused".into(),
    })
}
