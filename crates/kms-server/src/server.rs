//! The roof: bind before anything else starts, serve until asked to stop, leave nothing.

use std::{io, path::Path, sync::Arc, time::Duration};

use keyring::kms::Kms;
use tokio::{
    net::UnixStream,
    sync::watch,
    task::{JoinError, JoinSet},
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

use crate::{
    connection::{self, Host, MAX_CONNECTIONS},
    door::Door,
    errors::{ServeError, SocketError},
    inherit::Inherited,
    listeners::{Listeners, Listening},
    metrics::{Metrics, Turned},
    peer::Peers,
    settings::Settings,
    untaken::Untaken,
};

/// A deleted socket is bound again within a second; this leaves time for a busy machine.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);
/// After a failed accept, which means that the process or the machine has run out of
/// something: connections that are served give it back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The KMS v2 service on a Unix socket.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Takes the socket: from here on clients can connect, and wait until [`Bound::serve`]
    /// accepts. Needs no runtime, so that it can come before the process locks itself in.
    ///
    /// # Errors
    /// When the path, its directory or what lies there breaks a rule, when another instance
    /// lives, or when the inherited listener is not the configured one.
    pub fn bind(
        settings: Settings,
        inherited: Inherited,
        metrics: Metrics,
    ) -> Result<Bound, SocketError> {
        Listening::begin(settings, inherited, metrics).map(Bound)
    }
}

/// A socket that listens. Dropped without having served, it removes its file, if that still
/// is the one that it bound; what was inherited stays.
#[derive(Debug)]
#[must_use = "clients wait until it serves"]
pub struct Bound(Listening);

impl Bound {
    /// The configured path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.settings().socket_path
    }

    /// Serves `kms` until `shutdown` completes. Then no connection is accepted any more,
    /// every client is told to go (GOAWAY), calls in flight get the drain time, and the
    /// socket is removed if it is ours.
    ///
    /// # Errors
    /// When the runtime does not take the listeners.
    pub async fn serve(
        self,
        kms: Arc<dyn Kms>,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        let settings = self.0.settings().clone();
        let metrics = self.0.metrics().clone();
        let (stop, stopped) = watch::channel(false);
        let mut reception = Reception {
            host: Host {
                door: Door::new(kms, metrics.clone(), settings.correlation),
                peers: Peers::new(&settings.allowed_peers),
                metrics,
                untaken: Untaken::default(),
                stop: stopped,
            },
            listeners: self.0.enter()?,
            connections: JoinSet::new(),
            full: false,
        };
        tracing::info!(path = %reception.listeners.path().display(), "socket.listening");
        reception.receive(shutdown).await;
        stop.send_replace(true);
        drain(&mut reception.connections, settings.drain_timeout).await;
        reception.listeners.leave();
        Ok(())
    }
}

/// Accepts connections and holds them.
struct Reception {
    host: Host,
    listeners: Listeners,
    connections: JoinSet<()>,
    /// Whether the places ran out, so that it is said once and not for each tick.
    full: bool,
}

impl Reception {
    async fn receive(&mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut tick = interval(WATCH_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let room = self.connections.len() < MAX_CONNECTIONS;
            self.mind_the_places(room);
            tokio::select! {
                () = &mut shutdown => return,
                Some(ended) = self.connections.join_next() => report(ended),
                _ = tick.tick() => {
                    self.listeners.watch();
                    self.host.untaken.look();
                }
                accepted = self.listeners.accept(), if room => self.welcome(accepted).await,
            }
        }
    }

    /// Whoever finds no place waits in the kernel's queue, which costs nobody anything.
    fn mind_the_places(&mut self, room: bool) {
        if self.full != room {
            return;
        }
        self.full = !room;
        if self.full {
            self.host.metrics.turned_away(Turned::no_place);
            tracing::warn!(
                reason = "no_place",
                places = MAX_CONNECTIONS,
                "socket.turned_away"
            );
        }
    }

    async fn welcome(&mut self, accepted: io::Result<UnixStream>) {
        match accepted {
            Ok(stream) => {
                let connection = connection::serve(stream, self.host.clone());
                self.connections.spawn(connection);
            }
            Err(error) => {
                tracing::warn!(
                    error_class = "socket_unavailable",
                    reason = %error,
                    "socket.accept_failed"
                );
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn drain(connections: &mut JoinSet<()>, patience: Duration) {
    let began = Instant::now();
    let at_first = connections.len();
    let all = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    let _ = timeout(patience, all).await;
    let cut = connections.len();
    connections.shutdown().await;
    tracing::info!(
        connections = at_first,
        cut,
        duration_ms = pace::millis(began.elapsed()),
        "socket.drained"
    );
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(error_class = "panic", "socket.connection_panicked");
    }
}
