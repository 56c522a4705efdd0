//! OpenBao in memory: answers made beforehand, so that what is counted is the client.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use openbao::{
    error::Error,
    transit::{BatchAnswer, BoxFuture, CallOptions, DecryptItem, Encrypted, Transit},
    transport::{Answer, Failure, Request, Route, Transport},
};
use registry::reading::KeyMetadata;
use secret::SecretBytes;
use zeroize::Zeroizing;

/// What the API server has wrapped: a seed of 32 bytes.
pub(crate) const SEED: [u8; 32] = *b"0123456789abcdef0123456789abcdef";
/// The seed as Transit returns it.
const SEED_BASE64: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// Nonce, seed and tag of AES-256-GCM are 60 bytes, 80 characters of base64.
const SEALED: &str =
    "m9TCq0Vt3S8yXgE1nRkLhWfZb7uJoPdAxKQ2sUc5iVGeYrHlTzBw4vN6pMj0a8FDCyIqOtXWd3hEgSfk";
/// The most that travel together.
pub(crate) const BATCH: usize = 64;

/// A ciphertext of version 1 that no other number has.
pub(crate) fn ciphertext(number: usize) -> String {
    let (_, rest) = SEALED.split_at(6);
    format!("vault:v1:{number:06}{rest}")
}

/// The HTTPS connection's place, taken by memory.
pub(crate) struct Memory {
    login: String,
    encrypted: String,
    plaintext: String,
    batch: String,
    sent: AtomicU64,
}

impl Memory {
    /// Answers with the members and the order of OpenBao's envelope.
    pub(crate) fn new() -> Arc<Self> {
        let item = format!(r#"{{"plaintext":"{SEED_BASE64}","reference":""}}"#);
        let items = vec![item; BATCH].join(",");
        Arc::new(Self {
            login: r#"{"request_id":"","auth":{"client_token":"s.0123456789abcdefghijklmn","lease_duration":2764800,"renewable":true}}"#.to_owned(),
            encrypted: envelope(&format!(r#"{{"ciphertext":"{}","key_version":1}}"#, ciphertext(0))),
            plaintext: envelope(&format!(r#"{{"plaintext":"{SEED_BASE64}"}}"#)),
            batch: envelope(&format!(r#"{{"batch_results":[{items}]}}"#)),
            sent: AtomicU64::new(0),
        })
    }

    /// How many requests came.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn answer(&self, request: &Request) -> &str {
        match request.path.rsplit('/').nth(1) {
            Some("encrypt") => &self.encrypted,
            Some("decrypt") if request.body.starts_with(br#"{"batch_input""#) => &self.batch,
            Some("decrypt") => &self.plaintext,
            _ => &self.login,
        }
    }
}

fn envelope(data: &str) -> String {
    format!(
        r#"{{"request_id":"7c8a1f5e-2b7d-9c44-0f3a-6d1be2a9c508","lease_id":"","renewable":false,"lease_duration":0,"data":{data},"wrap_info":null,"warnings":null,"auth":null,"mount_type":"transit"}}"#
    )
}

impl Transport for Memory {
    fn endpoints(&self) -> usize {
        1
    }

    fn name(&self, _: usize) -> &'static str {
        "memory"
    }

    fn send<'a>(
        &'a self,
        request: &'a Request,
        _: Route,
    ) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async {
            self.sent.fetch_add(1, Ordering::Relaxed);
            Ok(Answer {
                status: 200,
                retry_after: None,
                body: Zeroizing::new(self.answer(request).as_bytes().to_vec()),
            })
        })
    }
}

/// Transit without its client, for what the keyring costs by itself.
pub(crate) struct BareTransit {
    encrypted: Encrypted,
}

impl BareTransit {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            encrypted: Encrypted {
                ciphertext: ciphertext(0),
                key_version: 1,
            },
        })
    }
}

impl Transit for BareTransit {
    fn read_key(&self, _: CallOptions) -> BoxFuture<'_, Result<KeyMetadata, Error>> {
        Box::pin(std::future::pending())
    }

    fn read_disable_upsert(&self, _: CallOptions) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(std::future::pending())
    }

    fn encrypt<'a>(
        &'a self,
        _: u64,
        _: &'a SecretBytes,
        _: &'a str,
        _: CallOptions,
    ) -> BoxFuture<'a, Result<Encrypted, Error>> {
        Box::pin(async { Ok(self.encrypted.clone()) })
    }

    fn decrypt<'a>(
        &'a self,
        _: &'a DecryptItem,
        _: CallOptions,
    ) -> BoxFuture<'a, Result<SecretBytes, Error>> {
        Box::pin(async { Ok(SecretBytes::new(SEED.to_vec())) })
    }

    fn decrypt_batch<'a>(
        &'a self,
        items: &'a [DecryptItem],
        _: CallOptions,
    ) -> BoxFuture<'a, BatchAnswer> {
        Box::pin(async {
            let seeds = items.iter().map(|_| Ok(SecretBytes::new(SEED.to_vec())));
            Ok(seeds.collect())
        })
    }
}
