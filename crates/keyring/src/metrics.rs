//! What the calls count, in names without the program's prefix: the registry that is
//! passed in adds it.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The two calls that can be refused for load; Status never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Method {
    /// Encrypt.
    Encrypt,
    /// Decrypt.
    Decrypt,
}

/// Why annotations, ciphertext and key version do not fit together.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AadFault {
    Missing,
    AnnotationInvalid,
    Mismatch,
    RejectedByTransit,
}

impl AadFault {
    const ALL: [Self; 4] = [
        Self::Missing,
        Self::AnnotationInvalid,
        Self::Mismatch,
        Self::RejectedByTransit,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::AnnotationInvalid => "annotation_invalid",
            Self::Mismatch => "mismatch",
            Self::RejectedByTransit => "rejected_by_transit",
        }
    }
}

/// Why a key_id is not served.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KeyIdFault {
    Malformed,
    Unknown,
    Removed,
    MetadataRefresh,
}

impl KeyIdFault {
    const ALL: [Self; 4] = [
        Self::Malformed,
        Self::Unknown,
        Self::Removed,
        Self::MetadataRefresh,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Removed => "removed",
            Self::MetadataRefresh => "metadata_refresh",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabel {
    method: Method,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabel {
    version: u64,
}

/// All label sets are bounded: methods and reasons by this code, versions by the registry.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    rejections: Family<MethodLabel, Counter>,
    aad_faults: Family<ReasonLabel, Counter>,
    key_id_faults: Family<ReasonLabel, Counter>,
    last_decrypt: Family<VersionLabel, Gauge>,
}

impl Metrics {
    /// Registers every family, with the rows that an alert may ask for before the first fault.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "grpc_concurrency_rejections",
            "Calls refused because the waiting room was full",
            metrics.rejections.clone(),
        );
        registry.register(
            "aad_validation_errors",
            "Decrypts whose annotations or ciphertext do not belong together, by reason",
            metrics.aad_faults.clone(),
        );
        registry.register(
            "decrypt_key_id_errors",
            "Decrypts whose key_id cannot be served, by reason",
            metrics.key_id_faults.clone(),
        );
        registry.register(
            "key_version_last_decrypt_timestamp_seconds",
            "Unix time of the last successful Decrypt, by key version of the registry",
            metrics.last_decrypt.clone(),
        );
        for method in [Method::Encrypt, Method::Decrypt] {
            drop(metrics.rejections.get_or_create(&MethodLabel { method }));
        }
        for fault in AadFault::ALL {
            let reason = fault.as_str();
            drop(metrics.aad_faults.get_or_create(&ReasonLabel { reason }));
        }
        for fault in KeyIdFault::ALL {
            let reason = fault.as_str();
            drop(metrics.key_id_faults.get_or_create(&ReasonLabel { reason }));
        }
        metrics
    }

    /// A call was refused at once.
    pub(crate) fn rejected(&self, method: Method) {
        self.rejections.get_or_create(&MethodLabel { method }).inc();
    }

    /// Annotations, ciphertext and key version do not fit together.
    pub(crate) fn aad_fault(&self, fault: AadFault) {
        let reason = fault.as_str();
        self.aad_faults.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// A key_id could not be served.
    pub(crate) fn key_id_fault(&self, fault: KeyIdFault) {
        let reason = fault.as_str();
        self.key_id_faults
            .get_or_create(&ReasonLabel { reason })
            .inc();
    }

    /// `version`, which must be one of the registry, decrypted at `wall` Unix seconds.
    pub(crate) fn decrypted(&self, version: u64, wall: i64) {
        self.last_decrypt
            .get_or_create(&VersionLabel { version })
            .set(wall);
    }
}
