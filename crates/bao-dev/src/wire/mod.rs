//! A node as the network sees it: its port, its handshake and its connections.

mod line;

mod port;

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

pub use line::Ending;
pub(crate) use line::{Line, Stream, Work};

use crate::tls::{Handshake, TlsMode};
use port::Port;

/// How long the imitated server keeps a connection without requests.
pub(crate) const IDLE: Duration = Duration::from_secs(300);

/// How a node takes connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListenerMode {
    /// As it should.
    Open,
    /// Connections are refused, and those it had are reset.
    Refuse,
    /// Connections are accepted, but no byte goes in or out, on those it had either.
    BlackHole,
}

/// What the loop that accepts connections has to know.
#[derive(Clone)]
pub(crate) struct Door {
    /// None: there is nothing to accept.
    pub(crate) listener: Option<Arc<TcpListener>>,
    /// When a node that is down comes back by itself.
    pub(crate) reopen: Option<Instant>,
}

/// How many connections were taken, and how many of them are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Connections {
    /// Since the start.
    pub accepted: u64,
    /// Now.
    pub open: usize,
}

struct State {
    port: Port,
    mode: ListenerMode,
    tls: (TlsMode, Handshake),
    lines: Vec<Weak<Line>>,
    accepted: u64,
}

/// One node's port and connections.
pub(crate) struct Wire {
    address: SocketAddr,
    state: Mutex<State>,
    door: watch::Sender<Door>,
    idle: watch::Sender<Duration>,
}

impl Wire {
    /// Around a listener that is bound to `address`.
    pub(crate) fn new(listener: TcpListener, address: SocketAddr, tls: Handshake) -> Self {
        let listener = Arc::new(listener);
        Self {
            address,
            state: Mutex::new(State {
                port: Port::Open(Arc::clone(&listener)),
                mode: ListenerMode::Open,
                tls: (TlsMode::Good, tls),
                lines: Vec::new(),
                accepted: 0,
            }),
            door: watch::Sender::new(Door {
                listener: Some(listener),
                reopen: None,
            }),
            idle: watch::Sender::new(IDLE),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the loop that accepts looks.
    pub(crate) fn door(&self) -> watch::Receiver<Door> {
        self.door.subscribe()
    }

    /// The limit of idle connections, as it changes.
    pub(crate) fn idle_limit(&self) -> watch::Receiver<Duration> {
        self.idle.subscribe()
    }

    /// Ends connections that have no request for so long.
    pub(crate) fn set_idle_limit(&self, limit: Duration) {
        self.idle.send_replace(limit);
    }

    /// Changes how connections are taken, at once.
    pub(crate) fn set_mode(&self, mode: ListenerMode) -> std::io::Result<()> {
        let mut state = self.state();
        let door = if mode == ListenerMode::Refuse {
            state.port.close(self.address)?;
            None
        } else {
            Some(state.port.open()?)
        };
        state.mode = mode;
        for line in state.lines.iter().filter_map(Weak::upgrade) {
            match mode {
                ListenerMode::Refuse => line.end(Ending::Rst),
                ListenerMode::BlackHole => line.silence(true),
                ListenerMode::Open => line.silence(false),
            }
        }
        drop(state);
        self.door.send_replace(Door {
            listener: door,
            reopen: None,
        });
        Ok(())
    }

    /// Refuses connections, and takes them again after `down`.
    pub(crate) fn restart(&self, down: Duration) -> std::io::Result<()> {
        self.set_mode(ListenerMode::Refuse)?;
        self.door
            .send_modify(|door| door.reopen = Some(Instant::now() + down));
        Ok(())
    }

    /// Gives the port back for good. Handles that outlive the server keep nothing open.
    pub(crate) fn shut(&self) {
        self.state().port = Port::Gone;
        self.door.send_replace(Door {
            listener: None,
            reopen: None,
        });
    }

    /// Changes the handshake, and ends what shook hands before.
    pub(crate) fn set_tls(&self, mode: TlsMode, handshake: Handshake) {
        self.state().tls = (mode, handshake);
        self.end(Ending::Fin, false);
    }

    /// What a new connection's first bytes get.
    pub(crate) fn handshake(&self) -> Handshake {
        self.state().tls.1.clone()
    }

    /// Ends connections, or only those without a request under way; gives how many.
    pub(crate) fn end(&self, how: Ending, only_idle: bool) -> usize {
        let lines: Vec<_> = self
            .state()
            .lines
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        let ended = lines
            .iter()
            .filter(|line| !(line.is_ended() || only_idle && line.is_busy()));
        ended.map(|line| line.end(how)).count()
    }

    /// Takes a connection into account.
    pub(crate) fn take(&self, stream: TcpStream) -> (Stream, Arc<Line>) {
        let mut state = self.state();
        let line = Arc::new(Line::new(state.mode == ListenerMode::BlackHole));
        if state.mode == ListenerMode::Refuse {
            // It was accepted before the port was closed, and taken after.
            line.end(Ending::Rst);
        }
        state.accepted += 1;
        state.lines.retain(|line| line.strong_count() > 0);
        state.lines.push(Arc::downgrade(&line));
        (Stream::new(stream, Arc::clone(&line)), line)
    }

    /// How connections are taken, and how they shake hands.
    pub(crate) fn modes(&self) -> (ListenerMode, TlsMode) {
        let state = self.state();
        (state.mode, state.tls.0)
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> Connections {
        let state = self.state();
        let open = state.lines.iter().filter_map(Weak::upgrade);
        Connections {
            accepted: state.accepted,
            open: open.filter(|line| !line.is_ended()).count(),
        }
    }
}
