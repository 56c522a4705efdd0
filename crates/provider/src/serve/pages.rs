//! `/live`, `/ready` and `/metrics`.

use std::{path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use daemon::admin::{Asked, Page, Site};
use http::StatusCode;
use keyring::view::View;
use openbao::{LoginState, OpenBao};
use pace::Clock;
use prometheus_client::registry::Registry;
use serde_json::json;

use super::exposition;

/// A Status that takes longer than this is a daemon that does not live.
const LIVE_PATIENCE: Duration = Duration::from_secs(2);

/// What the pages show.
#[derive(Clone)]
pub(super) struct Facts {
    pub(super) socket: PathBuf,
    pub(super) view: Arc<ArcSwap<View>>,
    pub(super) openbao: Arc<OpenBao>,
    pub(super) clock: Arc<dyn Clock>,
}

pub(super) fn health(facts: Facts) -> Site {
    let live = facts.clone();
    Site::default()
        .page("/live", move |_| {
            let socket = live.socket.clone();
            async move { live_page(socket).await }
        })
        .page("/ready", move |_| {
            let page = ready_page(&facts);
            async move { page }
        })
}

pub(super) fn metrics(registry: Registry) -> Site {
    let registry = Arc::new(registry);
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

fn ready_page(facts: &Facts) -> Page {
    let view = facts.view.load();
    let healthy = view.healthy(facts.clock.now().mono);
    let active = view.active.as_ref();
    let mut reasons: Vec<&str> = Vec::new();
    if let Err(reason) = healthy {
        reasons.extend(&view.reasons);
        if reasons.is_empty() {
            reasons.push(reason);
        }
    }
    let status = if healthy.is_ok() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Page::json(
        status,
        &json!({
            "ready": healthy.is_ok(),
            "reasons": reasons,
            "login": login(&facts.openbao.login_state()),
            "key_id_hash": active.map(|snapshot| snapshot.key_id.hash()),
            "transit_key_version": active.map(|snapshot| snapshot.version),
        }),
    )
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
