//! What the agent is told to do, and what it answers.

use std::time::Duration;

use crate::wanted::{Kind, PodKey};

/// An action with the number under which its outcome is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Unique for one run of the agent.
    pub id: u64,
    /// The pod it is about; `None` for what is left of pods nobody remembers.
    pub key: Option<PodKey>,
    /// What to do.
    pub action: Action,
}

/// One thing to do. Orders of one plan may run side by side: what must wait for something is
/// only given once that has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make directories, volumes, cgroup and sandbox of the wanted version.
    CreateSandbox {
        /// Of the wanted version.
        uid: String,
        /// Of the wanted version.
        revision: String,
        /// For the runtime's name of it.
        attempt: u32,
        /// To be noted on it.
        boot: String,
    },
    /// Get the image, create and start a container and run its postStart hook.
    StartContainer {
        /// Where.
        sandbox: String,
        /// Which container of the wanted version.
        name: String,
        /// What it is for its pod.
        kind: Kind,
        /// For the runtime's name of it; also its restart count.
        attempt: u32,
        /// Its place among the sidecars, to be noted on it.
        sidecar: Option<u32>,
    },
    /// Give up an order under way as soon as possible, and report its outcome then. Has no
    /// outcome of its own.
    Cancel {
        /// The order's number.
        order: u64,
    },
    /// Run a container's preStop hook, and nothing else.
    PreStop {
        /// The container.
        container: String,
        /// Its name.
        name: String,
        /// How long the hook has.
        limit: Duration,
    },
    /// Stop a container: preStop hook if asked for, then the stop signal, then the kill. A
    /// second order for the same container comes only with less grace, and holds from then on.
    KillContainer {
        /// The container.
        container: String,
        /// Its name.
        name: String,
        /// For hook and signal together.
        grace: Duration,
        /// Whether the hook is to run first.
        pre_stop: bool,
        /// Why, for the log.
        cause: Cause,
    },
    /// Stop a sandbox in which nothing runs any more.
    StopSandbox {
        /// Which.
        sandbox: String,
        /// Why, for the log.
        cause: Cause,
    },
    /// Remove a container that does not run.
    RemoveContainer {
        /// Which.
        container: String,
    },
    /// Remove a stopped and empty sandbox.
    RemoveSandbox {
        /// Which.
        sandbox: String,
    },
    /// Remove directories, volumes and cgroups of a uid of which nothing runs.
    CleanPod {
        /// Which.
        uid: String,
        /// Whether its logs go too.
        logs: bool,
    },
}

/// Why something that runs is stopped.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub enum Cause {
    /// Its manifest is gone.
    Removed,
    /// Its manifest has changed.
    Edited,
    /// Somebody asked for a restart.
    RestartRequested,
    /// Everything is to stop.
    StopAll,
    /// A newer sandbox of the same version exists.
    Superseded,
    /// Its sandbox died or does not fit any more.
    SandboxChanged,
    /// Nothing of the pod is left to run.
    Finished,
    /// It ran longer than `activeDeadlineSeconds`.
    DeadlineExceeded,
    /// A kubelet made it, and this agent takes over.
    TakenOver,
    /// The liveness probe failed.
    Liveness,
    /// The startup probe failed.
    Startup,
    /// The postStart hook failed.
    PostStart,
    /// The manifest does not name it.
    Unlisted,
    /// The runtime does not know what it is doing.
    StateUnknown,
    /// A container's exit code restarts the whole pod.
    RestartAll,
}

/// How an order ended. Stopping or removing what the runtime does not know is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// Not done, and it is known why.
    Failed(Failure),
    /// Nobody knows: the answer was lost, the time was up, or the order was cancelled.
    Lost,
}

/// Why an order failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure decides when to try again.
    pub class: FailureClass,
    /// The word that people know: `ErrImagePull`, `CreateContainerConfigError`, ...
    pub reason: String,
    /// The sentence.
    pub message: String,
}

/// Kinds of failure that are followed by different waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureClass {
    /// The runtime holds the name for something else: the next try takes another attempt.
    NameReserved,
    /// The image could not be had.
    Pull,
    /// The postStart hook of this container failed; it runs and has to be stopped.
    PostStart {
        /// The runtime's id.
        container: String,
    },
    /// Anything else.
    Other,
}

impl Action {
    /// The container or sandbox that is stopped or removed.
    pub(crate) fn target(&self) -> Option<&str> {
        match self {
            Self::PreStop { container, .. }
            | Self::KillContainer { container, .. }
            | Self::RemoveContainer { container } => Some(container),
            Self::StopSandbox { sandbox, .. } | Self::RemoveSandbox { sandbox } => Some(sandbox),
            _ => None,
        }
    }

    /// Whether it brings something to life.
    pub(crate) fn starts(&self) -> bool {
        matches!(
            self,
            Self::CreateSandbox { .. } | Self::StartContainer { .. }
        )
    }
}
