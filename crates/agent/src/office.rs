//! Everything the loop knows and has under way.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use pace::{Clock, Now};
use plan::{Action, Order, Outcome, Persisted, Planner, PodKey, Seen};
use pod::api;
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
};

use crate::{
    crew::{Crew, Done},
    event::{Event, Listener},
    handle::Passes,
    loaded::Loaded,
    look::{self, Looked},
    probing::Probing,
    roll::Roll,
    settings::Settings,
    sight::{self, Fact, Facts, Lists, Question, Record},
    store::{Store, StoreError},
    work::{Known, Tools},
};

/// What a small task brings back.
pub(crate) enum Back {
    Listed(u64, Result<Looked, String>),
    Answered(Question, PodKey, Result<Option<Fact>, String>),
    Logged(PodKey, String, BTreeMap<String, u32>),
    Written(Vec<(PodKey, StoreError)>),
    Leftovers(BTreeSet<String>),
    Paths(BTreeSet<String>),
    /// The task broke off.
    Nothing,
}

/// What log files tell of a version: asked once, then counted on.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    uid: String,
    /// `None` while the answer is awaited.
    attempts: Option<BTreeMap<String, u32>>,
}

pub(crate) struct Office {
    pub(crate) settings: Settings,
    pub(crate) tools: Tools,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) listener: Listener,
    pub(crate) planner: Planner,
    pub(crate) roll: Roll,
    pub(crate) crew: Crew,
    pub(crate) probing: Probing,
    pub(crate) small: JoinSet<Back>,
    pub(crate) store: Arc<Store>,
    // The runtime as it was seen last.
    pub(crate) lists: Option<(u64, Lists)>,
    pub(crate) facts: Facts,
    pub(crate) asking: BTreeSet<Question>,
    pub(crate) records: BTreeMap<String, Record>,
    pub(crate) logs: BTreeMap<PodKey, Logs>,
    pub(crate) hidden: BTreeSet<PodKey>,
    /// There are answers that the planner was not shown yet.
    pub(crate) learned: bool,
    /// Not before this, unless nothing is asked any more: answers come in crowds.
    pub(crate) show_after: Duration,
    pub(crate) listing: bool,
    pub(crate) due: Duration,
    /// Why the runtime counts as down; `None` while it answers.
    pub(crate) down: Option<String>,
    // The disk.
    pub(crate) unwritten: BTreeMap<PodKey, Option<Persisted>>,
    pub(crate) writing: bool,
    /// Given with the write under way, and with the next one.
    pub(crate) released: Vec<Order>,
    pub(crate) held: Vec<Order>,
    pub(crate) store_trouble: Option<String>,
    pub(crate) write_after: Duration,
    // The rest.
    pub(crate) touched: BTreeSet<PodKey>,
    pub(crate) statuses: BTreeMap<PodKey, (String, api::PodStatus)>,
    pub(crate) changes: watch::Sender<u64>,
    pub(crate) stopping: Vec<oneshot::Sender<bool>>,
    pub(crate) paths_due: Option<Duration>,
    pub(crate) wake: Option<Duration>,
    pub(crate) passes: Passes,
}

/// Between two looks at paths that pods wait for, and after a failed write.
const AGAIN: Duration = Duration::from_secs(1);
/// Between two times that new answers are put together.
const CROWD: Duration = Duration::from_millis(20);

impl Office {
    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    pub(crate) fn say(&self, event: &Event) {
        (self.listener)(event);
    }

    /// Plans, writes down, gives orders, and asks for what is missing.
    pub(crate) fn pass(&mut self) {
        let now = self.now();
        if self.learned && (self.asking.is_empty() || now.mono >= self.show_after) {
            self.show_after = now.mono + CROWD;
            self.show(false);
        }
        let plan = self.planner.plan(now.mono);
        self.wake = plan.next;
        for key in &plan.changed {
            let kept = self.planner.to_keep(key, now.mono);
            let _ = self.unwritten.insert(key.clone(), kept);
        }
        for order in plan.orders {
            self.touched.extend(order.key.clone());
            let waits = order.key.as_ref();
            let waits = waits.is_some_and(|key| self.unwritten.contains_key(key));
            match order.action {
                Action::Cancel { order } => self.cancel(order, now),
                _ if waits && self.store_trouble.is_none() => self.held.push(order),
                _ => self.give(order),
            }
        }
        self.write(now);
        let missing = plan.look.iter().any(|key| !self.hidden.contains(key));
        let asked = missing && self.down.is_none() && self.lists.is_some();
        if !self.listing && (asked || now.mono >= self.due) {
            self.list(now);
        }
        self.look_at_paths(now);
        self.refresh(now);
        if self.planner.stopped() {
            for waiting in self.stopping.drain(..) {
                let _ = waiting.send(true);
            }
        }
        let took = self.now().mono.saturating_sub(now.mono);
        self.passes.count += 1;
        self.passes.took += took;
        self.passes.longest = self.passes.longest.max(took);
    }

    /// Writes down what changed; orders that wait for it follow.
    fn write(&mut self, now: Now) {
        if self.writing || self.unwritten.is_empty() || now.mono < self.write_after {
            return;
        }
        self.writing = true;
        self.released = std::mem::take(&mut self.held);
        let notes: Vec<_> = std::mem::take(&mut self.unwritten).into_iter().collect();
        let store = Arc::clone(&self.store);
        let _ = self
            .small
            .spawn_blocking(move || Back::Written(store.write(notes)));
    }

    /// What could not be written is tried again; nothing waits for that, because a full disk must
    /// not stop a control plane.
    fn written(&mut self, failed: Vec<(PodKey, StoreError)>) {
        self.writing = false;
        let now = self.now();
        let trouble = failed.first().map(|(_, error)| reason(error));
        if trouble != self.store_trouble {
            self.store_trouble.clone_from(&trouble);
            self.say(&Event::Store { trouble });
        }
        if !failed.is_empty() {
            self.write_after = now.mono + AGAIN;
        }
        for (key, _) in failed {
            let kept = self.planner.to_keep(&key, now.mono);
            let _ = self.unwritten.entry(key).or_insert(kept);
        }
        for order in std::mem::take(&mut self.released) {
            self.give(order);
        }
        if self.store_trouble.is_some() {
            for order in std::mem::take(&mut self.held) {
                self.give(order);
            }
        }
    }

    fn cancel(&mut self, order: u64, now: Now) {
        let before = self.held.len() + self.released.len();
        self.held.retain(|held| held.id != order);
        self.released.retain(|held| held.id != order);
        if self.held.len() + self.released.len() < before {
            // Never begun: nothing can have come of it.
            self.planner.report(order, &Outcome::Lost, now.mono);
        } else {
            self.crew.cancel(order);
        }
    }

    fn give(&mut self, order: Order) {
        self.say(&Event::Ordered {
            pod: order.key.clone(),
            action: order.action.clone(),
        });
        if let (Some(key), Action::StartContainer { name, attempt, .. }) =
            (&order.key, &order.action)
            && let Some(attempts) = self.logs.get_mut(key).and_then(|l| l.attempts.as_mut())
        {
            let highest = attempts.entry(name.clone()).or_default();
            *highest = (*highest).max(*attempt);
        }
        let known = self.known(&order);
        self.crew.begin(order, known);
    }

    fn known(&self, order: &Order) -> Known {
        let mut known = Known::default();
        let (target, container) = match &order.action {
            Action::StartContainer { sandbox, .. } | Action::RemoveSandbox { sandbox } => {
                (Some(sandbox.clone()), None)
            }
            Action::PreStop { container, .. } | Action::KillContainer { container, .. } => {
                let record = self.records.get(container).cloned();
                (record.as_ref().map(|record| record.sandbox.clone()), record)
            }
            _ => (None, None),
        };
        known.record = container;
        let Some(key) = &order.key else {
            return known;
        };
        let view = self.planner.view(key);
        let seen = view.and_then(|view| view.seen());
        let mut sandboxes = seen.into_iter().flat_map(|seen| &seen.sandboxes);
        let sandbox = sandboxes.find(|sandbox| Some(&sandbox.id) == target.as_ref());
        if let Some(sandbox) = sandbox {
            known.attempt = sandbox.attempt;
            known.boot = sandbox.boot.clone().unwrap_or_default();
            known.ips = sandbox.ips.clone().unwrap_or_default();
            known.host_network = sandbox.host_network;
        }
        if let Action::CreateSandbox { .. } = &order.action {
            let dead = seen.into_iter().flat_map(|seen| seen.ours());
            let dead = dead.filter(|sandbox| !sandbox.ready && !sandbox.host_network);
            known.dead = dead.map(|sandbox| sandbox.id.clone()).collect();
        }
        let fits = |loaded: &&Loaded| match &order.action {
            Action::CreateSandbox { uid, revision, .. } => {
                loaded.wanted.uid == *uid && loaded.wanted.revision == *revision
            }
            Action::StartContainer { .. } => {
                sandbox.is_some_and(|s| s.is(&loaded.wanted.uid, &loaded.wanted.revision))
            }
            _ => false,
        };
        known.loaded = self.roll.loaded(key).filter(fits).cloned();
        known
    }

    /// An order has ended.
    pub(crate) fn done(&mut self, done: Done) {
        let now = self.now();
        self.planner.report(done.order.id, &done.outcome, now.mono);
        self.touched.extend(done.order.key.clone());
        if let (Outcome::Failed(_), Action::StartContainer { .. }, Some(key)) =
            (&done.outcome, &done.order.action, &done.order.key)
        {
            // It may have failed before there was a container: no start, no restart. What there
            // was is told by the runtime's list and by the log files.
            let _ = self.logs.remove(key);
        }
        self.say(&Event::Ended {
            pod: done.order.key,
            action: done.order.action,
            outcome: done.outcome,
            took: done.took,
        });
    }

    fn list(&mut self, now: Now) {
        self.listing = true;
        self.due = now.mono + self.settings.poll;
        let ticket = self.planner.ticket();
        let runtime = Arc::clone(&self.tools.runtime);
        let _ = self
            .small
            .spawn(async move { Back::Listed(ticket, look::look(runtime).await) });
    }

    /// A small task has ended.
    pub(crate) fn back(&mut self, back: Back) {
        match back {
            Back::Listed(ticket, looked) => self.listed(ticket, looked),
            Back::Answered(question, key, answer) => {
                let _ = self.asking.remove(&question);
                match answer {
                    Ok(Some(fact)) => {
                        self.facts.learn(question, fact);
                        self.learned = true;
                    }
                    // It is another thing by now: the next list tells.
                    Ok(None) => self.due = self.now().mono,
                    Err(error) => self.say(&Event::Unclear { pod: key, error }),
                }
            }
            Back::Logged(key, uid, attempts) => {
                if let Some(logs) = self.logs.get_mut(&key).filter(|logs| logs.uid == uid) {
                    logs.attempts = Some(attempts);
                    self.learned = true;
                }
            }
            Back::Written(failed) => self.written(failed),
            Back::Leftovers(uids) => self.planner.leftovers(uids),
            Back::Paths(present) => {
                self.planner.paths(present);
                self.paths_due = Some(self.now().mono + AGAIN);
            }
            Back::Nothing => {}
        }
    }

    fn listed(&mut self, ticket: u64, looked: Result<Looked, String>) {
        self.listing = false;
        self.due = self.now().mono + self.settings.poll;
        match looked {
            Ok(looked) => {
                let first = self.lists.is_none();
                self.lists = Some((ticket, looked.lists));
                // First what there is, then that the runtime answers: nothing is decided on what
                // was there before it went.
                self.show(true);
                let network = looked.network;
                self.planner.runtime(plan::Runtime::Up { network });
                if self.down.take().is_some() || first {
                    self.say(&Event::RuntimeUp);
                }
            }
            Err(error) => {
                self.planner.runtime(plan::Runtime::Down);
                if self.down.is_none() || self.lists.is_none() {
                    let error = error.clone();
                    self.say(&Event::RuntimeDown { error });
                }
                self.down = Some(error);
            }
        }
    }

    /// Shows the planner what the last list and all answers tell.
    fn show(&mut self, ask: bool) {
        let Some((ticket, lists)) = self.lists.clone() else {
            return;
        };
        self.learned = false;
        let mut sight = sight::read(lists, &mut self.facts, &self.tools.owner);
        self.hidden = sight.hidden().into_iter().cloned().collect();
        if ask {
            for (question, key) in &sight.open {
                self.ask(question, key);
            }
        }
        let mut keys: BTreeSet<PodKey> = sight.seen.keys().cloned().collect();
        keys.extend(self.planner.views().map(|(key, _)| key.clone()));
        for key in keys {
            if self.hidden.contains(&key) {
                continue;
            }
            let Some(logged) = self.logged(&key) else {
                let _ = self.hidden.insert(key);
                continue;
            };
            let mut seen = sight.seen.remove(&key).unwrap_or_default();
            seen.logged = logged;
            self.see(ticket, &key, seen);
        }
        self.records = sight.records;
    }

    fn see(&mut self, ticket: u64, key: &PodKey, seen: Seen) {
        let view = self.planner.view(key);
        if view.and_then(|view| view.seen()) != Some(&seen) {
            let _ = self.touched.insert(key.clone());
        }
        self.planner.see(ticket, key, seen);
    }

    fn ask(&mut self, question: &Question, key: &PodKey) {
        if !self.asking.insert(question.clone()) {
            return;
        }
        let (question, key) = (question.clone(), key.clone());
        let runtime = Arc::clone(&self.tools.runtime);
        let launch = Arc::clone(&self.tools.launch);
        let loaded = self.roll.loaded(&key);
        let containers = loaded.map_or(1, |loaded| {
            loaded.wanted.init.len() + loaded.wanted.mains.len()
        });
        let _ = self.small.spawn(async move {
            let answer = look::ask(runtime, launch, &question, containers).await;
            Back::Answered(question, key, answer)
        });
    }

    /// What log files tell of the wanted version; `None` while that is asked.
    fn logged(&mut self, key: &PodKey) -> Option<BTreeMap<String, u32>> {
        let Some(loaded) = self.roll.loaded(key) else {
            let _ = self.logs.remove(key);
            return Some(BTreeMap::new());
        };
        let uid = &loaded.pod.uid;
        let logs = self.logs.entry(key.clone()).or_default();
        if logs.uid != *uid {
            *logs = Logs {
                uid: uid.clone(),
                attempts: None,
            };
            let (key, uid) = (key.clone(), uid.clone());
            let pod = Arc::clone(&loaded.pod);
            let launch = Arc::clone(&self.tools.launch);
            let _ = self
                .small
                .spawn(async move { Back::Logged(key, uid, launch.logged(pod).await) });
        }
        logs.attempts.clone()
    }

    fn look_at_paths(&mut self, now: Now) {
        let awaited = self.planner.awaited_paths();
        if awaited.is_empty() {
            self.paths_due = None;
            return;
        }
        // While a look is under way nothing is due.
        let due = *self.paths_due.get_or_insert(now.mono);
        if due > now.mono {
            return;
        }
        self.paths_due = Some(Duration::MAX);
        let awaited: Vec<String> = awaited.into_iter().map(str::to_owned).collect();
        let _ = self.small.spawn_blocking(move || {
            let there = awaited.into_iter();
            let there = there.filter(|path| std::path::Path::new(path).exists());
            Back::Paths(there.collect())
        });
    }

    /// Asks once what is left on the host of pods that nobody remembers.
    pub(crate) fn look_for_leftovers(&mut self) {
        let launch = Arc::clone(&self.tools.launch);
        let _ = self
            .small
            .spawn(async move { Back::Leftovers(launch.leftovers().await) });
    }
}

/// An error and what is behind it, on one line.
fn reason(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(behind) = source {
        text = format!("{text}: {behind}");
        source = behind.source();
    }
    text
}
