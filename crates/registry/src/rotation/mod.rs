//! The rotation state machine: pending -> active -> retired, or rejected.
//!
//! Pure: records and one observation go in, a decision comes out. The records in the
//! decision are one generation; whoever acts on it writes them to disk first and publishes
//! second. When the write fails, the next observation leads to the same decision again.

mod judge;
mod ledger;
mod start;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use pace::Now;

pub use self::ledger::{Change, Transition};
use self::{
    judge::Judged,
    ledger::Ledger,
    start::{CATCH_UP_READS, Start},
};
use crate::{
    confirm::{Confirm, Opinion},
    finding::Finding,
    key_id::KeyId,
    profile,
    reading::KeyMetadata,
    record::{Record, RecordState},
    scope::Scope,
};

/// How careful a rotation is.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// `rotation.activationDelay`
    pub activation_delay: Duration,
    /// `rotation.requireStableObservationCount`, at least 1.
    pub stable_count: u32,
    /// `status.probeInterval`
    pub probe_interval: Duration,
}

impl Settings {
    /// How long a version takes from its creation to its promotion, about.
    fn rotation_time(&self) -> Duration {
        self.activation_delay
            .saturating_add(self.probe_interval.saturating_mul(self.stable_count))
    }
}

/// What a metadata probe was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Both reads were answered.
    Metadata {
        /// The mount's `disable_upsert`.
        disable_upsert: bool,
        /// The key.
        key: KeyMetadata,
    },
    /// The key does not exist (404).
    KeyMissing,
    /// Reading the key is denied (a wrapped 403).
    KeyDenied,
    /// The mount's configuration does not exist (404).
    UpsertMissing,
    /// Reading the mount's configuration is denied (a wrapped 403).
    UpsertDenied,
}

/// One answered metadata probe. A read that failed in any other way is no observation.
#[derive(Debug, Clone)]
pub struct Observation {
    /// What was answered.
    pub answer: Answer,
    /// Whether no earlier request used the connection.
    pub new_connection: bool,
    /// When.
    pub now: Now,
}

/// What an observation is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Taken as true.
    Accepted,
    /// A lagging standby could have invented it: nothing changed.
    Unconfirmed,
    /// It contradicts itself: as good as no answer.
    Inconsistent,
}

/// What to do besides waiting for the next probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Nothing.
    Nothing,
    /// Read again on a new connection after this time.
    Again(Duration),
    /// Try to encrypt and decrypt with this version; see [`Machine::promotion`].
    Trial(Trial),
}

/// A pending version that is due, and only has to show that it works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// The pending record.
    pub key_id: KeyId,
    /// The explicit version to ask for.
    pub version: u64,
}

/// What follows from one observation.
#[derive(Debug, Clone)]
pub struct Decision {
    /// What the observation is worth.
    pub reading: Reading,
    /// All records of the next generation, or nothing to write.
    pub records: Option<Vec<Record>>,
    /// What to ask next, once `records` are on disk.
    pub ask: Ask,
    /// Everything definite that is wrong now; healthy needs an empty list.
    pub findings: Vec<Finding>,
    /// For the log, once `records` are on disk.
    pub transitions: Vec<Transition>,
}

/// The memory of one process: doubts, delays and the catch-up at its start.
#[derive(Debug)]
pub struct Machine {
    settings: Settings,
    scope: Arc<Scope>,
    confirm: Confirm<Answer>,
    standing: Vec<Finding>,
    counted: Option<(KeyId, Duration)>,
    delay: Option<Delay>,
    start: Start,
    due: Option<KeyId>,
}

#[derive(Debug)]
struct Delay {
    key_id: KeyId,
    mono: Duration,
    wall: i64,
}

impl Machine {
    /// A process that has just started.
    #[must_use]
    pub fn new(settings: Settings, scope: Arc<Scope>) -> Self {
        Self {
            settings,
            scope,
            confirm: Confirm::default(),
            standing: Vec::new(),
            counted: None,
            delay: None,
            start: Start::new(),
            due: None,
        }
    }

    /// Decides what `observation` means for `records`, which are those on disk (empty before
    /// bootstrap).
    pub fn observe(&mut self, records: &[Record], observation: &Observation) -> Decision {
        self.due = None;
        let finding = match &observation.answer {
            Answer::Metadata {
                disable_upsert,
                key,
            } => return self.observe_key(records, *disable_upsert, key, observation),
            Answer::KeyMissing => Finding::KeyMissing,
            Answer::KeyDenied => Finding::KeyDenied,
            Answer::UpsertMissing => Finding::UpsertMissing,
            Answer::UpsertDenied => Finding::UpsertDenied,
        };
        match self.hear(observation) {
            Opinion::AskAgain(after) => self.unconfirmed(after),
            Opinion::Confirmed => {
                self.standing.retain(Finding::contradicts_history);
                self.standing.push(finding);
                self.decided(Reading::Accepted)
            }
        }
    }

    fn observe_key(
        &mut self,
        records: &[Record],
        disable_upsert: bool,
        key: &KeyMetadata,
        observation: &Observation,
    ) -> Decision {
        if judge::is_inconsistent(key) {
            return self.decided(Reading::Inconsistent);
        }
        let mut definite = profile::judge(key);
        if !disable_upsert {
            definite.push(Finding::UpsertAllowed);
        }
        let active = records.iter().find(|r| r.state == RecordState::Active);
        let Some(active) = active else {
            return self.bootstrap(definite, key, observation.now);
        };
        let judged = judge::compare(records, active, key);
        definite.extend(judged.definite.iter().cloned());
        if judged.in_doubt() || self.seems_cured(&definite) {
            if let Opinion::AskAgain(after) = self.hear(observation) {
                // What is definite holds at once, whoever said it; nothing is taken back.
                for finding in definite {
                    if !self.standing.contains(&finding) {
                        self.standing.push(finding);
                    }
                }
                return self.unconfirmed(after);
            }
        } else {
            self.confirm.clear();
        }
        self.accepted(records, active, definite, judged, key, observation.now)
    }

    /// An answer that no longer shows a contradiction which stood until now.
    fn seems_cured(&self, definite: &[Finding]) -> bool {
        let contradicts = Finding::contradicts_history;
        self.standing.iter().any(contradicts) && !definite.iter().any(contradicts)
    }

    fn bootstrap(&mut self, mut findings: Vec<Finding>, key: &KeyMetadata, now: Now) -> Decision {
        self.confirm.clear();
        let first = judge::created(key, 1).filter(|_| profile::is_virgin(key));
        if first.is_none() {
            findings.push(if profile::is_virgin(key) {
                Finding::CreationUnknown { version: 1 }
            } else {
                Finding::NotVirgin {
                    latest: key.latest_version,
                    available: key.min_available_version,
                    decryption: key.min_decryption_version,
                    encryption: key.min_encryption_version,
                }
            });
        }
        self.standing = findings;
        let mut decision = self.decided(Reading::Accepted);
        if let (Some(created), true) = (first, self.standing.is_empty()) {
            let mut ledger = Ledger::new(&self.scope, now.wall, &[]);
            ledger.bootstrap(created);
            self.start.born(now.wall);
            decision.records = Some(ledger.records);
            decision.transitions = ledger.transitions;
        }
        decision
    }

    fn accepted(
        &mut self,
        records: &[Record],
        active: &Record,
        definite: Vec<Finding>,
        judged: Judged,
        key: &KeyMetadata,
        now: Now,
    ) -> Decision {
        self.standing = definite;
        self.standing.extend(judged.doubtful);
        if self.standing.iter().any(Finding::stops_progress) {
            return self.decided(Reading::Accepted);
        }
        let scope = Arc::clone(&self.scope);
        let mut ledger = Ledger::new(&scope, now.wall, records);
        ledger.reject_lost_pending(key);
        self.start.bar_rejected(records);
        let promoted_after = self.settings.rotation_time().saturating_mul(2);
        let target = self.start.target(
            &ledger.records,
            active.version,
            key,
            promoted_after,
            now.wall,
        );
        let next = target.unwrap_or(key.latest_version);
        let before = recorded(&ledger.records, key, next).cloned();
        let counts = !self.counted_recently(before.as_ref(), now);
        let needed = self.settings.stable_count;
        ledger.admit_newer(key, active.version, next, counts, needed);
        let pending =
            recorded(&ledger.records, key, next).filter(|r| r.state == RecordState::Pending);
        self.start.judge(
            pending.filter(|_| target.is_some()),
            key.latest_version > active.version,
            !self.standing.is_empty(),
            now.mono,
        );
        let ask = if let Some(pending) = pending {
            if before.is_none_or(|b| b.stable_count != pending.stable_count) {
                self.counted = Some((pending.key_id.clone(), now.mono));
            }
            self.ask_about(pending, key.min_encryption_version > active.version, now)
        } else {
            self.delay = None;
            Ask::Nothing
        };
        if self.start.catching_up() {
            self.standing.push(Finding::CatchingUp {
                from: active.version,
                to: next,
            });
        }
        let mut decision = self.decided(Reading::Accepted);
        decision.ask = ask;
        if ledger.records != records {
            decision.records = Some(ledger.records);
            decision.transitions = ledger.transitions;
        }
        decision
    }

    /// Repeated reads (after a doubt, during bootstrap) are not further observations: one
    /// counts per probe interval, with room for jitter.
    fn counted_recently(&self, newest: Option<&Record>, now: Now) -> bool {
        let (Some(newest), Some((key_id, at))) = (newest, &self.counted) else {
            return false;
        };
        newest.state == RecordState::Pending
            && *key_id == newest.key_id
            && now.mono.saturating_sub(*at) < self.settings.probe_interval / 2
    }

    fn ask_about(&mut self, pending: &Record, nobody_writes: bool, now: Now) -> Ask {
        if let Some(after) = self.start.wants_read(now.mono) {
            return Ask::Again(after);
        }
        let catching_up = self.start.catching_up();
        let stable = pending.stable_unix > 0 && pending.stable_count >= self.settings.stable_count;
        if !stable {
            self.delay = None;
        }
        // Asked in any case, so that the delay starts when the count is reached.
        let delay_is_over = stable && self.delay_is_over(pending, now);
        if !(catching_up || stable && nobody_writes || delay_is_over) {
            return Ask::Nothing;
        }
        self.due = Some(pending.key_id.clone());
        Ask::Trial(Trial {
            key_id: pending.key_id.clone(),
            version: pending.version,
        })
    }

    /// On the wall clock since the stable time, and on this process's own clock since it first
    /// saw the version stable. A stable time in the future counts as now, and so does one that
    /// a clock set back has put there: the wall clock can lengthen the delay, never end it.
    fn delay_is_over(&mut self, pending: &Record, now: Now) -> bool {
        if self
            .delay
            .as_ref()
            .is_none_or(|d| d.key_id != pending.key_id)
        {
            self.delay = Some(Delay {
                key_id: pending.key_id.clone(),
                mono: now.mono,
                wall: pending.stable_unix,
            });
        }
        let Some(delay) = &mut self.delay else {
            return false;
        };
        delay.wall = delay.wall.min(now.wall);
        let wall = u64::try_from(now.wall.saturating_sub(delay.wall)).unwrap_or(0);
        let needed = self.settings.activation_delay;
        Duration::from_secs(wall) >= needed && now.mono.saturating_sub(delay.mono) >= needed
    }

    /// The trial passed: the records of the generation in which the version becomes the write
    /// key. `None` when an observation has since made it doubtful.
    #[must_use]
    pub fn promotion(
        &self,
        records: &[Record],
        trial: &Trial,
        now: Now,
    ) -> Option<(Vec<Record>, Vec<Transition>)> {
        if self.due.as_ref() != Some(&trial.key_id) {
            return None;
        }
        let agreed = self.settings.stable_count.min(CATCH_UP_READS);
        let mut ledger = Ledger::new(&self.scope, now.wall, records);
        ledger
            .promote(&trial.key_id, agreed)
            .then_some((ledger.records, ledger.transitions))
    }

    /// The promotion to version `active` is on disk: what it cures is over.
    pub fn promoted(&mut self, active: u64) {
        self.start.end();
        self.due = None;
        self.delay = None;
        self.standing.retain(|f| !f.ends_with_promotion_to(active));
    }

    /// Everything definite that is wrong now.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.standing
    }

    fn hear(&mut self, observation: &Observation) -> Opinion {
        let answer = observation.answer.clone();
        self.confirm
            .hear(answer, observation.new_connection, observation.now.mono)
    }

    fn unconfirmed(&self, after: Duration) -> Decision {
        let mut decision = self.decided(Reading::Unconfirmed);
        decision.ask = Ask::Again(after);
        decision
    }

    fn decided(&self, reading: Reading) -> Decision {
        Decision {
            reading,
            records: None,
            ask: Ask::Nothing,
            findings: self.standing.clone(),
            transitions: Vec::new(),
        }
    }
}

/// The record of `version`, if that version is known under its creation second.
fn recorded<'r>(records: &'r [Record], key: &KeyMetadata, version: u64) -> Option<&'r Record> {
    let created = judge::created(key, version)?;
    records
        .iter()
        .find(|r| r.version == version && r.created_unix == created)
}
