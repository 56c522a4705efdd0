//! Encrypt: under the key that Status names at the instant of the answer, or not at all.

use std::sync::Arc;

use arc_swap::ArcSwap;
use openbao::{
    error::Class,
    transit::{CallOptions, Transit},
};
use pace::Clock;
use registry::{ciphertext::version_of, snapshot::Snapshot};
use secret::SecretBytes;
use tokio::time::{Instant, timeout_at};

use crate::{
    kms::{Encrypted, Error},
    signals::Signals,
    view::View,
    waiting::{Places, Refused},
};

/// The API server sends 32 bytes. The largest plaintext whose ciphertext still fits 1023 bytes
/// is 731; the round number below it leaves room for key versions of more digits.
const PLAINTEXT_MAX: usize = 700;
/// Kubernetes discards an answer with a longer ciphertext.
const CIPHERTEXT_MAX: usize = 1023;
/// Our own bound, far below the 32 KiB of Kubernetes: every stored object carries them.
const ANNOTATIONS_MAX: usize = 640;
/// How many callers may wait for a place.
pub(crate) const WAITING_MAX: usize = 256;
/// The first try, and one more when the write key was promoted meanwhile.
const TRIES: usize = 2;

/// Encrypts. Runs inside the caller's own future: a cancelled Encrypt stops asking.
pub(crate) struct Sealing {
    /// Places and waiting room.
    pub(crate) places: Places,
    /// The backend.
    pub(crate) transit: Arc<dyn Transit>,
    /// What the probes published last.
    pub(crate) view: Arc<ArcSwap<View>>,
    /// Where probes hear of successes and failures.
    pub(crate) signals: Arc<Signals>,
    /// The clock of the verdict.
    pub(crate) clock: Arc<dyn Clock>,
}

impl Sealing {
    /// Encrypts `plaintext` by `deadline`.
    ///
    /// # Errors
    /// `RequestLimit`, `StatusStale`, `WaitingRoomFull`, `Deadline`, `ResponseLimit`, `Backend`.
    pub(crate) async fn encrypt(
        &self,
        plaintext: &SecretBytes,
        deadline: Instant,
    ) -> Result<Encrypted, Error> {
        check_plaintext(plaintext)?;
        // Nobody waits for a place only to hear what is known already.
        self.write_key()?;
        let _place = self.places.enter(deadline).await?;
        for _ in 0..TRIES {
            let snapshot = self.write_key()?;
            let encrypted = self.encrypt_under(&snapshot, plaintext, deadline).await?;
            // The verdict may have changed while Transit worked. An answer under a key that
            // Status no longer names would be thrown away by the API server, so it is made
            // again under the new one; that costs one request per promotion and call.
            if self.write_key()?.key_id == encrypted.key_id {
                return Ok(encrypted);
            }
        }
        Err(Error::StatusStale(
            "the write key changed twice during the call",
        ))
    }

    fn write_key(&self) -> Result<Arc<Snapshot>, Error> {
        let view = self.view.load();
        view.healthy(self.clock.now().mono)
            .map(Arc::clone)
            .map_err(Error::StatusStale)
    }

    async fn encrypt_under(
        &self,
        snapshot: &Snapshot,
        plaintext: &SecretBytes,
        deadline: Instant,
    ) -> Result<Encrypted, Error> {
        let options = CallOptions {
            deadline,
            new_connection: false,
        };
        let call = self.transit.encrypt(
            snapshot.version,
            plaintext,
            &snapshot.associated_data,
            options,
        );
        let outcome = match timeout_at(deadline, call).await {
            Ok(Ok(answer)) => judge(answer, snapshot),
            Ok(Err(error)) if error.class == Class::Deadline => Err(Error::Deadline),
            Ok(Err(error)) => Err(Error::Backend(error)),
            Err(_) => Err(Error::Deadline),
        };
        // An Encrypt holds nothing of the caller's that Transit could object to: every
        // failure is a reason to probe.
        match &outcome {
            Ok(_) => self.signals.live_success(),
            Err(_) => self.signals.deep_probe.notify_one(),
        }
        outcome
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Full => Self::WaitingRoomFull,
            Refused::Deadline => Self::Deadline,
        }
    }
}

fn check_plaintext(plaintext: &SecretBytes) -> Result<(), Error> {
    match plaintext.expose_secret().len() {
        0 => Err(Error::RequestLimit("plaintext is empty")),
        1..=PLAINTEXT_MAX => Ok(()),
        _ => Err(Error::RequestLimit("plaintext is longer than 700 bytes")),
    }
}

/// Passes on only what Kubernetes will keep and what Decrypt will accept again.
fn judge(answer: openbao::transit::Encrypted, snapshot: &Snapshot) -> Result<Encrypted, Error> {
    if !(1..=CIPHERTEXT_MAX).contains(&answer.ciphertext.len()) {
        return Err(Error::ResponseLimit("ciphertext is not 1 to 1023 bytes"));
    }
    if answer.key_version != snapshot.version {
        return Err(Error::ResponseLimit("key_version is not the one asked for"));
    }
    if version_of(&answer.ciphertext) != Ok(snapshot.version) {
        return Err(Error::ResponseLimit(
            "ciphertext names another key version than the one asked for",
        ));
    }
    let annotations = snapshot.annotations.iter();
    let size: usize = annotations
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if size > ANNOTATIONS_MAX {
        return Err(Error::ResponseLimit("annotations are over 640 bytes"));
    }
    Ok(Encrypted {
        ciphertext: answer.ciphertext,
        key_id: snapshot.key_id.clone(),
        annotations: snapshot.annotations.clone(),
    })
}
