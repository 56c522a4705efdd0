//! Probes of everything that runs: when each is due, and what its results mean for the planner.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use fastrand::Rng;
use pace::Now;
use plan::{ContainerState, PodKey, SeenContainer, SeenSandbox, Verdict, View};
use pod::{Pod, api};
use probe::{
    outcome::Outcome,
    round::Prober,
    target::{self, Whereabouts},
    worker::{self, Kind, Schedule, Ticket, Worker},
};
use tokio::task::{Id, JoinSet};

/// Container and kind of probe.
type Name = (String, Kind);

struct Entry {
    key: PodKey,
    container: String,
    worker: Worker,
    probe: api::Probe,
    spec: api::Container,
    place: Whereabouts,
    /// When the container started, on the monotonic clock; before zero counts as zero.
    age: Duration,
    seen: Duration,
}

/// A verdict for the planner, and what was seen where that is worth telling.
pub(crate) struct Finding {
    pub(crate) key: PodKey,
    /// The runtime's id.
    pub(crate) id: String,
    /// Its name.
    pub(crate) container: String,
    pub(crate) kind: Kind,
    /// `None` where the round could not be made.
    pub(crate) success: Option<bool>,
    /// `None` where the round said nothing.
    pub(crate) verdict: Option<worker::Verdict>,
    /// Why a round did not succeed.
    pub(crate) message: Option<String>,
}

/// All workers.
pub(crate) struct Probing {
    prober: Prober,
    entries: BTreeMap<Name, Entry>,
    rounds: JoinSet<Outcome>,
    flying: HashMap<Id, (Name, Ticket)>,
    random: Rng,
}

impl Probing {
    pub(crate) fn new(prober: Prober) -> Self {
        Self {
            prober,
            entries: BTreeMap::new(),
            rounds: JoinSet::new(),
            flying: HashMap::new(),
            random: Rng::new(),
        }
    }

    /// A pod may have changed.
    pub(crate) fn see(
        &mut self,
        key: &PodKey,
        view: Option<View<'_>>,
        pod: Option<&Pod>,
        now: Now,
    ) {
        let sandbox = view.and_then(|view| view.sandbox());
        let listed =
            |id: &str| sandbox.is_some_and(|sandbox| sandbox.containers.iter().any(|c| c.id == id));
        self.entries
            .retain(|(id, _), entry| entry.key != *key || (pod.is_some() && listed(id)));
        let (Some(view), Some(sandbox), Some(pod)) = (view, sandbox, pod) else {
            return;
        };
        let Some(spec) = &pod.api.spec else {
            return;
        };
        let stopping = view.ending().is_some();
        let init = spec.init_containers.iter().flatten();
        for container in init.chain(&spec.containers) {
            let Some(seen) = sandbox.newest(&container.name) else {
                continue;
            };
            // While its postStart hook runs it is not yet said to run.
            let hooked = view.flights().iter().any(|flight| {
                matches!(&flight.action, plan::Action::StartContainer { name, .. }
                    if *name == container.name)
            });
            let verdict = view.verdict(&seen.id).unwrap_or_default();
            let started = container.startup_probe.is_none() || verdict.started == Some(true);
            for (kind, probe) in [
                (Kind::Startup, &container.startup_probe),
                (Kind::Liveness, &container.liveness_probe),
                (Kind::Readiness, &container.readiness_probe),
            ] {
                let Some(probe) = probe else {
                    continue;
                };
                if kind == Kind::Startup && started {
                    continue;
                }
                let fresh = || Fresh {
                    key,
                    container,
                    probe,
                    kind,
                };
                let name = (seen.id.clone(), kind);
                self.enter(name, &fresh(), sandbox, seen, now);
                self.tell(
                    &(seen.id.clone(), kind),
                    seen,
                    started,
                    stopping || hooked,
                    now,
                );
            }
        }
    }

    fn enter(
        &mut self,
        name: Name,
        fresh: &Fresh<'_>,
        sandbox: &SeenSandbox,
        seen: &SeenContainer,
        now: Now,
    ) {
        if self.entries.contains_key(&name) {
            return;
        }
        let ContainerState::Running { started } = seen.state else {
            return;
        };
        let schedule = Schedule::of(fresh.probe);
        let first = worker::first_round(now.mono, now.mono, schedule.period, &mut self.random);
        let entry = Entry {
            key: fresh.key.clone(),
            container: fresh.container.name.clone(),
            worker: Worker::new(fresh.kind, schedule, first),
            probe: fresh.probe.clone(),
            spec: fresh.container.clone(),
            place: Whereabouts {
                address: sandbox.ips.iter().flatten().next().copied(),
                host_network: sandbox.host_network,
            },
            age: Duration::from_secs(
                u64::try_from(now.wall.saturating_sub(started / 1_000_000_000)).unwrap_or(0),
            ),
            seen: now.mono,
        };
        let _ = self.entries.insert(name, entry);
    }

    fn tell(&mut self, name: &Name, seen: &SeenContainer, started: bool, still: bool, now: Now) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let runs = matches!(seen.state, ContainerState::Running { .. });
        let age = entry.age + now.mono.saturating_sub(entry.seen);
        let container = worker::Container {
            id: &seen.id,
            age: runs.then_some(age),
            started,
            stopping: still,
        };
        // What follows from an end alone the planner sees by itself.
        let _ = entry.worker.see(container, now.mono);
    }

    /// When the next round is due.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.entries.values().filter_map(|e| e.worker.next()).min()
    }

    /// Begins every round that is due.
    pub(crate) fn begin(&mut self, now: Duration) {
        for (name, entry) in &mut self.entries {
            let Some(ticket) = entry.worker.begin(now) else {
                continue;
            };
            let prober = self.prober.clone();
            let target = target::target(&entry.probe, &entry.spec, entry.place);
            let id = name.0.clone();
            let limit = Schedule::of(&entry.probe).timeout;
            let task = self.rounds.spawn(async move {
                match target {
                    Ok(target) => prober.round(&target, &id, limit).await,
                    Err(error) => Outcome::Broken(error.to_string()),
                }
            });
            let _ = self.flying.insert(task.id(), (name.clone(), ticket));
        }
    }

    /// The next round that ends; never, while there is none. May be dropped.
    pub(crate) async fn ended(&mut self) -> (Id, Outcome) {
        match self.rounds.join_next_with_id().await {
            Some(Ok(ended)) => ended,
            Some(Err(error)) => (error.id(), Outcome::Broken("the probe broke off".into())),
            None => std::future::pending().await,
        }
    }

    /// What a round means.
    pub(crate) fn finish(&mut self, id: Id, outcome: Outcome, now: Duration) -> Option<Finding> {
        let (name, ticket) = self.flying.remove(&id)?;
        let entry = self.entries.get_mut(&name)?;
        let (success, message) = match outcome {
            Outcome::Success => (Some(true), None),
            Outcome::Warning(why) => (Some(true), Some(why)),
            Outcome::Failure(why) => (Some(false), Some(why)),
            Outcome::Broken(why) => (None, Some(why)),
        };
        let _ = entry.worker.finish(ticket, success, now);
        Some(Finding {
            key: entry.key.clone(),
            id: name.0,
            container: entry.container.clone(),
            kind: name.1,
            success,
            verdict: success.map(|_| entry.worker.verdict()),
            message,
        })
    }
}

/// What a new worker is made of.
struct Fresh<'a> {
    key: &'a PodKey,
    container: &'a api::Container,
    probe: &'a api::Probe,
    kind: Kind,
}

/// What the planner is told about a container: what was known, and the new verdict of one kind.
pub(crate) fn merged(before: Verdict, kind: Kind, now: worker::Verdict) -> Verdict {
    let mut verdict = before;
    match kind {
        Kind::Startup => {
            verdict.started = match now {
                worker::Verdict::Unknown => before.started,
                worker::Verdict::Success => Some(true),
                worker::Verdict::Failure => Some(false),
            };
        }
        Kind::Liveness => verdict.live = now != worker::Verdict::Failure,
        Kind::Readiness => verdict.ready = now == worker::Verdict::Success,
    }
    verdict
}
