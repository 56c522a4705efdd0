//! Why a call failed, by class: what an agent does next depends on the class alone.

use std::{fmt, time::Duration};

/// A call of the interface, by the name it has on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are those of the interface")]
pub enum Call {
    Version,
    Status,
    RuntimeConfig,
    RunPodSandbox,
    StopPodSandbox,
    RemovePodSandbox,
    PodSandboxStatus,
    ListPodSandbox,
    CreateContainer,
    StartContainer,
    StopContainer,
    RemoveContainer,
    ContainerStatus,
    ListContainers,
    UpdateContainerResources,
    ReopenContainerLog,
    ExecSync,
    Exec,
    GetContainerEvents,
    ListImages,
    ImageStatus,
    PullImage,
    RemoveImage,
    ImageFsInfo,
}

impl Call {
    /// Every call, in the order of the interface.
    pub const ALL: [Self; 24] = [
        Self::Version,
        Self::Status,
        Self::RuntimeConfig,
        Self::RunPodSandbox,
        Self::StopPodSandbox,
        Self::RemovePodSandbox,
        Self::PodSandboxStatus,
        Self::ListPodSandbox,
        Self::CreateContainer,
        Self::StartContainer,
        Self::StopContainer,
        Self::RemoveContainer,
        Self::ContainerStatus,
        Self::ListContainers,
        Self::UpdateContainerResources,
        Self::ReopenContainerLog,
        Self::ExecSync,
        Self::Exec,
        Self::GetContainerEvents,
        Self::ListImages,
        Self::ImageStatus,
        Self::PullImage,
        Self::RemoveImage,
        Self::ImageFsInfo,
    ];

    /// How long this call waits for its answer; to it comes the grace of a container that is
    /// stopped, and what a command may take. [`None`] is for ever.
    #[must_use]
    pub const fn patience(self) -> Option<Duration> {
        match self {
            // Nobody knows how large an image is; and events have no end.
            Self::PullImage | Self::GetContainerEvents => None,
            // A sandbox waits for the network's plugins, and perhaps for its image.
            Self::RunPodSandbox => Some(Duration::from_secs(4 * 60)),
            _ => Some(Duration::from_secs(2 * 60)),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A call that did not do what was asked, or of which nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{call}{}{subject}: {fault}", if subject.is_empty() { "" } else { " " })]
pub struct Error {
    /// What was asked.
    pub call: Call,
    /// Of what: a pod with its attempt, a container with its attempt, an id or an image. Empty
    /// where the question was to the runtime as a whole.
    pub subject: String,
    /// Why not.
    pub fault: Fault,
}

/// Why a call failed. Only after [`Fault::Unavailable`] and [`Fault::Deadline`] it is unknown
/// whether the runtime did what was asked: list, and see.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The sandbox, the container or the image is not there.
    #[error("not found: {message}")]
    NotFound {
        /// The runtime's words.
        message: String,
    },
    /// A sandbox or a container of this name and attempt is there, or is being made or removed.
    #[error("the name is taken by {}: {message}", holder.as_deref().unwrap_or("another"))]
    AlreadyReserved {
        /// The id that holds the name, where the runtime says it.
        holder: Option<String>,
        /// The runtime's words.
        message: String,
    },
    /// The runtime cannot be reached, went away before it answered, or is not yet ready.
    #[error("the runtime at {endpoint} does not answer: {message}")]
    Unavailable {
        /// Its socket.
        endpoint: String,
        /// What happened on the way.
        message: String,
    },
    /// The runtime was silent for as long as this call may take.
    #[error("the runtime gave no answer within {after:?}")]
    Deadline {
        /// How long was waited.
        after: Duration,
    },
    /// `ExecSync` alone: the command ran longer than it may, and was killed.
    #[error("the command did not end within {after:?} and was killed")]
    ExecTimeout {
        /// How long the command had.
        after: Duration,
    },
    /// This runtime does not know the call.
    #[error("the runtime does not know this call: {message}")]
    Unimplemented {
        /// The runtime's words.
        message: String,
    },
    /// The runtime tried, or would not, and says why.
    #[error("{message} ({code})")]
    Refused {
        /// The name of the gRPC code, such as `UNKNOWN`.
        code: &'static str,
        /// The runtime's words.
        message: String,
    },
}

impl Error {
    /// Whether the thing that was named is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self.fault, Fault::NotFound { .. })
    }

    /// Whether the runtime may have done what was asked although it is reported as failed.
    #[must_use]
    pub fn is_uncertain(&self) -> bool {
        matches!(
            self.fault,
            Fault::Unavailable { .. } | Fault::Deadline { .. }
        )
    }
}
