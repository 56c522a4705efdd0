//! Writes of the registry: one at a time, beside the probes and never in their way.
//!
//! A disk may refuse, or hang for minutes. Probes go on meanwhile, so that the verdict stays
//! true; what they decide to write is dropped, and the next round decides it again.

use std::{sync::Arc, time::Duration};

use openbao::transit::BoxFuture;
use pace::Now;
use registry::{
    record::Record,
    rotation::{Transition, Trial},
};
use tracing::{debug, info, warn};

use super::{PersistError, Persisted, Probes, report};
use crate::view::Trouble;

/// A write that takes longer is worth a line: what it holds up would else wait in silence.
pub(super) const SLOW: Duration = Duration::from_secs(10);

/// What follows a write that went well.
pub(super) enum Purpose {
    /// What a metadata probe saw; then the trial of a pending version, if one is due.
    Observation(Option<Trial>),
    /// The next write key. `tried` is when (monotonic) its trial passed.
    Promotion { version: u64, tried: Duration },
}

/// A write that ended.
pub(super) struct WriteRound {
    result: Result<(Persisted, Vec<Record>), PersistError>,
    transitions: Vec<Transition>,
    purpose: Purpose,
}

/// How the disk does.
#[derive(Debug, Default)]
pub(super) struct Disk {
    began: Option<Now>,
    slow_said: bool,
    failing: Option<Failing>,
    behind: Option<Now>,
}

#[derive(Debug)]
struct Failing {
    since: Now,
    /// Monotonic time of the last attempt.
    last: Duration,
    reason: String,
    repeated: u64,
    total: u64,
}

impl Disk {
    /// As it was found at the start.
    pub(super) fn found(checkpoint_behind: bool, now: Now) -> Self {
        Self {
            behind: checkpoint_behind.then_some(now),
            ..Self::default()
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.began.is_some()
    }

    fn begin(&mut self, now: Now) {
        self.began = Some(now);
        self.slow_said = false;
    }

    /// When (monotonic) the write that is under way will be worth a line.
    pub(super) fn slow_at(&self) -> Option<Duration> {
        let began = self.began.filter(|_| !self.slow_said)?;
        Some(began.mono.saturating_add(SLOW))
    }

    /// Says once that a write takes long.
    pub(super) fn watch(&mut self, mono: Duration) {
        if self.slow_at().is_some_and(|at| at <= mono) {
            self.slow_said = true;
            let reason =
                "the disk takes long to write the registry; a rotation waits for it, calls do not";
            warn!(reason, "state.write_slow");
        }
    }

    fn written(&mut self, checkpoint_behind: Option<&str>, now: Now) {
        self.began = None;
        if let Some(failing) = self.failing.take() {
            info!(failures = failing.total, "state.written_again");
        }
        match checkpoint_behind {
            Some(reason) => {
                self.behind.get_or_insert(now);
                warn!(reason, "state.checkpoint_behind");
            }
            None => self.behind = None,
        }
    }

    fn failed(&mut self, reason: &str, now: Now) {
        self.began = None;
        let failing = self.failing.get_or_insert_with(|| Failing {
            since: now,
            last: now.mono,
            reason: String::new(),
            repeated: 0,
            total: 0,
        });
        failing.last = now.mono;
        if failing.reason != reason {
            reason.clone_into(&mut failing.reason);
            failing.repeated = 0;
        }
        failing.repeated = failing.repeated.saturating_add(1);
        failing.total = failing.total.saturating_add(1);
        let repeated = failing.repeated;
        // 1, 2, 4, 8 ...: the disk that is full must not be asked to hold a line each.
        if repeated.is_power_of_two() {
            warn!(reason, repeated, "state.write_failed");
        } else {
            debug!(reason, repeated, "state.write_failed");
        }
    }

    /// A good probe found nothing to write. When that is so for longer than `patience` after the
    /// last attempt, what was refused is not wanted any more, as a version that is gone again.
    pub(super) fn nothing_to_write(&mut self, mono: Duration, patience: Duration) {
        self.failing
            .take_if(|failing| mono.saturating_sub(failing.last) > patience);
    }

    /// Whether the state file lags behind what was decided.
    pub(super) fn state_lags(&self) -> bool {
        self.failing.is_some() || self.slow_said && self.is_busy()
    }

    /// Whether the checkpoint lags behind the state file.
    pub(super) fn checkpoint_lags(&self) -> bool {
        self.behind.is_some()
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        let failed = self.failing.as_ref().map(|failing| failing.since);
        let slow = self.began.filter(|_| self.slow_said);
        [
            ("write_failed", failed),
            ("write_slow", slow),
            ("checkpoint_behind", self.behind),
        ]
        .into_iter()
        .find_map(|(word, since)| {
            Some(Trouble {
                word,
                since: since?,
            })
        })
    }
}

impl Probes {
    /// Begins to write `records`, unless a write is under way: then the disk is the bottleneck,
    /// and these are decided again when it has ended.
    pub(super) fn start_write(
        &mut self,
        records: Vec<Record>,
        transitions: Vec<Transition>,
        purpose: Purpose,
    ) {
        if self.disk.is_busy() {
            return;
        }
        self.disk.begin(self.doors.clock.now());
        let persist = Arc::clone(&self.doors.persist);
        let job = move || {
            persist
                .persist(&records)
                .map(|persisted| (persisted, records))
        };
        let written = tokio::task::spawn_blocking(job);
        let flight: BoxFuture<'static, WriteRound> = Box::pin(async move {
            let panicked = |_| Err(PersistError("the writer of the registry panicked".into()));
            WriteRound {
                result: written.await.unwrap_or_else(panicked),
                transitions,
                purpose,
            }
        });
        self.queued_write = Some(flight);
    }

    /// When nothing is on disk, nothing changes here either, and the next round offers the same
    /// records again.
    pub(super) fn write_landed(&mut self, round: WriteRound) {
        let now = self.doors.clock.now();
        let (persisted, records) = match round.result {
            Ok(written) => written,
            Err(error) => {
                self.metrics.write_failed("state");
                self.disk.failed(&error.to_string(), now);
                return;
            }
        };
        if persisted.checkpoint_behind.is_some() {
            self.metrics.write_failed("checkpoint");
        }
        self.disk
            .written(persisted.checkpoint_behind.as_deref(), now);
        self.records = records;
        self.generation = persisted.generation;
        report::transitions(&round.transitions, self.generation);
        match round.purpose {
            Purpose::Observation(trial) => self.trial = trial,
            Purpose::Promotion { tried, version } => self.promoted(version, tried, now),
        }
        self.end_bootstrap();
    }

    fn promoted(&mut self, version: u64, tried: Duration, now: Now) {
        self.machine.promoted(version);
        self.health.metadata_doubted(self.machine.findings());
        // The trial was a deep probe of what is the write key now. One that a slow disk has made
        // old says less than a regular probe did meanwhile; the next one follows at once.
        let is_fresh = now.mono.saturating_sub(tried) <= self.settings.health.probe_interval;
        if is_fresh && !self.deep.started_after(tried) {
            self.health.deep_passed(tried);
            self.deep.breaker.succeeded();
        }
        self.deep.hurry(now.mono, Duration::ZERO);
    }
}
