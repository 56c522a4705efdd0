//! How a command ends: the failures, and the one place where they become exit codes.

use std::{error::Error, process::ExitCode};

use daemon::{admin::ListenError, supervisor};
use keyring::probes;
use kms_server::errors::{ServeError, SocketError};
use registry::store::StoreError;

use crate::config::ConfigError;

/// What keeps the daemon from running, and has a class of its own.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The registry on disk.
    #[error(transparent)]
    State(#[from] StoreError),
    /// The socket of the API server.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The address of a page.
    #[error(transparent)]
    Admin(#[from] ListenError),
    /// A task that has to run as long as the process.
    #[error(transparent)]
    Task(#[from] supervisor::Failure),
}

impl Fault {
    /// The stable class for the log line that ends a daemon.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::State(error) => error.class(),
            Self::Socket(error) => error.class(),
            Self::Admin(_) => "admin_unavailable",
            Self::Task(supervisor::Failure::Failed { source, .. }) => of_task(&**source),
            Self::Task(
                supervisor::Failure::EndedEarly(_)
                | supervisor::Failure::Panicked(_)
                | supervisor::Failure::Stuck(_),
            ) => "task_failed",
        }
    }
}

/// Two tasks end for reasons that have classes.
fn of_task(error: &(dyn Error + Send + Sync + 'static)) -> &'static str {
    if let Some(error) = error.downcast_ref::<probes::Error>() {
        error.class()
    } else if let Some(error) = error.downcast_ref::<ServeError>() {
        error.class()
    } else {
        "task_failed"
    }
}

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// None of the others.
    #[error(transparent)]
    Unclassified(Box<dyn Error + Send + Sync>),
    /// The command line is not understood.
    #[error("{0}")]
    Usage(clap::Error),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The command ran, and a check of it failed; the report says which.
    #[error("{0}")]
    CheckFailed(String),
    /// The daemon did not start, or ended, because of a fault.
    #[error(transparent)]
    Daemon(#[from] Fault),
    /// The command could not do its work for any other reason.
    #[error(transparent)]
    Runtime(Box<dyn Error + Send + Sync>),
}

impl Failure {
    /// The stable class for the log line that ends a daemon.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Config(_) => "config_invalid",
            Self::Daemon(fault) => fault.class(),
            Self::Unclassified(_) | Self::Usage(_) | Self::CheckFailed(_) | Self::Runtime(_) => {
                "unknown"
            }
        }
    }
}

/// The exit code of `outcome`: 0 done, 1 unclassified, 2 usage, 3 configuration, 4 a check
/// failed, 5 runtime.
#[must_use]
pub fn code(outcome: &Result<(), Failure>) -> ExitCode {
    ExitCode::from(number(outcome))
}

fn number(outcome: &Result<(), Failure>) -> u8 {
    match outcome {
        Ok(()) => 0,
        // `--help` and `--version` come as errors, and are none.
        Err(Failure::Usage(asked)) if !asked.use_stderr() => 0,
        Err(Failure::Unclassified(_)) => 1,
        Err(Failure::Usage(_)) => 2,
        Err(Failure::Config(_)) => 3,
        Err(Failure::CheckFailed(_)) => 4,
        Err(Failure::Daemon(_) | Failure::Runtime(_)) => 5,
    }
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;
    use registry::{
        store::DirectoryFault,
        verdict::{Corruption, LoadError, PairFile},
    };

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn what_caused_a_failure_is_told_with_it() {
        let outer = || Box::new(Outer(std::io::Error::other("inner")));
        for failure in [Failure::Runtime(outer()), Failure::Unclassified(outer())] {
            assert_eq!(crate::causes::chain(&failure), "outer: inner");
        }
    }

    #[test]
    fn a_daemon_that_ends_logs_a_stable_class() {
        let empty = ConfigError::Empty { path: "/c".into() };
        assert_eq!(Failure::Config(empty).class(), "config_invalid");
        assert_eq!(Failure::Runtime("x".into()).class(), "unknown");
        for (fault, class) in faults() {
            let text = format!("{fault:?}");
            let failure = Failure::Daemon(fault);
            assert_eq!(failure.class(), class, "{text}");
            assert!(
                OPERATIONS.contains(&format!("`{class}`")),
                "docs/operations.md does not explain {class}"
            );
            assert_eq!(number(&Err(failure)), 5);
        }
    }

    const OPERATIONS: &str = include_str!("../../../docs/operations.md");

    fn faults() -> Vec<(Fault, &'static str)> {
        let state = |fault| {
            Fault::State(StoreError::Load {
                path: "/s".into(),
                fault,
            })
        };
        let io = || std::io::Error::other("x");
        let task = |source: Box<dyn Error + Send + Sync>| {
            Fault::Task(supervisor::Failure::Failed { name: "t", source })
        };
        let late = |class| probes::Error::BootstrapTimeout {
            grace: std::time::Duration::ZERO,
            reasons: String::new(),
            class,
        };
        vec![
            (
                state(LoadError::Corrupt {
                    file: PairFile::State,
                    fault: Corruption::Empty,
                }),
                "state_corrupt",
            ),
            (
                state(LoadError::Rollback {
                    state: 1,
                    checkpoint: 2,
                }),
                "state_rollback",
            ),
            (state(LoadError::Forked { generation: 1 }), "state_rollback"),
            (
                state(LoadError::Scope {
                    version: 1,
                    field: "clusterId",
                }),
                "state_scope",
            ),
            (state(LoadError::StateMissing), "state_missing"),
            (
                Fault::State(StoreError::Locked { path: "/s".into() }),
                "state_locked",
            ),
            (
                Fault::State(StoreError::Directory {
                    path: "/s".into(),
                    fault: DirectoryFault::Missing,
                }),
                "state_unusable",
            ),
            (
                Fault::State(StoreError::Lock {
                    path: "/s".into(),
                    action: "opening it",
                    source: io(),
                }),
                "state_unusable",
            ),
            (
                Fault::Socket(SocketError::LivePeer("/run/x".into())),
                "socket_unavailable",
            ),
            (
                task(Box::new(ServeError::Listener {
                    path: "/run/x".into(),
                    source: io(),
                })),
                "socket_unavailable",
            ),
            (task(Box::new(late(None))), "bootstrap_timeout"),
            (
                task(Box::new(late(Some("openbao_sealed")))),
                "openbao_sealed",
            ),
            (task(Box::new(io())), "task_failed"),
            (
                Fault::Task(supervisor::Failure::EndedEarly("t")),
                "task_failed",
            ),
            (
                Fault::Task(supervisor::Failure::Panicked("t")),
                "task_failed",
            ),
            (Fault::Task(supervisor::Failure::Stuck("t")), "task_failed"),
        ]
    }

    #[test]
    fn every_failure_has_its_own_exit_code() {
        let usage = |kind| Failure::Usage(clap::Error::new(kind));
        for (outcome, expected) in [
            (Ok(()), 0),
            (Err(Failure::Unclassified("x".into())), 1),
            (Err(usage(ErrorKind::UnknownArgument)), 2),
            (Err(usage(ErrorKind::DisplayHelp)), 0),
            (Err(usage(ErrorKind::DisplayVersion)), 0),
            (
                Err(usage(ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand)),
                2,
            ),
            (
                Err(Failure::Config(ConfigError::Empty { path: "/c".into() })),
                3,
            ),
            (Err(Failure::CheckFailed("x".into())), 4),
            (Err(Failure::Runtime("x".into())), 5),
        ] {
            assert_eq!(number(&outcome), expected, "{outcome:?}");
        }
    }
}
