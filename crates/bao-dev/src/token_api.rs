//! `auth/token/...`: what a token can ask about itself, and how one is made.

use serde_json::{Map, Value, json};

use crate::envelope::{Outcome, Refusal, Reply, sorted};
use crate::fields::{Fields, Kind, Params};
use crate::go;
use crate::request::Operation;
use crate::state::State;
use crate::tokens::{self, Lease, PastMaximum, Token, policy_names};

const CREATE_FIELDS: &Fields = &[
    ("id", Kind::Text),
    ("policies", Kind::List),
    ("no_default_policy", Kind::Flag),
    ("no_parent", Kind::Flag),
    ("ttl", Kind::Seconds),
    ("explicit_max_ttl", Kind::Seconds),
    ("period", Kind::Seconds),
    ("num_uses", Kind::Int),
    ("renewable", Kind::Flag),
    ("type", Kind::Text),
    ("display_name", Kind::Text),
    ("meta", Kind::Any),
];

/// Serves a request; `path` is relative to `auth/token/`, `now` is Unix seconds.
pub(crate) fn handle(
    state: &mut State,
    operation: Operation,
    path: &str,
    token: &Token,
    body: &Map<String, Value>,
    now: i64,
) -> Outcome {
    use Operation::{Read, Update};
    match (path, operation) {
        ("lookup-self", Read | Update) => Ok(Reply::Data(lookup(token, now), Vec::new())),
        ("renew-self", Update) => renew(state, token, body, now),
        ("revoke-self", Update) if token.batch => {
            Err(Refusal::plain(400, "batch tokens cannot be revoked"))
        }
        ("revoke-self", Update) => {
            state.tokens.revoke(&token.id);
            Ok(Reply::Nothing)
        }
        ("create" | "create-orphan", Update) => {
            create(state, token, body, now, path == "create-orphan")
        }
        ("revoke", Update) => {
            let params = Params::new(body, &[("token", Kind::Text)], &[], false)?;
            state.tokens.revoke(params.text("token"));
            Ok(Reply::Nothing)
        }
        ("revoke-accessor", Update) => {
            let params = Params::new(body, &[("accessor", Kind::Text)], &[], false)?;
            let found = state
                .tokens
                .by_accessor(params.text("accessor"))
                .map(|token| token.id.clone());
            let Some(id) = found else {
                return Err(Refusal::plain(400, "invalid accessor"));
            };
            state.tokens.revoke(&id);
            Ok(Reply::Nothing)
        }
        (
            "lookup-self" | "renew-self" | "revoke-self" | "create" | "create-orphan" | "revoke"
            | "revoke-accessor",
            _,
        ) => Err(Refusal::wrapped(405, "unsupported operation")),
        _ => Err(Refusal::wrapped(404, "unsupported path")),
    }
}

/// The `auth` block of a login, a creation or a renewal.
pub(crate) fn auth_block(token: &Token, lease: i64) -> Map<String, Value> {
    let meta = if token.meta.is_empty() {
        Value::Null
    } else {
        json!(token.meta)
    };
    let block = json!({
        "client_token": token.id,
        "accessor": token.accessor,
        "policies": token.policies,
        "token_policies": token.policies,
        "metadata": meta,
        "lease_duration": lease,
        "renewable": token.renewable,
        "entity_id": token.entity_id,
        "token_type": if token.batch { "batch" } else { "service" },
        "orphan": token.orphan,
        "mfa_requirement": null,
        "num_uses": token.num_uses,
    });
    let mut block = block.as_object().cloned().unwrap_or_default();
    if token.policies.is_empty() {
        block.shift_remove("token_policies");
    }
    block
}

fn lookup(token: &Token, now: i64) -> Map<String, Value> {
    let ttl = token
        .expires
        .map_or(0, |expires| expires.saturating_sub(now));
    let meta = if token.meta.is_empty() {
        Value::Null
    } else {
        json!(token.meta)
    };
    let mut data = sorted([
        ("accessor", json!(token.accessor)),
        ("creation_time", json!(token.created)),
        ("creation_ttl", json!(token.creation_ttl)),
        ("display_name", json!(token.display_name)),
        ("entity_id", json!(token.entity_id)),
        ("expire_time", json!(token.expires.map(go::rfc3339))),
        ("explicit_max_ttl", json!(token.explicit_max_ttl)),
        ("id", json!(token.id)),
        ("issue_time", json!(go::rfc3339(token.created))),
        ("meta", meta),
        ("num_uses", json!(token.num_uses)),
        ("orphan", json!(token.orphan)),
        ("path", json!(token.path)),
        ("policies", json!(token.policies)),
        ("renewable", json!(token.renewable)),
        ("ttl", json!(ttl)),
        ("type", json!(if token.batch { "batch" } else { "service" })),
    ]);
    let mut put = |name: &str, value: Value| data.insert(name.to_owned(), value);
    if token.period > 0 {
        put("period", json!(token.period));
    }
    if !token.namespace.is_empty() {
        put("namespace_path", json!(token.namespace));
    }
    if let Some(renewed) = token.last_renewal {
        put("last_renewal", json!(go::rfc3339(renewed)));
        put("last_renewal_time", json!(renewed));
    }
    if !token.has_lease() {
        data.shift_remove("issue_time");
        data.shift_remove("renewable");
    }
    data.sort_keys();
    data
}

fn renew(state: &mut State, token: &Token, body: &Map<String, Value>, now: i64) -> Outcome {
    let fields: &Fields = &[("increment", Kind::Seconds), ("token", Kind::Text)];
    let mut params = Params::new(body, fields, &[], false)?;
    let refused = |text: &str| Err(Refusal::plain(400, text));
    if token.batch {
        return refused("batch tokens cannot be renewed");
    }
    if !token.has_lease() {
        return refused("invalid lease ID");
    }
    if token.expires.is_none() || !token.renewable {
        return refused("lease is not renewable");
    }
    let mut renewed = token.clone();
    refresh_limits(state, &mut renewed)?;
    let Lease { seconds, warning } =
        tokens::lease(&renewed, params.int("increment").unwrap_or_default(), now)
            .map_err(|PastMaximum| Refusal::wrapped(500, "past the max TTL, cannot renew"))?;
    renewed.expires = Some(now.saturating_add(seconds));
    renewed.last_renewal = Some(now);
    let auth = auth_block(&renewed, seconds);
    state.tokens.insert(renewed);
    params.warnings.extend(warning);
    Ok(Reply::Auth(auth, params.warnings))
}

/// A renewal reads the role again for its times, and keeps the old policies.
fn refresh_limits(state: &State, token: &mut Token) -> Result<(), Refusal> {
    let Some(role) = &token.role else {
        return Ok(());
    };
    let mount = token
        .path
        .strip_prefix("auth/")
        .and_then(|path| path.strip_suffix("login"));
    let namespace = state.namespaces.get(&token.namespace);
    let mount = namespace
        .zip(mount)
        .and_then(|(namespace, mount)| namespace.jwt.get(mount));
    let Some(found) = mount.and_then(|mount| mount.roles.get(role)) else {
        let text = format!("failed to renew entry: role {role} does not exist during renewal");
        return Err(Refusal::wrapped(500, text));
    };
    token.ttl = found.token_ttl;
    token.max_ttl = found.token_max_ttl;
    token.period = found.token_period;
    Ok(())
}

fn create(
    state: &mut State,
    parent: &Token,
    body: &Map<String, Value>,
    now: i64,
    orphan: bool,
) -> Outcome {
    let mut params = Params::new(body, CREATE_FIELDS, &[], false)?;
    let wanted = params.list("policies").filter(|wanted| !wanted.is_empty());
    let policies = match wanted {
        None => parent.policies.clone(),
        Some(wanted) => policy_names(
            &wanted,
            !params.flag("no_default_policy").unwrap_or_default(),
        ),
    };
    let granted = |policy: &String| policy == "default" || parent.policies.contains(policy);
    if !parent.is_root() && !policies.iter().all(granted) {
        return Err(Refusal::plain(
            400,
            "child policies must be subset of parent",
        ));
    }
    let batch = params.text("type") == "batch";
    let namespace_id = state
        .namespaces
        .get(&parent.namespace)
        .map(|namespace| namespace.id.clone());
    let mut token = Token::new(
        &parent.namespace,
        &namespace_id.unwrap_or_default(),
        batch,
        now,
    );
    if parent.is_root() && !params.text("id").is_empty() {
        token.id = params.text("id").to_owned();
    }
    token.policies = policies;
    token.path = String::from("auth/token/create");
    if !params.text("display_name").is_empty() {
        token.display_name = format!("token-{}", params.text("display_name"));
    }
    let number = |name: &str| params.int(name).unwrap_or_default();
    token.orphan = orphan || params.flag("no_parent").unwrap_or_default();
    token.parent = (!token.orphan && !batch).then(|| parent.id.clone());
    token.renewable = !batch && params.flag("renewable").unwrap_or(true);
    token.ttl = number("ttl");
    token.explicit_max_ttl = number("explicit_max_ttl");
    token.period = number("period");
    token.num_uses = number("num_uses");
    let meta = params
        .raw("meta")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    token.meta = meta
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    if token.is_root() && token.ttl == 0 {
        token.renewable = false;
    } else {
        params.warnings.extend(token.grant_first_lease(now));
    }
    let auth = auth_block(&token, token.ttl);
    state.tokens.insert(token);
    Ok(Reply::Auth(auth, params.warnings))
}
