//! The calls put together: what the gRPC room gets behind its door.

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use openbao::transit::{BoxFuture, Transit};
use pace::Clock;
use prometheus_client::registry::Registry;
use registry::scope::Scope;
use secret::SecretBytes;
use tokio::time::Instant;

pub use crate::crew::Driver;
use crate::{
    crew::crew,
    discovery::Discovery,
    kms::{DecryptRequest, Encrypted, Error, Kms, Status},
    lanes::Lanes,
    metrics::{AadFault, KeyIdFault, Method, Metrics},
    opening::{Opening, REJECTED_BY_TRANSIT},
    sealing::{self, Sealing},
    sharing::Sharing,
    signals::Signals,
    view::View,
    waiting::{Places, Room},
};

/// How many distinct Decrypts may wait, for a lane or for a metadata refresh.
const DECRYPTS_WAITING_MAX: usize = 4096;

/// How many Decrypt callers may wait in all, those included who share a call of others.
const CALLERS_WAITING_MAX: usize = 16_384;

/// Validated configuration of this room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Encrypts served at once, 1 to 1024.
    pub max_encrypt: usize,
    /// Decrypt requests in flight at once, 1 to 1024; a batch is one.
    pub max_decrypt: usize,
    /// Decrypt requests in flight before those that follow travel together, 1 to 64.
    pub decrypt_lanes: usize,
    /// Window of the budget for metadata refreshes, and how long a refused key_id is remembered.
    pub probe_interval: Duration,
}

/// Encrypt, Decrypt and Status over what the probes publish.
pub struct Keyring {
    view: Arc<ArcSwap<View>>,
    clock: Arc<dyn Clock>,
    sealing: Sealing,
    opening: Opening,
    metrics: Metrics,
}

impl Keyring {
    /// Registers its metrics in `registry`, which adds the program's prefix. The driver must be
    /// polled as long as Decrypts are served; whoever polls it decides when that ends.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is another room's door, and a struct would only list them again"
    )]
    pub fn new(
        settings: Settings,
        scope: Arc<Scope>,
        plugin_version: impl Into<String>,
        transit: Arc<dyn Transit>,
        view: Arc<ArcSwap<View>>,
        signals: Arc<Signals>,
        clock: Arc<dyn Clock>,
        registry: &mut Registry,
    ) -> (Arc<Self>, Driver) {
        let (crew, driver) = crew();
        let room = Room::new(DECRYPTS_WAITING_MAX);
        let discovery = Discovery::new(
            (scope, plugin_version.into(), settings.probe_interval),
            Arc::clone(&transit),
            Arc::clone(&signals),
            Arc::clone(&clock),
            crew.clone(),
            Arc::clone(&room),
        );
        let lanes = Lanes::new(
            settings.decrypt_lanes.min(settings.max_decrypt),
            Arc::clone(&transit),
            Arc::clone(&signals),
            crew,
            room,
        );
        let sharing = Sharing::new(lanes, Arc::clone(&signals));
        let keyring = Self {
            sealing: Sealing {
                places: Places::new(settings.max_encrypt, sealing::WAITING_MAX),
                transit,
                view: Arc::clone(&view),
                signals,
                clock: Arc::clone(&clock),
            },
            opening: Opening {
                view: Arc::clone(&view),
                discovery,
                sharing,
                crowd: Room::new(CALLERS_WAITING_MAX),
            },
            metrics: Metrics::new(registry),
            view,
            clock,
        };
        (Arc::new(keyring), driver)
    }

    /// Where the probes tell which versions the key's metadata derive.
    #[must_use]
    pub fn discovery(&self) -> &Arc<Discovery> {
        &self.opening.discovery
    }

    fn count(&self, method: Method, error: &Error) {
        match error {
            Error::WaitingRoomFull => self.metrics.rejected(method),
            Error::KeyIdMalformed => self.metrics.key_id_fault(KeyIdFault::Malformed),
            Error::KeyIdUnknown | Error::KeyIdForeign => {
                self.metrics.key_id_fault(KeyIdFault::Unknown);
            }
            Error::KeyVersionRemoved => self.metrics.key_id_fault(KeyIdFault::Removed),
            Error::MetadataRefresh => self.metrics.key_id_fault(KeyIdFault::MetadataRefresh),
            Error::AadMissing => self.metrics.aad_fault(AadFault::Missing),
            Error::AnnotationInvalid { .. } => self.metrics.aad_fault(AadFault::AnnotationInvalid),
            Error::AadMismatch(REJECTED_BY_TRANSIT) => {
                self.metrics.aad_fault(AadFault::RejectedByTransit);
            }
            Error::AadMismatch(_) => self.metrics.aad_fault(AadFault::Mismatch),
            Error::RequestLimit(_)
            | Error::StatusStale(_)
            | Error::ResponseLimit(_)
            | Error::Deadline
            | Error::Backend(_) => {}
        }
    }
}

impl Kms for Keyring {
    fn status(&self) -> Status {
        match self.view.load().healthy(self.clock.now().mono) {
            Ok(active) => Status::Healthy {
                key_id: active.key_id.clone(),
            },
            Err(_) => Status::Unhealthy,
        }
    }

    fn encrypt(
        &self,
        plaintext: SecretBytes,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Encrypted, Error>> {
        Box::pin(async move {
            let outcome = self.sealing.encrypt(&plaintext, deadline).await;
            outcome.inspect_err(|error| self.count(Method::Encrypt, error))
        })
    }

    fn decrypt(
        &self,
        request: DecryptRequest,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<SecretBytes, Error>> {
        Box::pin(async move {
            let outcome = self.opening.decrypt(request, deadline).await;
            let opened = outcome.inspect_err(|error| self.count(Method::Decrypt, error))?;
            if opened.in_registry {
                let wall = self.clock.now().wall;
                self.metrics.decrypted(opened.version, wall);
            }
            Ok(opened.plaintext)
        })
    }
}
