//! One OpenBao and the stage of one provider in front of it.

use std::{
    collections::HashMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use bao_dev::testing::{Control, DevServer, KeyConfig, Options};
use kms_proto::v2::EncryptResponse;
use kms_server::client::{Client, ClientError};
use secret::SecretBytes;
use tempfile::TempDir;
use tonic::Code;

use super::{child::Provider, stage::Stage};

/// How long a test waits for something that has to happen; a busy machine is slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The settings of a key that nothing is wrong with, to change one or to go back to.
pub(crate) const SOUND: KeyConfig = KeyConfig {
    min_decryption_version: Some(1),
    min_encryption_version: Some(0),
    min_available_version: Some(0),
    deletion_allowed: Some(false),
    exportable: Some(false),
    allow_plaintext_backup: Some(false),
    soft_deleted: Some(false),
    derived: Some(false),
};

pub(crate) struct World {
    pub(crate) bao: DevServer,
    pub(crate) stage: Stage,
    aside: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let bao = DevServer::start(Options::default()).await.unwrap();
        let stage = Stage::new(bao.address(), bao.server_name(), bao.ca_pem(), bao.jwt());
        let aside = tempfile::tempdir().unwrap();
        Self { bao, stage, aside }
    }

    /// A directory for what does not belong to the provider.
    pub(crate) fn aside(&self) -> PathBuf {
        self.aside.path().to_owned()
    }

    pub(crate) fn control(&self) -> &Control {
        self.bao.control()
    }

    /// A provider that is healthy.
    pub(crate) async fn healthy(&self) -> Provider {
        let provider = Provider::start(&self.stage);
        provider.healthy().await;
        provider
    }

    /// A healthy provider, and something that it encrypted.
    pub(crate) async fn with_data(&self) -> (Provider, Sealed) {
        let provider = self.healthy().await;
        let sealed = Sealed::make(&mut provider.client().await).await;
        (provider, sealed)
    }

    /// A state pair with one promoted key behind it and data under it, and nobody running.
    pub(crate) async fn with_past(&self) -> Sealed {
        let (provider, sealed) = self.with_data().await;
        provider.terminated().await;
        sealed
    }
}

/// A ciphertext and what it has to decrypt to.
#[derive(Clone)]
pub(crate) struct Sealed {
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) key_id: String,
    pub(crate) annotations: HashMap<String, Vec<u8>>,
    pub(crate) plaintext: Vec<u8>,
}

impl Sealed {
    pub(crate) async fn make(client: &mut Client) -> Self {
        Self::try_make(client).await.unwrap()
    }

    pub(crate) async fn try_make(client: &mut Client) -> Result<Self, ClientError> {
        let plaintext: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
            .take(32)
            .collect();
        Self::of(client, plaintext).await
    }

    pub(crate) async fn of(client: &mut Client, plaintext: Vec<u8>) -> Result<Self, ClientError> {
        let EncryptResponse {
            ciphertext,
            key_id,
            annotations,
        } = client
            .encrypt(&SecretBytes::new(plaintext.clone()), "uid-of-a-test")
            .await?;
        Ok(Self {
            ciphertext,
            key_id,
            annotations,
            plaintext,
        })
    }

    pub(crate) async fn open(&self, client: &mut Client) -> Result<(), ClientError> {
        let Self {
            ciphertext,
            key_id,
            annotations,
            plaintext,
        } = self.clone();
        let opened = client
            .decrypt(ciphertext, key_id, annotations, "uid-of-a-test")
            .await?;
        assert_eq!(
            opened.expose_secret(),
            plaintext,
            "decrypted to other bytes"
        );
        Ok(())
    }
}

/// Code and class of a refused call.
pub(crate) fn refused<T>(outcome: Result<T, ClientError>) -> (Code, String) {
    match outcome {
        Err(ClientError::Refused { code, text, .. }) => {
            (code, text.split(':').next().unwrap().to_owned())
        }
        Err(other) => panic!("not refused but {other}"),
        Ok(_) => panic!("the call was answered"),
    }
}

/// Looks until there is something to see.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(began.elapsed() < PATIENCE, "never saw: {what}");
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}
