//! The five requests that the provider makes once it is logged in.

use std::{future::Future, pin::Pin};

use registry::reading::KeyMetadata;
use secret::SecretBytes;
use tokio::time::Instant;

use crate::error::Error;

/// A boxed future, so that [`Transit`] can be used behind `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How one call may spend time and connections.
#[derive(Debug, Clone, Copy)]
pub struct CallOptions {
    /// The call is over by then, retries and login included.
    pub deadline: Instant,
    /// Ask on a connection that no earlier request used: a load balancer may then
    /// pick another node, so that three answers are three opinions.
    pub new_connection: bool,
}

/// What Encrypt returned, not yet judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encrypted {
    /// `vault:vN:...`, unchanged.
    pub ciphertext: String,
    /// `key_version` of the answer.
    pub key_version: u64,
}

/// One Decrypt of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecryptItem {
    /// `vault:vN:...`
    pub ciphertext: String,
    /// The associated data, standard base64 with padding.
    pub associated_data: String,
}

/// The results of a batch: one per item, or one error for all.
pub type BatchAnswer = Result<Vec<Result<SecretBytes, Error>>, Error>;

/// Transit, as the keyring uses it. Implemented by the HTTPS client and by fakes;
/// `associated_data` is standard base64 with padding.
pub trait Transit: Send + Sync + 'static {
    /// `GET keys/K`.
    fn read_key(&self, options: CallOptions) -> BoxFuture<'_, Result<KeyMetadata, Error>>;

    /// `GET config/keys`: the mount's `disable_upsert`.
    fn read_disable_upsert(&self, options: CallOptions) -> BoxFuture<'_, Result<bool, Error>>;

    /// `POST encrypt/K` with an explicit version.
    fn encrypt<'a>(
        &'a self,
        key_version: u64,
        plaintext: &'a SecretBytes,
        associated_data: &'a str,
        options: CallOptions,
    ) -> BoxFuture<'a, Result<Encrypted, Error>>;

    /// `POST decrypt/K` for a single ciphertext.
    fn decrypt<'a>(
        &'a self,
        item: &'a DecryptItem,
        options: CallOptions,
    ) -> BoxFuture<'a, Result<SecretBytes, Error>>;

    /// `POST decrypt/K` with `batch_input`, at most 64 items, answers in their order.
    fn decrypt_batch<'a>(
        &'a self,
        items: &'a [DecryptItem],
        options: CallOptions,
    ) -> BoxFuture<'a, BatchAnswer>;
}
