//! One node: a disk that survives, a process that does not, and clocks of its own.

use std::{sync::Arc, time::Duration};

use pace::Now;
use proptest::prelude::*;
use registry::{
    document::Document,
    finding::Finding,
    health::{self, Fault, Health},
    key_id::KeyId,
    record::{Record, RecordState},
    retirement::{self, Request},
    rotation::{Answer, Ask, Machine, Observation, Reading, Settings, Trial},
    scope::Scope,
};

use super::backend::State;

pub(super) const PROBE: i64 = 30;
pub(super) const DEEP: i64 = 100;
pub(super) const STALENESS: i64 = 120;
pub(super) const DELAY: i64 = 60;
const COUNT: u32 = 3;
/// Older newest versions are caught up with at start.
pub(super) const OLD: i64 = 2 * (DELAY + 3 * PROBE);

type Checked = Result<(), TestCaseError>;

fn seconds(n: i64) -> Duration {
    Duration::from_secs(u64::try_from(n).unwrap())
}

pub(super) fn scope() -> Arc<Scope> {
    Arc::new(crate::documents::scope())
}

pub(super) struct Node {
    pub(super) disk: Option<Document>,
    /// Copies of the disk that an operator may put back.
    pub(super) copies: Vec<Document>,
    machine: Machine,
    health: Health,
    started: i64,
    /// How far its wall clock is off.
    pub(super) skew: i64,
    pub(super) metadata_due: i64,
    pub(super) deep_due: i64,
    pub(super) metadata_anew: bool,
    pub(super) deep_anew: bool,
    /// New connections so far, of each kind of probe.
    pub(super) metadata_connections: usize,
    pub(super) deep_connections: usize,
    pub(super) lose: u32,
    /// Every key_id that a healthy Status of this node has named, in order.
    pub(super) named: Vec<KeyId>,
    /// An older disk was put back at this time; what was named before counts only if it is
    /// old enough to be caught up with.
    pub(super) put_back: Option<i64>,
}

impl Node {
    pub(super) fn new(time: i64) -> Self {
        Self {
            disk: None,
            copies: Vec::new(),
            machine: machine(),
            health: Health::default(),
            started: time,
            skew: 0,
            metadata_due: time,
            deep_due: time,
            metadata_anew: false,
            deep_anew: false,
            metadata_connections: 0,
            deep_connections: 0,
            lose: 0,
            named: Vec::new(),
            put_back: None,
        }
    }

    pub(super) fn restart(&mut self, time: i64) {
        self.machine = machine();
        self.health = Health::default();
        self.started = time;
        self.metadata_due = time + 1;
        self.deep_due = time + 1;
        self.metadata_anew = false;
        self.deep_anew = false;
    }

    pub(super) fn records(&self) -> &[Record] {
        self.disk.as_ref().map_or(&[], Document::records)
    }

    pub(super) fn active(&self) -> Option<&Record> {
        self.disk.as_ref().map(Document::active)
    }

    /// Whether the version that was named last had been rejected before that, by the disk that
    /// is there now. Such a version comes back in the ordinary way only.
    pub(super) fn was_rejected_on_disk(&self) -> bool {
        let rejected = |r: &Record| r.state == RecordState::Rejected;
        let mut records = self.records().iter().filter(|r| rejected(r));
        records.any(|r| self.named.last() == Some(&r.key_id))
    }

    fn now(&self, time: i64) -> Now {
        Now {
            wall: time + self.skew,
            mono: seconds(time - self.started + 1000),
        }
    }

    /// What Status names.
    pub(super) fn status(&self, time: i64) -> Option<&Record> {
        let mono = self.now(time).mono;
        let settings = health::Settings {
            probe_interval: seconds(PROBE),
            deep_probe_interval: seconds(DEEP),
            max_staleness: seconds(STALENESS),
            request_timeout: seconds(2),
        };
        let active = self.active();
        let verdict = self.health.verdict(&settings, active.is_some(), mono);
        active.filter(|_| verdict.healthy_until.is_some_and(|until| mono < until))
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        self.health.findings().cloned().collect()
    }

    /// A metadata probe is answered by a node of the backend that shows `state`; `None` when
    /// the answer is lost.
    pub(super) fn read(
        &mut self,
        state: Option<&State>,
        time: i64,
    ) -> Result<Option<Trial>, TestCaseError> {
        let new_connection = std::mem::take(&mut self.metadata_anew);
        self.metadata_due = time + PROBE;
        let Some(state) = state else {
            return Ok(None);
        };
        let observation = Observation {
            answer: Answer::Metadata {
                disable_upsert: true,
                key: state.metadata(),
            },
            new_connection,
            now: self.now(time),
        };
        let records = self.records().to_vec();
        let decision = self.machine.observe(&records, &observation);
        match decision.reading {
            Reading::Accepted => self
                .health
                .metadata_accepted(&decision.findings, observation.now.mono),
            Reading::Unconfirmed => {
                prop_assert!(decision.records.is_none());
                self.health.metadata_doubted(&decision.findings);
            }
            Reading::Inconsistent => prop_assert!(false, "no answer here contradicts itself"),
        }
        if let Some(records) = decision.records {
            self.write(records)?;
        }
        match decision.ask {
            Ask::Nothing => Ok(None),
            Ask::Again(after) => {
                self.metadata_due = time + i64::try_from(after.as_secs()).unwrap().max(1);
                self.metadata_anew = true;
                Ok(None)
            }
            Ask::Trial(trial) => Ok(Some(trial)),
        }
    }

    /// The trial passed.
    pub(super) fn promote(&mut self, trial: &Trial, time: i64) -> Checked {
        let now = self.now(time);
        let records = self.records().to_vec();
        let Some((records, _)) = self.machine.promotion(&records, trial, now) else {
            return Err(TestCaseError::fail("a trial that nobody wants"));
        };
        self.write(records)?;
        self.machine.promoted(trial.version);
        self.health.metadata_doubted(self.machine.findings());
        self.health.deep_passed(now.mono);
        self.deep_due = time + 1;
        Ok(())
    }

    pub(super) fn deep(&mut self, state: Option<&State>, time: i64) {
        let mono = self.now(time).mono;
        let new_connection = std::mem::take(&mut self.deep_anew);
        self.deep_due = time + DEEP;
        let Some(active) = self.active() else { return };
        let fault = match state {
            None => Fault::Transient,
            Some(state) if round_trip(state, active.version) => {
                self.health.deep_passed(mono);
                return;
            }
            Some(_) => Fault::Doubtful(Finding::DeepRefused("transit_version_unavailable")),
        };
        self.deep_due = time + PROBE;
        if let Some(after) = self.health.deep_failed(fault, new_connection, mono) {
            self.deep_due = time + i64::try_from(after.as_secs()).unwrap().max(1);
            self.deep_anew = true;
        }
    }

    /// An operator takes everything below the write key out of decryption.
    pub(super) fn retire(&mut self) -> Checked {
        let Some(document) = &self.disk else {
            return Ok(());
        };
        let request = Request::RetireBefore(document.active().version);
        let next = retirement::apply(document, &request, document.current_hash());
        let refused = |error| TestCaseError::fail(format!("refused retirement: {error}"));
        if let Some(next) = next.map_err(refused)? {
            self.copies.push(next.clone());
            self.disk = Some(next);
        }
        Ok(())
    }

    /// Every generation passes the rules of progress and leaves a file that loads.
    fn write(&mut self, records: Vec<Record>) -> Checked {
        let refused = |error| TestCaseError::fail(format!("refused generation: {error}"));
        let next = match &self.disk {
            None => {
                prop_assert_eq!(records.len(), 1);
                Document::first(&scope(), records[0].clone()).map_err(refused)?
            }
            Some(before) => {
                let next = before.next(records).map_err(refused)?;
                prop_assert_eq!(next.generation(), before.generation() + 1);
                prop_assert_eq!(next.previous_hash(), Some(before.current_hash()));
                check_step(before, &next)?;
                next
            }
        };
        prop_assert_eq!(&Document::parse(&next.render(), &scope()).unwrap(), &next);
        self.copies.push(next.clone());
        self.disk = Some(next);
        Ok(())
    }
}

/// What no generation may do, said again and independently of the writer's own rules.
fn check_step(before: &Document, next: &Document) -> Checked {
    prop_assert!(next.active().version >= before.active().version);
    let pending = |d: &Document| {
        d.records()
            .iter()
            .filter(|r| r.state == RecordState::Pending)
            .count()
    };
    prop_assert!(pending(next) <= 1, "two pending versions");
    for old in before.records() {
        let Some(new) = next.get(&old.key_id) else {
            return Err(TestCaseError::fail(format!(
                "version {} is lost",
                old.version
            )));
        };
        if matches!(old.state, RecordState::Active | RecordState::Retired) {
            prop_assert!(new.state.decrypts());
            prop_assert!(new.state != RecordState::Active || old.state == RecordState::Active);
        }
        let removed = |record: &Record| record.state == RecordState::Removed;
        prop_assert_eq!(removed(old), removed(new), "removed or revived by a probe");
        prop_assert!(new.observed_unix >= old.observed_unix);
        prop_assert!(new.stable_unix == 0 || new.stable_unix >= new.observed_unix);
        prop_assert!(new.promoted_unix == 0 || new.promoted_unix >= new.stable_unix);
    }
    Ok(())
}

pub(super) fn round_trip(state: &State, version: u64) -> bool {
    state.encrypts(version).is_some() && state.encrypts(version) == state.decrypts(version)
}

fn machine() -> Machine {
    let settings = Settings {
        activation_delay: seconds(DELAY),
        stable_count: COUNT,
        probe_interval: seconds(PROBE),
    };
    Machine::new(settings, scope())
}
