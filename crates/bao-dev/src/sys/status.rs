//! Health, seal status and leader: bodies that are no envelopes, and need no token.

use serde_json::{Map, Value, json};

use crate::envelope::{Outcome, Refusal, Reply};
use crate::state::{Node, State, VERSION};

const CLUSTER: &str = "bao-dev";

/// `GET sys/health`; the query can choose the status of every verdict.
pub(crate) fn health(state: &State, node: Node, query: &Map<String, Value>, now: i64) -> Outcome {
    let code = |name: &str, default: u16| match query.get(name).and_then(Value::as_str) {
        None | Some("") => Ok(default),
        Some(text) => match text.parse() {
            Ok(code @ 100..=999) => Ok(code),
            _ => Err(Refusal::empty(400)),
        },
    };
    let active = code("activecode", 200)?;
    let standby = code("standbycode", 429)?;
    let sealed = code("sealedcode", 503)?;
    let uninitialized = code("uninitcode", 501)?;
    let standby_ok = match query.get("standbyok").and_then(Value::as_str) {
        None | Some("0" | "f" | "false" | "F" | "FALSE" | "False") => false,
        Some("" | "1" | "t" | "true" | "T" | "TRUE" | "True") => true,
        Some(_) => return Err(Refusal::empty(400)),
    };
    let is_standby = state.sealed || node == Node::Standby;
    let status = match (state.sealed, node) {
        _ if !state.initialized => uninitialized,
        (true, _) => sealed,
        (false, Node::Standby) if !standby_ok => standby,
        _ => active,
    };
    let mode = if state.sealed { "unknown" } else { "disabled" };
    let body = json!({
        "initialized": state.initialized,
        "sealed": state.sealed,
        "standby": is_standby,
        "replication_performance_mode": mode,
        "replication_dr_mode": mode,
        "server_time_utc": now,
        "version": VERSION,
    });
    Ok(Reply::Bare(status, with_cluster(&body, state)))
}

/// `GET sys/seal-status`, and the answer to `sys/unseal`.
pub(crate) fn seal_status(state: &State) -> Reply {
    let body = json!({
        "type": "shamir",
        "initialized": state.initialized,
        "sealed": state.sealed,
        "t": 1,
        "n": 1,
        "progress": 0,
        "nonce": "",
        "recovery_seal": false,
        "version": VERSION,
        "commit_date": "2026-08-18T00:00:00Z",
        "migration": false,
    });
    let mut body = with_cluster(&body, state);
    body.insert(String::from("storage_type"), json!("inmem"));
    Reply::Bare(200, body)
}

/// Clusters have no name while sealed.
fn with_cluster(body: &Value, state: &State) -> Map<String, Value> {
    let mut body = body.as_object().cloned().unwrap_or_default();
    if !state.sealed {
        body.insert(String::from("cluster_name"), json!(CLUSTER));
        body.insert(String::from("cluster_id"), json!(state.cluster_id));
    }
    body
}

/// `GET sys/leader`. Members that say nothing are left out.
pub(crate) fn leader(state: &State, node: Node) -> Reply {
    let mut body = Map::from_iter([(String::from("ha_enabled"), json!(true))]);
    if node == Node::Active {
        body.insert(String::from("is_self"), json!(true));
    }
    body.insert(String::from("leader_address"), json!(state.active_address));
    body.insert(
        String::from("leader_cluster_address"),
        json!(state.active_address),
    );
    Reply::Bare(200, body)
}
