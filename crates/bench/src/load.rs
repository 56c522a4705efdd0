//! Calls in a loop, on one connection, as many at once as asked for.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use hyper_util::rt::TokioIo;
use kms_proto::v2::{
    DecryptRequest, EncryptRequest, StatusRequest,
    key_management_service_client::KeyManagementServiceClient,
};
use tokio::{net::UnixStream, task::JoinSet};
use tonic::{
    Status,
    transport::{Channel, Endpoint, Uri},
};

pub(crate) type Client = KeyManagementServiceClient<Channel>;

/// One call of the measured kind.
#[derive(Clone)]
pub(crate) enum Call {
    Status,
    Encrypt,
    /// Each task decrypts ciphertexts of its own, so that no two in flight are equal.
    DecryptDistinct(Arc<Vec<DecryptRequest>>),
    /// All tasks decrypt the same one.
    DecryptEqual(DecryptRequest),
}

/// What one load showed.
pub(crate) struct Measured {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) calls: usize,
    pub(crate) took: Duration,
}

pub(crate) async fn client(socket: &Path) -> Result<Client, tonic::transport::Error> {
    let path: PathBuf = socket.to_owned();
    let channel = Endpoint::from_static("http://localhost")
        .connect_with_connector(tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move { Ok::<_, io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
        }))
        .await?;
    Ok(KeyManagementServiceClient::new(channel))
}

pub(crate) async fn is_healthy(client: &mut Client) -> Result<bool, Status> {
    Ok(client.status(StatusRequest {}).await?.into_inner().healthz == "ok")
}

/// `count` ciphertexts that are ready to be decrypted.
pub(crate) async fn ciphertexts(
    client: &mut Client,
    count: usize,
) -> Result<Vec<DecryptRequest>, Status> {
    let mut made = Vec::with_capacity(count);
    for _ in 0..count {
        let sealed = client.encrypt(seed()).await?.into_inner();
        made.push(DecryptRequest {
            ciphertext: sealed.ciphertext,
            uid: uid(),
            key_id: sealed.key_id,
            annotations: sealed.annotations,
        });
    }
    Ok(made)
}

/// Calls `call` from `concurrency` tasks for `length`.
pub(crate) async fn run(
    client: &Client,
    call: &Call,
    concurrency: usize,
    length: Duration,
) -> Result<Measured, Box<dyn std::error::Error>> {
    let began = Instant::now();
    let end = began + length;
    let mut tasks = JoinSet::new();
    for number in 0..concurrency {
        let (mut client, call) = (client.clone(), call.clone());
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            let mut round = number;
            while Instant::now() < end {
                let start = Instant::now();
                once(&mut client, &call, round).await?;
                latencies.push(start.elapsed());
                round += concurrency;
            }
            Ok::<_, Status>(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    let took = began.elapsed();
    latencies.sort_unstable();
    let at = |share: usize| {
        latencies
            .get(latencies.len() * share / 100)
            .copied()
            .unwrap_or_default()
    };
    Ok(Measured {
        p50: at(50),
        p99: at(99),
        calls: latencies.len(),
        took,
    })
}

async fn once(client: &mut Client, call: &Call, round: usize) -> Result<(), Status> {
    match call {
        Call::Status => client.status(StatusRequest {}).await.map(drop),
        Call::Encrypt => client.encrypt(seed()).await.map(drop),
        Call::DecryptEqual(request) => client.decrypt(request.clone()).await.map(drop),
        Call::DecryptDistinct(requests) => {
            let request = requests.get(round % requests.len().max(1)).cloned();
            client.decrypt(request.unwrap_or_default()).await.map(drop)
        }
    }
}

fn seed() -> EncryptRequest {
    let mut plaintext = vec![0; 32];
    fastrand::fill(&mut plaintext);
    EncryptRequest {
        plaintext,
        uid: uid(),
    }
}

fn uid() -> String {
    "7c0c1e0a-3d6f-4c1e-9b1c-0a1b2c3d4e5f".to_owned()
}
