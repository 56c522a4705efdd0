//! One pod name in the planner's register.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crate::{
    action::{Action, Cause},
    desk::{Decision, Flight, Wait},
    memory::{Persisted, Remembered, Terminal, Verdict},
    seen::{Seen, SeenSandbox},
    wanted::{HostPort, Wanted},
};

/// What is known and under way for one name.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    pub(crate) wanted: Option<Arc<Wanted>>,
    /// Its manifest was there and is gone for sure.
    pub(crate) removed: bool,
    pub(crate) seen: Option<Seen>,
    /// How fresh the last list was, and how fresh it has to be.
    pub(crate) seen_at: u64,
    pub(crate) needs: u64,
    pub(crate) memory: Remembered,
    /// What the agent was last told to write down.
    pub(crate) written: Persisted,
    pub(crate) flights: Vec<Flight>,
    pub(crate) waits: Vec<Wait>,
    pub(crate) wake: Option<Duration>,
    pub(crate) ready: bool,
    pub(crate) alive: bool,
    /// Under which ports it stands in the planner's index.
    pub(crate) claimed: BTreeSet<Port>,
}

/// Number and protocol.
pub(crate) type Port = (u16, String);

pub(crate) fn ports(all: &[HostPort]) -> impl Iterator<Item = Port> + '_ {
    all.iter().map(|port| (port.port, port.protocol.clone()))
}

impl Slot {
    /// Ports that it holds or wants.
    pub(crate) fn claims(&self) -> BTreeSet<Port> {
        let wanted = self
            .wanted
            .iter()
            .flat_map(|wanted| ports(&wanted.host_ports));
        wanted.chain(ports(&self.memory.kept.ports)).collect()
    }

    pub(crate) fn restored(kept: Persisted) -> Self {
        Self {
            written: kept.clone(),
            memory: Remembered::restored(kept),
            ..Self::default()
        }
    }

    /// Whether the list is younger than the last outcome.
    pub(crate) fn fresh(&self) -> bool {
        self.seen.is_some() && self.seen_at >= self.needs
    }

    /// Whether nothing at all is left that would need remembering.
    pub(crate) fn empty(&self, take_over: bool) -> bool {
        self.wanted.is_none()
            && self.flights.is_empty()
            && self.memory.kept.unclean.is_empty()
            && self
                .seen
                .as_ref()
                .is_some_and(|seen| !seen.concerns_us(take_over))
    }

    /// Where it stands in the order of `stop-all`; what nobody wants goes first.
    pub(crate) fn priority(&self) -> i32 {
        self.wanted.as_ref().map_or(i32::MIN, |w| w.priority)
    }

    /// Whether it has to do with a uid.
    pub(crate) fn knows(&self, uid: &str) -> bool {
        let listed = |seen: &Seen| seen.sandboxes.iter().any(|sandbox| sandbox.uid == uid);
        self.wanted.as_ref().is_some_and(|w| w.uid == uid)
            || self.memory.kept.unclean.contains(uid)
            || self.seen.as_ref().is_some_and(listed)
            || self.flights.iter().any(|flight| {
                matches!(&flight.action, Action::CreateSandbox { uid: made, .. } if made == uid)
            })
    }

    /// Takes over what was decided.
    pub(crate) fn settle(&mut self, decision: &mut Decision) {
        self.wake = decision.next();
        self.waits = std::mem::take(&mut decision.waits);
        self.ready = decision.ready;
        self.alive = decision.alive;
    }
}

/// What there is to say about one pod: for its status, and for people.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    slot: &'a Slot,
}

impl<'a> View<'a> {
    pub(crate) fn of(slot: &'a Slot) -> Self {
        Self { slot }
    }

    /// The version that is wanted.
    #[must_use]
    pub fn wanted(&self) -> Option<&'a Wanted> {
        self.slot.wanted.as_deref()
    }

    /// What the runtime listed last; `None` before the first list.
    #[must_use]
    pub fn seen(&self) -> Option<&'a Seen> {
        self.slot.seen.as_ref()
    }

    /// The newest sandbox of the wanted version; with nothing wanted, what is left to stop.
    #[must_use]
    pub fn sandbox(&self) -> Option<&'a SeenSandbox> {
        let seen = self.seen()?;
        match self.wanted() {
            Some(wanted) => seen.newest(&wanted.uid, &wanted.revision),
            None => seen
                .ours()
                .max_by_key(|sandbox| (sandbox.alive(), sandbox.attempt, &sandbox.id)),
        }
    }

    /// What is remembered.
    #[must_use]
    pub fn remembered(&self) -> &'a Remembered {
        &self.slot.memory
    }

    /// What is waited for.
    #[must_use]
    pub fn waits(&self) -> &'a [Wait] {
        &self.slot.waits
    }

    /// Orders under way.
    #[must_use]
    pub fn flights(&self) -> &'a [Flight] {
        &self.slot.flights
    }

    /// Why the pod is being stopped, if it is.
    #[must_use]
    pub fn ending(&self) -> Option<Cause> {
        let sandboxes = &self.seen()?.sandboxes;
        sandboxes
            .iter()
            .filter(|sandbox| sandbox.alive())
            .find_map(|sandbox| self.remembered().ending(&sandbox.id))
    }

    /// How the wanted version ended, if it did.
    #[must_use]
    pub fn terminal(&self) -> Option<&'a Terminal> {
        self.slot.memory.terminal()
    }

    /// What the probes said last about a container.
    #[must_use]
    pub fn verdict(&self, container: &str) -> Option<Verdict> {
        self.slot.memory.verdict(container)
    }

    /// Whether the pod is ready, or has ended well.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.slot.ready
    }

    /// Whether anything of the pod runs or is being started.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.slot.alive
    }
}
