//! Key versions that another node knows first: a key_id that no record holds is looked for
//! in the key's metadata.
//!
//! Another node may have promoted a version, and stored objects under it, before this one has
//! seen it. What a refresh derives decrypts and does nothing else: it is never promoted,
//! never written, and never goes around a record that says otherwise.

mod memory;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use openbao::transit::{CallOptions, Transit};
use pace::Clock;
use registry::{key_id::KeyId, reading::KeyMetadata, scope::Scope, snapshot::Snapshot};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use crate::{
    crew::Crew,
    signals::Signals,
    waiting::{Refused, Room},
};
use memory::Memory;
pub(crate) use memory::Sighting;

/// A refresh serves many callers, so it has a limit of its own: the longest that a call has
/// when its caller names none. The client's own timeout usually ends it long before.
const REFRESH_LIMIT: Duration = Duration::from_secs(10);

/// Why no version was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Miss {
    /// Fresh metadata do not derive the key_id.
    NotDerived,
    /// The refresh failed, or none was left in this window.
    NoRefresh,
    /// No seat to wait for a refresh, or the caller's deadline came first.
    Refused(Refused),
}

/// What the refresh came to; `None` while it is under way.
type Outcome = Option<Result<(), ()>>;

struct Refresh {
    /// Counts up; a refresh says *no* only to those who came before it began.
    number: u64,
    outcome: watch::Receiver<Outcome>,
}

struct State {
    memory: Memory,
    /// How many refreshes have begun.
    begun: u64,
    running: Option<Refresh>,
}

/// Looks for key versions, at most four refreshes per window, one at a time, shared by all
/// who wait.
pub struct Discovery {
    transit: Arc<dyn Transit>,
    signals: Arc<Signals>,
    clock: Arc<dyn Clock>,
    crew: Crew,
    room: Arc<Room>,
    state: Mutex<State>,
}

impl Discovery {
    pub(crate) fn new(
        memory: (Arc<Scope>, String, Duration),
        transit: Arc<dyn Transit>,
        signals: Arc<Signals>,
        clock: Arc<dyn Clock>,
        crew: Crew,
        room: Arc<Room>,
    ) -> Arc<Self> {
        let (scope, plugin_version, window) = memory;
        Arc::new(Self {
            transit,
            signals,
            clock,
            crew,
            room,
            state: Mutex::new(State {
                memory: Memory::new(scope, plugin_version, window),
                begun: 0,
                running: None,
            }),
        })
    }

    /// Tells what a metadata probe has read and confirmed. Versions that discovery holds and
    /// the reading does not derive are dropped; a single unconfirmed reading must not be
    /// passed, as a standby that lags behind could take versions away by it.
    pub fn absorb(&self, metadata: &KeyMetadata) {
        self.state().memory.replace(metadata);
    }

    /// Finds the version that `key_id` names, by a refresh where nothing seen derives it.
    pub(crate) async fn search(
        self: &Arc<Self>,
        key_id: &KeyId,
        enough: Sighting,
        deadline: Instant,
    ) -> Result<Arc<Snapshot>, Miss> {
        let arrival = self.state().begun;
        let mut seat = None;
        let mut last = 0;
        loop {
            let (number, mut outcome, errand) = {
                let mut state = self.state();
                let now = self.clock.now().mono;
                if let Some(snapshot) = state.memory.find(key_id, enough) {
                    return Ok(snapshot);
                }
                // What began before the caller came may have read what was true before.
                if last > arrival && !state.memory.has_seen(key_id) {
                    state.memory.refuse(key_id, now);
                }
                if state.memory.is_refused(key_id, now) {
                    return Err(Miss::NotDerived);
                }
                self.join(&mut state, now).ok_or(Miss::NoRefresh)?
            };
            // Not under the lock: an errand that cannot run any more ends here, and takes it.
            if let Some(errand) = errand {
                self.crew.run(Box::pin(errand.run()));
            }
            if seat.is_none() {
                seat = Some(self.room.sit().ok_or(Miss::Refused(Refused::Full))?);
            }
            let over = outcome.wait_for(Option::is_some);
            match timeout_at(deadline, over).await {
                Err(_) => return Err(Miss::Refused(Refused::Deadline)),
                Ok(Ok(result)) if *result == Some(Ok(())) => last = number,
                // Failed, or its task is gone.
                Ok(_) => return Err(Miss::NoRefresh),
            }
        }
    }

    /// The refresh under way, or a new one, to be started, while the budget lasts.
    fn join(
        self: &Arc<Self>,
        state: &mut State,
        now: Duration,
    ) -> Option<(u64, watch::Receiver<Outcome>, Option<Errand>)> {
        if let Some(running) = &state.running {
            return Some((running.number, running.outcome.clone(), None));
        }
        if !state.memory.take_refresh(now) {
            return None;
        }
        state.begun += 1;
        let number = state.begun;
        let (sender, outcome) = watch::channel(None);
        state.running = Some(Refresh {
            number,
            outcome: outcome.clone(),
        });
        let errand = Errand {
            discovery: Arc::clone(self),
            outcome: sender,
            result: Err(()),
        };
        Some((number, outcome, Some(errand)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One refresh in its task. However the task ends, those who wait are told.
struct Errand {
    discovery: Arc<Discovery>,
    outcome: watch::Sender<Outcome>,
    result: Result<(), ()>,
}

impl Errand {
    async fn run(mut self) {
        let deadline = Instant::now() + REFRESH_LIMIT;
        let options = CallOptions {
            deadline,
            // Behind a load balancer the next node may know what the last one does not yet.
            new_connection: true,
        };
        let discovery = &self.discovery;
        match timeout_at(deadline, discovery.transit.read_key(options)).await {
            Ok(Ok(metadata)) => {
                discovery.signals.live_success();
                let new = discovery.state().memory.add(&metadata);
                if new > 0 {
                    tracing::info!(
                        operation = "decrypt",
                        openbao_operation = "transit_metadata_read",
                        versions = new,
                        latest_version = metadata.latest_version,
                        reason = "a key_id was asked for that no record holds",
                        "decrypt.versions_discovered"
                    );
                }
                self.result = Ok(());
            }
            Ok(Err(error)) => failed(discovery, error.class.as_str(), &error.reason),
            Err(_) => failed(discovery, "timeout", "no answer within ten seconds"),
        }
    }
}

fn failed(discovery: &Discovery, class: &'static str, reason: &str) {
    discovery.signals.deep_probe.notify_one();
    tracing::warn!(
        operation = "decrypt",
        openbao_operation = "transit_metadata_read",
        error_class = class,
        reason,
        "decrypt.refresh_failed"
    );
}

impl Drop for Errand {
    fn drop(&mut self) {
        self.discovery.state().running = None;
        self.outcome.send_replace(Some(self.result));
    }
}
