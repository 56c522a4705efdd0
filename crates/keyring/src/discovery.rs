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

/// After so many refreshes of its own that did not confirm a key_id, it counts as not derived:
/// one key_id must not use up what the others need.
const OWN_REFRESHES: u32 = 2;

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

    /// Tells what an accepted metadata probe has read. Versions that it lists under another
    /// creation second are dropped at once; those that it does not list, when three readings
    /// at least two seconds apart agree, as a single one may come from a standby that lags.
    pub fn absorb(&self, metadata: &KeyMetadata) {
        let now = self.clock.now().mono;
        self.state().memory.replace(metadata, now);
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
        let mut own = 0;
        loop {
            self.second_sighting(key_id, enough, deadline).await?;
            let (number, mut outcome, errand) = {
                let mut state = self.state();
                let now = self.clock.now().mono;
                if let Some(snapshot) = state.memory.find(key_id, enough) {
                    return Ok(snapshot);
                }
                // What began before the caller came may have read what was true before.
                if last > arrival && !state.memory.has_seen(key_id) || own >= OWN_REFRESHES {
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
                Ok(Ok(result)) if *result == Some(Ok(())) => {
                    last = number;
                    own += u32::from(number > arrival);
                }
                // Failed, or its task is gone.
                Ok(_) => return Err(Miss::NoRefresh),
            }
        }
    }

    /// Waits until a refresh can confirm what was seen once; too soon, it would be wasted. Who
    /// has not that much time is told at once, and may come again.
    async fn second_sighting(
        &self,
        key_id: &KeyId,
        enough: Sighting,
        deadline: Instant,
    ) -> Result<(), Miss> {
        let left = {
            let mut state = self.state();
            let now = self.clock.now().mono;
            if state.memory.find(key_id, enough).is_some() || state.memory.is_refused(key_id, now) {
                return Ok(());
            }
            state.memory.counts_in(key_id, now)
        };
        let Some(left) = left else {
            return Ok(());
        };
        if Instant::now() + left >= deadline {
            return Err(Miss::NoRefresh);
        }
        let _seat = self.room.sit().ok_or(Miss::Refused(Refused::Full))?;
        tokio::time::sleep(left).await;
        Ok(())
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
                let new = discovery
                    .state()
                    .memory
                    .add(&metadata, discovery.clock.now().mono);
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
