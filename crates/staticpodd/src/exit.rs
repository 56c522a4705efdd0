//! How a command ends: the failures, and the one place where they become exit codes.

use std::{error::Error, process::ExitCode};

use crate::{kubelet_config::ConfigError, run::RunError};

/// Why a command did not end with 0.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// `check` found problems; the report says which.
    #[error("problems were found")]
    Problems,
    /// `check` could not read an argument; the report says which.
    #[error("an argument could not be read")]
    Unreadable,
    /// The command line is not understood.
    #[error("{0}")]
    Usage(clap::Error),
    /// The file of `--config` is not obeyed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The agent cannot start, or had to end; its log says why.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The agent cannot be asked, or would not.
    #[error(transparent)]
    Asked(#[from] podctl::Fault),
    /// A command in a container ended with this code.
    #[error("the command ended with {0}")]
    Command(u8),
    /// What the command has to say cannot be said.
    #[error("the output cannot be written")]
    Output(#[source] Box<dyn Error + Send + Sync>),
}

/// The exit code of `outcome`: 0 done and sound, 1 problems were found or the
/// agent would not, the code of a command in a container, 2 anything else that
/// keeps a command from its answer, 3 the agent cannot start or had to end.
pub(crate) fn code(outcome: &Result<(), Failure>) -> ExitCode {
    ExitCode::from(number(outcome))
}

fn number(outcome: &Result<(), Failure>) -> u8 {
    match outcome {
        Ok(()) => 0,
        // `--help` and `--version` come as errors, and are none.
        Err(Failure::Usage(asked)) if !asked.use_stderr() => 0,
        Err(Failure::Problems | Failure::Asked(_)) => 1,
        Err(Failure::Command(code)) => *code,
        Err(Failure::Unreadable | Failure::Usage(_) | Failure::Config(_) | Failure::Output(_)) => 2,
        Err(Failure::Run(_)) => 3,
    }
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    #[test]
    fn every_failure_has_its_exit_code() {
        let usage = |kind| Failure::Usage(clap::Error::new(kind));
        for (outcome, expected) in [
            (Ok(()), 0),
            (Err(usage(ErrorKind::DisplayHelp)), 0),
            (Err(usage(ErrorKind::DisplayVersion)), 0),
            (Err(Failure::Problems), 1),
            (Err(Failure::Asked(podctl::Fault::Refused("x".into()))), 1),
            (Err(Failure::Command(7)), 7),
            (Err(Failure::Unreadable), 2),
            (Err(usage(ErrorKind::UnknownArgument)), 2),
            (Err(Failure::Output("x".into())), 2),
            (Err(Failure::Config(ConfigError::Wrong("x".into()))), 2),
            (
                Err(Failure::Run(RunError::Process(std::io::Error::other("x")))),
                3,
            ),
        ] {
            assert_eq!(number(&outcome), expected, "{outcome:?}");
        }
    }
}
