//! Why a command did not do what was asked.

use std::{io, path::PathBuf};

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// There is no socket, or nobody listens on it.
    #[error(
        "no agent listens at {}: see systemctl status staticpodd, and journalctl -u staticpodd for why; it listens once the runtime has answered; --socket names another socket",
        socket.display()
    )]
    NotRunning {
        /// Where.
        socket: PathBuf,
    },
    /// The socket is root's.
    #[error("only root may ask the agent at {}: try again with sudo", socket.display())]
    NotAllowed {
        /// Where.
        socket: PathBuf,
    },
    /// The socket cannot be used.
    #[error("cannot connect to {}", socket.display())]
    Connect {
        /// Where.
        socket: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The connection broke, or the agent is slow to death.
    #[error("the agent at {} broke off while it was asked to {what}: {why}", socket.display())]
    BrokeOff {
        /// Where.
        socket: PathBuf,
        /// What was asked.
        what: &'static str,
        /// What was seen.
        why: String,
    },
    /// The answer is no document of an agent.
    #[error("what listens at {} does not answer as an agent of this version: {why}", socket.display())]
    Strange {
        /// Where.
        socket: PathBuf,
        /// What was seen.
        why: String,
    },
    /// The agent would not.
    #[error("{0}")]
    Refused(String),
    /// There is no such pod.
    #[error("pod {name} not found{}{hint}", namespace.as_ref().map(|n| format!(" in namespace {n}")).unwrap_or_default())]
    NoPod {
        /// As asked for.
        name: String,
        /// As asked for.
        namespace: Option<String>,
        /// What there is.
        hint: String,
    },
    /// The name fits several pods.
    #[error("{name} may be any of {}: say which with -n", pods.join(", "))]
    ManyPods {
        /// As asked for.
        name: String,
        /// `namespace/name`.
        pods: Vec<String>,
    },
    /// There is no such container.
    #[error("container {container} not found in pod {pod}, which has: {}", has.join(", "))]
    NoContainer {
        /// As asked for.
        container: String,
        /// The pod's name.
        pod: String,
        /// What it has.
        has: Vec<String>,
    },
    /// The pod is being removed, and has no manifest any more.
    #[error("pod {0} has no manifest any more, and is being stopped")]
    Going(String),
    /// The terminal.
    #[error("the terminal cannot be used")]
    Terminal(#[source] io::Error),
    /// What is to be said cannot be said.
    #[error("the output cannot be written")]
    Output(#[from] io::Error),
}
