//! Making, reading, rotating, restricting and deleting keys; settings of the mount.

use serde_json::{Map, Value, json};

use super::Mount;
use super::key::{Cipher, Key};
use crate::envelope::{Outcome, Refusal, Reply, sorted};
use crate::fields::{Fields, Kind, Params};
use crate::go;

const CREATE_FIELDS: &Fields = &[
    ("type", Kind::Text),
    ("derived", Kind::Flag),
    ("convergent_encryption", Kind::Flag),
    ("exportable", Kind::Flag),
    ("allow_plaintext_backup", Kind::Flag),
    ("auto_rotate_period", Kind::Seconds),
    ("key_size", Kind::Int),
];

const CONFIG_FIELDS: &Fields = &[
    ("min_decryption_version", Kind::Int),
    ("min_encryption_version", Kind::Int),
    ("deletion_allowed", Kind::Flag),
    ("exportable", Kind::Flag),
    ("allow_plaintext_backup", Kind::Flag),
    ("auto_rotate_period", Kind::Seconds),
];

const HOUR: i64 = 3600;

fn refuse<T>(text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::plain(400, text))
}

/// `POST keys/NAME`. An existing key stays as it is, and nothing says so.
pub(super) fn create(
    mount: &mut Mount,
    name: &str,
    body: &Map<String, Value>,
    now: i64,
) -> Outcome {
    let params = Params::new(body, CREATE_FIELDS, &["name"], false)?;
    let on = |name: &str| params.flag(name).unwrap_or_default();
    let period = params.int("auto_rotate_period").unwrap_or_default();
    if period != 0 && period < HOUR {
        return refuse("auto rotate period must be 0 to disable or at least an hour");
    }
    if on("convergent_encryption") && !on("derived") {
        return refuse("convergent encryption requires derivation to be enabled");
    }
    if let Some(key) = mount.keys.get(name) {
        return Ok(Reply::Data(key.data(), params.warnings));
    }
    let cipher = Cipher::from_name(params.text("type")).or_else(refuse)?;
    let key = Key {
        derived: on("derived"),
        convergent: on("convergent_encryption"),
        exportable: on("exportable"),
        plaintext_backup: on("allow_plaintext_backup"),
        auto_rotate_period: period,
        ..Key::new(name, cipher, now)
    };
    let data = key.data();
    mount.keys.insert(name.to_owned(), key);
    Ok(Reply::Data(data, params.warnings))
}

/// `GET keys/NAME`.
pub(super) fn read(mount: &Mount, name: &str) -> Outcome {
    Ok(mount
        .keys
        .get(name)
        .map_or(Reply::Nothing, |key| Reply::Data(key.data(), Vec::new())))
}

/// `LIST keys`, with `after` and `limit`.
pub(super) fn list(mount: &Mount, query: &Map<String, Value>) -> Outcome {
    let after = query
        .get("after")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let limit = query
        .get("limit")
        .and_then(Value::as_str)
        .and_then(|limit| limit.parse().ok());
    let limit = limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let names: Vec<_> = mount
        .keys
        .keys()
        .filter(|name| name.as_str() > after)
        .take(limit)
        .collect();
    if names.is_empty() {
        return Ok(Reply::Nothing);
    }
    Ok(Reply::Data(sorted([("keys", json!(names))]), Vec::new()))
}

/// `DELETE keys/NAME`.
pub(super) fn delete(mount: &mut Mount, name: &str) -> Outcome {
    match mount.keys.get(name) {
        None => refuse(format!(
            "error deleting policy {name}: could not delete key; not found"
        )),
        Some(key) if !key.deletion_allowed => refuse(format!(
            "error deleting policy {name}: deletion is not allowed for this key"
        )),
        Some(_) => {
            mount.keys.remove(name);
            Ok(Reply::Nothing)
        }
    }
}

/// `POST keys/NAME/rotate`.
pub(super) fn rotate(
    mount: &mut Mount,
    name: &str,
    body: &Map<String, Value>,
    now: i64,
) -> Outcome {
    let params = Params::new(body, &[], &["name"], false)?;
    let Some(key) = mount.keys.get_mut(name) else {
        return refuse("key not found");
    };
    if key.soft_deleted {
        return Err(Refusal::wrapped(500, "refusing to use soft-deleted key"));
    }
    key.rotate(now);
    Ok(Reply::Data(key.data(), params.warnings))
}

/// `DELETE keys/NAME/soft-delete` and `POST keys/NAME/soft-delete-restore`. Of a missing key: 204.
pub(super) fn soft_delete(mount: &mut Mount, name: &str, deleted: bool) -> Outcome {
    let Some(key) = mount.keys.get_mut(name) else {
        return Ok(Reply::Nothing);
    };
    key.soft_deleted = deleted;
    Ok(Reply::Data(key.data(), Vec::new()))
}

/// `POST keys/NAME/config`.
pub(super) fn configure(mount: &mut Mount, name: &str, body: &Map<String, Value>) -> Outcome {
    let mut params = Params::new(body, CONFIG_FIELDS, &["name"], false)?;
    let Some(stored) = mount.keys.get_mut(name) else {
        return refuse(format!("no existing key named {name} could be found"));
    };
    // Worked on a copy, so that a refusal changes nothing.
    let mut key = stored.clone();
    let latest = key.latest;
    match params.int("min_decryption_version") {
        None => {}
        Some(version) if version < 0 => return refuse("min decryption version cannot be negative"),
        Some(0) => {
            key.min_decryption = 1;
            let text = "since Vault 0.3 (prior to the OpenBao fork), transit key numbering starts at 1; forcing \
                        minimum to 1";
            params.warnings.push(String::from(text));
        }
        Some(version) if version > latest => {
            return refuse(format!(
                "cannot set min decryption version of {version}, latest key version is {latest}"
            ));
        }
        Some(version) => key.min_decryption = version,
    }
    match params.int("min_encryption_version") {
        None => {}
        Some(version) if version < 0 => return refuse("min encryption version cannot be negative"),
        Some(version) if version > latest => {
            return refuse(format!(
                "cannot set min encryption version of {version}, latest key version is {latest}"
            ));
        }
        Some(version) => key.min_encryption = version,
    }
    if key.min_encryption > 0 && key.min_encryption < key.min_decryption {
        return refuse(format!(
            "cannot set min encryption/decryption values; min encryption version of {} must be greater than or \
             equal to min decryption version of {}",
            key.min_encryption, key.min_decryption
        ));
    }
    if key.min_encryption < key.min_available {
        return refuse("min encryption version should not be less than min available version");
    }
    if key.min_decryption < key.min_available {
        return refuse("min decryption version should not be less then min available version");
    }
    apply_flags(&mut key, &params)?;
    let data = key.data();
    *stored = key;
    Ok(Reply::Data(data, params.warnings))
}

/// The last two can only be switched on.
fn apply_flags(key: &mut Key, params: &Params) -> Result<(), Refusal> {
    key.deletion_allowed = params
        .flag("deletion_allowed")
        .unwrap_or(key.deletion_allowed);
    key.exportable |= params.flag("exportable").unwrap_or_default();
    key.plaintext_backup |= params.flag("allow_plaintext_backup").unwrap_or_default();
    match params.int("auto_rotate_period") {
        Some(period) if period != 0 && period < HOUR => {
            refuse("auto rotate period must be 0 to disable or at least an hour")
        }
        period => {
            key.auto_rotate_period = period.unwrap_or(key.auto_rotate_period);
            Ok(())
        }
    }
}

/// `POST keys/NAME/trim`. What is trimmed is gone for good.
pub(super) fn trim(mount: &mut Mount, name: &str, body: &Map<String, Value>) -> Outcome {
    let params = Params::new(
        body,
        &[("min_available_version", Kind::Int)],
        &["name"],
        false,
    )?;
    let Some(key) = mount.keys.get_mut(name) else {
        return refuse("invalid key name");
    };
    let Some(version) = params.int("min_available_version") else {
        return refuse("missing min_available_version");
    };
    let fault = if version < key.min_available {
        "cannot be decremented"
    } else if key.min_encryption == 0 {
        "cannot be set when minimum encryption version is not set"
    } else if key.min_decryption == 0 {
        "cannot be set when minimum decryption version is not set"
    } else if version > key.min_encryption {
        "cannot be greater than minmum encryption version"
    } else if version > key.min_decryption {
        "cannot be greater than minimum decryption version"
    } else if version == 0 {
        "should be positive"
    } else {
        key.min_available = version;
        key.versions.retain(|kept, _| *kept >= version);
        return Ok(Reply::Data(key.data(), params.warnings));
    };
    refuse(format!("minimum available version {fault}"))
}

/// `GET config/keys`.
pub(super) fn read_config(mount: &Mount) -> Outcome {
    Ok(Reply::Data(
        sorted([("disable_upsert", json!(mount.disable_upsert))]),
        Vec::new(),
    ))
}

/// `POST config/keys`; without the field it becomes false.
pub(super) fn write_config(mount: &mut Mount, body: &Map<String, Value>) -> Outcome {
    let params = Params::new(body, &[("disable_upsert", Kind::Flag)], &[], false)?;
    mount.disable_upsert = params.flag("disable_upsert").unwrap_or_default();
    read_config(mount)
}

/// `GET cache-config`.
pub(super) fn read_cache(mount: &Mount) -> Outcome {
    Ok(Reply::Data(
        sorted([("size", json!(mount.cache_size))]),
        Vec::new(),
    ))
}

/// `POST cache-config`.
pub(super) fn write_cache(mount: &mut Mount, body: &Map<String, Value>) -> Outcome {
    let params = Params::new(body, &[("size", Kind::Int)], &[], true)?;
    let size = params.int("size").unwrap_or_default();
    if size != 0 && size < 10 {
        return refuse("size must be 0 or a value greater or equal to 10");
    }
    mount.cache_size = size;
    read_cache(mount)
}

/// `GET export/encryption-key/NAME[/VERSION]`.
pub(super) fn export(mount: &Mount, name: &str, version: Option<&str>) -> Outcome {
    let Some(key) = mount.keys.get(name) else {
        return Ok(Reply::Nothing);
    };
    if key.soft_deleted {
        return Err(Refusal::wrapped(500, "refusing to use soft-deleted key"));
    }
    if !key.exportable {
        return refuse("private key material is not exportable");
    }
    let wanted = match version {
        None => None,
        Some("latest") => Some(key.latest),
        Some(version) => match version.parse::<i64>() {
            Ok(version) if version < key.min_decryption => {
                return refuse("version for export is below minimum decryption version");
            }
            Ok(version) if key.versions.contains_key(&version) => Some(version),
            _ => return refuse("version does not exist or cannot be found"),
        },
    };
    let keys: Map<String, Value> = key
        .versions
        .range(key.min_decryption..)
        .filter(|(version, _)| wanted.is_none_or(|wanted| wanted == **version))
        .map(|(version, one)| {
            (
                version.to_string(),
                json!(go::encode(one.material.expose_secret())),
            )
        })
        .collect();
    let data = sorted([
        ("name", json!(name)),
        ("type", json!(key.cipher.name())),
        ("keys", json!(keys)),
    ]);
    Ok(Reply::Data(data, Vec::new()))
}

/// `GET backup/NAME`: the refusals. There is nothing to restore a backup into.
pub(super) fn backup(mount: &Mount, name: &str) -> Outcome {
    let text = match mount.keys.get(name) {
        None => format!("key \"{name}\" not found"),
        Some(key) if !key.exportable => String::from("exporting is disallowed on the policy"),
        Some(key) if !key.plaintext_backup => {
            String::from("plaintext backup is disallowed on the policy")
        }
        Some(_) => return refuse("bao-dev makes no backups"),
    };
    Err(Refusal::wrapped(500, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(outcome: Outcome) -> String {
        outcome.err().unwrap().text.unwrap()
    }

    fn body(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn mount(versions: usize) -> Mount {
        let mut mount = Mount::default();
        let mut key = Key::new("k", Cipher::Aes256, 0);
        (1..versions).for_each(|_| key.rotate(0));
        mount.keys.insert(String::from("k"), key);
        mount
    }

    #[test]
    fn a_refused_configuration_changes_nothing() {
        let mut mount = mount(3);
        let bad = json!({"min_decryption_version": 2, "min_encryption_version": 1, "deletion_allowed": true});
        let refusal = text(configure(&mut mount, "k", &body(&bad)));
        assert!(refusal.starts_with(
            "cannot set min encryption/decryption values; min encryption version of 1 "
        ));
        let key = &mount.keys["k"];
        assert_eq!(
            (key.min_decryption, key.min_encryption, key.deletion_allowed),
            (1, 0, false)
        );
    }

    #[test]
    fn trims_are_refused_in_the_servers_words() {
        let mut mount = mount(3);
        let trim = |mount: &mut Mount, value: Value| {
            trim(mount, "k", &body(&json!({"min_available_version": value})))
        };
        let start = "minimum available version";
        assert_eq!(
            text(trim(&mut mount, json!(-1))),
            format!("{start} cannot be decremented")
        );
        assert_eq!(
            text(trim(&mut mount, json!(1))),
            format!("{start} cannot be set when minimum encryption version is not set")
        );
        let raise = json!({"min_decryption_version": 2, "min_encryption_version": 2});
        assert!(configure(&mut mount, "k", &body(&raise)).is_ok());
        assert_eq!(
            text(trim(&mut mount, json!(0))),
            format!("{start} should be positive")
        );
        assert_eq!(
            text(trim(&mut mount, json!(3))),
            format!("{start} cannot be greater than minmum encryption version")
        );
        assert!(trim(&mut mount, json!(2)).is_ok());
        assert_eq!(
            text(trim(&mut mount, json!(1))),
            format!("{start} cannot be decremented")
        );
        let lower = text(configure(
            &mut mount,
            "k",
            &body(&json!({"min_decryption_version": 1})),
        ));
        assert_eq!(
            lower,
            "min decryption version should not be less then min available version"
        );
        assert!(!mount.keys["k"].versions.contains_key(&1));
    }
}
