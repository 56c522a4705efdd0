//! `/`, `/live`, `/ready` and `/metrics`.

use std::{path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use daemon::admin::{Asked, Page, Site};
use http::StatusCode;
use keyring::view::{ProbeSight, Trouble, View};
use openbao::{LoginState, OpenBao};
use pace::{Clock, Now};
use prometheus_client::registry::Registry;
use registry::{finding::Finding, record::RecordState, snapshot::Snapshot};
use serde_json::{Value, json};

use super::{
    exposition,
    front::{self, Front},
    history::History,
};

/// A Status that takes longer than this is a daemon that does not live.
const LIVE_PATIENCE: Duration = Duration::from_secs(2);

/// What the pages show.
#[derive(Clone)]
pub(super) struct Facts {
    pub(super) socket: PathBuf,
    pub(super) view: Arc<ArcSwap<View>>,
    pub(super) openbao: Arc<OpenBao>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) history: Arc<History>,
}

pub(super) fn health(facts: Facts) -> Site {
    let live = facts.clone();
    let people = facts.clone();
    Site::default()
        .page("/", move |_| {
            let page = front_page(&people);
            async move { page }
        })
        .page("/live", move |_| {
            let socket = live.socket.clone();
            async move { live_page(socket).await }
        })
        .page("/ready", move |_| {
            let page = ready_page(&facts);
            async move { page }
        })
}

pub(super) fn metrics(registry: Arc<Registry>) -> Site {
    Site::default().page("/metrics", move |asked| {
        let page = metrics_page(&registry, &asked);
        async move { page }
    })
}

/// Alive is who answers Status on the socket: a call through the gRPC path, not just a thread
/// that speaks HTTP. Healthy or not is another question.
async fn live_page(socket: PathBuf) -> Page {
    let answered = async {
        kms_server::client::Client::connect(&socket, LIVE_PATIENCE)
            .await?
            .status()
            .await
    };
    match answered.await {
        Ok(_) => Page::text(StatusCode::OK, "ok\n"),
        Err(error) => {
            tracing::warn!(reason = crate::causes::chain(&error), "health.not_live");
            Page::text(
                StatusCode::SERVICE_UNAVAILABLE,
                "the socket does not answer\n",
            )
        }
    }
}

/// Why not healthy; empty when it is.
fn reasons(view: &View, now: Now) -> Vec<&'static str> {
    match view.healthy(now.mono) {
        Ok(_) => Vec::new(),
        Err(reason) if view.reasons.is_empty() => vec![reason],
        Err(_) => view.reasons.clone(),
    }
}

fn front_page(facts: &Facts) -> Page {
    let view = facts.view.load();
    let now = facts.clock.now();
    let mut slots = view.records.values();
    let pending = slots.find(|slot| slot.state == RecordState::Pending);
    let shown = |snapshot: &Arc<Snapshot>| (snapshot.version, snapshot.key_id.hash());
    Page::html(front::render(&Front {
        now,
        healthy: view.healthy(now.mono).is_ok(),
        reasons: reasons(&view, now),
        findings: view.findings.clone(),
        findings_omitted: view.findings_omitted,
        metadata: view.metadata.clone(),
        deep: view.deep.clone(),
        active: view.active.as_ref().map(shown),
        pending: pending.map(|slot| shown(&slot.snapshot)),
        generation: view.generation,
        disk: view.disk,
        login: login(&facts.openbao.login_state()),
        token: facts.openbao.token_ttl(),
        lately: facts.history.lately(),
    }))
}

fn ready_page(facts: &Facts) -> Page {
    let view = facts.view.load();
    let now = facts.clock.now();
    let status = if view.healthy(now.mono).is_ok() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let login = login(&facts.openbao.login_state());
    Page::json(status, &ready(&view, &login, now))
}

fn ready(view: &View, login: &str, now: Now) -> Value {
    let active = view.active.as_ref();
    json!({
        "ready": view.healthy(now.mono).is_ok(),
        "reasons": reasons(view, now),
        "findings": view.findings.iter().map(finding).collect::<Vec<_>>(),
        "findings_omitted": view.findings_omitted,
        "login": login,
        "probes": {
            "metadata": probe(&view.metadata, now),
            "deep": probe(&view.deep, now),
        },
        "state": {
            "generation": view.generation,
            "trouble": view.disk.map(|trouble| trouble.word),
            "since": view.disk.map(|trouble| timestamp(&trouble)),
            "for_seconds": view.disk.map(|trouble| lasts(&trouble, now)),
        },
        "key_id_hash": active.map(|snapshot| snapshot.key_id.hash()),
        "transit_key_version": active.map(|snapshot| snapshot.version),
    })
}

/// What stands behind a reason, in full.
fn finding(finding: &Finding) -> Value {
    json!({
        "reason": finding.word(),
        "at_stake": finding.label().as_str(),
        "sentence": finding.to_string(),
    })
}

/// The last probe of one kind, and since when they have failed.
fn probe(sight: &ProbeSight, now: Now) -> Value {
    let passed = sight.passed.map(|at| now.mono.saturating_sub(at).as_secs());
    json!({
        "failing": sight.trouble.map(|trouble| trouble.word),
        "reason": sight.reason.as_deref(),
        "since": sight.trouble.map(|trouble| timestamp(&trouble)),
        "for_seconds": sight.trouble.map(|trouble| lasts(&trouble, now)),
        "passed_seconds_ago": passed,
    })
}

/// On the wall clock of that time, to be looked for in logs.
fn timestamp(trouble: &Trouble) -> Option<String> {
    front::clock_time(trouble.since.wall)
}

/// On the monotonic clock: right whatever the wall clock did.
fn lasts(trouble: &Trouble, now: Now) -> u64 {
    now.mono.saturating_sub(trouble.since.mono).as_secs()
}

/// The login in stable words: a state, then the class of the last failure.
fn login(state: &LoginState) -> String {
    match state {
        LoginState::LoggedIn => "logged_in".into(),
        LoginState::RefreshFails(error) => format!("refresh_fails:{}", error.class.as_str()),
        LoginState::NoToken(Some(error)) => format!("no_token:{}", error.class.as_str()),
        LoginState::NoToken(None) => "no_token".into(),
    }
}

fn metrics_page(registry: &Registry, asked: &Asked) -> Page {
    match exposition::render(registry, &asked.accept) {
        Ok((content_type, body)) => Page {
            status: StatusCode::OK,
            content_type,
            body,
        },
        Err(_) => Page::text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "metrics cannot be written\n",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_of_the_findings_is_counted() {
        let view = View {
            findings: vec![Finding::KeyType],
            findings_omitted: 3,
            ..View::default()
        };
        let now = Now {
            wall: 0,
            mono: Duration::ZERO,
        };
        let ready = ready(&view, "logged_in", now);
        assert_eq!(ready["findings"].as_array().map(Vec::len), Some(1));
        assert_eq!(ready["findings_omitted"], 3);
    }
}
