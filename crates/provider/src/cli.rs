//! The command line: the only place that reads arguments and the environment.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser as _};
use daemon::logging::Log;

use crate::{
    causes,
    config::{self, Config, ConfigError, Override, Overrides},
    exit::{self, Failure},
    serve,
    variables::{self, Stray},
    version::{COMMIT, VERSION},
};

mod arguments;

mod report;

mod probe;

use arguments::{Arguments, Command, Common, ConfigCommand, Document, Output};

/// The configuration when neither flag nor environment name one.
const DEFAULT_CONFIG: &str = "/etc/openbao-kms/config.yaml";

/// Runs the program that this process was started as; the exit code is the caller's to return.
#[must_use]
pub fn run() -> ExitCode {
    let environment = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let strays = variables::strays(std::env::vars_os());
    let arguments = Arguments::try_parse_from(std::env::args_os());
    let serves = matches!(&arguments, Ok(arguments) if matches!(arguments.command, Command::Serve));
    // Dropped last: that waits for its last line.
    let log = Log::default();
    let outcome = arguments.map_err(Failure::Usage).and_then(|arguments| {
        if reads_configuration(&arguments.command) && !serves {
            tell_strays(&strays);
        }
        dispatch(&arguments, &environment, &strays, &log)
    });
    if serves {
        tell_log(&outcome, &log);
    } else {
        tell(&outcome);
    }
    exit::code(&outcome)
}

fn reads_configuration(command: &Command) -> bool {
    match command {
        Command::Serve | Command::Config { what: None, .. } => true,
        Command::Probe(probe) => probe.socket.is_none(),
        _ => false,
    }
}

fn tell_strays(strays: &[Stray]) {
    for stray in strays {
        report::complain(&format!("warning: {} {stray}", stray.name));
    }
}

/// What people are told at the end.
fn tell(outcome: &Result<(), Failure>) {
    match outcome {
        Ok(()) => {}
        // Help goes to standard output, complaints to standard error, both in clap's words.
        Err(Failure::Usage(error)) => {
            let _ = error.print();
        }
        // Diagnostics start with the file's position, where editors look for it.
        Err(Failure::Config(ConfigError::Faults(faults))) => report::complain(&faults.to_string()),
        Err(failure) => report::complain(&format!("bao-kms-provider: {}", causes::chain(failure))),
    }
}

/// A daemon tells it in its log, whose last line is for programs as well. Nothing may go past the
/// log to standard error: it could hang there.
fn tell_log(outcome: &Result<(), Failure>, log: &Log) {
    if let Err(Failure::Config(ConfigError::Faults(faults))) = outcome {
        log.tell(&faults.to_string());
    }
    if let Err(failure) = outcome {
        serve::log_failure(failure, log);
    }
}

/// A variable's value; unset and empty are the same.
type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

fn dispatch(
    arguments: &Arguments,
    environment: Environment<'_>,
    strays: &[Stray],
    log: &Log,
) -> Result<(), Failure> {
    let common = &arguments.common;
    match &arguments.command {
        Command::Serve => {
            let path = config_path(common, environment);
            let config = config::load(&path, &overrides(common, environment))
                .inspect_err(|_| serve::log_strays(strays, log))?;
            serve::run(&config, &manager(environment, strays), log)
        }
        Command::Config { what: None, report } => {
            let path = config_path(common, environment);
            let config = config::read(&path, &overrides(common, environment))?;
            show_config(&config, report.output)
        }
        Command::Config {
            what: Some(ConfigCommand::Schema),
            ..
        } => print(&config::json_schema()),
        Command::Probe(arguments) => run_probe(arguments, common, environment),
        Command::Version { report } => show_version(report.output),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            let mut grammar = visible();
            clap_complete::generate(*shell, &mut grammar, "bao-kms-provider", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
        Command::Help { command } => help(command),
        Command::Generate { document } => print(&match document {
            Document::Configuration => config::reference(),
            Document::ConfigSchema => config::json_schema(),
            Document::ReportsSchema => report::schema(),
        }),
    }
}

/// The grammar without what is hidden: completion scripts would offer it.
fn visible() -> clap::Command {
    let whole = Arguments::command();
    let shown = |command: &&clap::Command| !command.is_hide_set();
    clap::Command::new("bao-kms-provider")
        .version(VERSION)
        .disable_help_subcommand(true)
        .args(whole.get_arguments().cloned())
        .subcommands(whole.get_subcommands().filter(shown).cloned())
}

/// What `--help` says after these names.
fn help(names: &[String]) -> Result<(), Failure> {
    let words = ["bao-kms-provider"].into_iter();
    let words = words.chain(names.iter().map(String::as_str));
    match Arguments::try_parse_from(words.chain(["--help"])) {
        Ok(_) => Ok(()),
        Err(help) => Err(Failure::Usage(help)),
    }
}

fn print(text: &str) -> Result<(), Failure> {
    report::print(text).map_err(|error| Failure::Unclassified(Box::new(error)))
}

fn json(kind: &str, body: &impl serde::Serialize) -> Result<String, Failure> {
    report::json(kind, body).map_err(|error| Failure::Unclassified(Box::new(error)))
}

fn config_path(common: &Common, environment: Environment<'_>) -> PathBuf {
    common
        .config
        .clone()
        .or_else(|| environment(variables::CONFIG).map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from(DEFAULT_CONFIG))
}

/// What the service manager said to us; only this module reads the environment.
fn manager(environment: Environment<'_>, strays: &[Stray]) -> serve::Manager {
    serve::Manager {
        strays: strays.to_vec(),
        notify_socket: environment("NOTIFY_SOCKET"),
        watchdog_usec: environment("WATCHDOG_USEC"),
    }
}

/// Flag, else environment; the file comes last and elsewhere.
fn overrides(common: &Common, environment: Environment<'_>) -> Overrides {
    let pick = |flag: &Option<String>, flag_name, variable| {
        let given = flag.clone().map(|value| Override {
            value,
            origin: flag_name,
        });
        given.or_else(|| {
            environment(variable).map(|value| Override {
                value: value.to_string_lossy().into_owned(),
                origin: variable,
            })
        })
    };
    Overrides {
        log_level: pick(&common.log_level, "--log-level", variables::LOG_LEVEL),
        metrics_address: pick(
            &common.metrics_address,
            "--metrics-address",
            variables::METRICS_ADDRESS,
        ),
        health_address: pick(
            &common.health_address,
            "--health-address",
            variables::HEALTH_ADDRESS,
        ),
    }
}

fn show_version(output: Output) -> Result<(), Failure> {
    print(&match output {
        Output::Text => format!("bao-kms-provider {VERSION} (commit {COMMIT})\n"),
        Output::Json => json(
            "Version",
            &report::Version {
                version: VERSION,
                commit: COMMIT,
            },
        )?,
    })
}

fn show_config(config: &Config, output: Output) -> Result<(), Failure> {
    let fingerprint = config.fingerprint();
    let expected = config
        .transit
        .expected_fingerprint
        .as_ref()
        .map(|expected| *expected == fingerprint);
    if let Err(mismatch) = config.check_identity() {
        report::complain(&format!("warning, serve will refuse this: {mismatch}"));
    }
    print(&match output {
        Output::Text => format!(
            "# identity fingerprint: {fingerprint}\n{}",
            config::to_yaml(&config.document())
        ),
        Output::Json => json(
            "Config",
            &report::Config {
                identity_fingerprint: fingerprint,
                identity_expected: expected,
                config: config.document(),
            },
        )?,
    })
}

fn run_probe(
    arguments: &arguments::Probe,
    common: &Common,
    environment: Environment<'_>,
) -> Result<(), Failure> {
    let socket = match &arguments.socket {
        Some(socket) => socket.clone(),
        None => configured_socket(&config_path(common, environment), common, environment)?,
    };
    let (report, unreachable) = probe::run(arguments, &socket)?;
    if let Some(error) = unreachable {
        // For people the error says it all; a program that reads reports gets one.
        if arguments.report.output == Output::Json {
            print(&json("Probe", &report)?)?;
        }
        return Err(Failure::Runtime(Box::new(error)));
    }
    print(&match arguments.report.output {
        Output::Text => probe::text(&report, report::colour(environment("NO_COLOR").as_deref())),
        Output::Json => json("Probe", &report)?,
    })?;
    match report.result {
        report::Verdict::Fail => Err(Failure::CheckFailed("a check of the probe failed".into())),
        report::Verdict::Warn if arguments.strict => Err(Failure::CheckFailed(
            "a check of the probe warned, and --strict was given".into(),
        )),
        _ => Ok(()),
    }
}

/// The user of the API server can often not read the configuration, and need not.
fn configured_socket(
    path: &Path,
    common: &Common,
    environment: Environment<'_>,
) -> Result<PathBuf, Failure> {
    match config::read(path, &overrides(common, environment)) {
        Ok(config) => Ok(config.server.socket_path),
        Err(error) => {
            report::complain("without --socket, the socket's path is read from the configuration");
            Err(error.into())
        }
    }
}
