//! One probe of one container over time: when it is made, and what its results mean.
//!
//! The rules are the kubelet's. Time is monotonic: a step of the wall clock means nothing here.

use std::time::Duration;

use fastrand::Rng;
use pod::api;

/// What a probe decides about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Whether the container has started; until then the others wait. Failure restarts it.
    Startup,
    /// Whether it lives. Failure restarts it.
    Liveness,
    /// Whether it may be talked to.
    Readiness,
}

impl Kind {
    /// One word, as in manifests without the `Probe`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Liveness => "liveness",
            Self::Readiness => "readiness",
        }
    }

    /// What holds for a new container before anything was probed.
    fn initial(self) -> Verdict {
        match self {
            Self::Startup => Verdict::Unknown,
            Self::Liveness => Verdict::Success,
            Self::Readiness => Verdict::Failure,
        }
    }
}

/// What a probe says about its container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not probed often enough yet.
    Unknown,
    /// Started, alive or ready.
    Success,
    /// Not so.
    Failure,
}

/// The numbers of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// From the container's start to the first probe.
    pub initial_delay: Duration,
    /// From one probe to the next.
    pub period: Duration,
    /// For one attempt.
    pub timeout: Duration,
    /// Successes in a row that make a success.
    pub successes: u32,
    /// Failures in a row that make a failure.
    pub failures: u32,
}

impl Schedule {
    /// Of a manifest's probe; what is missing or not positive has the API's default.
    #[must_use]
    pub fn of(probe: &api::Probe) -> Self {
        let number = |value: Option<i32>, default: u32| {
            let value = value.and_then(|value| u32::try_from(value).ok());
            value.filter(|value| *value > 0).unwrap_or(default)
        };
        let seconds = |value, default| Duration::from_secs(number(value, default).into());
        Self {
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            timeout: seconds(probe.timeout_seconds, 1),
            successes: number(probe.success_threshold, 1),
            failures: number(probe.failure_threshold, 3),
        }
    }
}

/// The container as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Container<'a> {
    /// The runtime's name for it; another one is another container.
    pub id: &'a str,
    /// How long it has been running; `None` if it does not run.
    pub age: Option<Duration>,
    /// Its startup probe has succeeded, or it has none.
    pub started: bool,
    /// Its pod is being stopped.
    pub stopping: bool,
}

/// A round of attempts that is being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

/// Longer than nothing between a round and the next one that somebody asks for.
const BREATH: Duration = Duration::from_secs(1);

/// A probe's state machine.
#[derive(Debug)]
pub struct Worker {
    kind: Kind,
    schedule: Schedule,
    verdict: Verdict,
    container: String,
    /// Counts containers, so that a result of the one before is known as such.
    incarnation: u64,
    /// Runs, started as this kind needs it, and is probed.
    active: bool,
    /// A verdict was published that only a new container can change.
    held: bool,
    /// End of the initial delay.
    delayed_until: Duration,
    due: Duration,
    in_flight: bool,
    finished: Option<Duration>,
    row: Option<(bool, u32)>,
}

impl Worker {
    /// A worker whose first round is due at `first`, at the earliest: see [`first_round`].
    #[must_use]
    pub fn new(kind: Kind, schedule: Schedule, first: Duration) -> Self {
        Self {
            kind,
            schedule,
            verdict: kind.initial(),
            container: String::new(),
            incarnation: 0,
            active: false,
            held: false,
            delayed_until: Duration::ZERO,
            due: first,
            in_flight: false,
            finished: None,
            row: None,
        }
    }

    /// What it decides about.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What holds now.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The container may have changed. Returns the new verdict if there is one.
    pub fn see(&mut self, container: Container<'_>, now: Duration) -> Option<Verdict> {
        let before = self.verdict;
        if container.id != self.container {
            self.begin_anew(container.id);
        }
        let was_active = self.active;
        self.active = false;
        match container.age {
            // What has published its last verdict does not look at the container any more.
            _ if self.held => {}
            _ if container.id.is_empty() => {}
            None => self.verdict = Verdict::Failure,
            Some(_) if container.stopping && self.kind != Kind::Readiness => {
                // A container that is being stopped is not to be restarted for being slow.
                self.verdict = Verdict::Success;
            }
            Some(age) => {
                let wanted_started = self.kind != Kind::Startup;
                self.active = container.started == wanted_started;
                let rest = self.schedule.initial_delay.saturating_sub(age);
                self.delayed_until = now + rest;
            }
        }
        if self.active && !was_active && self.kind != Kind::Liveness {
            // Started or adopted: whoever waits for it does not wait for a period more, and what
            // was ready before the agent was restarted is ready again at once.
            self.due = self.due.min(now);
        }
        (self.verdict != before).then_some(self.verdict)
    }

    fn begin_anew(&mut self, id: &str) {
        id.clone_into(&mut self.container);
        self.incarnation += 1;
        self.active = false;
        self.verdict = self.kind.initial();
        self.held = false;
        self.in_flight = false;
        self.finished = None;
        self.row = None;
    }

    /// When the next round is due; `None` while there is nothing to probe.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        let waits = !self.active || self.held || self.in_flight;
        (!waits).then_some(self.due.max(self.delayed_until))
    }

    /// Somebody waits for this container to be ready: the next round is now, and the period
    /// counts from it.
    pub fn kick(&mut self, now: Duration) {
        let breathless = self
            .finished
            .is_some_and(|finished| now < finished + BREATH);
        if self.kind == Kind::Readiness && self.verdict != Verdict::Success && !breathless {
            self.due = self.due.min(now);
        }
    }

    /// A round begins, if one is due.
    pub fn begin(&mut self, now: Duration) -> Option<Ticket> {
        if self.next().is_none_or(|due| due > now) {
            return None;
        }
        self.in_flight = true;
        self.due = now + self.schedule.period;
        Some(Ticket(self.incarnation))
    }

    /// A round has ended: with a success, a failure, or nothing that counts. Returns the new
    /// verdict if there is one. A result of a container before, or of one that does not run any
    /// more, is nothing.
    pub fn finish(
        &mut self,
        ticket: Ticket,
        success: Option<bool>,
        now: Duration,
    ) -> Option<Verdict> {
        if ticket.0 != self.incarnation {
            return None;
        }
        self.in_flight = false;
        self.finished = Some(now);
        // A round that took longer than the period is followed by one at once, and not by all
        // that were missed.
        self.due = self.due.max(now);
        let success = success?;
        if !self.active {
            return None;
        }
        let count = match self.row {
            Some((last, count)) if last == success => count.saturating_add(1),
            _ => 1,
        };
        self.row = Some((success, count));
        let threshold = if success {
            self.schedule.successes
        } else {
            self.schedule.failures
        };
        if count < threshold {
            return None;
        }
        let before = self.verdict;
        self.verdict = if success {
            Verdict::Success
        } else {
            Verdict::Failure
        };
        self.held = match self.kind {
            Kind::Startup => true,
            Kind::Liveness => !success,
            Kind::Readiness => false,
        };
        if self.held {
            self.row = None;
        }
        (self.verdict != before).then_some(self.verdict)
    }
}

/// When a new worker's first round is due: at once, but for an agent that itself started less
/// than one period ago, which spreads the probes of all its pods over one. Whether what is adopted
/// has started and is ready is wanted at once even then, and [`Worker::see`] takes care of it.
#[must_use]
pub fn first_round(
    now: Duration,
    agent_age: Duration,
    period: Duration,
    random: &mut Rng,
) -> Duration {
    if agent_age >= period {
        return now;
    }
    now + period.mul_f64(random.f64())
}

#[cfg(test)]
mod tests;
