//! What is counted, under names without prefix: the caller's registry adds it.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{error::Class, operation::Operation};

/// `status` of a request that went well; otherwise the error class.
pub(crate) const OK: &str = "ok";

/// What keeps a token from being had or renewed.
const OF_TOKENS: [Class; 10] = [
    Class::AuthFailed,
    Class::AuthExpired,
    Class::PolicyDenied,
    Class::RateLimited,
    Class::Sealed,
    Class::Unavailable,
    Class::ConnectionFailed,
    Class::DnsFailed,
    Class::TlsFailed,
    Class::Deadline,
];

/// Upper bounds in seconds, 0.5 ms to 10 s.
const BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    operation: &'static str,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabel {
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabel {
    method: &'static str,
}

/// The families of this crate. Clones share their values.
#[derive(Clone)]
pub(crate) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    duration: Family<OperationLabel, Histogram, fn() -> Histogram>,
    logins: Family<StatusLabel, Counter>,
    renewals: Family<StatusLabel, Counter>,
    method: Family<MethodLabel, Gauge>,
}

impl Metrics {
    /// Registers every family.
    pub(crate) fn register(registry: &mut Registry, method: &'static str) -> Self {
        let metrics = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            logins: Family::default(),
            renewals: Family::default(),
            method: Family::default(),
        };
        registry.register(
            "openbao_requests",
            "HTTP requests to OpenBao, retries counted one by one",
            metrics.requests.clone(),
        );
        registry.register(
            "openbao_duration_seconds",
            "Time from sending a request to OpenBao to the end of its answer",
            metrics.duration.clone(),
        );
        registry.register(
            "auth_login",
            "Logins to OpenBao, the credential's own checks included",
            metrics.logins.clone(),
        );
        registry.register(
            "auth_renewal",
            "Renewals of the OpenBao token",
            metrics.renewals.clone(),
        );
        registry.register(
            "auth_method_info",
            "The login method in use, always 1",
            metrics.method.clone(),
        );
        metrics.method.get_or_create(&MethodLabel { method }).set(1);
        metrics.begin_at_zero();
        metrics
    }

    /// A row that first appears with a 1 in it is no increase to whoever computes rates, so
    /// the first failure of each class would raise no alert.
    fn begin_at_zero(&self) {
        let classes = OF_TOKENS.map(Class::as_str);
        for status in classes.into_iter().chain([OK]) {
            drop(self.logins.get_or_create(&StatusLabel { status }));
            drop(self.renewals.get_or_create(&StatusLabel { status }));
        }
    }

    pub(crate) fn request(&self, operation: Operation, status: &'static str, took: Duration) {
        let operation = operation.as_str();
        self.requests
            .get_or_create(&RequestLabels { operation, status })
            .inc();
        self.duration
            .get_or_create(&OperationLabel { operation })
            .observe(took.as_secs_f64());
    }

    pub(crate) fn login(&self, status: &'static str) {
        self.logins.get_or_create(&StatusLabel { status }).inc();
    }

    pub(crate) fn renewal(&self, status: &'static str) {
        self.renewals.get_or_create(&StatusLabel { status }).inc();
    }
}
