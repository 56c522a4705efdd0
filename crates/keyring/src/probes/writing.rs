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
    schedule,
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
pub(super) enum WriteRound {
    /// Of the next generation.
    Generation {
        result: Result<(Persisted, Vec<Record>), PersistError>,
        transitions: Vec<Transition>,
        purpose: Purpose,
    },
    /// Of the last generation's checkpoint, once more.
    Checkpoint(Result<(), PersistError>),
}

/// How the disk does.
#[derive(Debug)]
pub(super) struct Disk {
    interval: Duration,
    began: Option<Now>,
    /// Whether what is being written is only a checkpoint: nothing waits for that, until
    /// something is turned away.
    is_checkpoint: bool,
    /// Since when a step of the registry waits for the checkpoint that is being written.
    turned_away: Option<Now>,
    slow_said: bool,
    failing: Option<Failing>,
    behind: Option<Behind>,
}

/// A checkpoint that is older than its state file.
#[derive(Debug)]
struct Behind {
    since: Now,
    failures: u32,
    /// Monotonic time of the next attempt.
    next: Duration,
    /// What was said of it last, and how often in a row.
    reason: String,
    repeated: u64,
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
    /// As it was found at the start. A checkpoint that is behind is tried again after `interval`,
    /// then ever more rarely.
    pub(super) fn found(checkpoint_behind: bool, interval: Duration, now: Now) -> Self {
        let mut disk = Self {
            interval,
            began: None,
            is_checkpoint: false,
            turned_away: None,
            slow_said: false,
            failing: None,
            behind: None,
        };
        if checkpoint_behind {
            // The log of the start has said why, in its own words.
            disk.fall_behind("", now);
        }
        disk
    }

    /// The checkpoint could not be written, once more. Returns how often in a row for this reason.
    fn fall_behind(&mut self, reason: &str, now: Now) -> u64 {
        let behind = self.behind.get_or_insert_with(|| Behind {
            since: now,
            failures: 0,
            next: now.mono,
            reason: String::new(),
            repeated: 0,
        });
        behind.failures = behind.failures.saturating_add(1);
        let pause = schedule::backed_off(self.interval, behind.failures);
        behind.next = now.mono.saturating_add(pause);
        if behind.reason != reason {
            reason.clone_into(&mut behind.reason);
            behind.repeated = 0;
        }
        behind.repeated = behind.repeated.saturating_add(1);
        behind.repeated
    }

    pub(super) fn is_busy(&self) -> bool {
        self.began.is_some()
    }

    fn begin(&mut self, is_checkpoint: bool, now: Now) {
        self.began = Some(now);
        self.is_checkpoint = is_checkpoint;
        self.turned_away = None;
        self.slow_said = false;
    }

    /// Whether something is written, for which a step of the registry that is due has to wait.
    pub(super) fn turns_away(&mut self, now: Now) -> bool {
        if self.is_busy() {
            self.turned_away.get_or_insert(now);
        }
        self.is_busy()
    }

    /// Since when the state file waits for a write that takes long: its own, or that of a
    /// checkpoint in its way.
    fn slow_since(&self) -> Option<Now> {
        let began = self.began.filter(|_| self.slow_said)?;
        if self.is_checkpoint {
            self.turned_away
        } else {
            Some(began)
        }
    }

    /// When (monotonic) a checkpoint that is behind is to be written again. Not while something
    /// is written: the end of that wakes the loop.
    pub(super) fn renewal_at(&self) -> Option<Duration> {
        let behind = self.behind.as_ref().filter(|_| !self.is_busy())?;
        Some(behind.next)
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
        self.checkpoint(checkpoint_behind, now);
    }

    /// What became of a checkpoint.
    fn checkpoint(&mut self, behind: Option<&str>, now: Now) {
        self.began = None;
        match behind {
            Some(reason) => {
                let repeated = self.fall_behind(reason, now);
                if repeated.is_power_of_two() {
                    warn!(reason, repeated, "state.checkpoint_behind");
                } else {
                    debug!(reason, repeated, "state.checkpoint_behind");
                }
            }
            None => {
                if let Some(behind) = self.behind.take() {
                    info!(failures = behind.failures, "state.checkpoint_written");
                }
            }
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
        self.failing.is_some() || self.slow_since().is_some()
    }

    /// Whether the checkpoint lags behind the state file.
    pub(super) fn checkpoint_lags(&self) -> bool {
        self.behind.is_some()
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        let failed = self.failing.as_ref().map(|failing| failing.since);
        let behind = self.behind.as_ref().map(|behind| behind.since);
        [
            ("write_failed", failed),
            ("write_slow", self.slow_since()),
            ("checkpoint_behind", behind),
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
        if self.disk.turns_away(self.doors.clock.now()) {
            return;
        }
        self.disk.begin(false, self.doors.clock.now());
        let persist = Arc::clone(&self.doors.persist);
        let job = move || {
            persist
                .persist(&records)
                .map(|persisted| (persisted, records))
        };
        let written = tokio::task::spawn_blocking(job);
        let flight: BoxFuture<'static, WriteRound> = Box::pin(async move {
            let panicked = |_| Err(PersistError("the writer of the registry panicked".into()));
            WriteRound::Generation {
                result: written.await.unwrap_or_else(panicked),
                transitions,
                purpose,
            }
        });
        self.queued_write = Some(flight);
    }

    /// Begins to write a checkpoint that is behind, where that is due.
    pub(super) fn renew_checkpoint(&mut self, mono: Duration) {
        if self.disk.renewal_at().is_none_or(|at| at > mono) {
            return;
        }
        self.disk.begin(true, self.doors.clock.now());
        let persist = Arc::clone(&self.doors.persist);
        let renewed = tokio::task::spawn_blocking(move || persist.renew_checkpoint());
        self.queued_write = Some(Box::pin(async move {
            let panicked = |_| Err(PersistError("the writer of the registry panicked".into()));
            WriteRound::Checkpoint(renewed.await.unwrap_or_else(panicked))
        }));
    }

    /// When nothing is on disk, nothing changes here either, and the next round offers the same
    /// records again.
    pub(super) fn write_landed(&mut self, round: WriteRound) {
        let now = self.doors.clock.now();
        let (result, transitions, purpose) = match round {
            WriteRound::Generation {
                result,
                transitions,
                purpose,
            } => (result, transitions, purpose),
            WriteRound::Checkpoint(result) => {
                let behind = result.err().map(|error| error.to_string());
                if behind.is_some() {
                    self.metrics.write_failed("checkpoint");
                }
                self.disk.checkpoint(behind.as_deref(), now);
                return;
            }
        };
        let (persisted, records) = match result {
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
        report::transitions(&transitions, self.generation);
        match purpose {
            Purpose::Observation(trial) => self.trial = trial,
            Purpose::Promotion { tried, version } => self.promoted(version, tried, now),
        }
        self.end_bootstrap();
    }

    pub(super) fn promoted(&mut self, version: u64, tried: Duration, now: Now) {
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

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Now {
        Now {
            wall: 1_700_000_000,
            mono: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn a_refused_write_is_forgotten_only_when_nobody_wanted_it_for_longer_than_the_patience() {
        let patience = Duration::from_secs(60);
        let mut disk = Disk::found(false, Duration::from_secs(30), at(0));
        disk.failed("no space left on device", at(100));
        disk.nothing_to_write(at(160).mono, patience);
        assert!(disk.state_lags());
        disk.nothing_to_write(at(161).mono, patience);
        assert!(!disk.state_lags());
    }

    #[test]
    fn a_write_is_slow_from_its_tenth_second_on() {
        let mut disk = Disk::found(false, Duration::from_secs(30), at(0));
        disk.begin(false, at(100));
        disk.watch(at(109).mono);
        assert_eq!(disk.trouble(), None);
        disk.watch(at(110).mono);
        assert_eq!(
            disk.trouble().map(|trouble| trouble.word),
            Some("write_slow")
        );
        assert!(disk.state_lags());
    }

    #[test]
    fn a_checkpoint_that_is_late_for_another_reason_is_counted_anew() {
        let mut disk = Disk::found(true, Duration::from_secs(30), at(0));
        let reasons = ["full", "full", "full", "read-only", "read-only", "full"];
        let counts = reasons.map(|reason| disk.fall_behind(reason, at(1)));
        assert_eq!(counts, [1, 2, 3, 1, 2, 1]);
        assert_eq!(disk.behind.map(|behind| behind.failures), Some(7));
    }

    #[test]
    fn a_slow_checkpoint_is_a_state_that_lags_only_where_something_waits_for_it() {
        let mut disk = Disk::found(true, Duration::from_secs(30), at(0));
        let word = |disk: &Disk| disk.trouble().map(|trouble| trouble.word);
        disk.begin(true, at(100));
        disk.watch(at(110).mono);
        assert!(!disk.state_lags());
        assert_eq!(word(&disk), Some("checkpoint_behind"));
        for since in [130, 160] {
            assert!(disk.turns_away(at(since)));
            assert!(disk.state_lags());
            let trouble = disk.trouble().unwrap();
            assert_eq!((trouble.word, trouble.since), ("write_slow", at(130)));
        }
        disk.checkpoint(Some("no space left on device"), at(170));
        assert!(!disk.state_lags());
        assert_eq!(word(&disk), Some("checkpoint_behind"));
        assert!(!disk.turns_away(at(171)));
        // The next one keeps nobody waiting, until it is slow too and turns something away.
        disk.begin(true, at(200));
        disk.watch(at(210).mono);
        assert!(!disk.state_lags());
        disk.checkpoint(None, at(211));
        disk.begin(true, at(300));
        assert!(disk.turns_away(at(301)));
        assert!(!disk.state_lags(), "not slow yet");
        disk.watch(at(310).mono);
        assert!(disk.state_lags());
    }
}
