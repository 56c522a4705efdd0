//! A table for each rule. Every generation also passes through [`Document`], whose rules of
//! progress the machine must never break.

use super::*;
use crate::{
    document::Document,
    finding::Floor,
    retirement::{self, Request},
};

mod catch_up;
mod doubts;
mod promotion;

const PROBE: Duration = Duration::from_secs(30);
const DELAY: Duration = Duration::from_secs(120);
/// Creation second of version n is T0 + 1000 n; the bench starts at T0 + 1000 * its version.
const T0: i64 = 1_700_000_000;

/// One node: its disk, its machine, its clocks.
struct Bench {
    machine: Machine,
    disk: Option<Document>,
    now: Now,
    last: Decision,
}

fn scope() -> Arc<Scope> {
    Arc::new(Scope::sample())
}

fn settings() -> Settings {
    Settings {
        activation_delay: DELAY,
        stable_count: 3,
        probe_interval: PROBE,
    }
}

fn created(version: u64) -> i64 {
    T0 + 1000 * i64::try_from(version).unwrap()
}

/// A key with versions 1 to `latest`.
fn key(latest: u64) -> KeyMetadata {
    KeyMetadata::with_defaults(latest, (1..=latest).map(|v| (v, created(v))).collect())
}

/// The same with another creation second of one version.
fn recreated(latest: u64, version: u64) -> KeyMetadata {
    let mut key = key(latest);
    key.creation_times.insert(version, created(version) + 7);
    key
}

impl Bench {
    /// Without a registry, just after version 1 was made.
    fn empty() -> Self {
        Self {
            machine: Machine::new(settings(), scope()),
            disk: None,
            now: Now {
                wall: created(1) + 5,
                mono: Duration::from_secs(1000),
            },
            last: Decision {
                reading: Reading::Accepted,
                records: None,
                ask: Ask::Nothing,
                findings: Vec::new(),
                transitions: Vec::new(),
            },
        }
    }

    /// Bootstrapped: version 1 is active.
    fn new() -> Self {
        let mut bench = Self::empty();
        bench.see(&key(1));
        assert_eq!(bench.table(), "active 1");
        bench
    }

    /// Version 2 is active and has just been promoted; 1 is retired.
    fn at_two() -> Self {
        let mut bench = Self::new();
        bench.rotate_to(2);
        bench
    }

    fn rotate_to(&mut self, version: u64) {
        self.see(&key(version));
        for _ in 0..20 {
            if let Ask::Trial(_) = self.last.ask {
                assert!(self.pass_trial());
                return;
            }
            self.later(30).see(&key(version));
        }
        panic!("never promoted: {}", self.table());
    }

    fn restart(&mut self) {
        self.machine = Machine::new(settings(), scope());
        // Another process, another arbitrary start of its clock.
        self.now.mono = Duration::from_secs(5);
    }

    fn later(&mut self, seconds: u64) -> &mut Self {
        self.now.wall += i64::try_from(seconds).unwrap();
        self.now.mono += Duration::from_secs(seconds);
        self
    }

    fn records(&self) -> &[Record] {
        self.disk.as_ref().map_or(&[], Document::records)
    }

    /// A regular probe: an old connection.
    fn see(&mut self, key: &KeyMetadata) -> &mut Self {
        self.hear(true, key, false)
    }

    /// A repeated read: a new connection.
    fn see_anew(&mut self, key: &KeyMetadata) -> &mut Self {
        self.hear(true, key, true)
    }

    fn hear(&mut self, disable_upsert: bool, key: &KeyMetadata, anew: bool) -> &mut Self {
        let key = key.clone();
        self.answer(
            Answer::Metadata {
                disable_upsert,
                key,
            },
            anew,
        )
    }

    fn answer(&mut self, answer: Answer, new_connection: bool) -> &mut Self {
        let observation = Observation {
            answer,
            new_connection,
            now: self.now,
        };
        let records = self.records().to_vec();
        self.last = self.machine.observe(&records, &observation);
        if let Some(records) = self.last.records.clone() {
            self.write(records);
        }
        self
    }

    /// The same answer until it counts as a fact.
    fn insist(&mut self, key: &KeyMetadata) -> &mut Self {
        self.see(key);
        for _ in 0..3 {
            assert_eq!(self.last.reading, Reading::Unconfirmed);
            self.later(2).see_anew(key);
        }
        assert_eq!(self.last.reading, Reading::Accepted);
        self
    }

    fn pass_trial(&mut self) -> bool {
        let Ask::Trial(trial) = self.last.ask.clone() else {
            panic!("no trial is wanted")
        };
        let records = self.records().to_vec();
        let Some((records, _)) = self.machine.promotion(&records, &trial, self.now) else {
            return false;
        };
        self.write(records);
        self.machine.promoted(trial.version);
        true
    }

    fn write(&mut self, records: Vec<Record>) {
        let next = match &self.disk {
            None => {
                let [only] = <[Record; 1]>::try_from(records).unwrap();
                Document::first(&scope(), only)
            }
            Some(document) => document.next(records),
        };
        self.disk = Some(next.unwrap());
    }

    /// An operator's retirement.
    fn retire_before(&mut self, version: u64) {
        let document = self.disk.take().unwrap();
        let request = Request::RetireBefore(version);
        let next = retirement::apply(&document, &request, document.current_hash());
        self.disk = next.unwrap();
    }

    /// The records as `state version`, in the order of the file; `'` marks another creation
    /// second than the usual one, `xN` the count of a pending one.
    fn table(&self) -> String {
        let row = |r: &Record| {
            let other = if r.created_unix == created(r.version) {
                ""
            } else {
                "'"
            };
            let count = match r.state {
                RecordState::Pending => format!(" x{}", r.stable_count),
                _ => String::new(),
            };
            format!("{} {}{other}{count}", r.state.as_str(), r.version)
        };
        let rows: Vec<_> = self.records().iter().map(row).collect();
        rows.join(", ")
    }

    fn words(&self) -> Vec<&'static str> {
        self.last.findings.iter().map(Finding::word).collect()
    }

    fn record(&self, version: u64) -> &Record {
        self.records()
            .iter()
            .find(|r| r.version == version)
            .unwrap()
    }
}

#[test]
fn a_virgin_key_makes_the_first_record() {
    let mut bench = Bench::empty();
    bench.see(&key(1));
    let record = bench.record(1);
    assert_eq!(record.state, RecordState::Active);
    assert_eq!(record.observed_unix, created(1) + 5);
    assert_eq!(record.promoted_unix, created(1) + 5);
    assert_eq!((record.stable_count, record.stable_unix), (0, 0));
    assert_eq!(bench.last.transitions.len(), 1);
    assert_eq!(bench.last.transitions[0].change, Change::Bootstrapped);
    bench.later(30).see(&key(1));
    assert_eq!(bench.last.records, None);
    assert_eq!(bench.words(), [""; 0]);
}

#[test]
fn a_key_with_a_past_makes_no_record_and_says_what_to_do() {
    type Spoil = fn(&mut KeyMetadata);
    let rows: [Spoil; 4] = [
        |k| *k = key(2),
        |k| k.min_available_version = 1,
        |k| {
            *k = key(2);
            k.min_decryption_version = 2;
        },
        |k| {
            *k = key(2);
            k.min_encryption_version = 2;
        },
    ];
    for spoil in rows {
        let mut key = key(1);
        spoil(&mut key);
        let mut bench = Bench::empty();
        bench.see(&key);
        assert_eq!(bench.records(), []);
        assert_eq!(bench.words(), ["registry_missing"]);
        assert_eq!(bench.last.reading, Reading::Accepted);
        let text = bench.last.findings[0].to_string();
        for words in [
            "copy key-registry.json and ",
            "of a healthy node",
            "docs/recovery.md",
        ] {
            assert!(text.contains(words), "{text}");
        }
    }
}

#[test]
fn a_minimum_of_one_takes_nothing_from_a_new_key() {
    let mut plain = key(1);
    (plain.min_decryption_version, plain.min_encryption_version) = (1, 1);
    let mut bench = Bench::empty();
    bench.see(&plain);
    assert_eq!(bench.table(), "active 1");
}

#[test]
fn an_unfit_or_unguarded_key_makes_no_first_record() {
    let mut exportable = key(1);
    exportable.exportable = true;
    let mut bench = Bench::empty();
    bench.see(&exportable);
    assert_eq!(
        (bench.table().as_str(), bench.words()),
        ("", vec!["key_profile"])
    );
    bench.hear(false, &key(1), false);
    assert_eq!(
        (bench.table().as_str(), bench.words()),
        ("", vec!["upsert_allowed"])
    );
    let mut timeless = key(1);
    timeless.creation_times.clear();
    bench.see(&timeless);
    assert_eq!(bench.words(), ["creation_time_unknown"]);
    bench.see(&key(1));
    assert_eq!(bench.table(), "active 1");
}

#[test]
fn an_unsafe_profile_and_allowed_upsert_are_definite_and_stop_progress() {
    let mut bench = Bench::new();
    let mut unsafe_key = key(2);
    unsafe_key.deletion_allowed = true;
    bench.later(30).see(&unsafe_key);
    assert_eq!(bench.words(), ["key_profile"]);
    bench.later(30).hear(false, &key(2), false);
    assert_eq!(bench.words(), ["upsert_allowed"]);
    assert_eq!(bench.table(), "active 1");
    bench.later(30).see(&key(2));
    assert_eq!(bench.words(), [""; 0]);
    assert_eq!(bench.table(), "active 1, pending 2 x1");
}

#[test]
fn a_minimum_above_a_retained_version_is_unhealthy_and_names_it() {
    let mut bench = Bench::at_two();
    let mut archived = key(2);
    archived.min_decryption_version = 2;
    archived.creation_times.remove(&1);
    bench.later(30).see(&archived);
    assert_eq!(
        bench.last.findings,
        [Finding::RetainedShutOut {
            floor: Floor::Decryption,
            value: 2,
            version: 1
        }]
    );
    let mut trimmed = archived.clone();
    trimmed.min_available_version = 2;
    trimmed.min_encryption_version = 2;
    bench.later(30).see(&trimmed);
    assert_eq!(bench.words(), ["version_shut_out", "version_shut_out"]);
    bench.later(30).see(&key(2));
    assert_eq!(bench.words(), [""; 0]);
}

#[test]
fn a_removed_version_may_be_shut_out_and_never_comes_back_by_itself() {
    let mut bench = Bench::at_two();
    let mut archived = key(2);
    archived.min_decryption_version = 2;
    archived.creation_times.remove(&1);
    let mut trimmed = archived.clone();
    trimmed.min_encryption_version = 2;
    trimmed.min_available_version = 2;
    for shut_out in [&archived, &trimmed] {
        bench.later(30).see(shut_out);
        assert!(bench.words().contains(&"version_shut_out"));
    }
    bench.retire_before(2);
    for shut_out in [&archived, &trimmed] {
        bench.later(30).see(shut_out);
        assert_eq!(bench.words(), [""; 0]);
    }
    // One that was not removed is named as before.
    let mut beyond = trimmed.clone();
    beyond.latest_version = 3;
    beyond.creation_times = [(3, created(3))].into();
    beyond.min_decryption_version = 3;
    bench.later(30).see(&beyond);
    assert!(bench.last.findings.contains(&Finding::RetainedShutOut {
        floor: Floor::Decryption,
        value: 3,
        version: 2
    }));
    let mut bench = Bench::at_two();
    bench.retire_before(2);
    bench.later(30).see(&recreated(2, 1));
    bench.later(30).see(&key(2));
    assert_eq!(bench.words(), [""; 0]);
    assert_eq!(bench.table(), "active 2, removed 1");
}

#[test]
fn an_answer_that_contradicts_itself_changes_nothing() {
    let mut bench = Bench::new();
    bench.later(30).see(&key(2));
    let mut beyond = key(3);
    beyond.latest_version = 2;
    let mut none = key(1);
    none.latest_version = 0;
    none.creation_times.clear();
    for junk in [beyond, none] {
        bench.later(30).see(&junk);
        assert_eq!(bench.last.reading, Reading::Inconsistent);
        assert_eq!(bench.table(), "active 1, pending 2 x1");
    }
    bench.later(30).see(&key(2));
    assert_eq!(bench.table(), "active 1, pending 2 x2");
}
