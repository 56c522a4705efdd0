//! All that is listened on, and the watch over the path that leads there.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    os::unix::net::{UnixListener as StdListener, UnixStream as StdStream},
    path::{Path, PathBuf},
    task::Poll,
};

use tokio::net::{UnixListener, UnixStream};

use crate::{
    claim::Claim,
    errors::{ServeError, SocketError},
    inherit::{Inherited, adopt},
    metrics::Metrics,
    place::{Identity, Place, identity_at},
    settings::Settings,
    socket::{Access, listen, remove_ours},
};

/// What a start that goes no further has to take back: a socket file behind which nobody will
/// ever accept. One that the supervisor bound is not ours to remove.
#[derive(Debug)]
struct Held {
    claim: Option<Claim>,
    ours: Option<Identity>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(claim) = self.claim.take() else {
            return;
        };
        if let Some(ours) = self.ours {
            remove_ours(claim.place(), ours);
        }
        claim.release();
    }
}

/// Bound and listening, but not yet part of a runtime. What was bound is removed on drop.
#[derive(Debug)]
pub(crate) struct Listening {
    settings: Settings,
    access: Access,
    metrics: Metrics,
    held: Held,
    inherited: Option<StdListener>,
    own: Option<StdListener>,
    waiting: Vec<StdStream>,
    leads: Option<Identity>,
}

impl Listening {
    /// Adopts what was inherited, and binds the path unless it leads there already.
    pub(crate) fn begin(
        settings: Settings,
        inherited: Inherited,
        metrics: Metrics,
    ) -> Result<Self, SocketError> {
        let access = Access::resolve(settings.socket_mode, &settings.socket_group)?;
        let claim = Claim::take(Place::check(&settings)?)?;
        let mut listening = Self {
            settings,
            access,
            metrics,
            held: Held {
                claim: None,
                ours: None,
            },
            inherited: None,
            own: None,
            waiting: Vec::new(),
            leads: None,
        };
        if let Some(listener) = inherited.into_listener() {
            let adopted = adopt(listener, claim.place(), access)?;
            listening.inherited = Some(adopted.listener);
            listening.waiting = adopted.waiting;
            listening.leads = adopted.leads;
        }
        if listening.leads.is_none() {
            let own = listen(&claim, access, &listening.metrics)?;
            listening.leads = Some(own.identity);
            listening.held.ours = Some(own.identity);
            listening.own = Some(own.listener);
        }
        listening.held.claim = Some(claim);
        Ok(listening)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Hands everything to the current runtime.
    pub(crate) fn enter(mut self) -> Result<Listeners, ServeError> {
        let path = self.settings.socket_path.clone();
        let failed = |source| ServeError::Listener {
            path: path.clone(),
            source,
        };
        let inherited = self.inherited.take();
        let inherited = inherited.map(UnixListener::from_std).transpose();
        let mut waiting = VecDeque::new();
        for stream in std::mem::take(&mut self.waiting) {
            waiting.push_back(UnixStream::from_std(stream).map_err(failed)?);
        }
        let own = self.own.take().map(UnixListener::from_std).transpose();
        Ok(Listeners {
            path: self.settings.socket_path.clone(),
            listeners: [inherited.map_err(failed)?, own.map_err(failed)?, None],
            waiting,
            // Taken last: until here a failure removes them.
            ours: self.held.ours.take(),
            leads: self.leads,
            claim: self.held.claim.take(),
            settings: self.settings,
            access: self.access,
            metrics: self.metrics,
        })
    }
}

/// Part of a runtime: accepts, and notices when the path leads elsewhere.
#[derive(Debug)]
pub(crate) struct Listeners {
    path: PathBuf,
    /// The inherited one, our own, and our last one until its queue is empty.
    listeners: [Option<UnixListener>; 3],
    waiting: VecDeque<UnixStream>,
    ours: Option<Identity>,
    leads: Option<Identity>,
    claim: Option<Claim>,
    settings: Settings,
    access: Access,
    metrics: Metrics,
}

impl Listeners {
    /// The next connection on any listener.
    pub(crate) async fn accept(&mut self) -> io::Result<UnixStream> {
        if let Some(stream) = self.waiting.pop_front() {
            return Ok(stream);
        }
        poll_fn(|cx| {
            for listener in self.listeners.iter().flatten() {
                if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                    return Poll::Ready(accepted.map(|(stream, _)| stream));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Binds the path again when it no longer leads to us: a client that finds no socket
    /// waits up to two minutes before it looks again.
    pub(crate) fn watch(&mut self) {
        let [_, _, last] = &mut self.listeners;
        *last = None;
        if self.leads.is_some() && identity_at(&self.path) == self.leads {
            return;
        }
        match self.rebind() {
            Ok(()) => {
                self.metrics.socket_restarted();
                tracing::warn!(path = %self.path.display(), "socket.rebound");
            }
            Err(error) => tracing::warn!(
                path = %self.path.display(),
                error_class = "socket_unavailable",
                reason = %describe(&*error),
                "socket.rebind_failed"
            ),
        }
    }

    /// Takes a new claim, because the directory may be a new one.
    fn rebind(&mut self) -> Result<(), Box<dyn std::error::Error>> {
        self.claim = None;
        let claim = Claim::take(Place::check(&self.settings)?)?;
        let own = listen(&claim, self.access, &self.metrics);
        self.claim = Some(claim);
        let own = own?;
        let listener = UnixListener::from_std(own.listener)?;
        let [_, current, last] = &mut self.listeners;
        *last = current.replace(listener);
        (self.ours, self.leads) = (Some(own.identity), Some(own.identity));
        Ok(())
    }

    /// Removes the socket file if it is still ours, then stops listening. An inherited
    /// listener stays bound: the supervisor has it.
    pub(crate) fn leave(mut self) {
        let Some(claim) = self.claim.take() else {
            return;
        };
        if let Some(ours) = self.ours
            && !remove_ours(claim.place(), ours)
        {
            tracing::warn!(path = %self.path.display(), "socket.not_removed");
        }
        claim.release();
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// An error and its causes on one line.
fn describe(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        line.push_str(": ");
        line.push_str(&inner.to_string());
        cause = inner.source();
    }
    line
}
