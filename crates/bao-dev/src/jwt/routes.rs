//! Configuration and roles over the API. Logins do not come here: they need no token.

use serde_json::{Map, Value, json};

use super::{Config, Mount, Role};
use crate::envelope::{Outcome, Refusal, Reply, sorted};
use crate::fields::is_name;
use crate::request::Operation;

/// Serves a request; `path` is relative to the mount.
pub(crate) fn handle(
    mount: &mut Mount,
    operation: Operation,
    path: &str,
    body: &Map<String, Value>,
) -> Outcome {
    use Operation::{Delete, List, Read, Update};
    let segments: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    match (segments.as_slice(), operation) {
        (["config"], Read) => Ok(mount.config.as_ref().map_or(Reply::Nothing, |config| {
            Reply::Data(config.data(), Vec::new())
        })),
        (["config"], Update) => {
            mount.config = Some(Config::from_request(body)?);
            Ok(Reply::Nothing)
        }
        (["role"], List) if mount.roles.is_empty() => Ok(Reply::Nothing),
        (["role"], List) => {
            let names: Vec<_> = mount.roles.keys().collect();
            Ok(Reply::Data(sorted([("keys", json!(names))]), Vec::new()))
        }
        (["role", name], Read) if is_name(name) => {
            let role = mount.roles.get(&name.to_lowercase());
            Ok(role.map_or(Reply::Nothing, |role| Reply::Data(role.data(), Vec::new())))
        }
        (["role", name], Update) if is_name(name) => {
            mount
                .roles
                .insert(name.to_lowercase(), Role::from_request(body)?);
            Ok(Reply::Nothing)
        }
        (["role", name], Delete) if is_name(name) => {
            mount.roles.remove(&name.to_lowercase());
            Ok(Reply::Nothing)
        }
        (["config" | "role"], _) => Err(Refusal::wrapped(405, "unsupported operation")),
        (["role", name], _) if is_name(name) => Err(Refusal::wrapped(405, "unsupported operation")),
        _ => Err(Refusal::wrapped(404, "unsupported path")),
    }
}
