//! What is asked of a running agent, as the JSON bodies of requests to its socket.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /pods` | - | a v1 `PodList` |
//! | `GET /v1/state` | - | a [`State`](crate::document::State) |
//! | `GET /v1/watch` | - | a line with a [`State`](crate::document::State) now and after every change |
//! | `POST /v1/logs` | [`Logs`] | the log |
//! | `POST /v1/exec`, to be upgraded to `SPDY/3.1` | [`Exec`] | the streams of a command |
//! | `POST /v1/restart` | [`Restart`] | nothing |
//! | `POST /v1/stop-all` | [`StopAll`] | nothing, once everything is stopped |
//! | `POST /v1/start-all` | - | nothing |
//!
//! What is refused is answered with a [`Problem`] and an HTTP status of 400 or above.

use serde::{Deserialize, Serialize};

/// A container's log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Logs {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's whole name.
    pub pod: String,
    /// The container's name.
    pub container: String,
    /// Go on with what is written from now on, over restarts of the container.
    #[serde(default)]
    pub follow: bool,
    /// The instance before the one that runs.
    #[serde(default)]
    pub previous: bool,
    /// At most so many lines from the end.
    #[serde(default)]
    pub tail: Option<u64>,
    /// Only what is younger than so many seconds.
    #[serde(default)]
    pub since_seconds: Option<u64>,
    /// With the time before each line.
    #[serde(default)]
    pub timestamps: bool,
}

/// A command in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exec {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's whole name.
    pub pod: String,
    /// The container's name.
    pub container: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// With a standard input.
    #[serde(default)]
    pub stdin: bool,
    /// With a terminal, which has no standard error of its own.
    #[serde(default)]
    pub tty: bool,
}

/// A restart of a pod, or of one container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Restart {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's whole name.
    pub pod: String,
    /// This container alone.
    #[serde(default)]
    pub container: Option<String>,
}

/// The end of everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StopAll {
    /// At most so many seconds for each pod.
    #[serde(default)]
    pub grace_seconds: Option<u64>,
}

/// Why something that was asked for is not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A sentence for people.
    pub message: String,
}
