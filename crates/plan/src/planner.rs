//! The register of all pod names: takes in what changes, decides for the names that it concerns
//! and for no others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crate::{
    action::{Order, Outcome},
    desk::Runtime,
    memory::{Persisted, Verdict},
    outcome,
    retries::{Retries, Subject},
    seen::Seen,
    slot::{Port, Slot, View},
    wanted::{PodKey, Wanted},
};

/// What the planner is made with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The kernel's boot id.
    pub boot: String,
    /// Whether a kubelet's sandboxes of wanted names are to be stopped.
    pub take_over: bool,
}

/// What to do after a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Orders to carry out. Write down what `changed` names before.
    pub orders: Vec<Order>,
    /// Names that can only be decided after another list of the runtime, see
    /// [`Planner::ticket`].
    pub look: BTreeSet<PodKey>,
    /// Names whose [`Persisted`] part changed; `None` from [`Planner::to_keep`] means remove.
    pub changed: BTreeSet<PodKey>,
    /// When to plan again at the latest, on the monotonic clock.
    pub next: Option<Duration>,
}

/// The register.
#[derive(Debug)]
pub struct Planner {
    pub(crate) settings: Settings,
    pub(crate) runtime: Runtime,
    pub(crate) sources: BTreeMap<String, bool>,
    pub(crate) slots: BTreeMap<PodKey, Slot>,
    pub(crate) dirty: BTreeSet<PodKey>,
    pub(crate) stale: BTreeSet<PodKey>,
    pub(crate) timers: BTreeSet<(Duration, PodKey)>,
    /// Who waits for a pod's readiness.
    pub(crate) dependants: BTreeMap<PodKey, BTreeSet<PodKey>>,
    /// Who waits for a path.
    pub(crate) by_path: BTreeMap<String, BTreeSet<PodKey>>,
    pub(crate) paths: BTreeSet<String>,
    /// Who holds or wants a port of the node.
    pub(crate) claims: BTreeMap<Port, BTreeSet<PodKey>>,
    pub(crate) stopping: Option<Option<Duration>>,
    pub(crate) turn: Option<i32>,
    pub(crate) strays: BTreeSet<String>,
    pub(crate) stray_flights: BTreeMap<u64, String>,
    pub(crate) stray_retries: Retries,
    /// Which pod an order under way is about.
    pub(crate) orders: BTreeMap<u64, PodKey>,
    pub(crate) last_order: u64,
    pub(crate) reports: u64,
    pub(crate) work: u64,
}

impl Planner {
    /// A register that remembers what an earlier run of the agent wrote down. The runtime counts
    /// as down until [`Planner::runtime`] says otherwise.
    #[must_use]
    pub fn new(settings: Settings, kept: BTreeMap<PodKey, Persisted>) -> Self {
        let slots: BTreeMap<PodKey, Slot> = kept
            .into_iter()
            .map(|(key, kept)| (key, Slot::restored(kept)))
            .collect();
        let known: Vec<PodKey> = slots.keys().cloned().collect();
        let mut planner = Self {
            settings,
            runtime: Runtime::Down,
            sources: BTreeMap::new(),
            slots,
            dirty: BTreeSet::new(),
            stale: BTreeSet::new(),
            timers: BTreeSet::new(),
            dependants: BTreeMap::new(),
            by_path: BTreeMap::new(),
            paths: BTreeSet::new(),
            claims: BTreeMap::new(),
            stopping: None,
            turn: None,
            strays: BTreeSet::new(),
            stray_flights: BTreeMap::new(),
            stray_retries: Retries::default(),
            orders: BTreeMap::new(),
            last_order: 0,
            reports: 0,
            work: 0,
        };
        for key in known {
            planner.claim(&key);
        }
        planner
    }

    /// Brings the index of ports up to date with what a pod holds and wants.
    pub(crate) fn claim(&mut self, key: &PodKey) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let now = slot.claims();
        let before = std::mem::replace(&mut slot.claimed, now.clone());
        for port in before.difference(&now) {
            leave(&mut self.claims, port, key);
        }
        for port in now.difference(&before) {
            let claimants = self.claims.entry(port.clone()).or_default();
            claimants.insert(key.clone());
        }
    }

    /// A version is wanted, instead of any other of its name.
    pub fn want(&mut self, wanted: Arc<Wanted>) {
        let key = wanted.key.clone();
        self.forget_gates(&key);
        for pod in &wanted.gates.pods {
            let waiting = self.dependants.entry(pod.clone()).or_default();
            waiting.insert(key.clone());
        }
        for path in &wanted.gates.paths {
            let waiting = self.by_path.entry(path.clone()).or_default();
            waiting.insert(key.clone());
        }
        let slot = self.slots.entry(key.clone()).or_default();
        slot.wanted = Some(wanted);
        slot.removed = false;
        self.dirty.insert(key);
    }

    /// The manifest of a name is truly gone.
    pub fn unwant(&mut self, key: &PodKey) {
        self.forget_gates(key);
        if let Some(slot) = self.slots.get_mut(key) {
            slot.wanted = None;
            slot.removed = true;
            self.dirty.insert(key.clone());
        }
    }

    fn forget_gates(&mut self, key: &PodKey) {
        let Some(old) = self.slots.get(key).and_then(|slot| slot.wanted.clone()) else {
            return;
        };
        for pod in &old.gates.pods {
            leave(&mut self.dependants, pod, key);
        }
        for path in &old.gates.paths {
            leave(&mut self.by_path, path, key);
        }
    }

    /// Whether a configured source was read completely, so that what it does not name is gone.
    /// Tell of every configured source before the first plan.
    pub fn source(&mut self, name: &str, complete: bool) {
        if self.sources.insert(name.to_owned(), complete) != Some(complete) {
            let unwanted = self.slots.iter().filter(|(_, slot)| slot.wanted.is_none());
            self.dirty.extend(unwanted.map(|(key, _)| key.clone()));
        }
    }

    /// The runtime's health.
    pub fn runtime(&mut self, runtime: Runtime) {
        if self.runtime != runtime {
            self.runtime = runtime;
            self.dirty.extend(self.slots.keys().cloned());
        }
    }

    /// A number to be taken before a list of the runtime is asked for. A list that began before
    /// an order's outcome was reported says nothing about that outcome.
    #[must_use]
    pub fn ticket(&self) -> u64 {
        self.reports
    }

    /// What the runtime lists about one name.
    pub fn see(&mut self, ticket: u64, key: &PodKey, seen: Seen) {
        if !self.slots.contains_key(key) && !seen.concerns_us(self.settings.take_over) {
            return;
        }
        let slot = self.slots.entry(key.clone()).or_default();
        if ticket < slot.needs.max(slot.seen_at) {
            return;
        }
        let news = !slot.fresh() || slot.seen.as_ref() != Some(&seen);
        slot.seen_at = ticket;
        if news {
            slot.seen = Some(seen);
            self.dirty.insert(key.clone());
        }
    }

    /// Everything that the runtime lists; names that are missing have nothing.
    pub fn see_all(&mut self, ticket: u64, mut all: BTreeMap<PodKey, Seen>) {
        let known: Vec<PodKey> = self.slots.keys().cloned().collect();
        for key in known {
            let seen = all.remove(&key).unwrap_or_default();
            self.see(ticket, &key, seen);
        }
        for (key, seen) in all {
            self.see(ticket, &key, seen);
        }
    }

    /// What the probes say about a container.
    pub fn verdict(&mut self, key: &PodKey, container: &str, verdict: Verdict) {
        if let Some(slot) = self.slots.get_mut(key) {
            let verdicts = &mut slot.memory.kept.verdicts;
            if verdicts.insert(container.to_owned(), verdict) != Some(verdict) {
                self.dirty.insert(key.clone());
            }
        }
    }

    /// Which of the awaited paths exist on the host now.
    pub fn paths(&mut self, present: BTreeSet<String>) {
        for path in self.paths.symmetric_difference(&present) {
            self.dirty
                .extend(self.by_path.get(path).into_iter().flatten().cloned());
        }
        self.paths = present;
    }

    /// The paths that shut gates wait for: to be looked at about once a second.
    #[must_use]
    pub fn awaited_paths(&self) -> BTreeSet<&str> {
        let waits = |key: &PodKey| {
            let slot = self.slots.get(key);
            slot.is_some_and(|slot| !slot.alive && slot.memory.terminal().is_none())
        };
        self.by_path
            .iter()
            .filter(|(_, waiting)| waiting.iter().any(waits))
            .map(|(path, _)| path.as_str())
            .collect()
    }

    /// Restarts a pod, whatever its policy, or stops one of its containers, after which its
    /// policy decides. `false` when no such thing is known.
    pub fn restart(&mut self, key: &PodKey, container: Option<&str>) -> bool {
        let Some(slot) = self.slots.get_mut(key) else {
            return false;
        };
        let Some(wanted) = slot.wanted.clone() else {
            return false;
        };
        match container {
            None => slot.memory.requests.pod = true,
            Some(name) => {
                let sandbox = slot
                    .seen
                    .as_ref()
                    .and_then(|seen| seen.newest(&wanted.uid, &wanted.revision));
                let Some(running) = sandbox
                    .and_then(|sandbox| sandbox.newest(name))
                    .filter(|container| container.alive())
                else {
                    return false;
                };
                slot.memory.requests.containers.insert(running.id.clone());
            }
        }
        self.dirty.insert(key.clone());
        true
    }

    /// Stops everything, from the lowest priority to the highest, each group completely before
    /// the next, and starts nothing any more. `grace` shortens what the pods ask for.
    pub fn stop_all(&mut self, grace: Option<Duration>) {
        self.stopping = Some(grace);
        self.turn = None;
        self.dirty.extend(self.slots.keys().cloned());
    }

    /// Takes [`Planner::stop_all`] back: what is wanted may start again, after what is being
    /// stopped has ended. `false` where nothing was told to stop.
    pub fn start_all(&mut self) -> bool {
        self.turn = None;
        self.dirty.extend(self.slots.keys().cloned());
        self.stopping.take().is_some()
    }

    /// Whether everything was told to stop, and nothing is started.
    #[must_use]
    pub fn halted(&self) -> bool {
        self.stopping.is_some()
    }

    /// Whether `stop_all` is through.
    #[must_use]
    pub fn stopped(&self) -> bool {
        let still = |slot: &Slot| slot.alive || !slot.flights.is_empty() || !slot.fresh();
        self.stopping.is_some() && !self.slots.values().any(still)
    }

    /// Uids that have directories on this host, whoever they belong to.
    pub fn leftovers(&mut self, uids: BTreeSet<String>) {
        self.strays = uids;
    }

    /// How an order ended. Not for [`crate::Action::Cancel`], which has no outcome.
    pub fn report(&mut self, order: u64, outcome: &Outcome, now: Duration) {
        if let Some(uid) = self.stray_flights.remove(&order) {
            if *outcome == Outcome::Done {
                self.strays.remove(&uid);
            } else {
                self.stray_retries.failed(Subject::Clean(uid), now);
            }
            return;
        }
        let Some(key) = self.orders.remove(&order) else {
            return;
        };
        let Some(slot) = self.slots.get_mut(&key) else {
            return;
        };
        let Some(at) = slot.flights.iter().position(|flight| flight.id == order) else {
            return;
        };
        let flight = slot.flights.swap_remove(at);
        outcome::reported(&mut slot.memory, &flight, outcome, now);
        self.reports += 1;
        slot.needs = self.reports;
        self.dirty.insert(key);
    }

    /// What there is to say about one pod.
    #[must_use]
    pub fn view(&self, key: &PodKey) -> Option<View<'_>> {
        self.slots.get(key).map(View::of)
    }

    /// All pods that are wanted or still there.
    pub fn views(&self) -> impl Iterator<Item = (&PodKey, View<'_>)> {
        self.slots.iter().map(|(key, slot)| (key, View::of(slot)))
    }

    /// What to write down for a name; `None` when there is nothing to remember.
    #[must_use]
    pub fn to_keep(&self, key: &PodKey, now: Duration) -> Option<Persisted> {
        self.slots.get(key).map(|slot| slot.memory.to_keep(now))
    }

    /// Everything looked at so far: pods, sandboxes and containers. A measure of cost that does
    /// not depend on the machine.
    #[must_use]
    pub fn work(&self) -> u64 {
        self.work
    }
}

/// Takes a name out of those that wait for something.
pub(crate) fn leave<K: Ord>(index: &mut BTreeMap<K, BTreeSet<PodKey>>, what: &K, key: &PodKey) {
    if let Some(waiting) = index.get_mut(what) {
        waiting.remove(key);
        if waiting.is_empty() {
            index.remove(what);
        }
    }
}
