//! What live calls tell the probes, without waiting for them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

/// Shared between the calls (who raise) and the probes (who wait).
#[derive(Debug, Default)]
pub struct Signals {
    /// A live call failed for a reason of its own: a deep probe is wanted now. The probe
    /// loop decides whether the last one is too recent.
    pub deep_probe: Notify,
    /// A live call succeeded while the probe loop had said that it waits for one.
    pub(crate) live: Notify,
    successes: AtomicU64,
    wanted: AtomicBool,
}

impl Signals {
    /// A live Transit call succeeded; breakers may close.
    pub fn live_success(&self) {
        self.successes.fetch_add(1, Ordering::SeqCst);
        if self.wanted.load(Ordering::SeqCst) {
            self.live.notify_one();
        }
    }

    /// Says whether a success is waited for. To be called before the successes are read: one
    /// total order of both sides means that a success is either read then or notified of.
    pub(crate) fn want_success(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::SeqCst);
    }

    /// How many live Transit calls have succeeded so far.
    #[must_use]
    pub fn live_successes(&self) -> u64 {
        self.successes.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_success_wakes_the_probes_only_while_they_want_one() {
        let signals = Signals::default();
        signals.live_success();
        assert!(signals.live.notified().now_or_never().is_none());
        signals.want_success(true);
        signals.live_success();
        assert!(signals.live.notified().now_or_never().is_some());
        signals.want_success(false);
        signals.live_success();
        assert!(signals.live.notified().now_or_never().is_none());
        assert_eq!(signals.live_successes(), 3);
    }
}
