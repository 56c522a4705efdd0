//! The control operations over HTTP: one small dispatcher.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{Control, ControlError, KeyConfig, StandbyChange};
use crate::faults::{Fault, Listener};
use crate::jwt::Jwt;
use crate::tls::TlsMode;
use crate::wire::{Ending, ListenerMode};
use crate::world::Audit;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Created {
    version: i64,
    unix: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DropVersions {
    latest_version: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Upsert {
    allowed: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Restore {
    id: u64,
    #[serde(default)]
    tokens: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutPolicy {
    name: String,
    policy: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockChange {
    offset_seconds: Option<i64>,
    advance_seconds: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    #[serde(default)]
    publish: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Initialized {
    initialized: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuditChange {
    audit: Audit,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accessor {
    accessor: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shorten {
    accessor: Option<String>,
    ttl: i64,
}

/// A change of one listener, or of both where none is named.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfListener<T> {
    listener: Option<Listener>,
    mode: T,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Close {
    listener: Option<Listener>,
    how: Ending,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdleTimeout {
    listener: Option<Listener>,
    ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Restart {
    listener: Option<Listener>,
    down_ms: u64,
    #[serde(default)]
    sealed: bool,
}

/// Carries out one request; gives status and body.
pub(crate) fn handle(control: &Control, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
    match dispatch(control, method, path, body) {
        Ok(answer) => (200, answer),
        Err(error) => {
            let status = match error {
                ControlError::Body(_) => 400,
                ControlError::Port(_) | ControlError::Tls(_) => 500,
                _ => 404,
            };
            (status, json!({ "error": error.to_string() }))
        }
    }
}

fn dispatch(
    control: &Control,
    method: &str,
    path: &str,
    body: &[u8],
) -> Result<Value, ControlError> {
    let unknown = || ControlError::NoOperation(format!("{method} {path}"));
    let name = path.strip_prefix("/control/").ok_or_else(unknown)?;
    match (method, name) {
        ("GET", "status") => Ok(control.status()),
        ("GET", "counts") => Ok(json!(control.counts())),
        ("GET", "requests") => Ok(json!({ "requests": control.requests() })),
        ("GET", "tokens") => Ok(json!({ "tokens": control.tokens() })),
        ("GET", "faults") => Ok(json!({ "faults": control.faults() })),
        ("DELETE", "faults") => {
            control.faults_clear();
            Ok(json!({}))
        }
        ("DELETE", name) => {
            let id = name
                .strip_prefix("faults/")
                .and_then(|id| id.parse().ok())
                .ok_or_else(unknown)?;
            control.fault_remove(id)?;
            Ok(json!({}))
        }
        ("POST", name) => {
            let mut members = members(body)?;
            let control = aimed(control, &mut members)?;
            on_key(&control, name, &members)
                .or_else(|| on_listener(&control, name, &members))
                .or_else(|| on_server(&control, name, &members))
                .ok_or_else(unknown)?
        }
        _ => Err(unknown()),
    }
}

fn members(body: &[u8]) -> Result<Map<String, Value>, ControlError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    serde_json::from_slice(body).map_err(|error| ControlError::Body(error.to_string()))
}

fn read<T: DeserializeOwned>(members: &Map<String, Value>) -> Result<T, ControlError> {
    T::deserialize(members).map_err(|error| ControlError::Body(error.to_string()))
}

/// Takes namespace, mount and key out of the body.
fn aimed(control: &Control, members: &mut Map<String, Value>) -> Result<Control, ControlError> {
    let mut control = control.clone();
    for name in ["namespace", "mount", "key"] {
        match members.shift_remove(name) {
            None => {}
            Some(Value::String(text)) if name == "namespace" => {
                control = control.with_namespace(&text);
            }
            Some(Value::String(text)) if name == "mount" => control = control.with_mount(&text),
            Some(Value::String(text)) => control = control.with_key(&text),
            Some(_) => {
                return Err(ControlError::Body(format!(
                    "member '{name}' must be a text"
                )));
            }
        }
    }
    Ok(control)
}

type Handled = Option<Result<Value, ControlError>>;

fn done(outcome: Result<(), ControlError>) -> Result<Value, ControlError> {
    outcome.map(|()| json!({}))
}

/// For operations that cannot fail once the body is read.
fn act<T: DeserializeOwned>(
    members: &Map<String, Value>,
    act: impl FnOnce(T),
) -> Result<Value, ControlError> {
    act(read(members)?);
    Ok(json!({}))
}

fn on_key(control: &Control, name: &str, members: &Map<String, Value>) -> Handled {
    Some(match name {
        "rotate" => read::<Nothing>(members)
            .and_then(|_| control.rotate())
            .map(|version| json!({ "latest_version": version })),
        "key/config" => read::<KeyConfig>(members).and_then(|config| control.key_config(&config)),
        "key/created" => done(
            read::<Created>(members).and_then(|set| control.key_created(set.version, set.unix)),
        ),
        "key/delete" => done(read::<Nothing>(members).and_then(|_| control.key_delete())),
        "key/recreate" => done(read::<Nothing>(members).and_then(|_| control.key_recreate())),
        "key/drop-versions" => done(
            read::<DropVersions>(members)
                .and_then(|set| control.key_drop_versions(set.latest_version)),
        ),
        "upsert" => done(read::<Upsert>(members).and_then(|set| control.upsert(set.allowed))),
        _ => return None,
    })
}

fn on_listener(control: &Control, name: &str, members: &Map<String, Value>) -> Handled {
    let closed = |count: usize| json!({ "closed": count });
    Some(match name {
        "listener" => done(
            read::<OfListener<ListenerMode>>(members)
                .and_then(|set| control.listener(set.listener, set.mode)),
        ),
        "tls" => done(
            read::<OfListener<TlsMode>>(members)
                .and_then(|set| control.tls(set.listener, set.mode)),
        ),
        "connections/close" => read::<Close>(members)
            .map(|set| closed(control.connections_close(set.listener, set.how))),
        "connections/close-idle" => read::<Close>(members)
            .map(|set| closed(control.connections_close_idle(set.listener, set.how))),
        "idle-timeout" => act(members, |set: IdleTimeout| {
            control.idle_timeout(set.listener, set.ms);
        }),
        "restart" => done(
            read::<Restart>(members)
                .and_then(|set| control.restart(set.listener, set.down_ms, set.sealed)),
        ),
        _ => return None,
    })
}

fn on_server(control: &Control, name: &str, members: &Map<String, Value>) -> Handled {
    Some(match name {
        "initialized" => act(members, |set: Initialized| control.initialized(set.initialized)),
        "audit" => act(members, |set: AuditChange| control.audit(set.audit)),
        "tokens/revoke" => {
            done(read::<Accessor>(members).and_then(|set| control.tokens_revoke(&set.accessor)))
        }
        "tokens/shorten" => read::<Shorten>(members).map(|set| {
            json!({ "shortened": control.tokens_shorten(set.accessor.as_deref(), set.ttl) })
        }),
        "seal" => act(members, |_: Nothing| control.seal()),
        "unseal" => act(members, |_: Nothing| control.unseal()),
        "snapshot" => read::<Nothing>(members).map(|_| json!({ "id": control.snapshot() })),
        "restore" => done(read::<Restore>(members).and_then(|set| control.restore(set.id, set.tokens))),
        "tokens/revoke-all" => {
            read::<Nothing>(members).map(|_| json!({ "revoked": control.tokens_revoke_all() }))
        }
        "policy/put" => {
            done(read::<PutPolicy>(members).and_then(|set| control.policy_put(&set.name, &set.policy)))
        }
        "policy/remove" => act(members, |set: Named| control.policy_remove(&set.name)),
        "standby" => act(members, |change: StandbyChange| control.standby(change)),
        "clock" => read::<ClockChange>(members).map(|change| {
            if let Some(seconds) = change.offset_seconds {
                control.clock_offset(seconds);
            }
            json!({ "offset_seconds": control.clock_advance(change.advance_seconds.unwrap_or_default()) })
        }),
        "jwt/mint" => read::<Jwt>(members)
            .and_then(|jwt| control.jwt_mint(&jwt))
            .map(|jwt| json!({ "jwt": jwt })),
        "jwt/new-key" => done(read::<NewKey>(members).and_then(|set| control.jwt_new_key(set.publish))),
        "counts/reset" => act(members, |_: Nothing| control.counts_reset()),
        "faults" => read::<Fault>(members).and_then(|rule| match rule.flaw() {
            Some(flaw) => Err(ControlError::Body(flaw)),
            None => Ok(json!({ "id": control.fault(rule) })),
        }),
        _ => return None,
    })
}
