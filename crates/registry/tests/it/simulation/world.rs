//! Time, events, and what must hold after each of them.

use proptest::prelude::*;
use registry::{
    key_id::KeyId,
    record::{Record, RecordState},
};

use super::{
    backend::{Backend, State},
    node::{self, Node, scope},
};

pub(super) const NODES: usize = 3;
/// Findings that mean a loss.
const CONTRADICTIONS: [&str; 3] = ["version_rollback", "identity_drift", "version_gone"];
const START: i64 = 1_700_000_000;

type Checked = Result<(), TestCaseError>;

#[derive(Debug, Clone)]
pub(super) enum Event {
    Pass(i64),
    Rotate,
    RestoreBackend(usize),
    MinDecryption(u64),
    MinEncryption(u64),
    Trim,
    Restart(usize),
    /// An older copy of the same disk is put back.
    RestoreDisk(usize, usize),
    /// A new node starts from a copy of another one's disk.
    Join(usize, usize),
    /// An operator retires what a node does not write with.
    Retire(usize),
    SetClock(usize, i64),
    /// How far standbys may lag from now on.
    Lag(i64),
    LoseReads(usize, u32),
    Encrypt(usize),
}

#[derive(PartialEq, Eq)]
struct Ciphertext {
    key_id: KeyId,
    version: u64,
    bytes: u32,
}

/// What is asked.
#[derive(Clone, Copy)]
enum Kind {
    Metadata,
    Deep,
}

pub(super) struct World {
    time: i64,
    lag: i64,
    random: u64,
    backend: Backend,
    nodes: Vec<Node>,
    /// Each kind once: those of one key and one version share their fate.
    made: Vec<Ciphertext>,
    encrypted: usize,
    /// Whether the backend has ever gone back.
    restored: bool,
}

impl World {
    /// All nodes have bootstrapped from the virgin key.
    pub(super) fn new(seed: u64) -> Self {
        let mut world = Self {
            time: START + 10,
            lag: 0,
            random: seed | 1,
            backend: Backend::new(START),
            nodes: (0..NODES).map(|_| Node::new(START + 10)).collect(),
            made: Vec::new(),
            encrypted: 0,
            restored: false,
        };
        world.pass(5).unwrap();
        assert!((0..NODES).all(|n| world.is_healthy(n)));
        world
    }

    pub(super) fn is_healthy(&self, node: usize) -> bool {
        self.nodes[node].status(self.time).is_some()
    }

    /// The versions that Status of a node has named, each once in a row.
    pub(super) fn named(&self, node: usize) -> Vec<u64> {
        let version = |key_id: &KeyId| {
            let mut versions = self.backend.now().versions.iter();
            let (version, _) = versions
                .find(|(v, (created, _))| KeyId::derive(&scope(), **v, *created) == *key_id)?;
            Some(*version)
        };
        self.nodes[node].named.iter().filter_map(version).collect()
    }

    pub(super) fn ciphertexts(&self) -> usize {
        self.encrypted
    }

    pub(super) fn apply(&mut self, event: &Event) -> Checked {
        let time = self.time;
        match *event {
            Event::Pass(seconds) => self.pass(seconds)?,
            Event::Rotate => self.backend.rotate(time),
            Event::RestoreBackend(back) => {
                self.backend.restore(back, time);
                self.restored = true;
            }
            Event::MinDecryption(version) => self.backend.change(time, |state| {
                let version = version.min(state.latest()).max(state.min_available).max(1);
                state.min_decryption = version;
                if state.min_encryption != 0 {
                    state.min_encryption = state.min_encryption.max(version);
                }
            }),
            Event::MinEncryption(version) => self.backend.change(time, |state| {
                let floor = state.min_decryption.max(state.min_available);
                state.min_encryption = version.min(state.latest()).max(floor);
            }),
            Event::Trim => self.backend.change(time, trim),
            Event::Restart(node) => self.nodes[node].restart(time),
            Event::RestoreDisk(node, back) => {
                let node = &mut self.nodes[node];
                let keep = node.copies.len().saturating_sub(back).max(1);
                node.copies.truncate(keep);
                node.disk = node.copies.last().cloned();
                node.put_back = Some(time);
                node.restart(time);
                if node.skew.abs() > 50 || node.was_rejected_on_disk() {
                    node.named.clear();
                }
            }
            Event::Join(to, from) => {
                let copies = self.nodes[from].copies.clone();
                let skew = self.nodes[to].skew;
                self.nodes[to] = Node::new(time);
                let node = &mut self.nodes[to];
                node.skew = skew;
                node.disk = copies.last().cloned();
                node.copies = copies;
            }
            Event::Retire(node) => self.nodes[node].retire()?,
            Event::SetClock(node, skew) => {
                let node = &mut self.nodes[node];
                node.skew = skew;
                if node.put_back.is_some() {
                    node.named.clear();
                }
            }
            Event::Lag(lag) => self.lag = lag,
            Event::LoseReads(node, reads) => self.nodes[node].lose = reads,
            Event::Encrypt(node) => self.encrypt(node)?,
        }
        self.check()
    }

    fn pass(&mut self, seconds: i64) -> Checked {
        let end = self.time + seconds;
        while let Some(due) = self.next_due().filter(|due| *due <= end) {
            self.time = due.max(self.time);
            for node in 0..NODES {
                self.probe(node)?;
            }
            self.check()?;
        }
        self.time = end;
        self.check()
    }

    fn next_due(&self) -> Option<i64> {
        let dues = self.nodes.iter().map(|n| n.metadata_due.min(n.deep_due));
        dues.min()
    }

    fn probe(&mut self, node: usize) -> Checked {
        let time = self.time;
        if self.nodes[node].metadata_due <= time {
            let state = self.answer(node, Kind::Metadata, self.nodes[node].metadata_anew);
            if let Some(trial) = self.nodes[node].read(state.as_ref(), time)? {
                let state = self.answer(node, Kind::Deep, false);
                if state.is_some_and(|state| node::round_trip(&state, trial.version)) {
                    self.nodes[node].promote(&trial, time)?;
                }
            }
        }
        if self.nodes[node].deep_due <= time {
            let state = self.answer(node, Kind::Deep, self.nodes[node].deep_anew);
            self.nodes[node].deep(state.as_ref(), time);
        }
        Ok(())
    }

    /// One of three backend nodes answers; answers are lost now and then. New connections of
    /// one kind go round, so that three in a row meet the one that never lags; a used connection
    /// stays with any of them. Lag differs from answer to answer: a later one can be older than the one
    /// before.
    fn answer(&mut self, node: usize, kind: Kind, new_connection: bool) -> Option<State> {
        let random = self.random();
        let node = &mut self.nodes[node];
        let picked = if new_connection {
            let connections = match kind {
                Kind::Metadata => &mut node.metadata_connections,
                Kind::Deep => &mut node.deep_connections,
            };
            *connections += 1;
            *connections % 3
        } else {
            usize::try_from(random % 3).unwrap()
        };
        if node.lose > 0 {
            node.lose -= 1;
            return None;
        }
        let lag = match picked {
            0 => 0,
            1 => self.lag,
            _ => i64::try_from(random >> 8 & 0xff).unwrap() * self.lag / 255,
        };
        Some(self.backend.as_of(self.time - lag).clone())
    }

    /// xorshift: the same seed, the same run.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// Encrypt: only while Status is healthy, under the key that Status names.
    fn encrypt(&mut self, node: usize) -> Checked {
        let Some(state) = self.answer(node, Kind::Deep, false) else {
            return Ok(());
        };
        let Some(record) = self.nodes[node].status(self.time) else {
            return Ok(());
        };
        prop_assert_eq!(record.state, RecordState::Active);
        let Some(bytes) = state.encrypts(record.version) else {
            return Ok(());
        };
        if state.created(record.version) != Some(record.created_unix) {
            // Another key under the same number: no probe may have had the time to see it.
            let window = node::STALENESS + self.lag.max(40) + 20;
            prop_assert!(self.time - self.backend.last_change() <= window);
            return Ok(());
        }
        let made = Ciphertext {
            key_id: record.key_id.clone(),
            version: record.version,
            bytes,
        };
        if !self.made.contains(&made) {
            self.made.push(made);
        }
        self.encrypted += 1;
        Ok(())
    }

    fn check(&mut self) -> Checked {
        let time = self.time;
        for node in &mut self.nodes {
            let Some(record) = node.status(time) else {
                continue;
            };
            let key_id = record.key_id.clone();
            prop_assert_eq!(record.state, RecordState::Active);
            if let Some(put_back) = node.put_back.take() {
                // What was named last comes back where it was there all the time, for every
                // standby too, and old enough to be known as promoted. A disk and a backend
                // that are both put back are the past itself.
                let comes_back = node.named.last().is_some_and(|named| {
                    self.backend.since(put_back - 60).all(|state| {
                        let mut versions = state.versions.iter();
                        versions.any(|(version, (created, _))| {
                            created + node::OLD + 60 < put_back
                                && *named == KeyId::derive(&scope(), *version, *created)
                        })
                    })
                });
                if !comes_back {
                    node.named.clear();
                }
            }
            if node.named.last() != Some(&key_id) {
                prop_assert!(!node.named.contains(&key_id), "a key_id came back");
                node.named.push(key_id);
            }
        }
        self.check_patience()?;
        self.check_reads()
    }

    /// As long as the backend has only gone forward, no lag and no order of answers makes a
    /// node reject a version or believe in a loss.
    fn check_patience(&self) -> Checked {
        if self.restored {
            return Ok(());
        }
        for node in &self.nodes {
            let rejected = |r: &Record| r.state == RecordState::Rejected;
            prop_assert!(!node.records().iter().any(rejected), "rejected by a lag");
            for finding in node.findings() {
                prop_assert!(!CONTRADICTIONS.contains(&finding.word()), "{}", finding);
            }
        }
        Ok(())
    }

    /// Whatever the backend can decrypt, every healthy node can, but for what its operator has
    /// removed: from its records, or by deriving the key_id from fresh metadata.
    fn check_reads(&self) -> Checked {
        let state = self.backend.now();
        for node in self.nodes.iter().filter(|n| n.status(self.time).is_some()) {
            for made in &self.made {
                if state.decrypts(made.version) != Some(made.bytes) {
                    continue;
                }
                let mut records = node.records().iter();
                let known = records.any(|r| {
                    r.key_id == made.key_id
                        && (r.state.decrypts() || r.state == RecordState::Removed)
                });
                let derived = || {
                    let metadata = state.metadata();
                    let created = metadata.creation_times.get(&made.version);
                    created
                        .is_some_and(|c| KeyId::derive(&scope(), made.version, *c) == made.key_id)
                };
                prop_assert!(known || derived(), "version {} is unreadable", made.version);
            }
        }
        Ok(())
    }

    /// The storm is over: minimums are lowered as far as they go, clocks are right, nothing
    /// lags. After enough time each node is healthy with the newest version, unless the
    /// backend has lost something that the node remembers.
    pub(super) fn calm_down(&mut self) -> Checked {
        self.lag = 0;
        for node in &mut self.nodes {
            node.lose = 0;
            node.skew = 0;
        }
        self.backend.change(self.time, |state| {
            state.min_decryption = state.min_available.max(1);
            state.min_encryption = state.min_encryption.min(state.min_available);
        });
        self.pass(40)?;
        self.pass(1000)?;
        let state = self.backend.now();
        for node in &self.nodes {
            if node.active().is_none() {
                prop_assert_eq!(node.findings()[0].word(), "registry_missing");
                continue;
            }
            let lost = node.records().iter().any(|r| {
                matches!(r.state, RecordState::Active | RecordState::Retired)
                    && (state.created(r.version) != Some(r.created_unix)
                        || r.version < state.floor())
            });
            let newest = state.latest();
            match node.status(self.time) {
                Some(record) => {
                    prop_assert!(!lost, "healthy with a lost version");
                    prop_assert_eq!(record.version, newest);
                    prop_assert_eq!(Some(record.created_unix), state.created(newest));
                    let oldest = node.records().iter().map(|r| r.version).min();
                    for version in state.versions.keys().filter(|v| Some(**v) >= oldest) {
                        let kept = node.records().iter().any(|r| r.version == *version);
                        prop_assert!(kept, "version {version} was skipped");
                    }
                }
                None => {
                    let found = node.findings();
                    prop_assert!(lost, "unhealthy without reason: {:?}", found);
                    let known = |word| CONTRADICTIONS.contains(&word) || word == "version_shut_out";
                    prop_assert!(found.iter().any(|f| known(f.word())), "{:?}", found);
                }
            }
        }
        Ok(())
    }
}

fn trim(state: &mut State) {
    if state.min_encryption == 0 {
        return;
    }
    let floor = state.min_decryption.min(state.min_encryption);
    state.min_available = state.min_available.max(floor);
    state.versions.retain(|version, _| *version >= floor);
}
