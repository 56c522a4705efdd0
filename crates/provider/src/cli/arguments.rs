//! The command line's grammar.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Kubernetes KMS v2 plugin backed by OpenBao Transit.
#[derive(Debug, Parser)]
#[command(
    name = "bao-kms-provider",
    version,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 ok, 1 unclassified, 2 usage, 3 configuration, 4 a check failed, 5 runtime."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command. They win over the environment, and that over the file.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Common {
    /// Configuration file [environment: BAO_KMS_PROVIDER_CONFIG]
    /// [default: /etc/openbao-kms/config.yaml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// trace, debug, info, warn or error [environment: BAO_KMS_PROVIDER_LOG_LEVEL]
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// host:port of /metrics, or off [environment: BAO_KMS_PROVIDER_SERVER_METRICS_ADDRESS]
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub(crate) metrics_address: Option<String>,
    /// host:port of /live and /ready, or off
    /// [environment: BAO_KMS_PROVIDER_SERVER_HEALTH_ADDRESS]
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub(crate) health_address: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the plugin
    Serve,
    /// Show the configuration in force and its identity fingerprint
    #[command(args_conflicts_with_subcommands = true)]
    Config {
        #[command(flatten)]
        report: Report,
        #[command(subcommand)]
        what: Option<ConfigCommand>,
    },
    /// Ask the running plugin for Status, Encrypt and Decrypt, as the calling user
    Probe(Probe),
    /// Show version and commit
    Version {
        #[command(flatten)]
        report: Report,
    },
    /// Print a completion script
    Completion {
        /// The shell
        shell: Shell,
    },
    /// Print this message or the help of a command
    Help {
        /// The command
        command: Vec<String>,
    },
    /// Write a generated document of this repository
    #[command(hide = true)]
    Generate {
        /// Which
        document: Document,
    },
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the JSON Schema of the configuration
    Schema,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Report {
    /// Form of the report
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub(crate) output: Output,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    #[default]
    Text,
    /// For programs, with a stable shape
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Probe {
    /// The plugin's socket [default: server.socketPath of the configuration]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Longest time for the whole probe
    #[arg(long, default_value = "10s", value_parser = timeout, value_name = "DURATION")]
    pub(crate) timeout: Duration,
    /// The key_id that Status and Encrypt must give
    #[arg(long, value_name = "KEY_ID")]
    pub(crate) expected_key_id: Option<String>,
    /// Let a warning fail the probe
    #[arg(long)]
    pub(crate) strict: bool,
    #[command(flatten)]
    pub(crate) report: Report,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Document {
    /// docs/configuration.md
    Configuration,
    /// docs/config.schema.json
    ConfigSchema,
    /// docs/reports.schema.json
    ReportsSchema,
}

fn timeout(text: &str) -> Result<Duration, String> {
    match pace::parse_duration(text) {
        Ok(duration) if duration.is_zero() => Err("must be above zero".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_grammar_is_consistent() {
        Arguments::command().debug_assert();
    }
}
