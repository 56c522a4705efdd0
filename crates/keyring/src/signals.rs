//! What live calls tell the probes, without waiting for them.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Shared between the calls (who raise) and the probes (who wait).
#[derive(Debug, Default)]
pub struct Signals {
    /// A live call failed for a reason of its own: a deep probe is wanted now. The probe
    /// loop decides whether the last one is too recent.
    pub deep_probe: Notify,
    successes: AtomicU64,
}

impl Signals {
    /// A live Transit call succeeded; breakers may close.
    pub fn live_success(&self) {
        self.successes.fetch_add(1, Ordering::Relaxed);
    }

    /// How many live Transit calls have succeeded so far.
    #[must_use]
    pub fn live_successes(&self) -> u64 {
        self.successes.load(Ordering::Relaxed)
    }
}
