//! The hot paths, each as something that can be called.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use keyring::kms::{self, Kms as _};
use kms_proto::v2;
use openbao::transit::{BoxFuture, CallOptions, DecryptItem, Transit as _};
use prost::Message;
use registry::snapshot::Snapshot;
use secret::SecretBytes;
use tokio::{task::JoinSet, time::Instant};

use crate::{
    stand::Stand,
    wire::{BATCH, SEED, ciphertext},
};

/// One round of a path: made before the counting, run inside it. Says how many of its calls
/// were answered as they should be.
pub(crate) type Round = BoxFuture<'static, usize>;

/// A way that calls take.
pub(crate) struct HotPath {
    /// As it is recorded.
    pub(crate) name: &'static str,
    /// Calls in one round.
    pub(crate) calls: usize,
    /// Requests that OpenBao gets for them.
    pub(crate) requests: u64,
    /// Makes one round; `number` is different for each.
    pub(crate) round: fn(&Stand, number: usize) -> Round,
}

/// First the whole way through all rooms, then two rooms by themselves, which tell where a
/// change of the whole comes from.
pub(crate) const PATHS: [HotPath; 11] = [
    one("status", 0, |stand, _| answered(stand, status())),
    one("encrypt", 1, |stand, number| {
        answered(stand, encrypt(number))
    }),
    one("decrypt", 1, |stand, number| {
        answered(stand, decrypt(stand, number))
    }),
    one("decrypt, refused", 0, decrypt_refused),
    HotPath {
        name: "decrypt, equal",
        calls: BATCH,
        requests: 1,
        round: |stand, number| at_once(stand, [number; BATCH]),
    },
    HotPath {
        name: "decrypt, batched",
        // The first finds the lane free; the others travel together behind it.
        calls: BATCH + 1,
        requests: 2,
        round: |stand, number| at_once(stand, (0..=BATCH).map(|n| number * 100 + n)),
    },
    one("keyring: encrypt", 0, keyring_encrypt),
    one("keyring: decrypt", 0, keyring_decrypt),
    one("openbao: encrypt", 1, openbao_encrypt),
    one("openbao: decrypt", 1, openbao_decrypt),
    HotPath {
        name: "openbao: batch",
        calls: BATCH,
        requests: 1,
        round: openbao_batch,
    },
];

const fn one(name: &'static str, requests: u64, round: fn(&Stand, usize) -> Round) -> HotPath {
    HotPath {
        name,
        calls: 1,
        requests,
        round,
    }
}

type HttpRequest = Request<Full<Bytes>>;

/// A call as it leaves HTTP/2: its head, and its message in one frame.
fn call(method: &str, message: &impl Message) -> HttpRequest {
    let mut frame = BytesMut::with_capacity(5 + message.encoded_len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.encoded_len()).unwrap_or(u32::MAX));
    frame.extend_from_slice(&message.encode_to_vec());
    let mut request = Request::new(Full::new(frame.freeze()));
    *request.method_mut() = http::Method::POST;
    *request.version_mut() = http::Version::HTTP_2;
    // Both are constants of this file.
    if let Ok(uri) = format!("http://localhost/v2.KeyManagementService/{method}").parse() {
        *request.uri_mut() = uri;
    }
    let headers = request.headers_mut();
    let value = http::HeaderValue::from_static;
    headers.insert(CONTENT_TYPE, value("application/grpc"));
    headers.insert("user-agent", value("grpc-go/1.72.1"));
    headers.insert("te", value("trailers"));
    headers.insert("grpc-timeout", value("2999707u"));
    request
}

fn status() -> HttpRequest {
    call("Status", &v2::StatusRequest {})
}

fn encrypt(number: usize) -> HttpRequest {
    let mut message = v2::EncryptRequest::default();
    message.plaintext = SEED.to_vec();
    message.uid = uid(number);
    call("Encrypt", &message)
}

fn decrypt(stand: &Stand, number: usize) -> HttpRequest {
    call("Decrypt", &decrypt_message(stand, number))
}

fn decrypt_message(stand: &Stand, number: usize) -> v2::DecryptRequest {
    v2::DecryptRequest {
        ciphertext: ciphertext(number).into_bytes(),
        uid: uid(number),
        key_id: stand.snapshot.key_id.as_str().to_owned(),
        annotations: annotations(&stand.snapshot),
    }
}

fn uid(number: usize) -> String {
    format!("5f1e2d3c-4b5a-6978-8796-{number:012}")
}

fn annotations(snapshot: &Snapshot) -> HashMap<String, Vec<u8>> {
    let own = |(key, value): &(&'static str, String)| {
        let value = value.clone().into_bytes();
        ((*key).to_owned(), value)
    };
    snapshot.annotations.iter().map(own).collect()
}

/// One call through all rooms that ends well.
fn answered(stand: &Stand, request: HttpRequest) -> Round {
    let door = stand.door.clone();
    Box::pin(async move { usize::from(is_good(door.answer(request).await).await) })
}

/// Takes the answer as the connection would. Refusals have their code in the head, answers in
/// the trailers.
async fn is_good<B: BodyExt + Unpin>(mut response: Response<B>) -> bool {
    while let Some(Ok(_)) = response.body_mut().frame().await {}
    !response.headers().contains_key("grpc-status")
}

fn decrypt_refused(stand: &Stand, number: usize) -> Round {
    let message = v2::DecryptRequest {
        key_id: "obk2.".to_owned(),
        ..decrypt_message(stand, number)
    };
    let door = stand.door.clone();
    let request = call("Decrypt", &message);
    Box::pin(async move { usize::from(!is_good(door.answer(request).await).await) })
}

/// Decrypts that arrive in the same instant.
fn at_once(stand: &Stand, numbers: impl IntoIterator<Item = usize>) -> Round {
    let calls: Vec<Round> = numbers
        .into_iter()
        .map(|number| answered(stand, decrypt(stand, number)))
        .collect();
    Box::pin(async move {
        let calls: JoinSet<usize> = calls.into_iter().collect();
        calls.join_all().await.into_iter().sum()
    })
}

fn keyring_encrypt(stand: &Stand, _: usize) -> Round {
    let keyring = Arc::clone(&stand.keyring);
    let seed = SecretBytes::new(SEED.to_vec());
    Box::pin(async move {
        let encrypted = keyring.encrypt(seed, options().deadline).await;
        usize::from(encrypted.is_ok())
    })
}

fn keyring_decrypt(stand: &Stand, number: usize) -> Round {
    let keyring = Arc::clone(&stand.keyring);
    let message = decrypt_message(stand, number);
    let request = kms::DecryptRequest {
        ciphertext: message.ciphertext,
        key_id: message.key_id,
        annotations: message.annotations,
    };
    Box::pin(async move {
        let decrypted = keyring.decrypt(request, options().deadline).await;
        usize::from(decrypted.is_ok())
    })
}

fn openbao_encrypt(stand: &Stand, _: usize) -> Round {
    let client = Arc::clone(&stand.client);
    let snapshot = Arc::clone(&stand.snapshot);
    let seed = SecretBytes::new(SEED.to_vec());
    Box::pin(async move {
        let aad = &snapshot.associated_data;
        let encrypted = client.encrypt(snapshot.version, &seed, aad, options());
        usize::from(encrypted.await.is_ok())
    })
}

fn openbao_decrypt(stand: &Stand, number: usize) -> Round {
    let client = Arc::clone(&stand.client);
    let item = item(stand, number);
    Box::pin(async move { usize::from(client.decrypt(&item, options()).await.is_ok()) })
}

fn openbao_batch(stand: &Stand, number: usize) -> Round {
    let client = Arc::clone(&stand.client);
    let items: Vec<DecryptItem> = (0..BATCH).map(|n| item(stand, number * 100 + n)).collect();
    Box::pin(async move {
        let answers = client.decrypt_batch(&items, options()).await;
        answers.map_or(0, |answers| answers.iter().flatten().count())
    })
}

fn item(stand: &Stand, number: usize) -> DecryptItem {
    DecryptItem {
        ciphertext: ciphertext(number),
        associated_data: stand.snapshot.associated_data.clone(),
    }
}

fn options() -> CallOptions {
    CallOptions {
        deadline: Instant::now() + Duration::from_secs(3),
        new_connection: false,
    }
}
