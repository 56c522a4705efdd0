//! The facts of one decision, and the sheet of paper on which it is written.

use std::time::Duration;

use crate::{
    action::{Action, Cause},
    memory::Remembered,
    retries::Subject,
    seen::{Seen, SeenContainer},
    wanted::Wanted,
};

/// The least time a container gets between stop signal and kill.
pub(crate) const FLOOR: Duration = Duration::from_secs(2);

/// An order that was given and has not been answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flight {
    /// The order's number.
    pub id: u64,
    /// What was ordered.
    pub action: Action,
    /// When, on the monotonic clock.
    pub since: Duration,
    /// Whether it was asked to give up.
    pub cancelled: bool,
}

/// What can be had from the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// It does not answer. What it last listed stays believed, and nothing is ordered.
    Down,
    /// It answers.
    Up {
        /// Whether pods with a network of their own can be made.
        network: bool,
    },
}

/// Whether everything is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// No.
    No,
    /// Yes, and pods of lower priority go first.
    Hold,
    /// Yes, and it is this pod's turn.
    Now {
        /// At most so much grace.
        grace: Option<Duration>,
    },
}

/// Everything one decision looks at.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The newest wanted version, if there is any.
    pub wanted: Option<&'a Wanted>,
    /// With nothing wanted: whether that is certain, because the pod's source was read
    /// completely.
    pub gone: bool,
    /// What the runtime lists, read after the last outcome was reported.
    pub seen: &'a Seen,
    /// Orders under way.
    pub flights: &'a [Flight],
    /// The runtime's health.
    pub runtime: Runtime,
    /// Which of the wanted version's gates are shut, in words.
    pub shut: &'a [String],
    /// Which ports of the node that it wants other pods still hold, in words.
    pub taken: &'a [String],
    /// Whether everything is to stop.
    pub stop: Stop,
    /// Whether a kubelet's sandboxes of this name are to be stopped.
    pub take_over: bool,
    /// Monotonic time.
    pub now: Duration,
    /// The kernel's boot id.
    pub boot: &'a str,
}

/// What is being waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The runtime does not answer.
    RuntimeDown,
    /// The pod's network cannot be made yet.
    NetworkNotReady,
    /// Nobody can say whether the manifest is gone.
    SourceIncomplete,
    /// Somebody else's sandbox has the name.
    ForeignOwner(String),
    /// What runs under this name is being stopped.
    Stopping(Cause),
    /// Everything is to stop, and others go first.
    StopOrder,
    /// Directories of an earlier version of the same uid are being removed.
    Cleaning,
    /// Gates are shut, in words.
    Gate(Vec<String>),
    /// Other pods still hold ports of the node, in words.
    PortTaken(Vec<String>),
    /// An order is under way.
    Working,
    /// The sandbox could not be made.
    SandboxFailed,
    /// A container crashed and waits so long in all.
    CrashBackoff(Duration),
    /// An image could not be had.
    PullFailed,
    /// A container could not be started.
    StartFailed,
    /// Something could not be stopped, removed or cleaned.
    Retry,
    /// The time of the pod will be over.
    Deadline,
}

/// One reason why nothing more happens now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// The container it is about; `None` for the pod.
    pub container: Option<String>,
    /// The reason.
    pub why: Why,
    /// When it ends by itself, on the monotonic clock.
    pub until: Option<Duration>,
}

/// What follows from the facts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// What to do now.
    pub actions: Vec<Action>,
    /// What is waited for.
    pub waits: Vec<Wait>,
    /// Whether the pod is ready, or has ended well.
    pub ready: bool,
    /// Whether anything of the pod runs or is being started.
    pub alive: bool,
}

impl Decision {
    /// The next instant at which something changes by itself.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        self.waits.iter().filter_map(|wait| wait.until).min()
    }
}

/// One decision in the making.
pub(crate) struct Desk<'a> {
    pub(crate) facts: Facts<'a>,
    pub(crate) memory: &'a mut Remembered,
    pub(crate) out: Decision,
    /// Nothing may be started: something of the name still runs, or has to be cleaned.
    pub(crate) blocked: bool,
}

impl<'a> Desk<'a> {
    pub(crate) fn give(&mut self, action: Action) {
        self.out.actions.push(action);
    }

    pub(crate) fn wait(&mut self, container: Option<&str>, why: Why, until: Option<Duration>) {
        self.out.waits.push(Wait {
            container: container.map(str::to_owned),
            why,
            until,
        });
    }

    /// Gives an order unless a failed one has to wait; `true` when it was given.
    pub(crate) fn give_unless_failed(&mut self, subject: &Subject, action: Action) -> bool {
        if let Some(until) = self.memory.retries.until(subject, self.facts.now) {
            self.wait(None, Why::Retry, Some(until));
            return false;
        }
        self.give(action);
        true
    }

    /// Whether an order about this container or sandbox is under way.
    pub(crate) fn busy(&self, id: &str) -> bool {
        self.facts
            .flights
            .iter()
            .any(|flight| flight.action.target() == Some(id))
    }

    /// The starts under way.
    pub(crate) fn starts(&self) -> impl Iterator<Item = &'a Flight> {
        self.facts
            .flights
            .iter()
            .filter(|flight| flight.action.starts())
    }

    /// Whether a start of this container in this sandbox is under way.
    pub(crate) fn starting(&self, sandbox: &str, name: &str) -> bool {
        self.starts().any(|flight| {
            matches!(&flight.action, Action::StartContainer { sandbox: s, name: n, .. }
                if s == sandbox && n == name)
        })
    }

    /// Asks the starts that fit to give up; `true` when there are any.
    pub(crate) fn cancel(&mut self, fits: impl Fn(&Action) -> bool) -> bool {
        let mut any = false;
        for flight in self.facts.flights {
            if flight.action.starts() && fits(&flight.action) {
                any = true;
                let cancel = Action::Cancel { order: flight.id };
                if !flight.cancelled && !self.out.actions.contains(&cancel) {
                    self.give(cancel);
                }
            }
        }
        any
    }

    /// Stops one container; once, unless there is less grace now than when it was ordered.
    pub(crate) fn kill(
        &mut self,
        container: &SeenContainer,
        grace: Duration,
        pre_stop: bool,
        cause: Cause,
    ) {
        let grace = grace.max(FLOOR);
        let now = self.facts.now;
        let ordered = self
            .facts
            .flights
            .iter()
            .filter_map(|flight| match &flight.action {
                Action::KillContainer {
                    container: id,
                    grace,
                    ..
                } if *id == container.id => Some(flight.since + *grace),
                _ => None,
            })
            .min();
        let given = self.out.actions.iter().any(|action| {
            matches!(action, Action::KillContainer { container: id, .. } if *id == container.id)
        });
        if given || ordered.is_some_and(|deadline| deadline <= now + grace) {
            return;
        }
        self.give_unless_failed(
            &Subject::Stop(container.id.clone()),
            Action::KillContainer {
                container: container.id.clone(),
                name: container.name.clone(),
                grace,
                pre_stop: pre_stop && ordered.is_none(),
                cause,
            },
        );
    }
}
