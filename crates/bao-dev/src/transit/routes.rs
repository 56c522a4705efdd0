//! Which request of a Transit mount means what.

use serde_json::{Map, Value};

use super::{Mount, decrypt, encrypt, manage};
use crate::envelope::{Outcome, Refusal};
use crate::fields::is_name;
use crate::request::Operation;

/// The key of an encrypt. Only there does the right policy depend on whether the key exists.
pub(crate) fn key_of_encrypt(path: &str) -> Option<&str> {
    path.strip_prefix("encrypt/").filter(|name| is_name(name))
}

/// Serves a request; `path` is relative to the mount, `now` is Unix seconds.
pub(crate) fn handle(
    mount: &mut Mount,
    operation: Operation,
    path: &str,
    body: &Map<String, Value>,
    now: i64,
) -> Outcome {
    use Operation::{Delete, List, Read, Update};
    let segments: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let key = |name: &&str| is_name(name);
    match (segments.as_slice(), operation) {
        (["encrypt", name], Update) if key(name) => encrypt::encrypt(mount, name, body, now),
        (["decrypt", name], Update) if key(name) => decrypt::decrypt(mount, name, body),
        (["rewrap", name], Update) if key(name) => encrypt::rewrap(mount, name, body),
        (["keys"], List) => manage::list(mount, body),
        (["keys", name], Update) if key(name) => manage::create(mount, name, body, now),
        (["keys", name], Read) if key(name) => manage::read(mount, name),
        (["keys", name], Delete) if key(name) => manage::delete(mount, name),
        (["keys", name, "rotate"], Update) if key(name) => manage::rotate(mount, name, body, now),
        (["keys", name, "config"], Update) if key(name) => manage::configure(mount, name, body),
        (["keys", name, "trim"], Update) if key(name) => manage::trim(mount, name, body),
        (["keys", name, "soft-delete"], Delete) if key(name) => {
            manage::soft_delete(mount, name, true)
        }
        (["keys", name, "soft-delete-restore"], Update) if key(name) => {
            manage::soft_delete(mount, name, false)
        }
        (["config", "keys"], Read) => manage::read_config(mount),
        (["config", "keys"], Update) => manage::write_config(mount, body),
        (["cache-config"], Read) => manage::read_cache(mount),
        (["cache-config"], Update) => manage::write_cache(mount, body),
        (["export", "encryption-key", name], Read) if key(name) => {
            manage::export(mount, name, None)
        }
        (["export", "encryption-key", name, version], Read) if key(name) => {
            manage::export(mount, name, Some(version))
        }
        (["backup", name], Read) if key(name) => manage::backup(mount, name),
        (known, _) if is_known(known) => Err(Refusal::wrapped(405, "unsupported operation")),
        _ => Err(Refusal::wrapped(404, "unsupported path")),
    }
}

/// Paths that exist, whatever is done to them.
fn is_known(segments: &[&str]) -> bool {
    match segments {
        ["encrypt" | "decrypt" | "rewrap" | "backup" | "keys", name] => is_name(name),
        [
            "keys",
            name,
            "rotate" | "config" | "trim" | "soft-delete" | "soft-delete-restore",
        ] => is_name(name),
        ["export", "encryption-key", name] | ["export", "encryption-key", name, _] => is_name(name),
        ["keys" | "cache-config"] | ["config", "keys"] => true,
        _ => false,
    }
}
