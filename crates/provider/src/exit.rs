//! How a command ends: the failures, and the one place where they become exit codes.

use std::{error::Error, process::ExitCode};

use kms_server::errors::SocketError;

use crate::config::ConfigError;

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
    /// The command could not do its work, or the daemon ended because of a fault.
    #[error(transparent)]
    Runtime(Box<dyn Error + Send + Sync>),
}

impl Failure {
    /// The stable class for the log line that ends a daemon.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Config(_) => "config_invalid",
            Self::Runtime(error) if error.is::<SocketError>() => "socket_unavailable",
            _ => "unknown",
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
        Err(Failure::Runtime(_)) => 5,
    }
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

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
        let taken = SocketError::LivePeer("/run/x".into());
        let empty = ConfigError::Empty { path: "/c".into() };
        assert_eq!(
            Failure::Runtime(Box::new(taken)).class(),
            "socket_unavailable"
        );
        assert_eq!(Failure::Config(empty).class(), "config_invalid");
        assert_eq!(Failure::Runtime("x".into()).class(), "unknown");
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
