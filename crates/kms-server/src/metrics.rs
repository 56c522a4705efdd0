//! What is counted, in names without the program's prefix: the registry that is passed in
//! adds it.

use std::time::Duration;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use tonic::Code;

use crate::status::code_name;

/// Seconds: from an answer out of memory to a call without a deadline.
const BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The methods; what a caller invents has one name for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Method {
    /// Health and the write key.
    Status,
    /// Wraps a seed.
    Encrypt,
    /// Unwraps a seed.
    Decrypt,
    /// Not one of ours.
    Unknown,
}

impl Method {
    /// By the path of the request.
    pub(crate) fn of(path: &str) -> Self {
        match path {
            "/v2.KeyManagementService/Status" => Self::Status,
            "/v2.KeyManagementService/Encrypt" => Self::Encrypt,
            "/v2.KeyManagementService/Decrypt" => Self::Decrypt,
            _ => Self::Unknown,
        }
    }

    /// The `operation` of a log line.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a connection was closed before its first call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(
    non_camel_case_types,
    reason = "label values are written as they are named"
)]
pub(crate) enum Turned {
    /// Its user may not connect.
    peer_not_allowed,
    /// What it sent first is no HTTP/2.
    not_http2,
    /// It sent nothing, or too little, for too long.
    silent,
    /// All places were taken: it waits in the kernel's queue.
    no_place,
}

/// Why a connection was ended whose client does not do its part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(
    non_camel_case_types,
    reason = "label values are written as they are named"
)]
pub(crate) enum Cut {
    /// An answer has waited for too long to be taken.
    too_long,
    /// Too many answers waited, on all connections together, and its were the oldest.
    too_many,
    /// It goes on beginning requests that it does not end, or they are too long.
    not_sent,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabel {
    method: Method,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabel {
    method: Method,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TurnedLabel {
    reason: Turned,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CutLabel {
    reason: Cut,
}

/// All label sets are bounded by this code; nothing that a caller sends becomes a label.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: Family<CallLabel, Counter>,
    duration: Family<MethodLabel, Histogram, fn() -> Histogram>,
    in_flight: Family<MethodLabel, Gauge>,
    panics: Family<MethodLabel, Counter>,
    turned_away: Family<TurnedLabel, Counter>,
    cut_off: Family<CutLabel, Counter>,
    socket_restarts: Counter,
}

impl Metrics {
    /// Registers every family, with the rows that an alert may ask for before the first call.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            in_flight: Family::default(),
            panics: Family::default(),
            turned_away: Family::default(),
            cut_off: Family::default(),
            socket_restarts: Counter::default(),
        };
        metrics.register(registry);
        for reason in [
            Turned::peer_not_allowed,
            Turned::not_http2,
            Turned::silent,
            Turned::no_place,
        ] {
            drop(metrics.turned_away.get_or_create(&TurnedLabel { reason }));
        }
        for reason in [Cut::too_long, Cut::too_many, Cut::not_sent] {
            drop(metrics.cut_off.get_or_create(&CutLabel { reason }));
        }
        for method in [Method::Status, Method::Encrypt, Method::Decrypt] {
            let label = MethodLabel { method };
            drop(metrics.in_flight.get_or_create(&label));
            drop(metrics.panics.get_or_create(&label));
            drop(metrics.duration.get_or_create(&label));
            let status = code_name(Code::Ok);
            drop(
                metrics
                    .requests
                    .get_or_create(&CallLabel { method, status }),
            );
        }
        metrics
    }

    fn register(&self, registry: &mut Registry) {
        registry.register(
            "grpc_requests",
            "KMS calls that ended, by gRPC code; a call whose caller went away counts as Canceled",
            self.requests.clone(),
        );
        registry.register(
            "grpc_duration_seconds",
            "How long KMS calls took",
            self.duration.clone(),
        );
        registry.register(
            "grpc_in_flight",
            "KMS calls that are being served or wait for it",
            self.in_flight.clone(),
        );
        registry.register(
            "panic_recoveries",
            "KMS calls that were ended by a fault in the provider itself",
            self.panics.clone(),
        );
        registry.register(
            "grpc_connections_turned_away",
            "Connections without a first call, by reason",
            self.turned_away.clone(),
        );
        registry.register(
            "grpc_connections_cut_off",
            "Connections ended because the client did not take its answers or end its requests, by reason",
            self.cut_off.clone(),
        );
        registry.register(
            "socket_restarts",
            "Dead socket files that were removed, and deleted ones that were bound again",
            self.socket_restarts.clone(),
        );
    }

    /// A call came in.
    pub(crate) fn began(&self, method: Method) {
        self.in_flight.get_or_create(&MethodLabel { method }).inc();
    }

    /// A call ended.
    pub(crate) fn ended(&self, method: Method, code: Code, took: Duration) {
        let status = code_name(code);
        self.requests
            .get_or_create(&CallLabel { method, status })
            .inc();
        let label = MethodLabel { method };
        self.duration
            .get_or_create(&label)
            .observe(took.as_secs_f64());
        self.in_flight.get_or_create(&label).dec();
    }

    /// A handler panicked.
    pub(crate) fn panicked(&self, method: Method) {
        self.panics.get_or_create(&MethodLabel { method }).inc();
    }

    /// A connection got no service.
    pub(crate) fn turned_away(&self, reason: Turned) {
        self.turned_away
            .get_or_create(&TurnedLabel { reason })
            .inc();
    }

    /// A connection was ended because its client did not do its part.
    pub(crate) fn cut_off(&self, reason: Cut) {
        self.cut_off.get_or_create(&CutLabel { reason }).inc();
    }

    /// A dead socket file was removed, or a deleted one bound again.
    pub(crate) fn socket_restarted(&self) {
        self.socket_restarts.inc();
    }
}
