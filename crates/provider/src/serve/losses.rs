//! What the log lost, as a metric: it tells at once, where the log itself has to wait.

use std::fmt;

use daemon::logging::Dropped;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::counter::ConstCounter,
};

/// Asks for the number whenever metrics are read.
#[derive(Debug)]
pub(super) struct Losses(pub(super) Dropped);

impl Collector for Losses {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counter = ConstCounter::new(self.0.lines());
        let metric = encoder.encode_descriptor(
            "log_lines_dropped",
            "Log lines that standard error did not take",
            None,
            counter.metric_type(),
        )?;
        counter.encode(metric)
    }
}
