//! Pages over HTTP: health, metrics, the pods, and how all is for people.
//!
//! They look at the running agent at each request, and know nothing else.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use agent::{Handle, Overview};
use daemon::{
    admin::{Admin, Page, Site},
    logging::Dropped,
    shutdown::Shutdown,
};
use http::StatusCode;
use pace::Clock;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    causes::chain,
    documents::{self, Place},
    meter::Meter,
};

mod front;
mod metrics;
mod process;

/// A loop that does not answer within this does not turn.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two tries to listen on an address that is taken.
const AGAIN: Duration = Duration::from_secs(5);
/// Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Where pages are to be had; port 0 is nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) bind: IpAddr,
    /// Health, metrics and the page for people.
    pub(crate) health: u16,
    /// The pods, with all that their manifests say.
    pub(crate) pods: u16,
}

/// What pages are made from.
pub(crate) struct Sight {
    /// None until the runtime has answered for the first time.
    pub(crate) agent: watch::Receiver<Option<Handle>>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) place: Place,
    pub(crate) clock: Arc<dyn Clock>,
    /// Wall clock, Unix seconds.
    pub(crate) started: i64,
    pub(crate) dropped: Dropped,
}

/// What a look at the agent found.
enum Look {
    Seen(Box<Overview>),
    /// The runtime has not answered yet.
    Waits,
    /// The loop does not turn, or is ending.
    Stuck,
}

impl Sight {
    async fn look(&self) -> Look {
        let Some(handle) = self.agent.borrow().clone() else {
            return Look::Waits;
        };
        match timeout(PATIENCE, handle.view()).await {
            Ok(Ok(overview)) => Look::Seen(Box::new(overview)),
            Ok(Err(_)) | Err(_) => Look::Stuck,
        }
    }
}

/// Why the agent cannot do its work; nothing, if it can.
fn troubles(look: &Look) -> Vec<String> {
    match look {
        Look::Waits => vec!["the runtime has not answered yet".to_owned()],
        Look::Stuck => vec!["the agent's loop does not answer".to_owned()],
        Look::Seen(overview) => {
            let runtime = overview.runtime_down.iter();
            let runtime = runtime.map(|why| format!("the runtime does not answer: {why}"));
            let sources = overview.sources.iter().filter_map(|source| {
                let why = source.trouble.as_ref()?;
                Some(format!("{} cannot be read: {why}", source.name))
            });
            runtime.chain(sources).collect()
        }
    }
}

fn health(look: &Look) -> Page {
    let troubles = troubles(look);
    if troubles.is_empty() {
        return Page::text(StatusCode::OK, "ok");
    }
    let lines = troubles.iter().map(|why| format!("{why}\n"));
    Page::text(StatusCode::SERVICE_UNAVAILABLE, lines.collect::<String>())
}

fn health_site(sight: &Arc<Sight>) -> Site {
    let (one, two, three) = (Arc::clone(sight), Arc::clone(sight), Arc::clone(sight));
    Site::default()
        .page("/healthz", move |_| {
            let sight = Arc::clone(&one);
            async move { health(&sight.look().await) }
        })
        .page("/metrics", move |_| {
            let sight = Arc::clone(&two);
            async move {
                Page {
                    content_type: METRICS,
                    ..Page::text(StatusCode::OK, metrics::render(&sight, &sight.look().await))
                }
            }
        })
        .page("/", move |_| {
            let sight = Arc::clone(&three);
            async move { Page::html(front::render(&sight, &sight.look().await)) }
        })
}

fn with_pods(site: Site, sight: &Arc<Sight>) -> Site {
    let sight = Arc::clone(sight);
    site.page("/pods", move |_| {
        let sight = Arc::clone(&sight);
        async move {
            match sight.look().await {
                Look::Seen(overview) => Page::json(StatusCode::OK, &documents::pod_list(&overview)),
                look => health(&look),
            }
        }
    })
}

/// Serves until shutdown. An address that is taken is waited for: pods must run without pages.
pub(crate) async fn serve(addresses: Addresses, sight: Sight, shutdown: Shutdown) {
    let sight = Arc::new(sight);
    let Addresses { bind, health, pods } = addresses;
    let health_site = health_site(&sight);
    if health == pods {
        let both = with_pods(health_site, &sight);
        return listen(bind, health, "health", both, shutdown).await;
    }
    let pods_site = with_pods(Site::default(), &sight);
    tokio::join!(
        listen(bind, health, "health", health_site, shutdown.clone()),
        listen(bind, pods, "pods", pods_site, shutdown),
    );
}

async fn listen(bind: IpAddr, port: u16, purpose: &'static str, site: Site, shutdown: Shutdown) {
    if port == 0 {
        return;
    }
    // Elsewhere nothing is for this machine alone, and names of it are as good as addresses.
    let site = match bind.is_loopback() {
        true => site.by_address(),
        false => site,
    };
    let address = SocketAddr::new(bind, port).to_string();
    let mut said = false;
    loop {
        match Admin::bind(&address, purpose, site.clone()).await {
            Ok(admin) => {
                tracing::info!(purpose, address, "admin.listening");
                let _ = admin.serve(shutdown).await;
                return;
            }
            Err(error) if !said => {
                said = true;
                tracing::warn!(
                    purpose,
                    address,
                    reason = chain(&error),
                    "admin.unavailable"
                );
            }
            Err(_) => {}
        }
        tokio::select! {
            () = shutdown.wait() => return,
            () = sleep(AGAIN) => {}
        }
    }
}

#[cfg(test)]
mod tests;
