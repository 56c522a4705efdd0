//! Decrypt: every local check in its order, then Transit, and nothing before.
//!
//! Works whatever Status says: reads must survive what writes cannot.

use std::sync::Arc;

use arc_swap::ArcSwap;
use openbao::{error::Class, transit::DecryptItem};
use registry::{
    annotations::{AnnotationFault, names_key_id},
    ciphertext::version_of,
    key_id::KeyId,
    record::RecordState,
    snapshot::Snapshot,
};
use secret::SecretBytes;
use tokio::time::Instant;

use crate::{
    discovery::{Discovery, Miss, Sighting},
    kms::{DecryptRequest, Error},
    sharing::{Fingerprint, Sharing},
    view::View,
    waiting::Room,
};

/// What the registry says to a key_id.
enum Lookup {
    Serve(Arc<Snapshot>),
    Removed,
    /// Not used, but served when metadata derive it again.
    Rejected,
    Unknown,
}

/// A plaintext, and whose it is.
pub(crate) struct Opened {
    /// What was sealed.
    pub(crate) plaintext: SecretBytes,
    /// Its key version.
    pub(crate) version: u64,
    /// Whether a record holds that version, as opposed to discovery.
    pub(crate) in_registry: bool,
}

/// Decrypts.
pub(crate) struct Opening {
    /// What the probes published last.
    pub(crate) view: Arc<ArcSwap<View>>,
    /// For key_ids that no record holds.
    pub(crate) discovery: Arc<Discovery>,
    /// The way to Transit.
    pub(crate) sharing: Sharing,
    /// A seat for everybody who waits for anything, also for a call that others began.
    pub(crate) crowd: Arc<Room>,
}

impl Opening {
    /// Decrypts `request` by `deadline`.
    ///
    /// # Errors
    /// Of several faults the first in the order of the checks: key_id, its record, annotations,
    /// annotations against the record, ciphertext prefix, Transit.
    pub(crate) async fn decrypt(
        &self,
        request: DecryptRequest,
        deadline: Instant,
    ) -> Result<Opened, Error> {
        let key_id = KeyId::parse(&request.key_id).map_err(|_| Error::KeyIdMalformed)?;
        let (snapshot, in_registry) = self.version(&key_id, &request, deadline).await?;
        let item = check(&request, &snapshot)?;
        let fingerprint = Fingerprint::of(&request);
        // Thousands may wait now, and the annotations of each can be 32 KiB.
        drop(request);
        let _seat = self.crowd.sit().ok_or(Error::WaitingRoomFull)?;
        let answer = self.sharing.decrypt(fingerprint, &item, deadline).await;
        let plaintext = answer.map_err(in_the_callers_terms)?;
        // Encrypt takes no empty plaintext, so no ciphertext of ours holds one.
        if plaintext.expose_secret().is_empty() {
            return Err(Error::ResponseLimit("plaintext is empty"));
        }
        Ok(Opened {
            plaintext,
            version: snapshot.version,
            in_registry,
        })
    }

    async fn version(
        &self,
        key_id: &KeyId,
        request: &DecryptRequest,
        deadline: Instant,
    ) -> Result<(Arc<Snapshot>, bool), Error> {
        let (enough, otherwise) = match self.look_up(key_id) {
            Lookup::Serve(snapshot) => return Ok((snapshot, true)),
            Lookup::Removed => return Err(Error::KeyVersionRemoved),
            Lookup::Rejected => (Sighting::Confirmed, Error::KeyVersionRemoved),
            Lookup::Unknown => (Sighting::Once, Error::KeyIdForeign),
        };
        // Without its own hash beside it, the id is not one that Encrypt returned.
        if !names_key_id(&request.annotations, key_id) {
            return Err(otherwise);
        }
        let seat = self.crowd.sit().ok_or(Error::WaitingRoomFull)?;
        let found = self.discovery.search(key_id, enough, deadline).await;
        drop(seat);
        // The probes may have published a record meanwhile; it has the last word.
        match (self.look_up(key_id), found) {
            (Lookup::Serve(snapshot), _) => Ok((snapshot, true)),
            (Lookup::Removed, _) => Err(Error::KeyVersionRemoved),
            (_, Err(Miss::Refused(refused))) => Err(refused.into()),
            (Lookup::Rejected, Err(_)) => Err(Error::KeyVersionRemoved),
            (Lookup::Rejected, Ok(snapshot)) => Ok((snapshot, true)),
            (Lookup::Unknown, Ok(snapshot)) => Ok((snapshot, false)),
            (Lookup::Unknown, Err(Miss::NotDerived)) => Err(Error::KeyIdUnknown),
            (Lookup::Unknown, Err(Miss::NoRefresh)) => Err(Error::MetadataRefresh),
        }
    }

    fn look_up(&self, key_id: &KeyId) -> Lookup {
        let view = self.view.load();
        match view.records.get(key_id) {
            None => Lookup::Unknown,
            Some(slot) => match slot.state {
                RecordState::Active | RecordState::Pending | RecordState::Retired => {
                    Lookup::Serve(Arc::clone(&slot.snapshot))
                }
                RecordState::Rejected => Lookup::Rejected,
                RecordState::Removed => Lookup::Removed,
            },
        }
    }
}

/// What is stored beside the ciphertext must belong to the key version, and the ciphertext
/// must name it: Transit would decrypt under whatever version the text names.
fn check(request: &DecryptRequest, snapshot: &Snapshot) -> Result<DecryptItem, Error> {
    snapshot
        .check_annotations(&request.annotations)
        .map_err(|fault| match fault {
            AnnotationFault::Absent => Error::AadMissing,
            AnnotationFault::Invalid { key, fault } => Error::AnnotationInvalid { key, fault },
            AnnotationFault::Mismatch { key } => Error::AadMismatch(key),
        })?;
    let ciphertext = std::str::from_utf8(&request.ciphertext)
        .map_err(|_| Error::AadMismatch("the ciphertext is not a text of Transit's"))?;
    match version_of(ciphertext) {
        Ok(version) if version == snapshot.version => Ok(DecryptItem {
            ciphertext: ciphertext.to_owned(),
            associated_data: snapshot.associated_data.clone(),
        }),
        Ok(_) => Err(Error::AadMismatch(
            "the ciphertext names another key version",
        )),
        Err(_) => Err(Error::AadMismatch(
            "the ciphertext is not a text of Transit's",
        )),
    }
}

/// Two of Transit's answers have a name of their own among the reasons for a refusal.
fn in_the_callers_terms(error: Error) -> Error {
    match error {
        Error::Backend(error) if error.class == Class::CiphertextRejected => {
            Error::AadMismatch(REJECTED_BY_TRANSIT)
        }
        Error::Backend(error) if error.class == Class::Deadline => Error::Deadline,
        other => other,
    }
}

/// The one mismatch that only Transit can see.
pub(crate) const REJECTED_BY_TRANSIT: &str = "OpenBao could not authenticate the ciphertext";
