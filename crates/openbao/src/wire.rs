//! The JSON of requests and answers. Members that are not named here are ignored; members
//! that are named must be there and of their type.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use registry::reading::KeyMetadata;
use secret::{SecretBytes, SecretText};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::transit::{DecryptItem, Encrypted};

/// The answer is not what the operation promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Junk;

/// Text that is wiped when it is dropped; answers hold tokens and plaintext in such members.
struct Wiped(Zeroizing<String>);

impl<'de> Deserialize<'de> for Wiped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

fn data<T: DeserializeOwned>(body: &[u8]) -> Result<T, Junk> {
    serde_json::from_slice::<Envelope<T>>(body)
        .map(|envelope| envelope.data)
        .map_err(|_| Junk)
}

/// The first error text of a body, `""` when the list is empty, `None` when it is no OpenBao
/// error.
pub(crate) fn error_text(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<String>,
    }
    let errors: Errors = serde_json::from_slice(body).ok()?;
    Some(errors.errors.into_iter().next().unwrap_or_default())
}

/// The longest request id that is worth a log field.
const MAX_REQUEST_ID: usize = 64;

/// The envelope's `request_id`, if it looks like one.
pub(crate) fn request_id(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Id {
        request_id: String,
    }
    let id = serde_json::from_slice::<Id>(body).ok()?.request_id;
    let sound = (1..=MAX_REQUEST_ID).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    sound.then_some(id)
}

/// What a login or a renewal granted.
pub(crate) struct Grant {
    pub(crate) token: SecretText,
    pub(crate) lease_seconds: u64,
    pub(crate) renewable: bool,
}

pub(crate) fn read_grant(body: &[u8]) -> Result<Grant, Junk> {
    #[derive(Deserialize)]
    struct WithAuth {
        auth: Auth,
    }
    #[derive(Deserialize)]
    struct Auth {
        client_token: Wiped,
        lease_duration: u64,
        renewable: bool,
    }
    let mut auth = serde_json::from_slice::<WithAuth>(body)
        .map_err(|_| Junk)?
        .auth;
    if auth.client_token.0.is_empty() {
        return Err(Junk);
    }
    Ok(Grant {
        token: SecretText::new(std::mem::take(&mut *auth.client_token.0)),
        lease_seconds: auth.lease_duration,
        renewable: auth.renewable,
    })
}

pub(crate) fn read_key(body: &[u8]) -> Result<KeyMetadata, Junk> {
    #[derive(Deserialize)]
    struct Key {
        r#type: String,
        latest_version: u64,
        min_available_version: u64,
        min_decryption_version: u64,
        min_encryption_version: u64,
        derived: bool,
        #[serde(default)]
        convergent_encryption: bool,
        exportable: bool,
        allow_plaintext_backup: bool,
        deletion_allowed: bool,
        #[serde(default)]
        soft_deleted: bool,
        supports_encryption: bool,
        supports_decryption: bool,
        #[serde(default)]
        imported_key: bool,
        keys: BTreeMap<String, Value>,
    }
    let key: Key = data(body)?;
    let mut creation_times = BTreeMap::new();
    for (version, created) in &key.keys {
        let version: u64 = version.parse().map_err(|_| Junk)?;
        match created {
            Value::Number(seconds) => {
                creation_times.insert(version, seconds.as_i64().ok_or(Junk)?);
            }
            // Asymmetric keys list objects; their type alone makes them useless to us.
            Value::Object(_) => {}
            _ => return Err(Junk),
        }
    }
    Ok(KeyMetadata {
        key_type: key.r#type,
        latest_version: key.latest_version,
        min_available_version: key.min_available_version,
        min_decryption_version: key.min_decryption_version,
        min_encryption_version: key.min_encryption_version,
        derived: key.derived,
        convergent_encryption: key.convergent_encryption,
        exportable: key.exportable,
        allow_plaintext_backup: key.allow_plaintext_backup,
        deletion_allowed: key.deletion_allowed,
        soft_deleted: key.soft_deleted,
        supports_encryption: key.supports_encryption,
        supports_decryption: key.supports_decryption,
        imported_key: key.imported_key,
        creation_times,
    })
}

pub(crate) fn read_disable_upsert(body: &[u8]) -> Result<bool, Junk> {
    #[derive(Deserialize)]
    struct Config {
        disable_upsert: bool,
    }
    data::<Config>(body).map(|config| config.disable_upsert)
}

pub(crate) fn read_encrypted(body: &[u8]) -> Result<Encrypted, Junk> {
    #[derive(Deserialize)]
    struct Cipher {
        ciphertext: String,
        key_version: u64,
    }
    data::<Cipher>(body).map(|cipher| Encrypted {
        ciphertext: cipher.ciphertext,
        key_version: cipher.key_version,
    })
}

pub(crate) fn read_plaintext(body: &[u8]) -> Result<SecretBytes, Junk> {
    #[derive(Deserialize)]
    struct Plain {
        plaintext: Wiped,
    }
    decode(&data::<Plain>(body)?.plaintext)
}

/// One result of a batch: plaintext, or the text of its error.
pub(crate) type ItemResult = Result<SecretBytes, String>;

/// The results of a batch, whatever the status was; `None` when the body holds none.
pub(crate) fn read_batch(body: &[u8]) -> Option<Vec<ItemResult>> {
    #[derive(Deserialize)]
    struct Batch {
        batch_results: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        plaintext: Option<Wiped>,
        #[serde(default)]
        error: String,
    }
    let batch: Batch = data(body).ok()?;
    batch
        .batch_results
        .into_iter()
        .map(|item| match (item.error, item.plaintext) {
            (error, _) if !error.is_empty() => Some(Err(error)),
            (_, Some(plaintext)) => decode(&plaintext).ok().map(Ok),
            _ => None,
        })
        .collect()
}

fn decode(text: &Wiped) -> Result<SecretBytes, Junk> {
    // Room for everything from the start: growth would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.0.len()));
    STANDARD
        .decode_vec(text.0.as_bytes(), &mut bytes)
        .map_err(|_| Junk)?;
    Ok(SecretBytes::new(std::mem::take(&mut *bytes)))
}

/// Serializes into memory that is wiped when the request is done with. `size` is at least the
/// length of what comes out, so that growth leaves no copies behind.
fn wiped_json<T: Serialize>(value: &T, size: usize) -> Bytes {
    let mut out = Zeroizing::new(Vec::with_capacity(size));
    match serde_json::to_writer(&mut *out, value) {
        Ok(()) => Bytes::from_owner(out),
        // Strings and numbers into memory cannot fail.
        Err(_) => Bytes::new(),
    }
}

/// Room for member names, quotes and numbers.
const SKELETON: usize = 256;

pub(crate) fn login_body(role: &str, jwt: &str) -> Bytes {
    #[derive(Serialize)]
    struct Login<'a> {
        role: &'a str,
        jwt: &'a str,
    }
    // Each byte of the role may become an escape of six.
    wiped_json(&Login { role, jwt }, SKELETON + 6 * role.len() + jwt.len())
}

pub(crate) fn renew_body(increment_seconds: u64) -> Bytes {
    #[derive(Serialize)]
    struct Renew {
        increment: u64,
    }
    let renew = Renew {
        increment: increment_seconds,
    };
    wiped_json(&renew, SKELETON)
}

pub(crate) fn encrypt_body(key_version: u64, plaintext: &SecretBytes, aad: &str) -> Bytes {
    #[derive(Serialize)]
    struct Encrypt<'a> {
        plaintext: &'a str,
        associated_data: &'a str,
        key_version: u64,
    }
    let plain = plaintext.expose_secret();
    let size = plain.len().div_ceil(3) * 4;
    let mut encoded = Zeroizing::new(String::with_capacity(size));
    STANDARD.encode_string(plain, &mut encoded);
    let body = Encrypt {
        plaintext: &encoded,
        associated_data: aad,
        key_version,
    };
    wiped_json(&body, SKELETON + size + aad.len())
}

#[derive(Serialize)]
struct Decrypt<'a> {
    ciphertext: &'a str,
    associated_data: &'a str,
}

impl<'a> From<&'a DecryptItem> for Decrypt<'a> {
    fn from(item: &'a DecryptItem) -> Self {
        Self {
            ciphertext: &item.ciphertext,
            associated_data: &item.associated_data,
        }
    }
}

pub(crate) fn decrypt_body(item: &DecryptItem) -> Bytes {
    wiped_json(&Decrypt::from(item), SKELETON)
}

pub(crate) fn batch_body<'a>(items: impl IntoIterator<Item = &'a DecryptItem>) -> Bytes {
    #[derive(Serialize)]
    struct Batch<'a> {
        batch_input: Vec<Decrypt<'a>>,
    }
    let batch = Batch {
        batch_input: items.into_iter().map(Decrypt::from).collect(),
    };
    wiped_json(&batch, SKELETON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_text_is_the_first_error_and_nothing_for_what_is_not_openbao() {
        assert_eq!(error_text(br#"{"errors":["a","b"]}"#).unwrap(), "a");
        assert_eq!(error_text(br#"{"errors":[]}"#).unwrap(), "");
        for body in [&b"<html>"[..], b"", b"{}", br#"{"errors":"a"}"#, b"[]"] {
            assert_eq!(error_text(body), None);
        }
    }

    #[test]
    fn a_request_id_is_taken_only_when_it_looks_like_one() {
        let id = "0a1b2c3d-0000-1111-2222-333344445555";
        assert_eq!(
            request_id(format!(r#"{{"request_id":"{id}"}}"#).as_bytes()).unwrap(),
            id
        );
        for body in [r#"{"request_id":""}"#, r#"{"request_id":"s.token"}"#, "{}"] {
            assert_eq!(request_id(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn a_grant_needs_a_token_a_lease_and_renewable() {
        let grant = read_grant(
            br#"{"data":null,"auth":{"client_token":"s.x","lease_duration":60,"renewable":true,"new":1}}"#,
        )
        .ok()
        .unwrap();
        assert_eq!(grant.token.expose_secret(), "s.x");
        assert_eq!((grant.lease_seconds, grant.renewable), (60, true));
        for body in [
            r#"{"auth":null}"#,
            r#"{"auth":{"client_token":"","lease_duration":60,"renewable":true}}"#,
            r#"{"auth":{"client_token":"x","lease_duration":-1,"renewable":true}}"#,
            r#"{"auth":{"client_token":"x","lease_duration":60}}"#,
        ] {
            assert!(read_grant(body.as_bytes()).is_err(), "{body}");
        }
    }

    const KEY: &str = r#"{"request_id":"","data":{"allow_plaintext_backup":false,
        "auto_rotate_period":0,"deletion_allowed":false,"derived":false,"exportable":false,
        "imported_key":false,"keys":{"1":1700000000,"2":1700000100},"latest_version":2,
        "min_available_version":0,"min_decryption_version":1,"min_encryption_version":0,
        "name":"k","soft_deleted":false,"supports_decryption":true,"supports_derivation":true,
        "supports_encryption":true,"supports_signing":false,"type":"aes256-gcm96"}}"#;

    #[test]
    fn key_metadata_is_read_with_its_creation_times() {
        let key = read_key(KEY.as_bytes()).unwrap();
        assert_eq!(key.key_type, "aes256-gcm96");
        assert_eq!(key.latest_version, 2);
        assert!(key.supports_encryption && !key.exportable && !key.convergent_encryption);
        let times: Vec<_> = key.creation_times.into_iter().collect();
        assert_eq!(times, [(1, 1_700_000_000), (2, 1_700_000_100)]);
    }

    #[test]
    fn key_metadata_without_a_safety_field_or_with_a_foreign_type_is_junk() {
        for (from, to) in [
            (r#""exportable":false,"#, ""),
            (r#""deletion_allowed":false,"#, ""),
            (r#""latest_version":2"#, r#""latest_version":"2""#),
            (r#""latest_version":2"#, r#""latest_version":-2"#),
            (r#""1":1700000000"#, r#""one":1700000000"#),
            (r#""1":1700000000"#, r#""1":"yesterday""#),
            (r#""1":1700000000"#, r#""1":1.5"#),
        ] {
            let body = KEY.replacen(from, to, 1);
            assert_ne!(body, KEY);
            assert_eq!(read_key(body.as_bytes()).unwrap_err(), Junk, "{to}");
        }
    }

    #[test]
    fn an_asymmetric_key_is_read_so_that_its_type_can_be_refused() {
        let body = KEY
            .replacen("1700000000", r#"{"name":"ed25519"}"#, 1)
            .replacen("1700000100", r#"{"name":"ed25519"}"#, 1)
            .replacen("aes256-gcm96", "ed25519", 1);
        let key = read_key(body.as_bytes()).unwrap();
        assert_eq!(key.key_type, "ed25519");
        assert!(key.creation_times.is_empty());
    }

    #[test]
    fn plaintext_is_decoded_and_anything_else_is_junk() {
        let plain = read_plaintext(br#"{"data":{"plaintext":"aGVsbG8="}}"#)
            .ok()
            .unwrap();
        assert_eq!(plain.expose_secret(), b"hello");
        for body in [
            r#"{"data":{"plaintext":"a"}}"#,
            r#"{"data":{}}"#,
            r#"{"data":null}"#,
        ] {
            assert!(read_plaintext(body.as_bytes()).is_err());
        }
    }

    #[test]
    fn each_item_of_a_batch_is_plaintext_or_an_error() {
        let batch = read_batch(
            br#"{"data":{"batch_results":[{"plaintext":"aGVsbG8=","reference":""},
                {"plaintext":"","error":"no","reference":""},{"plaintext":"","reference":""}]}}"#,
        )
        .unwrap();
        assert_eq!(batch[0].as_ref().ok().unwrap().expose_secret(), b"hello");
        assert_eq!(batch[1].as_ref().err().unwrap(), "no");
        assert_eq!(batch[2].as_ref().ok().unwrap().expose_secret(), b"");
        for body in [
            r#"{"errors":["x"]}"#,
            r#"{"data":null}"#,
            r#"{"data":{"batch_results":[{"reference":""}]}}"#,
        ] {
            assert!(read_batch(body.as_bytes()).is_none());
        }
    }

    #[test]
    fn requests_carry_the_version_and_the_associated_data_in_every_item() {
        let body = encrypt_body(7, &SecretBytes::new(b"hello".to_vec()), "QUFE");
        assert_eq!(
            body,
            r#"{"plaintext":"aGVsbG8=","associated_data":"QUFE","key_version":7}"#
        );
        let item = DecryptItem {
            ciphertext: "vault:v1:x".to_owned(),
            associated_data: "QUFE".to_owned(),
        };
        let one = r#"{"ciphertext":"vault:v1:x","associated_data":"QUFE"}"#;
        assert_eq!(decrypt_body(&item), one);
        assert_eq!(
            batch_body([&item, &item]),
            format!(r#"{{"batch_input":[{one},{one}]}}"#)
        );
        assert_eq!(login_body("r", "a.b.c"), r#"{"role":"r","jwt":"a.b.c"}"#);
        assert_eq!(renew_body(3600), r#"{"increment":3600}"#);
    }
}
