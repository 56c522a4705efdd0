//! The second floor: the least that any provider on this stack can do for a call. A KMS v2 service
//! on the same gRPC library and runtime, whose handlers write a request that is ready, the
//! provider's byte for byte, on a connection that is kept, read the answer and return a fixed one.
//!
//! No registry, checks, associated data, JSON, HTTP library, deadline, retry, batch or metrics. What
//! it needs more than the two floors beneath it is the price of two hops in a row, and what the
//! provider needs more than the relay is the provider's own.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use kms_proto::v2::{
    DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, StatusRequest,
    StatusResponse, key_management_service_server::KeyManagementService,
};
use serde_json::{Value, json};
use stage::{places, process::Process};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Semaphore,
};
use tokio_rustls::client::TlsStream;
use tonic::{Request, Response, Status};

use crate::{
    backend::Backend,
    callers::{self, Client},
    floor::{self, KEY_ID},
    line::{Address, Problem},
};

/// The requests to OpenBao that the provider has in flight at most, by its defaults.
const ENCRYPTS: usize = 32;
const DECRYPTS: usize = 4;
/// More than any answer to one seed.
const ANSWER: usize = 8 * 1024;
/// As long as Transit makes them of a seed.
const CIPHERTEXT: [u8; 89] = [b'c'; 89];
const SEED: [u8; 32] = [b's'; 32];

/// A running relay.
pub(crate) struct Relay {
    pub(crate) process: Process,
    pub(crate) client: Client,
}

impl Relay {
    /// Starts one before `backend`, with its files in `home` and its socket in `sockets`; the
    /// bodies are those of an Encrypt and of a Decrypt.
    pub(crate) async fn start(
        backend: &Backend,
        bodies: [&[u8]; 2],
        home: &Path,
        sockets: &Path,
    ) -> Result<Self, Problem> {
        let token = backend.login().await?;
        let [encrypt, decrypt] = bodies;
        let order = json!({
            "url": backend.place.url,
            "server_name": backend.address.server_name,
            "ca": backend.place.ca,
            "encrypt": request(backend, &token, "encrypt", encrypt),
            "decrypt": request(backend, &token, "decrypt", decrypt),
        });
        let file = home.join("relay.json");
        // The token is in it.
        bao_dev::up::write(&file, order.to_string().as_bytes(), 0o600)?;
        let socket = sockets.join("relay.sock");
        let process = Process::start(
            &std::env::current_exe()?,
            [
                "--relay".as_ref(),
                socket.as_os_str(),
                "--relay-order".as_ref(),
                file.as_os_str(),
            ],
            &home.join("relay.log"),
        )?;
        places::appears(&socket).await?;
        Ok(Self {
            process,
            client: callers::client(&socket).await?,
        })
    }
}

/// As the provider's HTTP client writes it.
fn request(backend: &Backend, token: &str, operation: &str, body: &[u8]) -> String {
    let mut text = format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\nx-vault-token: {token}\r\n",
        backend.path(operation),
        backend.address.authority,
    );
    if !backend.place.namespace.is_empty() {
        text += &format!("x-vault-namespace: {}\r\n", backend.place.namespace);
    }
    text += &format!("content-length: {}\r\n\r\n", body.len());
    text + &String::from_utf8_lossy(body)
}

/// Serves on `socket` as `order` says, until the process is ended.
pub(crate) async fn serve(socket: &Path, order: &Path) -> Result<(), Problem> {
    let order: Value = serde_json::from_slice(&fs::read(order)?)?;
    let text = |name: &str| order.get(name).and_then(Value::as_str).unwrap_or_default();
    let ca = PathBuf::from(text("ca"));
    let address = Address::new(text("url"), Some(text("server_name")), &ca)?;
    let relaying = Relaying {
        encrypt: Way::new(&address, text("encrypt"), ENCRYPTS),
        decrypt: Way::new(&address, text("decrypt"), DECRYPTS),
    };
    floor::host(socket, relaying).await
}

struct Relaying {
    encrypt: Way,
    decrypt: Way,
}

#[tonic::async_trait]
impl KeyManagementService for Relaying {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(floor::status()))
    }

    async fn encrypt(
        &self,
        _: Request<EncryptRequest>,
    ) -> Result<Response<EncryptResponse>, Status> {
        self.encrypt.ask().await?;
        Ok(Response::new(EncryptResponse {
            ciphertext: CIPHERTEXT.to_vec(),
            key_id: KEY_ID.to_owned(),
            ..EncryptResponse::default()
        }))
    }

    async fn decrypt(
        &self,
        _: Request<DecryptRequest>,
    ) -> Result<Response<DecryptResponse>, Status> {
        self.decrypt.ask().await?;
        Ok(Response::new(DecryptResponse {
            plaintext: SEED.to_vec(),
        }))
    }
}

type Connection = TlsStream<TcpStream>;

/// One kind of request, and connections for it, which are kept once they are open. A server drops
/// one that brings no request at once.
struct Way {
    address: Address,
    request: Vec<u8>,
    places: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

impl Way {
    fn new(address: &Address, request: &str, count: usize) -> Self {
        Self {
            address: address.clone(),
            request: request.as_bytes().to_vec(),
            places: Semaphore::new(count),
            idle: Mutex::default(),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self) -> Result<(), Status> {
        let lost = |problem: Problem| Status::unavailable(format!("the relay: {problem}"));
        let _place = self.places.acquire().await;
        let kept = self.idle().pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.address.open().await.map_err(lost)?,
        };
        exchange(&mut connection, &self.request)
            .await
            .map_err(lost)?;
        self.idle().push(connection);
        Ok(())
    }
}

/// Until the whole answer is there, and it is a good one.
async fn exchange(connection: &mut Connection, request: &[u8]) -> Result<(), Problem> {
    connection.write_all(request).await?;
    connection.flush().await?;
    let mut answer = [0; ANSWER];
    let mut read = 0;
    while let Some(rest) = answer.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match connection.read(rest).await? {
            0 => return Err("the connection ended".into()),
            more => read += more,
        }
        let answer = answer.get(..read).unwrap_or_default();
        if is_whole(answer) {
            return if answer.starts_with(b"HTTP/1.1 200 ") {
                Ok(())
            } else {
                Err(String::from_utf8_lossy(answer).into())
            };
        }
    }
    Err("the answer is too long".into())
}

/// Whether `answer` has its end, told by its length or by the last chunk.
fn is_whole(answer: &[u8]) -> bool {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let Some((head, body)) = end.and_then(|end| answer.split_at_checked(end + 4)) else {
        return false;
    };
    length(head).map_or_else(
        || body.ends_with(b"0\r\n\r\n"),
        |length| body.len() >= length,
    )
}

fn length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let line = head.split(|&byte| byte == b'\n').find(|line| {
        line.get(..NAME.len())
            .is_some_and(|name| name.eq_ignore_ascii_case(NAME))
    })?;
    let value = std::str::from_utf8(line.get(NAME.len()..)?).ok()?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_at_its_length_or_its_last_chunk_and_not_before() {
        let counted = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        for whole in [&counted[..], &chunked[..]] {
            assert!(is_whole(whole));
            for end in 0..whole.len() {
                assert!(!is_whole(&whole[..end]), "{end}");
            }
        }
    }
}
