//! The two kinds of callers: clients of a KMS plugin, and bare clients of the backend.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::Method;
use hyper_util::rt::TokioIo;
use kms_proto::v2::{
    DecryptRequest, EncryptRequest, StatusRequest,
    key_management_service_client::KeyManagementServiceClient,
};
use serde_json::json;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::{
    line::{Line, Problem},
    load::Caller,
};

/// As long as the key that an API server has encrypted.
const SEED: usize = 32;

pub(crate) type Client = KeyManagementServiceClient<Channel>;

/// A client of the plugin on `socket`, on a connection of its own.
pub(crate) async fn client(socket: &Path) -> Result<Client, Problem> {
    let path: PathBuf = socket.to_owned();
    let channel = Endpoint::from_static("http://localhost")
        .connect_with_connector(tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move { Ok::<_, io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
        }))
        .await?;
    Ok(KeyManagementServiceClient::new(channel))
}

/// Whether its Status is `ok`.
pub(crate) async fn is_healthy(client: &mut Client) -> Result<bool, Problem> {
    Ok(client.status(StatusRequest {}).await?.into_inner().healthz == "ok")
}

/// `count` ciphertexts of its own, ready to be decrypted.
pub(crate) async fn ciphertexts(
    client: &mut Client,
    count: usize,
) -> Result<Vec<DecryptRequest>, Problem> {
    let mut made = Vec::with_capacity(count);
    for _ in 0..count {
        let sealed = client.encrypt(encrypt_request()).await?.into_inner();
        made.push(DecryptRequest {
            ciphertext: sealed.ciphertext,
            uid: uid(),
            key_id: sealed.key_id,
            annotations: sealed.annotations,
        });
    }
    Ok(made)
}

/// One call of a KMS plugin.
#[derive(Clone)]
pub(crate) enum Call {
    Status,
    Encrypt,
    /// Each caller takes others, so that no two in flight are equal.
    DecryptDistinct(Arc<Vec<DecryptRequest>>),
    /// All take the same.
    DecryptEqual(Arc<DecryptRequest>),
}

/// A client of a KMS plugin, as all of its kind on one connection.
pub(crate) struct Plugin {
    client: Client,
    call: Call,
    round: usize,
    step: usize,
}

impl Plugin {
    /// `count` of them.
    pub(crate) fn several(client: &Client, call: &Call, count: usize) -> Vec<Self> {
        (0..count)
            .map(|round| Self {
                client: client.clone(),
                call: call.clone(),
                round,
                step: count,
            })
            .collect()
    }
}

impl Caller for Plugin {
    async fn call(&mut self) -> Result<(), Problem> {
        let client = &mut self.client;
        match &self.call {
            Call::Status => drop(client.status(StatusRequest {}).await?),
            Call::Encrypt => drop(client.encrypt(encrypt_request()).await?),
            Call::DecryptEqual(request) => {
                drop(client.decrypt(DecryptRequest::clone(request)).await?);
            }
            Call::DecryptDistinct(requests) => {
                let request = requests.get(self.round % requests.len().max(1)).cloned();
                drop(client.decrypt(request.unwrap_or_default()).await?);
            }
        }
        self.round += self.step;
        Ok(())
    }
}

/// A client of the backend with a connection of its own and bodies that are ready.
pub(crate) struct Bare {
    line: Line,
    path: String,
    bodies: Arc<Vec<Bytes>>,
    round: usize,
    step: usize,
}

impl Bare {
    /// One for each of `lines`.
    pub(crate) fn several(lines: Vec<Line>, path: &str, bodies: &Arc<Vec<Bytes>>) -> Vec<Self> {
        let step = lines.len();
        let numbered = lines.into_iter().enumerate();
        numbered
            .map(|(round, line)| Self {
                line,
                path: path.to_owned(),
                bodies: Arc::clone(bodies),
                round,
                step,
            })
            .collect()
    }
}

impl Caller for Bare {
    async fn call(&mut self) -> Result<(), Problem> {
        let body = self.bodies.get(self.round % self.bodies.len().max(1));
        let body = body.cloned().unwrap_or_default();
        self.round += self.step;
        let (status, answer) = self.line.ask(Method::POST, &self.path, body).await?;
        if status.is_success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&answer);
        Err(format!("POST {}: {status}: {}", self.path, text.trim()).into())
    }
}

/// One who calls a plugin, and then the backend itself: the two floors, one after the other.
pub(crate) struct InARow {
    pub(crate) plugin: Plugin,
    pub(crate) bare: Bare,
}

impl Caller for InARow {
    async fn call(&mut self) -> Result<(), Problem> {
        self.plugin.call().await?;
        self.bare.call().await
    }
}

/// The body with which the provider would have a new seed encrypted.
pub(crate) fn encrypt_body(associated_data: &str) -> Bytes {
    let plaintext = STANDARD.encode(&encrypt_request().plaintext);
    let body = json!({
        "plaintext": plaintext, "associated_data": associated_data, "key_version": 1,
    });
    Bytes::from(body.to_string())
}

/// The body with which the provider has `request` decrypted.
pub(crate) fn decrypt_body(request: &DecryptRequest, associated_data: &str) -> Bytes {
    let ciphertext = String::from_utf8_lossy(&request.ciphertext);
    let body = json!({"ciphertext": ciphertext, "associated_data": associated_data});
    Bytes::from(body.to_string())
}

fn encrypt_request() -> EncryptRequest {
    let mut plaintext = vec![0; SEED];
    fastrand::fill(&mut plaintext);
    EncryptRequest {
        plaintext,
        uid: uid(),
    }
}

fn uid() -> String {
    "7c0c1e0a-3d6f-4c1e-9b1c-0a1b2c3d4e5f".to_owned()
}
