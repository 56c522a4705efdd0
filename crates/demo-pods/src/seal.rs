//! What an API server asks of the provider: to seal a seed, and to open it again.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use kms_server::client::{Client, ClientError};
use secret::SecretBytes;
use tokio::runtime::Runtime;

const PATIENCE: Duration = Duration::from_secs(5);
const TEXT: &[u8] = b"the seed of a key of an API server";

/// What was sealed at first, to be opened for ever.
pub(crate) struct Seal {
    socket: PathBuf,
    runtime: Runtime,
    ciphertext: Vec<u8>,
    key_id: String,
    annotations: HashMap<String, Vec<u8>>,
}

impl Seal {
    /// Has a text sealed.
    pub(crate) fn new(socket: PathBuf) -> Result<Self, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a thread has a runtime");
        let answer = runtime.block_on(async {
            let mut client = Client::connect(&socket, PATIENCE).await?;
            let text = SecretBytes::new(TEXT.to_vec());
            client.encrypt(&text, "demo").await
        })?;
        Ok(Self {
            socket,
            runtime,
            ciphertext: answer.ciphertext,
            key_id: answer.key_id,
            annotations: answer.annotations,
        })
    }

    /// Whether the provider of now opens it, on a new connection.
    pub(crate) fn opens(&self) -> bool {
        let opened = self.runtime.block_on(async {
            let mut client = Client::connect(&self.socket, PATIENCE).await?;
            let (sealed, annotations) = (self.ciphertext.clone(), self.annotations.clone());
            let opened = client.decrypt(sealed, self.key_id.clone(), annotations, "demo");
            opened.await
        });
        opened.is_ok_and(|text| text.expose_secret() == TEXT)
    }

    /// How long what is sealed is, bytes.
    pub(crate) fn length(&self) -> usize {
        self.ciphertext.len()
    }
}
