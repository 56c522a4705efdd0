//! The door that the gRPC room knows: three calls and one error type.

use std::collections::HashMap;

use openbao::transit::BoxFuture;
use registry::key_id::KeyId;
use secret::SecretBytes;
use tokio::time::Instant;

/// What Status says. There is no third form: unhealthy has no key_id (kubernetes#138950).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// `ok`, with the current write key.
    Healthy {
        /// The key_id that an Encrypt at this instant would return.
        key_id: KeyId,
    },
    /// `unhealthy`, with an empty key_id.
    Unhealthy,
}

/// What Encrypt returns: within the KMS v2 limits, of the version that `key_id` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encrypted {
    /// Transit's text, 1 to 1023 bytes.
    pub ciphertext: String,
    /// The write key of the snapshot that was used.
    pub key_id: KeyId,
    /// What is stored in clear beside it, and given back on Decrypt.
    pub annotations: Vec<(&'static str, String)>,
}

/// A Decrypt as it came in; sizes already within the field limits, nothing else checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecryptRequest {
    /// Ciphertext bytes, 1 to 1023.
    pub ciphertext: Vec<u8>,
    /// key_id text, 1 to 1023 bytes.
    pub key_id: String,
    /// Annotations, keys and values below 32768 bytes in total.
    pub annotations: HashMap<String, Vec<u8>>,
}

/// Why a call was refused or failed. Each variant has its own gRPC code or stable class,
/// which the gRPC room assigns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A request field breaks a limit.
    #[error("{0}")]
    RequestLimit(&'static str),
    /// Not a key_id.
    #[error("key_id is malformed")]
    KeyIdMalformed,
    /// An annotation is missing, malformed or of an unknown version.
    #[error("annotation {key}: {fault}")]
    AnnotationInvalid {
        /// One of our own annotation names, or `annotation key` for a foreign one.
        key: &'static str,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// No annotations at all.
    #[error("annotations are missing")]
    AadMissing,
    /// The annotations or the ciphertext do not belong to the key version, or Transit says
    /// that authentication failed.
    #[error("ciphertext and its annotations do not belong together: {0}")]
    AadMismatch(&'static str),
    /// Well-formed, but nothing derives it, also after a refresh.
    #[error("key_id is not known here, and the key's metadata does not derive it")]
    KeyIdUnknown,
    /// Well-formed and in no record, and without what Encrypt puts beside a key_id: nothing was
    /// asked for it.
    #[error("key_id is not known here, and was not looked for: its hash is not beside it")]
    KeyIdForeign,
    /// A `removed` or `rejected` record.
    #[error("the key version of this key_id was taken out of decryption")]
    KeyVersionRemoved,
    /// The refresh for an unknown key_id failed, or none was left in this window.
    #[error("key_id is not known here, and key metadata could not be refreshed")]
    MetadataRefresh,
    /// Encrypt while Status would be unhealthy.
    #[error("not healthy, so nothing is encrypted: {0}")]
    StatusStale(&'static str),
    /// What Transit returned breaks a limit or names another version.
    #[error("the answer of Transit cannot be passed on: {0}")]
    ResponseLimit(&'static str),
    /// The waiting room is full.
    #[error("the waiting room is full: too many calls wait for OpenBao")]
    WaitingRoomFull,
    /// The caller's deadline ran out, in a waiting room or while OpenBao was asked.
    #[error("the deadline ran out before OpenBao had answered")]
    Deadline,
    /// OpenBao or the login to it.
    #[error(transparent)]
    Backend(#[from] openbao::error::Error),
}

/// The KMS service without its wire: what the gRPC room calls.
pub trait Kms: Send + Sync + 'static {
    /// From memory; no call to OpenBao, no lock held across an await.
    fn status(&self) -> Status;

    /// Fails closed unless [`Kms::status`] is healthy at the same instant.
    fn encrypt(
        &self,
        plaintext: SecretBytes,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Encrypted, Error>>;

    /// Works whatever Status says, as long as Transit answers.
    fn decrypt(
        &self,
        request: DecryptRequest,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<SecretBytes, Error>>;
}
