//! A keyring without keys: ciphertext is the plaintext behind a prefix.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use keyring::kms::{DecryptRequest, Encrypted, Error, Kms, Status};
use openbao::transit::BoxFuture;
use registry::{key_id::KeyId, scope::Scope};
use secret::SecretBytes;
use tokio::time::{Instant, sleep};

/// The prefix of every ciphertext.
pub(crate) const PREFIX: &[u8] = b"vault:v1:";
/// What a panicking handler says; must appear nowhere.
pub(crate) const PANIC_CANARY: &str = "canary-of-a-panic";

/// Behaves as told.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) unhealthy: AtomicBool,
    pub(crate) delay_ms: AtomicU64,
    pub(crate) panics: AtomicBool,
    pub(crate) error: Mutex<Option<Error>>,
    /// Calls that arrived, and those that were dropped before their end.
    pub(crate) arrived: AtomicUsize,
    pub(crate) dropped: AtomicUsize,
    pub(crate) granted: Mutex<Option<Duration>>,
}

/// The write key.
pub(crate) fn key_id() -> KeyId {
    let scope = Scope {
        provider_name: "p".into(),
        cluster_id: "c".into(),
        openbao_instance_id: "i".into(),
        openbao_namespace: String::new(),
        transit_mount_id: "m".into(),
        key_lineage_id: "l".into(),
    };
    KeyId::derive(&scope, 1, 1_700_000_000)
}

/// The annotations that Encrypt returns, as a Decrypt sends them.
pub(crate) fn annotations() -> HashMap<String, Vec<u8>> {
    [("a.example.org".to_owned(), b"1".to_vec())].into()
}

struct Running<'a>(&'a AtomicUsize, bool);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Fake {
    async fn work(&self, deadline: Instant) -> Result<(), Error> {
        self.arrived.fetch_add(1, Ordering::SeqCst);
        *self.granted.lock().unwrap() = Some(deadline - Instant::now());
        let mut running = Running(&self.dropped, false);
        assert!(!self.panics.load(Ordering::SeqCst), "{PANIC_CANARY}");
        let delay = self.delay_ms.load(Ordering::SeqCst);
        if delay > 0 {
            sleep(Duration::from_millis(delay)).await;
        }
        running.1 = true;
        self.error.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

impl Kms for Fake {
    fn status(&self) -> Status {
        if self.unhealthy.load(Ordering::SeqCst) {
            Status::Unhealthy
        } else {
            Status::Healthy { key_id: key_id() }
        }
    }

    fn encrypt(
        &self,
        plaintext: SecretBytes,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Encrypted, Error>> {
        Box::pin(async move {
            self.work(deadline).await?;
            let text = String::from_utf8_lossy(plaintext.expose_secret());
            Ok(Encrypted {
                ciphertext: format!("vault:v1:{text}"),
                key_id: key_id(),
                annotations: vec![("a.example.org", "1".to_owned())],
            })
        })
    }

    fn decrypt(
        &self,
        request: DecryptRequest,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<SecretBytes, Error>> {
        Box::pin(async move {
            self.work(deadline).await?;
            if request.key_id != key_id().as_str() {
                return Err(Error::KeyIdUnknown);
            }
            if request.annotations.is_empty() {
                return Err(Error::AadMissing);
            }
            match request.ciphertext.strip_prefix(PREFIX) {
                Some(b"long") => Ok(SecretBytes::new(vec![7; 40 * 1024])),
                Some(plaintext) => Ok(SecretBytes::new(plaintext.to_vec())),
                None => Err(Error::AadMismatch("no ciphertext of this key")),
            }
        })
    }
}
