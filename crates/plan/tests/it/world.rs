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
    disk: BTreeMap<PodKey, Persisted>,
    dirs: BTreeSet<String>,
    ledger: Ledger,
    serial: u32,
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
        };
        world.start_agent();
        world
    }

    // What happens in the world.

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
        let verdict = Verdict {
            started: Some(true),
            live: good,
            ready: good,
        };
        self.planner.verdict(&key, &id, verdict);
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

    fn start_agent(&mut self) {
        self.planner = Planner::new(settings(self.boot), self.disk.clone());
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
                self.effect(&order);
                self.ledger.late.insert(format!("s{}", self.serial));
            }
        }
    }

    // The agent.

    /// Lists, plans, writes down, takes the orders.
    pub(crate) fn round(&mut self) {
        let now = self.now - self.epoch;
        for _ in 0..2 {
            if self.up {
                let ticket = self.planner.ticket();
                self.planner.see_all(ticket, self.list());
                self.planner.leftovers(self.dirs.clone());
            }
            let plan = self.planner.plan(now);
            for key in &plan.changed {
                match self.planner.to_keep(key, now) {
                    Some(kept) => self.disk.insert(key.clone(), kept),
                    None => self.disk.remove(key),
                };
            }
            assert!(
                self.up || plan.orders.is_empty(),
                "orders while the runtime is down: {:?}",
                plan.orders
            );
            for order in plan.orders {
                self.judge(&order);
                let born = order
                    .key
                    .as_ref()
                    .and_then(|key| self.ledger.changes.get(key));
                let born = born.copied().unwrap_or_default();
                if !matches!(order.action, Action::Cancel { .. }) {
                    self.orders.push(Taken { order, born });
                }
            }
        }
        let again = self.planner.plan(now);
        assert!(again.orders.is_empty(), "given twice: {:?}", again.orders);
    }

    pub(crate) fn finish(&mut self, nth: usize, how: How) {
        if self.orders.is_empty() {
            return;
        }
        let order = self.orders.remove(nth % self.orders.len());
        let outcome = match how {
            How::Failed => failed(FailureClass::Other),
            How::PullFailed => failed(FailureClass::Pull),
            How::Lost => Outcome::Lost,
            How::DoneLost => {
                self.effect(&order);
                Outcome::Lost
            }
            How::Late if matches!(order.order.action, Action::CreateSandbox { .. }) => {
                self.late.push(order.clone());
                Outcome::Lost
            }
            How::Done | How::Late => self.effect(&order),
            How::PostStartFailed => match (self.effect(&order), &order.order.action) {
                (Outcome::Done, Action::StartContainer { .. }) => {
                    let container = format!("c{}", self.serial);
                    self.ledger.bad_hooks.insert(container.clone());
                    failed(FailureClass::PostStart { container })
                }
                (outcome, _) => outcome,
            },
        };
        self.report(&order, &outcome);
    }

    fn report(&mut self, taken: &Taken, outcome: &Outcome) {
        let now = self.now - self.epoch;
        self.planner.report(taken.order.id, outcome, now);
    }

    pub(crate) fn idle(&self) -> bool {
        self.orders.is_empty() && self.late.is_empty()
    }

    pub(crate) fn next(&mut self) -> Option<Duration> {
        let next = self.planner.plan(self.now - self.epoch).next?;
        Some((next + self.epoch).saturating_sub(self.now))
    }

    // What orders do, and whether they may.

    fn effect(&mut self, taken: &Taken) -> Outcome {
        let order = &taken.order;
        let wall = self.wall;
        match &order.action {
            Action::CreateSandbox { .. } => return self.create(taken),
            Action::StartContainer { .. } => return self.start(order),
            Action::KillContainer { container, .. } => {
                if let Some((_, container)) = self.find(container)
                    && container.alive()
                {
                    container.state = exit(137, wall);
                }
            }
            Action::StopSandbox { sandbox, .. } => {
                for (_, seen) in self.boxes.iter_mut().filter(|(_, s)| s.id == *sandbox) {
                    let alive = seen.containers.iter().any(SeenContainer::alive);
                    assert!(!alive, "a sandbox was stopped under its containers");
                    seen.ready = false;
                }
            }
            Action::RemoveContainer { container } => {
                let alive = self.find(container).is_some_and(|(_, c)| c.alive());
                assert!(!alive, "a running container was removed");
                self.drop_container(container);
            }
            Action::RemoveSandbox { sandbox } => {
                let gone = self.boxes.iter().filter(|(_, seen)| seen.id == *sandbox);
                let alive = gone.clone().any(|(_, seen)| seen.alive());
                assert!(!alive, "a sandbox was removed alive");
                self.boxes.retain(|(_, seen)| seen.id != *sandbox);
            }
            Action::CleanPod { uid, .. } => {
                let alive = self.boxes.iter().any(|(_, seen)| {
                    seen.uid == *uid && seen.alive() && !self.ledger.late.contains(&seen.id)
                });
                assert!(!alive, "directories of {uid} were taken away alive");
                self.dirs.remove(uid);
            }
            Action::PreStop { .. } | Action::Cancel { .. } => {}
        }
        Outcome::Done
    }

    fn create(&mut self, taken: &Taken) -> Outcome {
        let order = &taken.order;
        let (
            Some(key),
            Action::CreateSandbox {
                uid,
                revision,
                attempt,
                boot,
            },
        ) = (&order.key, &order.action)
        else {
            return Outcome::Lost;
        };
        let late = self.late.iter().any(|late| {
            matches!(&late.order.action, Action::CreateSandbox { uid: other, attempt: n, .. }
                if other == uid && n == attempt)
        });
        let holds = |seen: &SeenSandbox| seen.uid == *uid && seen.attempt == *attempt;
        if late || self.boxes.iter().any(|(_, seen)| holds(seen)) {
            return failed(FailureClass::NameReserved);
        }
        let wanted = &self.versions[&(uid.clone(), revision.clone())];
        self.serial += 1;
        let id = format!("s{}", self.serial);
        self.ledger.born.insert(id.clone(), taken.born);
        self.dirs.insert(uid.clone());
        let address = (!wanted.host_network).then(|| "10.0.0.1".parse().unwrap());
        self.boxes.push((
            key.clone(),
            SeenSandbox {
                id,
                owner: Owner::Us,
                uid: uid.clone(),
                revision: revision.clone(),
                source: wanted.source.clone(),
                boot: Some(boot.clone()),
                attempt: *attempt,
                ready: true,
                created: self.wall,
                host_network: wanted.host_network,
                ips: Some(address.into_iter().collect()),
                grace: Some(wanted.grace),
                containers: Vec::new(),
            },
        ));
        Outcome::Done
    }

    fn start(&mut self, order: &Order) -> Outcome {
        let (
            Some(key),
            Action::StartContainer {
                sandbox,
                name,
                attempt,
                sidecar,
                ..
            },
        ) = (&order.key, &order.action)
        else {
            return Outcome::Lost;
        };
        let Some(at) = self
            .boxes
            .iter()
            .position(|(_, s)| s.id == *sandbox && s.ready)
        else {
            return failed(FailureClass::Other);
        };
        let uid = self.boxes[at].1.uid.clone();
        let revision = self.boxes[at].1.revision.clone();
        let taken = self.boxes.iter().any(|(_, seen)| {
            let mut all = seen.containers.iter();
            seen.uid == uid && all.any(|c| c.name == *name && c.attempt == *attempt)
        });
        if taken {
            return failed(FailureClass::NameReserved);
        }
        let wanted = Arc::clone(&self.versions[&(uid, revision)]);
        self.judge_start(key, &wanted, sandbox, name);
        self.serial += 1;
        self.boxes[at].1.containers.push(SeenContainer {
            id: format!("c{}", self.serial),
            name: name.clone(),
            attempt: *attempt,
            state: ContainerState::Running { started: self.wall },
            pre_stop: false,
            sidecar: *sidecar,
            created: self.wall,
            image: "image".into(),
            image_id: "sha256:image".into(),
        });
        Outcome::Done
    }

    fn judge_start(&mut self, key: &PodKey, wanted: &Wanted, sandbox: &str, name: &str) {
        for (other, seen) in &self.boxes {
            let alive = seen.containers.iter().any(SeenContainer::alive);
            assert!(
                other != key || seen.id == *sandbox || !alive,
                "{key}: {name} started in {sandbox} beside {}",
                seen.id
            );
        }
        let here = |name: &str| (sandbox.to_owned(), name.to_owned());
        assert!(
            !self.ledger.completed.contains(&here(name)),
            "{key}: {name} ran twice in {sandbox}"
        );
        for before in wanted.init.iter().take_while(|before| before.name != name) {
            let passed = match before.kind {
                Kind::Sidecar => self.ledger.started.contains(&here(&before.name)),
                _ => self.ledger.completed.contains(&here(&before.name)),
            };
            assert!(passed, "{key}: {name} started before {}", before.name);
        }
        if wanted
            .container(name)
            .is_some_and(|c| c.kind == Kind::Sidecar)
        {
            self.ledger.started.insert(here(name));
        }
        let current = self
            .manifests
            .get(key)
            .is_some_and(|w| w.revision == wanted.revision);
        assert!(
            !current || !self.ledger.done.contains(&(key.clone(), name.to_owned())),
            "{key}: {name} ended well and ran again"
        );
        // A start that crossed with a request to restart counts for what is being stopped.
        let view = self.planner.view(key);
        let ending = view.is_some_and(|view| view.remembered().ending(sandbox).is_some());
        if wanted.restart == RestartPolicy::Never && current && !ending {
            let ran = self.ledger.ran.entry(key.clone());
            let first = ran.or_insert_with(|| sandbox.to_owned());
            assert_eq!(first, sandbox, "{key} ran twice in one boot");
        }
    }

    /// Whether an order may be given at all.
    fn judge(&self, order: &Order) {
        let Some(key) = &order.key else { return };
        let (target, cause) = match &order.action {
            Action::CreateSandbox { .. } => {
                let wanted = &self.manifests[key];
                for path in &wanted.gates.paths {
                    assert!(self.paths.contains(path), "{key} started before {path}");
                }
                for pod in &wanted.gates.pods {
                    let ready = self.planner.view(pod).is_some_and(|view| view.ready());
                    assert!(ready, "{key} started before {pod}");
                }
                return;
            }
            Action::KillContainer {
                container, cause, ..
            } => (container, *cause),
            Action::StopSandbox { sandbox, cause } => (sandbox, *cause),
            Action::RemoveContainer { container } => (container, Cause::Unlisted),
            Action::RemoveSandbox { sandbox } => (sandbox, Cause::Unlisted),
            _ => return,
        };
        let of = |seen: &SeenSandbox| {
            seen.id == *target || seen.containers.iter().any(|c| c.id == *target)
        };
        let Some((_, sandbox)) = self.boxes.iter().find(|(_, seen)| of(seen)) else {
            return;
        };
        assert!(
            !matches!(sandbox.owner, Owner::Foreign(_)),
            "a stranger was touched: {order:?}"
        );
        assert!(
            sandbox.owner == Owner::Us || cause == Cause::TakenOver,
            "a kubelet's sandbox was touched: {order:?}"
        );
        if sandbox.owner == Owner::Us && cause != Cause::Unlisted {
            assert!(
                self.excused(key, sandbox, target, cause),
                "no reason: {order:?}"
            );
        }
    }

    fn excused(&self, key: &PodKey, sandbox: &SeenSandbox, target: &str, cause: Cause) -> bool {
        let view = self.planner.view(key);
        let changes = self.ledger.changes.get(key).copied().unwrap_or_default();
        match cause {
            Cause::Removed | Cause::Edited => changes > self.ledger.born[&sandbox.id],
            Cause::RestartRequested => true,
            Cause::StopAll => false,
            Cause::Superseded => self.boxes.iter().any(|(other, newer)| {
                other == key && newer.uid == sandbox.uid && newer.attempt > sandbox.attempt
            }),
            Cause::SandboxChanged => !sandbox.ready,
            Cause::Finished => view.is_some_and(|view| view.terminal().is_some()),
            Cause::Liveness | Cause::Startup => self.ledger.bad_verdicts.contains(target),
            Cause::PostStart => self.ledger.bad_hooks.contains(target),
            Cause::DeadlineExceeded => self
                .manifests
                .get(key)
                .is_some_and(|w| w.active_deadline.is_some()),
            Cause::TakenOver | Cause::Unlisted | Cause::StateUnknown | Cause::RestartAll => false,
        }
    }

    // Looking around.

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
            } else if !self.ledger.bad_verdicts.contains(&id) {
                let verdict = Verdict {
                    started: Some(true),
                    live: true,
                    ready: true,
                };
                self.planner.verdict(&key, &id, verdict);
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
