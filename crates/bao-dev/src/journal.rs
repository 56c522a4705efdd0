//! Which requests came, so that a test can count them.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::faults::Listener;

const KEPT: usize = 10_000;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// From 1 on, never reset.
    pub seq: u64,
    /// When it came, by the server's clock.
    pub unix: i64,
    /// Where it came.
    pub listener: Listener,
    /// HTTP method.
    pub method: String,
    /// Path, not decoded.
    pub path: String,
    /// As it is counted.
    pub operation: &'static str,
    /// The namespace header; `""` without.
    pub namespace: String,
    /// Length of `batch_input`; 1 without.
    pub items: usize,
    /// Status of the answer; 0: none was sent (yet).
    pub status: u16,
    /// The fault rule that acted on it.
    pub fault: Option<u64>,
}

/// The newest requests, and how many there were of each operation.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    entries: VecDeque<Entry>,
    counts: BTreeMap<&'static str, u64>,
    last: u64,
}

impl Journal {
    /// Notes a request; gives its number.
    pub(crate) fn begin(&mut self, mut entry: Entry) -> u64 {
        self.last += 1;
        entry.seq = self.last;
        *self.counts.entry(entry.operation).or_default() += 1;
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
        self.last
    }

    /// Notes the status it was answered with.
    pub(crate) fn end(&mut self, seq: u64, status: u16) {
        if let Some(entry) = self.entries.iter_mut().rev().find(|entry| entry.seq == seq) {
            entry.status = status;
        }
    }

    /// Requests since the last reset, per operation.
    pub(crate) fn counts(&self) -> &BTreeMap<&'static str, u64> {
        &self.counts
    }

    /// The newest requests, oldest first.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Forgets everything.
    pub(crate) fn reset(&mut self) {
        self.entries.clear();
        self.counts.clear();
    }
}
