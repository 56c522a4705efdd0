//! Decrypt: the server's checks in the server's order.

use serde_json::{Map, Value};

use super::batch::{self, Item, Made, Result1};
use super::encrypt::{decoded_aad, decoded_context, single};
use super::key::Key;
use super::{Mount, crypto};
use crate::envelope::{Outcome, Refusal};
use crate::fields::{Fields, Kind, Params};
use crate::go;

const FIELDS: &Fields = &[
    ("ciphertext", Kind::Text),
    ("associated_data", Kind::Text),
    ("context", Kind::Text),
    ("batch_input", Kind::Any),
    ("partial_failure_response_code", Kind::Int),
];

/// `POST decrypt/NAME`.
pub(super) fn decrypt(mount: &Mount, name: &str, body: &Map<String, Value>) -> Outcome {
    let mut params = Params::new(body, FIELDS, &["name"], false)?;
    let Some(input) = params.raw("batch_input") else {
        let item = single(&params, "ciphertext");
        if item.input.is_empty() {
            return Err(missing());
        }
        return batch::single(one(key(mount, name)?, &item), params.warnings);
    };
    let items = batch::items(input, "ciphertext", "decrypt")?;
    let key = key(mount, name)?;
    let results = items.iter().map(|item| {
        if item.input.is_empty() {
            Err(missing())
        } else {
            one(key, item)
        }
    });
    batch::whole(&items, results.collect(), &mut params, true)
}

fn missing() -> Refusal {
    Refusal::plain(400, "missing ciphertext to decrypt")
}

/// The key, if it may be used.
pub(super) fn key<'a>(mount: &'a Mount, name: &str) -> Result<&'a Key, Refusal> {
    match mount.keys.get(name) {
        None => Err(Refusal::plain(400, "encryption key not found")),
        Some(key) if key.soft_deleted => {
            Err(Refusal::plain(400, "refusing to use soft-deleted key"))
        }
        Some(key) => Ok(key),
    }
}

/// Decrypts one item.
pub(super) fn one(key: &Key, item: &Item) -> Result1 {
    let refused = |text: &str| Refusal::plain(400, text);
    let context = decoded_context(key, &item.context)?;
    let rest = item
        .input
        .strip_prefix("vault:v")
        .ok_or_else(|| refused("invalid ciphertext: no prefix"))?;
    let (version, payload) = rest
        .split_once(':')
        .ok_or_else(|| refused("invalid ciphertext: wrong number of fields"))?;
    // Go's number parser takes `01` and `+1` too; so does this one.
    let version = version
        .parse::<i64>()
        .map_err(|_| refused("invalid ciphertext: version number could not be decoded"))?;
    let version = if version == 0 { 1 } else { version };
    if version > key.latest {
        return Err(refused("invalid ciphertext: version is too new"));
    }
    if version < key.min_decryption {
        return Err(refused(
            "ciphertext or signature version is disallowed by policy (too old)",
        ));
    }
    let payload =
        go::decode(payload).map_err(|_| refused("invalid ciphertext: could not decode base64"))?;
    let material = key
        .usable(version)
        .ok_or_else(|| refused("no such key version"))?;
    let aad = decoded_aad(&item.associated_data)?;
    if !crypto::has_nonce(&payload) {
        return Err(refused("invalid ciphertext length"));
    }
    let plaintext = crypto::open(key, material, &context, &aad, &payload)?;
    Ok(Made::Plaintext(go::encode(&plaintext)))
}
