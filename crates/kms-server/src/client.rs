//! A small KMS v2 client over a Unix socket, for looking at a running service from outside:
//! one connection, the authority `localhost`, a deadline for every call.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use kms_proto::v2::{self, key_management_service_client::KeyManagementServiceClient as Generated};
use secret::SecretBytes;
use tokio::{net::UnixStream, time::timeout};
use tonic::{
    Code, Request, Response, Status,
    transport::{Channel, Endpoint},
};

/// A connection to a KMS v2 service. It is not made anew when it breaks.
#[derive(Debug, Clone)]
pub struct Client {
    service: Generated<Channel>,
    patience: Duration,
}

/// Why a call to the service did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there, or we may not connect.
    #[error("socket {path}: cannot connect")]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Somebody listens, but does not speak gRPC in time.
    #[error("socket {path}: somebody listens, but does not answer as a KMS v2 service")]
    NoService {
        /// The socket.
        path: PathBuf,
    },
    /// The service refused the call or failed in it.
    #[error("{method}: {code:?}: {text}")]
    Refused {
        /// `Status`, `Encrypt` or `Decrypt`.
        method: &'static str,
        /// The gRPC code.
        code: Code,
        /// What the service says.
        text: String,
    },
    /// No answer in time.
    #[error("{method}: no answer within {patience:?}")]
    TimedOut {
        /// `Status`, `Encrypt` or `Decrypt`.
        method: &'static str,
        /// The time that was given.
        patience: Duration,
    },
}

impl Client {
    /// Connects; `patience` bounds this and each call.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] or [`ClientError::NoService`].
    pub async fn connect(path: &Path, patience: Duration) -> Result<Self, ClientError> {
        let unreachable = |source| ClientError::Unreachable {
            path: path.to_owned(),
            source,
        };
        let stream = timeout(patience, UnixStream::connect(path)).await;
        let stream = stream
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(unreachable)?;
        let once = Arc::new(Mutex::new(Some(TokioIo::new(stream))));
        let connector = tower::service_fn(move |_: Uri| {
            let stream = once.lock().unwrap_or_else(PoisonError::into_inner).take();
            async move { stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
        });
        let endpoint = Endpoint::from_static("http://localhost");
        let channel = timeout(patience, endpoint.connect_with_connector(connector)).await;
        match channel {
            Ok(Ok(channel)) => Ok(Self {
                service: Generated::new(channel),
                patience,
            }),
            Ok(Err(_)) | Err(_) => Err(ClientError::NoService {
                path: path.to_owned(),
            }),
        }
    }

    /// Version, health and write key.
    ///
    /// # Errors
    /// [`ClientError::Refused`] or [`ClientError::TimedOut`].
    pub async fn status(&mut self) -> Result<v2::StatusResponse, ClientError> {
        let request = self.request(v2::StatusRequest {});
        let patience = self.patience;
        finish("Status", patience, self.service.status(request)).await
    }

    /// Wraps `plaintext`; `uid` names the call in logs.
    ///
    /// # Errors
    /// [`ClientError::Refused`] or [`ClientError::TimedOut`].
    pub async fn encrypt(
        &mut self,
        plaintext: &SecretBytes,
        uid: &str,
    ) -> Result<v2::EncryptResponse, ClientError> {
        let mut message = v2::EncryptRequest::default();
        message.plaintext = plaintext.expose_secret().to_vec();
        message.uid = uid.to_owned();
        let request = self.request(message);
        let patience = self.patience;
        finish("Encrypt", patience, self.service.encrypt(request)).await
    }

    /// Unwraps what Encrypt returned.
    ///
    /// # Errors
    /// [`ClientError::Refused`] or [`ClientError::TimedOut`].
    pub async fn decrypt(
        &mut self,
        ciphertext: Vec<u8>,
        key_id: String,
        annotations: HashMap<String, Vec<u8>>,
        uid: &str,
    ) -> Result<SecretBytes, ClientError> {
        let request = self.request(v2::DecryptRequest {
            ciphertext,
            uid: uid.to_owned(),
            key_id,
            annotations,
        });
        let patience = self.patience;
        let mut answer = finish("Decrypt", patience, self.service.decrypt(request)).await?;
        Ok(SecretBytes::new(std::mem::take(&mut answer.plaintext)))
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.patience);
        request
    }
}

async fn finish<T>(
    method: &'static str,
    patience: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, ClientError> {
    match timeout(patience, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(ClientError::Refused {
            method,
            code: status.code(),
            text: status.message().to_owned(),
        }),
        Err(_) => Err(ClientError::TimedOut { method, patience }),
    }
}
