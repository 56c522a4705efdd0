//! One pod name in one situation: what is done about it, in words.

use std::{sync::Arc, time::Duration};

use plan::{
    Action, Decision, Facts, Flight, Order, Outcome, Planner, Remembered, Runtime, Seen,
    SeenSandbox, Settings, Stop, Verdict, Wanted, decide,
};

use crate::build::{key, seconds};

/// Facts and memory of one pod name.
pub(crate) struct Situation {
    pub(crate) wanted: Option<Wanted>,
    pub(crate) gone: bool,
    pub(crate) seen: Seen,
    pub(crate) flights: Vec<Flight>,
    pub(crate) runtime: Runtime,
    pub(crate) shut: Vec<String>,
    pub(crate) stop: Stop,
    pub(crate) take_over: bool,
    pub(crate) now: Duration,
    pub(crate) boot: &'static str,
    pub(crate) memory: Remembered,
}

impl Situation {
    pub(crate) fn of(wanted: Wanted) -> Self {
        Self {
            wanted: Some(wanted),
            gone: false,
            seen: Seen::default(),
            flights: Vec::new(),
            runtime: Runtime::Up { network: true },
            shut: Vec::new(),
            stop: Stop::No,
            take_over: false,
            now: seconds(1000),
            boot: "boot",
            memory: Remembered::default(),
        }
    }

    pub(crate) fn sees(mut self, sandboxes: Vec<SeenSandbox>) -> Self {
        self.seen.sandboxes = sandboxes;
        self
    }

    /// What probes said before.
    pub(crate) fn verdict(mut self, container: &str, verdict: Verdict) -> Self {
        let mut planner = self.planner();
        planner.verdict(&key("web"), container, verdict);
        let kept = planner.to_keep(&key("web"), self.now).unwrap();
        self.memory = Remembered::restored(kept);
        self
    }

    fn planner(&self) -> Planner {
        let settings = Settings {
            boot: self.boot.into(),
            take_over: self.take_over,
        };
        let kept = [(key("web"), self.memory.to_keep(self.now))].into();
        Planner::new(settings, kept)
    }

    /// The agent restarts: what is not written down is forgotten, and the clock begins anew.
    pub(crate) fn agent_restarts(&mut self) {
        self.memory = Remembered::restored(self.memory.to_keep(self.now));
        self.flights.clear();
        self.now = seconds(1);
    }

    pub(crate) fn decide(&mut self) -> Decision {
        let facts = Facts {
            wanted: self.wanted.as_ref(),
            gone: self.gone,
            seen: &self.seen,
            flights: &self.flights,
            runtime: self.runtime,
            shut: &self.shut,
            taken: &[],
            stop: self.stop,
            take_over: self.take_over,
            now: self.now,
            boot: self.boot,
        };
        decide(facts, &mut self.memory)
    }

    /// What is done now, each in a few words, and taken as under way.
    pub(crate) fn acts(&mut self) -> Vec<String> {
        let decision = self.decide();
        for action in &decision.actions {
            if let Action::Cancel { order } = action {
                for flight in self.flights.iter_mut().filter(|flight| flight.id == *order) {
                    flight.cancelled = true;
                }
            } else {
                self.flights.push(Flight {
                    id: self.flights.len() as u64 + 1,
                    action: action.clone(),
                    since: self.now,
                    cancelled: false,
                });
            }
        }
        let again = self.decide().actions;
        assert_eq!(again, [], "given again while under way");
        decision.actions.iter().map(words).collect()
    }

    /// All that is under way is over.
    pub(crate) fn landed(&mut self) {
        self.flights.clear();
    }
}

/// An action in a few words.
pub(crate) fn words(action: &Action) -> String {
    match action {
        Action::CreateSandbox { uid, attempt, .. } => format!("create {uid} {attempt}"),
        Action::StartContainer { name, attempt, .. } => format!("start {name} {attempt}"),
        Action::Cancel { order } => format!("cancel {order}"),
        Action::PreStop { name, limit, .. } => format!("hook {name} {}", limit.as_secs()),
        Action::KillContainer {
            container,
            grace,
            pre_stop,
            cause,
            ..
        } => {
            let hook = if *pre_stop { " hook" } else { "" };
            format!("kill {container} {} {cause:?}{hook}", grace.as_secs())
        }
        Action::StopSandbox { sandbox, cause } => format!("stop {sandbox} {cause:?}"),
        Action::RemoveContainer { container } => format!("remove {container}"),
        Action::RemoveSandbox { sandbox } => format!("remove {sandbox}"),
        Action::CleanPod { uid, logs } => {
            format!("clean {uid}{}", if *logs { " logs" } else { "" })
        }
    }
}

/// A planner whose runtime and source are fine.
pub(crate) fn planner(take_over: bool) -> Planner {
    let settings = Settings {
        boot: "boot".into(),
        take_over,
    };
    let mut planner = Planner::new(settings, std::collections::BTreeMap::new());
    planner.runtime(Runtime::Up { network: true });
    planner.source("file", true);
    planner
}

/// Reports every order as done.
pub(crate) fn done(planner: &mut Planner, orders: &[Order], now: Duration) {
    for order in orders {
        planner.report(order.id, &Outcome::Done, now);
    }
}

pub(crate) fn in_words(orders: &[Order]) -> Vec<String> {
    orders.iter().map(|order| words(&order.action)).collect()
}

/// A planner with one pod that is told about its one sandbox at each step.
pub(crate) struct One {
    pub(crate) planner: Planner,
    pub(crate) now: u64,
}

impl One {
    pub(crate) fn new(wanted: Wanted) -> Self {
        let mut planner = planner(false);
        planner.want(Arc::new(wanted));
        Self { planner, now: 1000 }
    }

    pub(crate) fn sees(&mut self, sandboxes: Vec<SeenSandbox>) -> Vec<Order> {
        let ticket = self.planner.ticket();
        let seen = Seen {
            sandboxes,
            ..Seen::default()
        };
        self.planner.see(ticket, &key("web"), seen);
        self.planner.plan(seconds(self.now)).orders
    }

    pub(crate) fn report(&mut self, order: &Order, outcome: &Outcome) {
        self.planner.report(order.id, outcome, seconds(self.now));
    }

    /// How long until the planner wants to be asked again.
    pub(crate) fn wait(&mut self) -> u64 {
        let next = self.planner.plan(seconds(self.now)).next;
        next.expect("a time to wait for").as_secs() - self.now
    }
}
