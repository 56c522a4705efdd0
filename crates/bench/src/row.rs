//! One row of the table: what one kind of call costs at one concurrency.

use std::time::Duration;

use serde_json::{Value, json};

use crate::load::Slice;

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    EmptyHandler,
    EmptyHandlerAgain,
    BareEncrypt,
    BareDecrypt,
    FloorsEncrypt,
    FloorsDecrypt,
    RelayEncrypt,
    RelayDecrypt,
    Status,
    Encrypt,
    DecryptDistinct,
    DecryptEqual,
    PeerStatus,
    PeerEncrypt,
    PeerDecryptDistinct,
    PeerDecryptEqual,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::EmptyHandler => "empty handler",
            Self::EmptyHandlerAgain => "empty handler, again",
            Self::BareEncrypt => "bare client, encrypt",
            Self::BareDecrypt => "bare client, decrypt",
            Self::FloorsEncrypt => "both in a row, encrypt",
            Self::FloorsDecrypt => "both in a row, decrypt",
            Self::RelayEncrypt => "relay, encrypt",
            Self::RelayDecrypt => "relay, decrypt",
            Self::Status => "Status",
            Self::Encrypt => "Encrypt",
            Self::DecryptDistinct => "Decrypt, distinct",
            Self::DecryptEqual => "Decrypt, equal",
            Self::PeerStatus => "peer: Status",
            Self::PeerEncrypt => "peer: Encrypt",
            Self::PeerDecryptDistinct => "peer: Decrypt, distinct",
            Self::PeerDecryptEqual => "peer: Decrypt, equal",
        }
    }
}

/// What processes used in all slices of a row, where it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Used {
    /// CPU of whoever is measured.
    pub(crate) cpu: Option<Duration>,
    /// CPU of the backend.
    pub(crate) backend_cpu: Option<Duration>,
    /// Requests to the backend.
    pub(crate) backend_calls: Option<u64>,
}

/// One row. Times are microseconds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) concurrency: usize,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) per_second: f64,
    /// Per call, as the two below.
    pub(crate) cpu: Option<f64>,
    pub(crate) backend_cpu: Option<f64>,
    pub(crate) backend_calls: Option<f64>,
}

impl Row {
    /// Medians of the slices, so that a neighbour's busy moment does not count; CPU and requests
    /// over all of them, as that costs nobody but who uses it.
    pub(crate) fn of(kind: Kind, concurrency: usize, slices: &[Slice], used: Used) -> Self {
        let calls: usize = slices.iter().map(|slice| slice.calls).sum();
        let each = calls.max(1) as f64;
        let per_call = |time: Duration| micros(time) / each;
        Self {
            kind,
            concurrency,
            p50: median(slices.iter().map(|slice| micros(slice.p50))),
            p99: median(slices.iter().map(|slice| micros(slice.p99))),
            per_second: median(
                slices
                    .iter()
                    .map(|slice| slice.calls as f64 / slice.took.as_secs_f64()),
            ),
            cpu: used.cpu.map(per_call),
            backend_cpu: used.backend_cpu.map(per_call),
            backend_calls: used.backend_calls.map(|count| count as f64 / each),
        }
    }

    /// For machines; what is not known is null.
    pub(crate) fn json(&self) -> Value {
        let rounded = |value: f64, steps: f64| (value * steps).round() / steps;
        let tenth = |value: Option<f64>| value.map(|value| rounded(value, 10.0));
        json!({
            "call": self.kind.name(),
            "concurrency": self.concurrency,
            "p50_us": rounded(self.p50, 10.0),
            "p99_us": rounded(self.p99, 10.0),
            "calls_per_second": self.per_second.round(),
            "cpu_us_per_call": tenth(self.cpu),
            "backend_cpu_us_per_call": tenth(self.backend_cpu),
            "backend_calls_per_call": self.backend_calls.map(|value| rounded(value, 10_000.0)),
        })
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(p50_ms: u64, calls: usize) -> Slice {
        Slice {
            p50: Duration::from_millis(p50_ms),
            p99: Duration::from_millis(2 * p50_ms),
            calls,
            took: Duration::from_secs(1),
        }
    }

    #[test]
    fn one_busy_slice_changes_no_latency_but_all_slices_share_the_cpu() {
        let used = Used {
            cpu: Some(Duration::from_millis(60)),
            backend_calls: Some(300),
            ..Used::default()
        };
        let row = Row::of(
            Kind::Encrypt,
            16,
            &[slice(1, 250), slice(90, 100), slice(1, 250)],
            used,
        );
        assert_eq!((row.p50, row.p99, row.per_second), (1000.0, 2000.0, 250.0));
        assert_eq!(row.cpu, Some(100.0));
        assert_eq!(row.backend_calls, Some(0.5));
        assert_eq!(row.backend_cpu, None);
    }

    #[test]
    fn what_is_not_known_is_null_and_not_zero() {
        let json = Row::of(Kind::Status, 1, &[slice(1, 10)], Used::default()).json();
        assert!(json["cpu_us_per_call"].is_null());
        assert_eq!(json["calls_per_second"], 10.0);
    }
}
