//! What the probes publish and the calls read: one immutable value, swapped whole.

use std::{collections::HashMap, sync::Arc, time::Duration};

use pace::Now;
use registry::{finding::Finding, key_id::KeyId, record::RecordState, snapshot::Snapshot};

/// How many findings are shown at most.
pub const FINDINGS: usize = 16;

/// One record, as Decrypt sees it.
#[derive(Debug, Clone)]
pub struct Slot {
    /// State in the registry.
    pub state: RecordState,
    /// Everything that a call under this version needs, derived once.
    pub snapshot: Arc<Snapshot>,
}

/// Something that goes wrong, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    /// A stable word of a bounded set.
    pub word: &'static str,
    /// The first failure since it last went well, on both clocks.
    pub since: Now,
}

/// How the probes of one kind do, for people: the verdict is in [`View::healthy_until`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProbeSight {
    /// When (monotonic) one passed last.
    pub passed: Option<Duration>,
    /// The class of the last one, if it failed.
    pub trouble: Option<Trouble>,
    /// What that one said, in one sentence that may be shown to anybody: no secret, no path
    /// and no address is in it.
    pub reason: Option<Arc<str>>,
}

/// The registry and the health verdict at one instant.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The write key; `None` before bootstrap.
    pub active: Option<Arc<Snapshot>>,
    /// Every record by its key_id.
    pub records: HashMap<KeyId, Slot>,
    /// Until when (monotonic) the last good probes carry a healthy verdict; `None` when
    /// something definite is wrong or a probe kind has not passed yet.
    pub healthy_until: Option<Duration>,
    /// Why not healthy, in stable words for logs, `/ready` and errors; empty when healthy.
    pub reasons: Vec<&'static str>,
    /// What is definitely wrong: what stands behind some of the reasons, in full. At most
    /// [`FINDINGS`]: a key with thousands of versions may have a finding for each.
    pub findings: Vec<Finding>,
    /// How many more there are.
    pub findings_omitted: usize,
    /// The metadata probes.
    pub metadata: ProbeSight,
    /// The deep probes.
    pub deep: ProbeSight,
    /// Generation of the registry; 0 before the first.
    pub generation: u64,
    /// Why the disk does not hold what it should: `write_failed`, `write_slow` or
    /// `checkpoint_behind`.
    pub disk: Option<Trouble>,
}

impl View {
    /// The write key, if Status is healthy at `mono`.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn healthy(&self, mono: Duration) -> Result<&Arc<Snapshot>, &'static str> {
        match (&self.active, self.healthy_until) {
            (Some(active), Some(until)) if mono < until => Ok(active),
            (Some(_), Some(_)) => Err("the last good probe is too old"),
            _ => Err(self
                .reasons
                .first()
                .copied()
                .unwrap_or("no active key version yet")),
        }
    }
}
