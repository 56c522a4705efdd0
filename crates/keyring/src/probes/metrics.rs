//! What the probes show, in names without the program's prefix: the registry that is passed
//! in adds it. Ages and verdicts are computed when they are scraped.

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use pace::Clock;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, counter::Counter, family::Family, gauge::ConstGauge},
    registry::Registry,
};
use registry::{breaker::Breaker, record::RecordState};
use sha2::{Digest, Sha256};

use crate::view::View;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FileLabel {
    file: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HashLabel {
    hash: String,
    /// The form in which the API server shows key_ids in its own metrics.
    sha256: String,
}

/// What a scrape needs besides the view.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) generation: u64,
    /// Monotonic time of the last good metadata probe, or of the start.
    pub(super) metadata_good: Duration,
    pub(super) metadata_breaker: Breaker,
    pub(super) deep_breaker: Breaker,
    pub(super) state_lags: bool,
    pub(super) checkpoint_lags: bool,
}

pub(super) struct Metrics {
    observations: Family<StatusLabel, Counter>,
    write_failures: Family<FileLabel, Counter>,
    facts: Arc<ArcSwap<Facts>>,
}

impl Metrics {
    pub(super) fn new(
        facts: Facts,
        view: Arc<ArcSwap<View>>,
        clock: Arc<dyn Clock>,
        registry: &mut Registry,
    ) -> Self {
        let observations = Family::default();
        registry.register(
            "transit_metadata_observation",
            "Metadata probes by what came of them: ok, unconfirmed, inconsistent or an error class",
            Family::clone(&observations),
        );
        let write_failures = Family::default();
        registry.register(
            "state_write_failures",
            "Writes of the registry that failed, by file",
            Family::clone(&write_failures),
        );
        // A row that first appears with a 1 in it is no increase to whoever computes rates.
        for file in ["state", "checkpoint"] {
            drop(write_failures.get_or_create(&FileLabel { file }));
        }
        let facts = Arc::new(ArcSwap::from_pointee(facts));
        registry.register_collector(Box::new(Gauges {
            facts: Arc::clone(&facts),
            view,
            clock,
        }));
        Self {
            observations,
            write_failures,
            facts,
        }
    }

    /// `file` is `state` or `checkpoint`.
    pub(super) fn write_failed(&self, file: &'static str) {
        self.write_failures.get_or_create(&FileLabel { file }).inc();
    }

    /// `status` is one of a fixed set of words.
    pub(super) fn observed(&self, status: &'static str) {
        self.observations
            .get_or_create(&StatusLabel { status })
            .inc();
    }

    pub(super) fn publish(&self, facts: Facts) {
        self.facts.store(Arc::new(facts));
    }
}

struct Gauges {
    facts: Arc<ArcSwap<Facts>>,
    view: Arc<ArcSwap<View>>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gauges").finish_non_exhaustive()
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mono = self.clock.now().mono;
        let (facts, view) = (self.facts.load(), self.view.load());
        let healthy = view.healthy(mono).ok();
        let age = mono.saturating_sub(facts.metadata_good).as_secs_f64();
        one(
            &mut encoder,
            "status_healthy",
            "1 while Status is healthy",
            i64::from(healthy.is_some()),
        )?;
        let help = "Age of the last good metadata probe, or of the process before the first";
        let gauge = ConstGauge::new(age);
        gauge.encode(encoder.encode_descriptor(
            "status_cache_age_seconds",
            help,
            None,
            gauge.metric_type(),
        )?)?;
        let generation = i64::try_from(facts.generation).unwrap_or(i64::MAX);
        one(
            &mut encoder,
            "state_generation",
            "Generation of the registry; 0 before the first",
            generation,
        )?;
        let lags = [
            ("state", facts.state_lags),
            ("checkpoint", facts.checkpoint_lags),
        ]
        .map(|(file, lags)| (FileLabel { file }, i64::from(lags)));
        let help = "1 while the disk lags behind what was decided";
        labelled(&mut encoder, "state_unwritten", help, lags)?;
        if let Some(active) = &view.active {
            let version = i64::try_from(active.version).unwrap_or(i64::MAX);
            one(
                &mut encoder,
                "key_version",
                "Transit version of the write key",
                version,
            )?;
        }
        let hashes = healthy.map(|active| HashLabel {
            hash: active.key_id.hash(),
            sha256: format!("sha256:{:x}", Sha256::digest(active.key_id.as_str())),
        });
        let help = "The key_id that Status gives, hashed; absent while unhealthy";
        labelled(
            &mut encoder,
            "status_key_id_hash",
            help,
            hashes.map(|label| (label, 1)),
        )?;
        let now = rotation_state(&view);
        let states = ["active", "pending", "unknown"]
            .map(|state| (StateLabel { state }, i64::from(state == now)));
        labelled(
            &mut encoder,
            "rotation_state",
            "1 for the state that holds",
            states,
        )?;
        let breakers = [
            ("metadata", &facts.metadata_breaker),
            ("deep", &facts.deep_breaker),
        ]
        .map(|(kind, breaker)| (KindLabel { kind }, breaker.state(mono).number()));
        let help = "0 closed, 1 half open, 2 open";
        labelled(&mut encoder, "circuit_breaker_state", help, breakers)
    }
}

fn rotation_state(view: &View) -> &'static str {
    let pending = |state| state == RecordState::Pending;
    match &view.active {
        None => "unknown",
        Some(_) if view.records.values().any(|slot| pending(slot.state)) => "pending",
        Some(_) => "active",
    }
}

fn one(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: i64) -> fmt::Result {
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
}

fn labelled<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rows: impl IntoIterator<Item = (L, i64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in rows {
        ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}
