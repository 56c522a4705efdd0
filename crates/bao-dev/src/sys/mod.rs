//! `sys/...`: the server about itself, its mounts, policies and namespaces.

mod mounts;
mod status;

use serde_json::{Map, Value, json};

pub(crate) use mounts::is_reserved;
pub(crate) use status::{health, leader, seal_status};

use crate::envelope::{Outcome, Refusal, Reply, sorted};
use crate::fields::{Kind, Params};
use crate::policy::Policy;
use crate::request::Operation;
use crate::state::State;
use crate::tokens::Token;

/// Paths that need `sudo` besides the usual capability.
const PROTECTED: [&str; 7] = [
    "sys/auth/",
    "sys/audit",
    "sys/seal",
    "sys/step-down",
    "sys/raw",
    "sys/remount",
    "sys/rotate",
];

/// Whether `path`, relative to its namespace, is protected. `sys/seal-status` is not.
pub(crate) fn needs_sudo(path: &str) -> bool {
    path != "sys/seal-status"
        && PROTECTED
            .iter()
            .any(|protected| path.starts_with(protected))
}

/// Serves a request inside `namespace`; `path` is relative to `sys/`.
pub(crate) fn handle(
    state: &mut State,
    namespace: &str,
    operation: Operation,
    path: &str,
    token: &Token,
    body: &Map<String, Value>,
) -> Outcome {
    use Operation::{Delete, List, Read, Update};
    let segments: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    match (segments.as_slice(), operation) {
        (["capabilities-self"], Update) => capabilities(state, namespace, token, body),
        (["policies", "acl"] | ["policy"], List | Read) => policy_names(state, namespace),
        (["policies", "acl", name] | ["policy", name], Read) => {
            Ok(policy(state, namespace, name, segments.len() == 2))
        }
        (["policies", "acl", name] | ["policy", name], Update) => {
            put_policy(state, namespace, name, body)
        }
        (["policies", "acl", name] | ["policy", name], Delete) => {
            if matches!(*name, "default" | "root") {
                return Err(Refusal::plain(
                    400,
                    format!("cannot delete \"{name}\" policy"),
                ));
            }
            if let Some(namespace) = state.namespaces.get_mut(namespace) {
                namespace.policies.remove(*name);
            }
            Ok(Reply::Nothing)
        }
        (["mounts" | "auth", ..], _) => {
            mounts::handle(state, namespace, operation, &segments, body)
        }
        (["namespaces", ..], _) => namespaces(state, namespace, operation, &segments),
        (["quotas", ..], _) => quotas(state, operation, &segments, body),
        (["seal"], Update) => {
            state.sealed = true;
            Ok(Reply::Nothing)
        }
        _ if is_known(&segments) => Err(Refusal::wrapped(405, "unsupported operation")),
        _ => Err(Refusal::wrapped(404, "unsupported path")),
    }
}

fn is_known(segments: &[&str]) -> bool {
    matches!(
        segments,
        ["capabilities-self" | "seal" | "policy", ..] | ["policies", "acl", ..]
    )
}

fn capabilities(
    state: &State,
    namespace: &str,
    token: &Token,
    body: &Map<String, Value>,
) -> Outcome {
    let params = Params::new(
        body,
        &[("paths", Kind::List), ("path", Kind::List)],
        &[],
        false,
    )?;
    let paths = params
        .list("paths")
        .or_else(|| params.list("path"))
        .unwrap_or_default();
    if paths.is_empty() {
        return Err(Refusal::plain(400, "paths must be supplied"));
    }
    let acl = state.acl(token);
    let answer =
        |path: &String| json!(acl.words(&format!("{namespace}{}", path.trim_start_matches('/'))));
    let mut data: Map<String, Value> = paths
        .iter()
        .map(|path| (path.clone(), answer(path)))
        .collect();
    if let [path] = paths.as_slice() {
        data.insert(String::from("capabilities"), answer(path));
    }
    data.sort_keys();
    Ok(Reply::Doubled(data))
}

fn policy_names(state: &State, namespace: &str) -> Outcome {
    let mut names: Vec<&str> = Vec::new();
    if let Some(namespace) = state.namespaces.get(namespace) {
        names.extend(namespace.policies.keys().map(String::as_str));
    }
    if namespace.is_empty() {
        names.push("root");
    }
    Ok(Reply::Data(
        sorted([("keys", json!(names)), ("policies", json!(names))]),
        Vec::new(),
    ))
}

/// The old path calls the text `rules`.
fn policy(state: &State, namespace: &str, name: &str, old: bool) -> Reply {
    let found = state
        .namespaces
        .get(namespace)
        .and_then(|namespace| namespace.policies.get(name));
    let Some(policy) = found else {
        return Reply::Nothing;
    };
    let data = sorted([
        ("name", json!(name)),
        (if old { "rules" } else { "policy" }, json!(policy.text)),
    ]);
    if old {
        Reply::Doubled(data)
    } else {
        Reply::Data(data, Vec::new())
    }
}

fn put_policy(
    state: &mut State,
    namespace: &str,
    name: &str,
    body: &Map<String, Value>,
) -> Outcome {
    let params = Params::new(
        body,
        &[("policy", Kind::Text), ("rules", Kind::Text)],
        &["name"],
        false,
    )?;
    let text = if params.has("policy") {
        params.text("policy")
    } else {
        params.text("rules")
    };
    let text = crate::go::decode(text)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or(text.to_owned());
    let name = name.to_lowercase();
    if name == "root" {
        return Err(Refusal::plain(400, "cannot update \"root\" policy"));
    }
    if text.is_empty() {
        return Err(Refusal::plain(
            400,
            "'policy' parameter not supplied or empty",
        ));
    }
    let policy = Policy::read(&text)
        .map_err(|error| Refusal::plain(400, format!("failed to parse policy: {error}")))?;
    if let Some(namespace) = state.namespaces.get_mut(namespace) {
        namespace.policies.insert(name, policy);
    }
    Ok(Reply::Nothing)
}

fn namespaces(
    state: &mut State,
    namespace: &str,
    operation: Operation,
    segments: &[&str],
) -> Outcome {
    let (_, name) = segments.split_at(1);
    let path = format!("{namespace}{}/", name.join("/"));
    match (name, operation) {
        ([], Operation::List | Operation::Read) => {
            let children = state
                .namespaces
                .keys()
                .filter_map(|path| path.strip_prefix(namespace));
            let children: Vec<_> = children
                .filter(|child| child.matches('/').count() == 1)
                .collect();
            if children.is_empty() {
                return Ok(Reply::Nothing);
            }
            Ok(Reply::Data(sorted([("keys", json!(children))]), Vec::new()))
        }
        ([_], Operation::Update) => {
            // On an existing one this is an update, and gives the same answer.
            state.add_namespace(&path);
            describe_namespace(state, &path)
        }
        ([_], Operation::Read) => describe_namespace(state, &path),
        ([_], Operation::Delete) => {
            state
                .namespaces
                .retain(|known, _| !known.starts_with(&path));
            Ok(Reply::Nothing)
        }
        ([] | [_], _) => Err(Refusal::wrapped(405, "unsupported operation")),
        _ => Err(Refusal::wrapped(404, "unsupported path")),
    }
}

fn describe_namespace(state: &State, path: &str) -> Outcome {
    let Some(namespace) = state.namespaces.get(path) else {
        return Ok(Reply::Nothing);
    };
    let data = sorted([
        ("custom_metadata", json!({})),
        ("id", json!(namespace.id)),
        ("locked", json!(false)),
        ("path", json!(path)),
        ("tainted", json!(false)),
    ]);
    Ok(Reply::Data(data, Vec::new()))
}

fn quotas(
    state: &mut State,
    operation: Operation,
    segments: &[&str],
    body: &Map<String, Value>,
) -> Outcome {
    use Operation::{Delete, Read, Update};
    match (segments, operation) {
        ([_, "rate-limit", name], Update) => {
            state.quotas.put(name, body)?;
            Ok(Reply::Nothing)
        }
        ([_, "rate-limit", name], Read) => Ok(state
            .quotas
            .read(name)
            .map_or(Reply::Nothing, |data| Reply::Data(data, Vec::new()))),
        ([_, "rate-limit", name], Delete) => {
            state.quotas.remove(name);
            Ok(Reply::Nothing)
        }
        ([_, "config"], Update) => {
            state.quotas.configure(body)?;
            Ok(Reply::Nothing)
        }
        ([_, "rate-limit", _] | [_, "config"], _) => {
            Err(Refusal::wrapped(405, "unsupported operation"))
        }
        _ => Err(Refusal::wrapped(404, "unsupported path")),
    }
}
