//! The probes: what keeps the registry true and the verdict fresh.
//!
//! A thin loop around pure decisions. It asks Transit, hands the answers to the rotation
//! machine and the health judge, writes what they decide to disk first and publishes it
//! second, in one view that Status, Encrypt and Decrypt read.

mod ask;
mod kind;
mod metrics;
mod publish;
mod report;
mod writing;

mod rounds;
#[cfg(test)]
mod tests;

use std::{future::Future, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use openbao::transit::{BoxFuture, Transit};
use pace::Clock;
use prometheus_client::registry::Registry;
use registry::{
    breaker::State,
    health::{self, Health},
    reading::KeyMetadata,
    record::Record,
    rotation::{self, Machine, Trial},
    scope::Scope,
};

use self::{
    kind::Kind,
    metrics::{Facts, Metrics},
    report::Reported,
    rounds::{DeepRound, MetadataRound},
    writing::{Disk, WriteRound},
};
use crate::{discovery::Discovery, signals::Signals, view::View};

/// Live failures ask for a deep probe at most this often.
const LIVE_APART: Duration = Duration::from_secs(5);

/// What happens when a node is not healthy in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTimeout {
    /// [`Probes::run`] ends with [`Error::BootstrapTimeout`].
    Exit,
    /// Keep listening, unhealthy, and keep trying.
    Stay,
}

/// Validated configuration of this room.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// `rotation.*`
    pub rotation: rotation::Settings,
    /// `status.*` and `openbao.timeout`; [`health::Settings::check`] has passed.
    pub health: health::Settings,
    /// `bootstrap.graceTimeout`
    pub bootstrap_grace: Duration,
    /// `bootstrap.retryInterval`
    pub bootstrap_retry: Duration,
    /// `bootstrap.onTimeout`
    pub on_timeout: OnTimeout,
}

/// The registry as it was loaded.
#[derive(Debug, Default)]
pub struct Loaded {
    /// All records; empty when there is no state file and no checkpoint.
    pub records: Vec<Record>,
    /// 0 without a state file.
    pub generation: u64,
    /// The checkpoint is older than the state file, and could not be written.
    pub checkpoint_behind: bool,
}

/// Why [`Probes::run`] ended without being asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Both probe kinds have to pass within the grace time.
    #[error(
        "not healthy within {grace:?} after start ({reasons}); see the log events status.probe, status.changed and state.*"
    )]
    BootstrapTimeout {
        /// `bootstrap.graceTimeout`
        grace: Duration,
        /// Stable words, then the findings in full.
        reasons: String,
        /// The class of the last probe, where it failed.
        class: Option<&'static str>,
    },
}

impl Error {
    /// The stable class: that of the failing probe, since it is what keeps the node waiting.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::BootstrapTimeout { class, .. } => class.unwrap_or("bootstrap_timeout"),
        }
    }
}

/// The registry could not be written; the text says what and where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PersistError(pub String);

/// A generation that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Persisted {
    /// Its number.
    pub generation: u64,
    /// Why its checkpoint is not there yet, in one sentence; [`Persist::renew_checkpoint`] or the
    /// next generation brings it.
    pub checkpoint_behind: Option<String>,
}

/// Where generations are written. May block for as long as it likes; it is called on a thread
/// that may, one write at a time.
pub trait Persist: Send + Sync + 'static {
    /// Writes `records` as the next generation. When it returns, the generation survives a
    /// power cut.
    ///
    /// # Errors
    /// Nothing of the new generation may be relied on; the same records are offered again.
    fn persist(&self, records: &[Record]) -> Result<Persisted, PersistError>;

    /// Writes the checkpoint of the last generation again, after its own write failed.
    ///
    /// # Errors
    /// It is still behind, which harms nobody: to be tried again.
    fn renew_checkpoint(&self) -> Result<(), PersistError>;
}

/// Who wants to know what a confirmed reading says.
pub trait Absorb: Send + Sync + 'static {
    /// Called after each accepted metadata probe.
    fn absorb(&self, metadata: &KeyMetadata);
}

impl Absorb for Discovery {
    fn absorb(&self, metadata: &KeyMetadata) {
        Self::absorb(self, metadata);
    }
}

/// The doors that the probes go through.
pub struct Doors {
    /// The backend.
    pub transit: Arc<dyn Transit>,
    /// The disk.
    pub persist: Arc<dyn Persist>,
    /// Discovery of unknown key_ids.
    pub absorb: Arc<dyn Absorb>,
    /// Where live calls leave word.
    pub signals: Arc<Signals>,
    /// Both clocks. Its monotonic one decides about staleness.
    pub clock: Arc<dyn Clock>,
    /// What is published.
    pub view: Arc<ArcSwap<View>>,
}

/// The probe loop of one process.
pub struct Probes {
    settings: Settings,
    scope: Arc<Scope>,
    plugin_version: String,
    doors: Doors,
    metrics: Metrics,
    machine: Machine,
    health: Health,
    records: Vec<Record>,
    generation: u64,
    metadata: Kind,
    deep: Kind,
    trial: Option<Trial>,
    disk: Disk,
    queued_write: Option<BoxFuture<'static, WriteRound>>,
    started: Duration,
    bootstrapping: bool,
    successes: u64,
    reported: Reported,
}

impl Probes {
    /// Publishes the loaded registry at once, so that Decrypt is ready before the first
    /// probe, and registers the metrics in `registry`, which adds the program's prefix.
    #[must_use]
    pub fn new(
        settings: Settings,
        scope: Arc<Scope>,
        plugin_version: impl Into<String>,
        loaded: Loaded,
        doors: Doors,
        registry: &mut Registry,
    ) -> Self {
        let now = doors.clock.now();
        let mono = now.mono;
        let staleness = settings.health.max_staleness;
        let metadata = Kind::new("metadata", staleness, mono);
        let deep = Kind::new("deep", staleness, mono);
        let facts = Facts {
            generation: loaded.generation,
            metadata_good: mono,
            metadata_breaker: metadata.breaker.clone(),
            deep_breaker: deep.breaker.clone(),
            state_lags: false,
            checkpoint_lags: loaded.checkpoint_behind,
        };
        let (view, clock) = (Arc::clone(&doors.view), Arc::clone(&doors.clock));
        let mut probes = Self {
            settings,
            machine: Machine::new(settings.rotation, Arc::clone(&scope)),
            scope,
            plugin_version: plugin_version.into(),
            metrics: Metrics::new(facts, view, clock, registry),
            successes: doors.signals.live_successes(),
            doors,
            health: Health::default(),
            records: loaded.records,
            generation: loaded.generation,
            metadata,
            deep,
            trial: None,
            disk: Disk::found(
                loaded.checkpoint_behind,
                settings.health.probe_interval,
                now,
            ),
            queued_write: None,
            started: mono,
            bootstrapping: true,
            reported: Reported::default(),
        };
        probes.publish();
        probes
    }

    /// Probes until `shutdown` resolves. A write to disk that has begun is finished first;
    /// requests in flight are dropped.
    ///
    /// # Errors
    /// [`Error::BootstrapTimeout`] where the settings say so.
    pub async fn run(mut self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let mut shutdown = std::pin::pin!(shutdown);
        let signals = Arc::clone(&self.doors.signals);
        let mut metadata: Option<BoxFuture<'static, MetadataRound>> = None;
        let mut deep: Option<BoxFuture<'static, DeepRound>> = None;
        let mut write: Option<BoxFuture<'static, WriteRound>> = None;
        loop {
            self.hear_live_successes();
            self.check_grace()?;
            let mono = self.mono();
            self.disk.watch(mono);
            self.renew_checkpoint(mono);
            write = write.or(self.queued_write.take());
            if metadata.is_none() && self.metadata_due(mono) <= mono {
                metadata = Some(self.start_metadata(mono));
            }
            if deep.is_none() && self.deep_due(mono).is_some_and(|due| due <= mono) {
                deep = self.start_deep(mono);
            }
            let wake = self.next_wake(mono, metadata.is_some(), deep.is_some());
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                round = land(&mut write) => {
                    write = None;
                    self.write_landed(round);
                }
                round = land(&mut metadata) => {
                    metadata = None;
                    self.metadata_landed(round);
                }
                round = land(&mut deep) => {
                    deep = None;
                    self.deep_landed(round);
                }
                () = signals.deep_probe.notified() => self.deep.hurry(self.mono(), LIVE_APART),
                () = signals.live.notified() => self.hear_live_successes(),
                () = tokio::time::sleep(wake.saturating_sub(mono)) => {}
            }
            self.publish();
        }
        if let Some(round) = write {
            self.write_landed(round.await);
        }
        Ok(())
    }

    fn mono(&self) -> Duration {
        self.doors.clock.now().mono
    }

    /// Any live Transit call that succeeds closes the breakers. It wakes the loop only while
    /// there is something to close: calls are many, and a wake-up each is not free.
    fn hear_live_successes(&mut self) {
        let mono = self.mono();
        let closed = |kind: &Kind| kind.breaker.state(mono) == State::Closed;
        let signals = &self.doors.signals;
        signals.want_success(!(closed(&self.metadata) && closed(&self.deep)));
        let successes = signals.live_successes();
        if successes != self.successes {
            self.successes = successes;
            self.metadata.breaker.succeeded();
            self.deep.breaker.succeeded();
            signals.want_success(false);
        }
    }

    fn check_grace(&self) -> Result<(), Error> {
        let grace = self.settings.bootstrap_grace;
        let over = self.mono() >= self.started.saturating_add(grace);
        if !(self.bootstrapping && over && self.settings.on_timeout == OnTimeout::Exit) {
            return Ok(());
        }
        let verdict = self.verdict();
        let findings = self.health.findings().map(ToString::to_string);
        // The first generation may be waiting for the disk.
        let disk = self.disk.trouble().map(|trouble| trouble.word);
        let words = verdict.reasons.into_iter().chain(disk).map(str::to_owned);
        let reasons: Vec<String> = words.chain(findings).collect();
        Err(Error::BootstrapTimeout {
            grace,
            reasons: reasons.join("; "),
            class: [&self.metadata, &self.deep]
                .into_iter()
                .find_map(|kind| kind.failures.class()),
        })
    }

    /// The next instant at which something has to be done without anybody asking.
    fn next_wake(&self, mono: Duration, metadata_flies: bool, deep_flies: bool) -> Duration {
        let metadata = (!metadata_flies).then(|| self.metadata_due(mono));
        let deep = self.deep_due(mono).filter(|_| !deep_flies);
        let grace = self.started.saturating_add(self.settings.bootstrap_grace);
        let grace = Some(grace).filter(|at| self.bootstrapping && *at > mono);
        // The verdict ends by itself; the log and the reasons should say so at once.
        let stale = self.verdict().healthy_until;
        let slow = self.disk.slow_at();
        let renewal = self.disk.renewal_at();
        let soonest = [metadata, deep, grace, stale, slow, renewal]
            .into_iter()
            .flatten()
            .min();
        soonest.unwrap_or(mono.saturating_add(self.settings.health.probe_interval))
    }
}

/// Waits for a round that is under way, or for ever.
async fn land<T>(flight: &mut Option<BoxFuture<'static, T>>) -> T {
    match flight {
        Some(flight) => flight.await,
        None => std::future::pending().await,
    }
}
