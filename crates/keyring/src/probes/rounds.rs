//! One round of each probe kind: how it starts, and what follows when it lands.

use std::{sync::Arc, time::Duration};

use openbao::{error::Error, transit::BoxFuture};
use registry::{
    breaker::State,
    confirm::APART,
    finding::Finding,
    rotation::{Answer, Ask, Decision, Observation, Reading, Trial},
    schedule,
};

use super::{
    Probes,
    ask::{self, DeepFailure, Manner},
    report,
    writing::Purpose,
};

/// A metadata probe that ended.
pub(super) struct MetadataRound {
    answer: Result<Answer, Error>,
    new_connection: bool,
    started: Duration,
}

/// A deep probe that ended.
pub(super) struct DeepRound {
    result: Result<(), DeepFailure>,
    new_connection: bool,
    started: Duration,
    version: u64,
    /// Set when it was the trial of a pending version.
    trial: Option<Trial>,
}

impl Probes {
    pub(super) fn metadata_due(&self, mono: Duration) -> Duration {
        self.metadata.due(!self.bootstrapping, mono)
    }

    /// `None` while there is nothing to encrypt with.
    pub(super) fn deep_due(&self, mono: Duration) -> Option<Duration> {
        if self.trial.is_some() {
            return Some(mono);
        }
        self.active()?;
        Some(self.deep.due(!self.bootstrapping, mono))
    }

    pub(super) fn start_metadata(&mut self, mono: Duration) -> BoxFuture<'static, MetadataRound> {
        let interval = self.metadata_interval();
        let new_connection = self.metadata.start(mono, interval);
        let transit = Arc::clone(&self.doors.transit);
        let manner = self.manner(new_connection);
        Box::pin(async move {
            MetadataRound {
                answer: ask::metadata(transit, manner).await,
                new_connection,
                started: mono,
            }
        })
    }

    /// The trial of a pending version goes before the regular round.
    pub(super) fn start_deep(&mut self, mono: Duration) -> Option<BoxFuture<'static, DeepRound>> {
        let trial = self.trial.take();
        let (version, new_connection) = match &trial {
            Some(trial) => (trial.version, false),
            None => {
                let version = self.active()?.version;
                (version, self.deep.start(mono, self.deep_interval(true)))
            }
        };
        let transit = Arc::clone(&self.doors.transit);
        let manner = self.manner(new_connection);
        Some(Box::pin(async move {
            DeepRound {
                result: ask::deep(transit, version, manner).await,
                new_connection,
                started: mono,
                version,
                trial,
            }
        }))
    }

    /// Room for a login and a retry besides the request; never so much that one hanging
    /// request uses up what a verdict lives on, or that a probe which hangs on after its cause
    /// has ended keeps the next one waiting for longer than two rounds take.
    fn manner(&self, new_connection: bool) -> Manner {
        let health = &self.settings.health;
        let limit = health.request_timeout.saturating_mul(3);
        Manner {
            limit: limit
                .min(health.max_staleness / 2)
                .min(health.probe_interval.saturating_mul(2))
                .max(health.request_timeout),
            new_connection,
        }
    }

    fn metadata_interval(&self) -> Duration {
        let interval = if self.bootstrapping {
            self.settings.bootstrap_retry
        } else {
            self.settings.health.probe_interval
        };
        schedule::jittered(interval, fastrand::f64())
    }

    fn deep_interval(&self, passing: bool) -> Duration {
        let health = &self.settings.health;
        let interval = match (passing, self.bootstrapping) {
            (true, _) => health.deep_probe_interval,
            (false, true) => self.settings.bootstrap_retry,
            (false, false) => {
                schedule::deep_retry(health.probe_interval, health.deep_probe_interval)
            }
        };
        schedule::jittered(interval, fastrand::f64())
    }

    pub(super) fn metadata_landed(&mut self, round: MetadataRound) {
        let now = self.doors.clock.now();
        let took = now.mono.saturating_sub(round.started);
        let answer = match round.answer {
            Ok(answer) => answer,
            Err(error) => {
                let class = error.class.as_str();
                self.metrics.observed(class);
                self.metadata.breaker.failed(round.started);
                self.metadata
                    .failures
                    .failed(class, &error.to_string(), took, now);
                if round.new_connection {
                    self.reask_metadata(now.mono);
                }
                return;
            }
        };
        let observation = Observation {
            answer,
            new_connection: round.new_connection,
            now,
        };
        let decision = self.machine.observe(&self.records, &observation);
        self.report_metadata(&observation.answer, &decision, round.started);
        match decision.reading {
            Reading::Accepted => self.health.metadata_accepted(&decision.findings, now.mono),
            Reading::Unconfirmed => {
                self.health.metadata_answered(now.mono);
                self.health.metadata_doubted(&decision.findings);
            }
            Reading::Inconsistent => {}
        }
        if let (Answer::Metadata { key, .. }, Reading::Accepted) =
            (&observation.answer, decision.reading)
        {
            self.doors.absorb.absorb(key);
        }
        let is_idle = decision.records.is_none() && decision.ask == Ask::Nothing;
        if is_idle && decision.reading == Reading::Accepted && decision.findings.is_empty() {
            let patience = self.settings.health.probe_interval.saturating_mul(2);
            self.disk.nothing_to_write(now.mono, patience);
        }
        let trial = match decision.ask {
            Ask::Nothing => None,
            Ask::Again(after) => {
                self.metadata.again(now.mono.saturating_add(after));
                None
            }
            Ask::Trial(trial) => Some(trial),
        };
        match decision.records {
            // A version whose record is not on disk must not become the write key.
            Some(records) => {
                self.start_write(records, decision.transitions, Purpose::Observation(trial));
            }
            // A trial that is due while something is written comes again with the next round.
            None => self.trial = trial.filter(|_| !self.disk.turns_away(now)),
        }
        self.end_bootstrap();
    }

    /// The answer that was to be confirmed is as doubtful as before, and the regular round
    /// on its used connection would settle nothing.
    fn reask_metadata(&mut self, mono: Duration) {
        let closed = self.metadata.breaker.state(mono) == State::Closed;
        // No breaker holds probes back before the first healthy verdict.
        let pause = if self.bootstrapping && !closed {
            self.metadata_interval()
        } else {
            APART
        };
        self.metadata.again_unanswered(mono.saturating_add(pause));
    }

    fn report_metadata(&mut self, answer: &Answer, decision: &Decision, started: Duration) {
        let refused = match answer {
            Answer::Metadata { .. } => None,
            Answer::KeyMissing => Some(Finding::KeyMissing),
            Answer::KeyDenied => Some(Finding::KeyDenied),
            Answer::UpsertMissing => Some(Finding::UpsertMissing),
            Answer::UpsertDenied => Some(Finding::UpsertDenied),
        };
        let now = self.doors.clock.now();
        let took = now.mono.saturating_sub(started);
        let kind = &mut self.metadata;
        let (status, reason) = match (refused, decision.reading) {
            (Some(finding), _) => {
                let class = match answer {
                    Answer::KeyDenied | Answer::UpsertDenied => "transit_policy_denied",
                    _ => "transit_key_missing",
                };
                (class, finding.to_string())
            }
            (None, Reading::Unconfirmed) => (
                "unconfirmed",
                "the answer contradicts the registry; it is asked again before it is believed"
                    .to_owned(),
            ),
            (None, Reading::Inconsistent) => (
                "inconsistent",
                "the answer contradicts itself and is ignored".to_owned(),
            ),
            (None, Reading::Accepted) => {
                kind.breaker.succeeded();
                kind.failures.passed(took, now);
                self.metrics.observed("ok");
                return;
            }
        };
        kind.breaker.failed(started);
        kind.failures.failed(status, &reason, took, now);
        self.metrics.observed(status);
    }

    pub(super) fn deep_landed(&mut self, round: DeepRound) {
        let now = self.doors.clock.now();
        let mono = now.mono;
        let took = mono.saturating_sub(round.started);
        match (round.trial, round.result) {
            (Some(trial), Ok(())) => self.promote(&trial),
            (Some(_), Err(failure)) => report::trial_failed(round.version, failure.class),
            // A promotion came on disk meanwhile: it says nothing about the write key of now, of
            // which a probe follows at once.
            (None, _) if self.active().is_some_and(|r| r.version != round.version) => {}
            (None, Ok(())) => {
                self.health.deep_passed(mono);
                self.deep.breaker.succeeded();
                self.deep.failures.passed(took, now);
            }
            (None, Err(failure)) => {
                self.deep
                    .failures
                    .failed(failure.class, &failure.reason, took, now);
                self.deep.breaker.failed(round.started);
                let again = self
                    .health
                    .deep_failed(failure.fault, round.new_connection, mono);
                match again {
                    Some(after) => self.deep.again(mono.saturating_add(after)),
                    None => self.deep.resume(self.deep_interval(false)),
                }
            }
        }
        self.end_bootstrap();
    }

    /// Disk first; then the view changes in one swap.
    fn promote(&mut self, trial: &Trial) {
        let now = self.doors.clock.now();
        let promotion = self.machine.promotion(&self.records, trial, now);
        if let Some((records, transitions)) = promotion {
            let purpose = Purpose::Promotion {
                version: trial.version,
                tried: now.mono,
            };
            self.start_write(records, transitions, purpose);
        }
    }

    /// The first healthy verdict ends the start; from then on probes keep their own pace.
    pub(super) fn end_bootstrap(&mut self) {
        if self.bootstrapping && self.verdict().healthy_until.is_some() {
            self.bootstrapping = false;
            self.metadata.resume(self.metadata_interval());
        }
    }
}
