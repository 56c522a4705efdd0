//! Status, Encrypt and Decrypt: from messages to the keyring and back.

use std::sync::Arc;

use keyring::kms::{self, Error, Kms};
use kms_proto::v2::{self, key_management_service_server::KeyManagementService};
use secret::SecretBytes;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::{
    limits,
    record::Record,
    status::{Cause, refuse},
};

/// When the answer must be there; travels with the request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(pub(crate) Instant);

/// The service over a keyring.
pub(crate) struct KmsService {
    pub(crate) kms: Arc<dyn Kms>,
}

/// What the door put beside the message.
struct Context {
    record: Arc<Record>,
    deadline: Instant,
}

impl Context {
    fn of<T>(request: &Request<T>, uid: &str) -> Self {
        let extensions = request.extensions();
        let record: Arc<Record> = extensions.get().cloned().unwrap_or_default();
        record.reach(uid);
        let deadline = extensions.get().copied();
        let Deadline(deadline) = deadline.unwrap_or(Deadline(Instant::now()));
        Self { record, deadline }
    }

    fn refuse(&self, error: &Error) -> Status {
        let refusal = refuse(&Cause::Keyring(error));
        let status = refusal.status();
        self.record.note_refusal(refusal, error.to_string());
        status
    }
}

#[tonic::async_trait]
impl KeyManagementService for KmsService {
    /// Out of memory and without a deadline: it waits for nothing.
    async fn status(
        &self,
        request: Request<v2::StatusRequest>,
    ) -> Result<Response<v2::StatusResponse>, Status> {
        let context = Context::of(&request, "");
        let (healthz, key_id) = match self.kms.status() {
            kms::Status::Healthy { key_id } => ("ok", key_id.as_str().to_owned()),
            // With an unchanged key_id beside a bad verdict, API servers go on writing under
            // it for ever (kubernetes#138950).
            kms::Status::Unhealthy => ("unhealthy", String::new()),
        };
        if !key_id.is_empty() {
            context.record.note_key_id(&key_id);
        }
        Ok(Response::new(v2::StatusResponse {
            version: "v2".to_owned(),
            healthz: healthz.to_owned(),
            key_id,
        }))
    }

    async fn encrypt(
        &self,
        mut request: Request<v2::EncryptRequest>,
    ) -> Result<Response<v2::EncryptResponse>, Status> {
        let context = Context::of(&request, &request.get_ref().uid);
        limits::encrypt(request.get_ref()).map_err(|error| context.refuse(&error))?;
        let plaintext = SecretBytes::new(std::mem::take(&mut request.get_mut().plaintext));
        let encrypted = self.kms.encrypt(plaintext, context.deadline).await;
        let encrypted = encrypted.map_err(|error| context.refuse(&error))?;
        context.record.note_key_id(encrypted.key_id.as_str());
        context.record.note_version(encrypted.ciphertext.as_bytes());
        let annotations = encrypted.annotations.into_iter();
        let response = v2::EncryptResponse {
            ciphertext: encrypted.ciphertext.into_bytes(),
            key_id: encrypted.key_id.as_str().to_owned(),
            annotations: annotations
                .map(|(key, value)| (key.to_owned(), value.into_bytes()))
                .collect(),
        };
        limits::encrypted(&response).map_err(|error| context.refuse(&error))?;
        Ok(Response::new(response))
    }

    async fn decrypt(
        &self,
        request: Request<v2::DecryptRequest>,
    ) -> Result<Response<v2::DecryptResponse>, Status> {
        let context = Context::of(&request, &request.get_ref().uid);
        let request = request.into_inner();
        limits::decrypt(&request).map_err(|error| context.refuse(&error))?;
        context.record.note_key_id(&request.key_id);
        context.record.note_version(&request.ciphertext);
        let request = kms::DecryptRequest {
            ciphertext: request.ciphertext,
            key_id: request.key_id,
            annotations: request.annotations,
        };
        let decrypted = self.kms.decrypt(request, context.deadline).await;
        let decrypted = decrypted.map_err(|error| context.refuse(&error))?;
        let plaintext = decrypted.expose_secret();
        limits::decrypted(plaintext).map_err(|error| context.refuse(&error))?;
        let mut response = v2::DecryptResponse::default();
        response.plaintext = plaintext.to_vec();
        Ok(Response::new(response))
    }
}
