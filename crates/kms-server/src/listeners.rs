//! All that is listened on, and the watch over the path that leads there.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    os::unix::net::{UnixListener as StdListener, UnixStream as StdStream},
    path::{Path, PathBuf},
    task::Poll,
};

use rustix::{
    io::Errno,
    net::{SocketFlags, acceptfrom_with},
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
            inherited: inherited.map_err(failed)?,
            own: own.map_err(failed)?,
            replaced: VecDeque::new(),
            waiting,
            failures: Failures::default(),
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

/// Replaced listeners that are kept for those who wait on them. More are only made by somebody
/// who deletes the socket while all places are taken.
const MOST_REPLACED: usize = 8;

/// Failures with the same reason, of which there may be two in each second.
#[derive(Debug, Default)]
struct Failures {
    reason: String,
    times: u64,
}

impl Failures {
    /// Counts one; how many there were if it is time to say so, which is ever more rarely.
    fn again(&mut self, reason: &str) -> Option<u64> {
        if self.reason != reason {
            reason.clone_into(&mut self.reason);
            self.times = 0;
        }
        self.times = self.times.saturating_add(1);
        self.times.is_power_of_two().then_some(self.times)
    }
}

/// Part of a runtime: accepts, and notices when the path leads elsewhere.
#[derive(Debug)]
pub(crate) struct Listeners {
    path: PathBuf,
    inherited: Option<UnixListener>,
    own: Option<UnixListener>,
    /// Our former ones, oldest first, until their queues are empty.
    replaced: VecDeque<UnixListener>,
    waiting: VecDeque<UnixStream>,
    failures: Failures,
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
            let former = self.replaced.iter();
            for listener in former.chain(&self.inherited).chain(&self.own) {
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
        self.let_go_of_replaced();
        if self.leads.is_some() && identity_at(&self.path) == self.leads {
            return;
        }
        match self.rebind() {
            Ok(()) => {
                self.failures = Failures::default();
                self.metrics.socket_restarted();
                tracing::warn!(path = %self.path.display(), "socket.rebound");
            }
            Err(error) => {
                let reason = describe(&*error);
                if let Some(times) = self.failures.again(&reason) {
                    tracing::warn!(
                        path = %self.path.display(),
                        error_class = "socket_unavailable",
                        reason,
                        times,
                        "socket.rebind_failed"
                    );
                }
            }
        }
    }

    /// Drops the oldest replaced listener once nobody waits on it: closing it resets whoever
    /// does. Only the kernel knows; a listener that is not ready may just not have been asked.
    fn let_go_of_replaced(&mut self) {
        // While one that was taken out is not served yet, there is no place for another.
        if !self.waiting.is_empty() {
            return;
        }
        let Some(oldest) = self.replaced.front() else {
            return;
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        match acceptfrom_with(oldest, flags) {
            Ok((stream, _)) => {
                let stream = UnixStream::from_std(StdStream::from(stream));
                self.waiting.extend(stream);
            }
            Err(Errno::WOULDBLOCK) => drop(self.replaced.pop_front()),
            // It is asked again at the next tick.
            Err(_) => {}
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
        self.replaced.extend(self.own.replace(listener));
        if self.replaced.len() > MOST_REPLACED {
            self.replaced.pop_front();
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_lasts_is_said_ever_more_rarely_and_a_new_one_at_once() {
        let mut failures = Failures::default();
        let said: Vec<u64> = (0..100).filter_map(|_| failures.again("full")).collect();
        assert_eq!(said, [1, 2, 4, 8, 16, 32, 64]);
        assert_eq!(failures.again("gone"), Some(1));
        assert_eq!(failures.again("full"), Some(1));
    }
}
