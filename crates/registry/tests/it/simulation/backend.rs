//! Transit as it is, and as a standby that lags shows it.

use std::collections::BTreeMap;

use registry::reading::KeyMetadata;

/// One key's state. The number beside the creation second stands for the key's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) versions: BTreeMap<u64, (i64, u32)>,
    pub(super) min_available: u64,
    pub(super) min_decryption: u64,
    pub(super) min_encryption: u64,
}

impl State {
    pub(super) fn latest(&self) -> u64 {
        *self.versions.last_key_value().unwrap().0
    }

    pub(super) fn floor(&self) -> u64 {
        self.min_available.max(self.min_decryption)
    }

    pub(super) fn created(&self, version: u64) -> Option<i64> {
        self.versions.get(&version).map(|(created, _)| *created)
    }

    /// The bytes that would encrypt under `version`.
    pub(super) fn encrypts(&self, version: u64) -> Option<u32> {
        let bytes = self.versions.get(&version).map(|(_, bytes)| *bytes);
        bytes.filter(|_| version >= self.min_encryption && version >= self.min_available)
    }

    /// The bytes that would decrypt under `version`.
    pub(super) fn decrypts(&self, version: u64) -> Option<u32> {
        let bytes = self.versions.get(&version).map(|(_, bytes)| *bytes);
        bytes.filter(|_| version >= self.floor())
    }

    pub(super) fn metadata(&self) -> KeyMetadata {
        let listed = self.versions.range(self.floor()..);
        KeyMetadata {
            min_available_version: self.min_available,
            min_decryption_version: self.min_decryption,
            min_encryption_version: self.min_encryption,
            ..KeyMetadata::with_defaults(
                self.latest(),
                listed.map(|(v, (created, _))| (*v, *created)).collect(),
            )
        }
    }
}

pub(super) struct Backend {
    log: Vec<(i64, State)>,
    last_created: i64,
    next_bytes: u32,
}

impl Backend {
    pub(super) fn new(time: i64) -> Self {
        let first = State {
            versions: [(1, (time, 1))].into(),
            min_available: 0,
            min_decryption: 1,
            min_encryption: 0,
        };
        Self {
            log: vec![(time, first)],
            last_created: time,
            next_bytes: 2,
        }
    }

    pub(super) fn now(&self) -> &State {
        &self.log.last().unwrap().1
    }

    pub(super) fn last_change(&self) -> i64 {
        self.log.last().unwrap().0
    }

    /// What a node shows that has heard of nothing after `time`.
    pub(super) fn as_of(&self, time: i64) -> &State {
        let heard = self.log.partition_point(|(at, _)| *at <= time);
        &self.log[heard.saturating_sub(1)].1
    }

    /// What any node may have shown since `time`.
    pub(super) fn since(&self, time: i64) -> impl Iterator<Item = &State> {
        let heard = self.log.partition_point(|(at, _)| *at <= time);
        self.log[heard.saturating_sub(1)..]
            .iter()
            .map(|(_, state)| state)
    }

    /// No two versions are ever created in the same second: then nothing could tell them apart.
    pub(super) fn rotate(&mut self, time: i64) {
        let mut state = self.now().clone();
        self.last_created = time.max(self.last_created + 1);
        let bytes = self.next_bytes;
        self.next_bytes += 1;
        let next = state.latest() + 1;
        state.versions.insert(next, (self.last_created, bytes));
        self.log.push((time, state));
    }

    /// Puts back the state before the last `back` changes.
    pub(super) fn restore(&mut self, back: usize, time: i64) {
        let (_, state) = &self.log[self.log.len().saturating_sub(1 + back)];
        self.log.push((time, state.clone()));
    }

    pub(super) fn change(&mut self, time: i64, change: impl FnOnce(&mut State)) {
        let mut state = self.now().clone();
        change(&mut state);
        if state != *self.now() {
            self.log.push((time, state));
        }
    }
}
