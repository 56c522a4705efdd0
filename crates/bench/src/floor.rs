//! The floor: a KMS v2 service whose handlers do nothing, on the same gRPC stack.

use std::{io, path::Path};

use kms_proto::v2::{
    DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, StatusRequest,
    StatusResponse,
    key_management_service_server::{KeyManagementService, KeyManagementServiceServer},
};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status, transport::Server};

use crate::line::Problem;

/// As long as the provider's.
pub(crate) const KEY_ID: &str = "obk2.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

struct Empty;

#[tonic::async_trait]
impl KeyManagementService for Empty {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(status()))
    }

    async fn encrypt(
        &self,
        _: Request<EncryptRequest>,
    ) -> Result<Response<EncryptResponse>, Status> {
        Ok(Response::new(EncryptResponse::default()))
    }

    async fn decrypt(
        &self,
        _: Request<DecryptRequest>,
    ) -> Result<Response<DecryptResponse>, Status> {
        Ok(Response::new(DecryptResponse::default()))
    }
}

pub(crate) fn status() -> StatusResponse {
    StatusResponse {
        version: "v2".into(),
        healthz: "ok".into(),
        key_id: KEY_ID.into(),
    }
}

/// Serves the empty handlers until the process is ended.
pub(crate) async fn serve(socket: &Path) -> Result<(), Problem> {
    host(socket, Empty).await
}

/// Serves `service` with nothing around it until the process is ended.
pub(crate) async fn host(socket: &Path, service: impl KeyManagementService) -> Result<(), Problem> {
    let listener = UnixListener::bind(socket)?;
    Server::builder()
        .add_service(KeyManagementServiceServer::new(service))
        .serve_with_incoming(UnixListenerStream::new(listener))
        .await
        .map_err(|error| io::Error::other(error).into())
}
