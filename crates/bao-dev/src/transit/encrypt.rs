//! Encrypt, and rewrap.

use serde_json::{Map, Value};

use super::batch::{self, Item, Made, Result1};
use super::key::{Cipher, Key};
use super::{Mount, crypto, decrypt};
use crate::envelope::{Outcome, Refusal};
use crate::fields::{Fields, Kind, Params};
use crate::go;

const FIELDS: &Fields = &[
    ("plaintext", Kind::Text),
    ("associated_data", Kind::Text),
    ("context", Kind::Text),
    ("key_version", Kind::Int),
    ("type", Kind::Text),
    ("convergent_encryption", Kind::Flag),
    ("batch_input", Kind::Any),
    ("partial_failure_response_code", Kind::Int),
];

const REWRAP_FIELDS: &Fields = &[
    ("ciphertext", Kind::Text),
    ("context", Kind::Text),
    ("key_version", Kind::Int),
    ("batch_input", Kind::Any),
    ("partial_failure_response_code", Kind::Int),
];

/// `POST encrypt/NAME`. Makes the key if it is missing and the mount allows that: the caller
/// has already been found to hold `create`.
pub(super) fn encrypt(
    mount: &mut Mount,
    name: &str,
    body: &Map<String, Value>,
    now: i64,
) -> Outcome {
    let mut params = Params::new(body, FIELDS, &["name"], true)?;
    let batch = params
        .raw("batch_input")
        .map(|input| batch::items(input, "plaintext", "encrypt"));
    let items = match batch.transpose()? {
        Some(items) => items,
        None if !params.has("plaintext") => {
            return Err(Refusal::plain(400, "missing plaintext to encrypt"));
        }
        None => vec![single(&params, "plaintext")],
    };
    let contexts = items.iter().filter(|item| !item.context.is_empty()).count();
    if contexts != 0 && contexts != items.len() {
        let text = "context should be set either in all the request blocks or in none";
        return Err(Refusal::plain(400, text));
    }
    let made = match mount.keys.get(name) {
        Some(key) if key.soft_deleted => {
            return Err(Refusal::plain(400, "refusing to use soft-deleted key"));
        }
        Some(_) => None,
        None if mount.disable_upsert => {
            return Err(Refusal::plain(400, "encryption key not found"));
        }
        None => {
            let cipher =
                Cipher::from_name(params.text("type")).map_err(|text| Refusal::plain(400, text))?;
            let mut key = Key::new(name, cipher, now);
            key.derived = contexts != 0;
            Some(key)
        }
    };
    let Some(key) = made.as_ref().or_else(|| mount.keys.get(name)) else {
        return Err(Refusal::plain(400, "encryption key not found"));
    };
    let mut results: Vec<Result1> = items.iter().map(|item| one(key, item)).collect();
    if params.has("batch_input") {
        // The real server stores the key even if items fail.
        if let Some(key) = made {
            mount.keys.insert(name.to_owned(), key);
        }
        return batch::whole(&items, results, &mut params, false);
    }
    let outcome = batch::single(results.remove(0), params.warnings);
    // The real server keeps a key in its cache that a failed encrypt never stored. Not here.
    if let (Ok(_), Some(key)) = (&outcome, made) {
        mount.keys.insert(name.to_owned(), key);
    }
    outcome
}

/// `POST rewrap/NAME`. Never passes associated data on, so what is bound to some cannot be rewrapped.
pub(super) fn rewrap(mount: &Mount, name: &str, body: &Map<String, Value>) -> Outcome {
    let mut params = Params::new(body, REWRAP_FIELDS, &["name"], false)?;
    let batch = params
        .raw("batch_input")
        .map(|input| batch::items(input, "ciphertext", "decrypt"));
    let items = match batch.transpose()? {
        Some(items) => items,
        None if params.text("ciphertext").is_empty() => {
            return Err(Refusal::plain(400, "missing ciphertext to decrypt"));
        }
        None => vec![single(&params, "ciphertext")],
    };
    let key = decrypt::key(mount, name)?;
    let again = |item: &Item| {
        let bare = Item {
            associated_data: String::new(),
            input: item.input.clone(),
            ..Item::default()
        };
        let Made::Plaintext(input) = decrypt::one(
            key,
            &Item {
                context: item.context.clone(),
                ..bare
            },
        )?
        else {
            return Err(Refusal::wrapped(500, "internal error"));
        };
        one(
            key,
            &Item {
                input,
                context: item.context.clone(),
                key_version: item.key_version,
                ..Item::default()
            },
        )
    };
    let mut results: Vec<Result1> = items.iter().map(again).collect();
    if params.has("batch_input") {
        return batch::whole(&items, results, &mut params, false);
    }
    batch::single(results.remove(0), params.warnings)
}

/// The one item of a request without a batch.
pub(super) fn single(params: &Params, member: &str) -> Item {
    Item {
        input: params.text(member).to_owned(),
        associated_data: params.text("associated_data").to_owned(),
        context: params.text("context").to_owned(),
        key_version: params.int("key_version").unwrap_or_default(),
        reference: String::new(),
    }
}

fn one(key: &Key, item: &Item) -> Result1 {
    let refused = |text: &str| Err(Refusal::plain(400, text));
    let context = decoded_context(key, &item.context)?;
    let plaintext = go::decode(&item.input).map_err(|text| Refusal::plain(400, text))?;
    let version = match item.key_version {
        0 => key.latest,
        version if version < 0 => return refused("requested version for encryption is negative"),
        version if version > key.latest => {
            return refused(
                "requested version for encryption is higher than the latest key version",
            );
        }
        version if version < key.min_encryption => {
            return refused(
                "requested version for encryption is less than the minimum encryption key version",
            );
        }
        version => version,
    };
    let Some(material) = key.usable(version) else {
        return refused("no such key version");
    };
    let aad = decoded_aad(&item.associated_data)?;
    let payload = crypto::seal(key, material, &context, &aad, &plaintext)?;
    Ok(Made::Ciphertext(
        format!("vault:v{version}:{}", go::encode(&payload)),
        version,
    ))
}

/// Bad associated data is the caller's fault, and looks like the server's.
pub(super) fn decoded_aad(text: &str) -> Result<Vec<u8>, Refusal> {
    go::decode(text).map_err(|reason| {
        let text =
            format!("unable to get associated_data/additional_data from factory[0]: {reason}");
        Refusal::wrapped(500, text)
    })
}

/// The context of a derived key.
pub(super) fn decoded_context(key: &Key, text: &str) -> Result<Vec<u8>, Refusal> {
    if key.derived && text.is_empty() {
        let text = "missing 'context' for key derivation; the key was created using a derived key, which means \
                    additional, per-request information must be included in order to perform operations with \
                    the key";
        return Err(Refusal::plain(400, text));
    }
    go::decode(text).map_err(|text| Refusal::plain(400, text))
}
