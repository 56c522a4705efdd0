//! `sys/mounts` and `sys/auth`: what is mounted where.

use serde_json::{Map, Value, json};

use crate::envelope::{Outcome, Refusal, Reply};
use crate::fields::{Fields, Kind, Params};
use crate::request::Operation;
use crate::state::{Namespace, State};

const FIELDS: &Fields = &[
    ("type", Kind::Text),
    ("description", Kind::Text),
    ("config", Kind::Any),
    ("options", Kind::Any),
    ("local", Kind::Flag),
];

/// Serves a request; `segments` begin with `mounts` or `auth`.
pub(super) fn handle(
    state: &mut State,
    namespace: &str,
    operation: Operation,
    segments: &[&str],
    body: &Map<String, Value>,
) -> Outcome {
    let auth = segments.first() == Some(&"auth");
    let (_, path) = segments.split_at(1);
    let path = if path.is_empty() {
        String::new()
    } else {
        format!("{}/", path.join("/"))
    };
    let Some(namespace) = state.namespaces.get_mut(namespace) else {
        return Ok(Reply::Nothing);
    };
    match operation {
        Operation::Read if path.is_empty() => Ok(Reply::Doubled(list(namespace, auth))),
        Operation::Read => match list(namespace, auth).get(&path) {
            Some(Value::Object(one)) => Ok(Reply::Doubled(one.clone())),
            _ => Err(Refusal::plain(
                400,
                format!("No auth engine or secret engine at {path}"),
            )),
        },
        Operation::Update if !path.is_empty() => enable(namespace, auth, &path, body),
        Operation::Delete if !path.is_empty() => {
            if auth {
                namespace.jwt.remove(&path);
            } else {
                namespace.transit.remove(&path);
            }
            Ok(Reply::Nothing)
        }
        _ => Err(Refusal::wrapped(405, "unsupported operation")),
    }
}

fn enable(namespace: &mut Namespace, auth: bool, path: &str, body: &Map<String, Value>) -> Outcome {
    let params = Params::new(body, FIELDS, &["path"], false)?;
    let kind = params.text("type");
    let (known, shown) = if auth {
        ("jwt", format!("auth/{path}"))
    } else {
        ("transit", path.to_owned())
    };
    if kind != known {
        return Err(Refusal::plain(
            400,
            format!("plugin not found in the catalog: {kind}"),
        ));
    }
    if !auth && is_reserved(path) {
        return Err(Refusal::plain(400, format!("cannot mount \"{path}\"")));
    }
    if namespace.jwt.contains_key(path) && auth || namespace.transit.contains_key(path) && !auth {
        return Err(Refusal::plain(
            400,
            format!("path is already in use at {shown}"),
        ));
    }
    if auth {
        namespace
            .jwt
            .insert(path.to_owned(), crate::jwt::Mount::default());
    } else {
        namespace
            .transit
            .insert(path.to_owned(), crate::transit::Mount::default());
    }
    Ok(Reply::Nothing)
}

/// Whether the path belongs to the server itself; `path` ends with a slash.
pub(crate) fn is_reserved(path: &str) -> bool {
    ["sys/", "auth/", "identity/", "cubbyhole/"]
        .iter()
        .any(|own| path.starts_with(own))
}

fn list(namespace: &Namespace, auth: bool) -> Map<String, Value> {
    let entry = |kind: &str| {
        json!({
            "accessor": format!("{kind}_bao_dev"),
            "config": {"default_lease_ttl": 0, "force_no_cache": false, "max_lease_ttl": 0},
            "description": "",
            "external_entropy_access": false,
            "local": false,
            "options": {},
            "seal_wrap": false,
            "type": kind,
            "uuid": "",
        })
    };
    let mut mounts = Map::new();
    if auth {
        mounts.extend(
            namespace
                .jwt
                .keys()
                .map(|path| (path.clone(), entry("jwt"))),
        );
        mounts.insert(String::from("token/"), entry("token"));
    } else {
        mounts.extend(
            namespace
                .transit
                .keys()
                .map(|path| (path.clone(), entry("transit"))),
        );
        mounts.insert(String::from("sys/"), entry("system"));
    }
    mounts.sort_keys();
    mounts
}
