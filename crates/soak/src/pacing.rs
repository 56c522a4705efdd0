//! How fast everything goes: an hour has time for patience, a test has not.

use std::{ops::Range, time::Duration};

/// Intervals of the providers, of the weather, and of what is demanded after it.
#[derive(Debug, Clone)]
pub(crate) struct Pacing {
    /// `status.probeInterval`, milliseconds, as all of these.
    pub(crate) probe: u64,
    /// `status.deepProbeInterval`
    pub(crate) deep: u64,
    /// `status.statusMaxStaleness`
    pub(crate) staleness: u64,
    /// `rotation.activationDelay`
    pub(crate) activation: u64,
    /// How long Status has to bear an outage at least.
    pub(crate) fresh: Duration,
    /// How long after bad weather a Decrypt may still fail.
    pub(crate) settle_reads: Duration,
    /// How long after bad weather Status and Encrypt may.
    pub(crate) settle_writes: Duration,
    /// How long after a start they may: the node may have to catch up first.
    pub(crate) settle_restart: Duration,
    /// How long after a rotation, in good weather, nodes may differ.
    pub(crate) converge: Duration,
    /// How long bad weather lasts, milliseconds.
    pub(crate) bad: Range<u64>,
    /// How long good weather lasts, once all is well again, milliseconds.
    pub(crate) good: Range<u64>,
    /// How many spells of ten are followed by good weather and not by the next one.
    pub(crate) calm_in_ten: u8,
    /// Between two samples of memory, threads and descriptors.
    pub(crate) sample: Duration,
    /// What a caller waits for an answer.
    pub(crate) patience: Duration,
}

impl Pacing {
    /// For a run of length `time`.
    pub(crate) fn of(time: Duration) -> Self {
        if time < Duration::from_secs(120) {
            Self::short()
        } else {
            Self::long()
        }
    }

    pub(crate) fn long() -> Self {
        Self {
            probe: 1000,
            deep: 2000,
            staleness: 6000,
            activation: 3000,
            // One probe interval with its jitter, and a probe that was under way.
            fresh: Duration::from_millis(4000),
            settle_reads: Duration::from_secs(7),
            settle_writes: Duration::from_secs(8),
            settle_restart: Duration::from_secs(18),
            converge: Duration::from_secs(20),
            bad: 1500..14_000,
            good: 4000..16_000,
            calm_in_ten: 7,
            sample: Duration::from_secs(5),
            patience: Duration::from_secs(4),
        }
    }

    pub(crate) fn short() -> Self {
        Self {
            probe: 500,
            deep: 1000,
            staleness: 5000,
            activation: 1000,
            fresh: Duration::from_millis(2000),
            settle_writes: Duration::from_secs(10),
            bad: 500..1500,
            good: 200..500,
            calm_in_ten: 1,
            sample: Duration::from_millis(500),
            ..Self::long()
        }
    }
}
