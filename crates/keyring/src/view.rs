//! What the probes publish and the calls read: one immutable value, swapped whole.

use std::{collections::HashMap, sync::Arc, time::Duration};

use registry::{key_id::KeyId, record::RecordState, snapshot::Snapshot};

/// One record, as Decrypt sees it.
#[derive(Debug, Clone)]
pub struct Slot {
    /// State in the registry.
    pub state: RecordState,
    /// Everything that a call under this version needs, derived once.
    pub snapshot: Arc<Snapshot>,
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
