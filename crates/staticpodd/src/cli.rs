//! The command line: the only place that reads arguments and the environment.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

use std::{error::Error, ffi::OsString, process::ExitCode};

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};
use pod::Node;
use podctl::Fault;

use crate::{
    causes::chain,
    check::{Checker, Settings},
    exit::{self, Failure},
    host,
    input::{Argument, each},
    kubelet_config,
    report::{self, Outcome, Summary},
    run,
    version::{COMMIT, VERSION},
};

mod manual;
mod output;
mod values;
mod asking;
mod arguments;
mod settings;

use arguments::{Arguments, Check, Command, Document, Form, Output, Run};
use asking::Where;

const PROGRAM: &str = "staticpodd";

/// Runs the program that this process was started as; the exit code is the caller's to return.
#[must_use]
pub fn run() -> ExitCode {
    let outcome = Arguments::try_parse_from(std::env::args_os())
        .map_err(Failure::Usage)
        .and_then(|arguments| dispatch(&arguments));
    tell(&outcome);
    exit::code(&outcome)
}

/// What people are told at the end.
fn tell(outcome: &Result<(), Failure>) {
    match outcome {
        // The report or the log has said it.
        Ok(())
        | Err(Failure::Problems | Failure::Unreadable | Failure::Run(_) | Failure::Command(_)) => {}
        // Help goes to standard output, complaints to standard error, both in clap's words.
        Err(Failure::Usage(error)) => {
            let _ = error.print();
        }
        Err(Failure::Config(error)) => {
            output::complain(&format!("{PROGRAM}: {}", chain(error)));
        }
        Err(Failure::Asked(fault)) => {
            output::complain(&format!("{PROGRAM}: {}", chain(fault)));
        }
        Err(failure @ Failure::Output(source)) => {
            output::complain(&format!("{PROGRAM}: {failure}: {source}"));
        }
    }
}

fn dispatch(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::Run(arguments) => run_agent(arguments),
        Command::Check(arguments) => check(arguments),
        Command::Get(get) => ask(&get.place, get.command()),
        Command::Describe(describe) => ask(&describe.scope.place, describe.command()),
        Command::Logs(logs) => ask(&logs.scope.place, logs.command()),
        Command::Exec(exec) => ask(&exec.scope.place, exec.command()),
        Command::Restart(restart) => ask(&restart.scope.place, restart.command()),
        Command::StopAll(stop) => ask(&stop.place, stop.command()),
        Command::StartAll(place) => ask(place, podctl::Command::StartAll),
        Command::Version { output: Form::Text } => {
            print(format!("{PROGRAM} {VERSION} (commit {COMMIT})\n"))
        }
        Command::Version { output: Form::Json } => {
            print(report::json::version().map_err(unsayable)?)
        }
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut visible(), PROGRAM, &mut script);
            print(script)
        }
        Command::Help { command } => help(command),
        Command::Generate { document } => generate(*document),
    }
}

fn run_agent(arguments: &Run) -> Result<(), Failure> {
    let wrong = |why: String| {
        let grammar = Arguments::command();
        let run = grammar.find_subcommand("run").cloned();
        let mut run = run.unwrap_or(grammar).bin_name(format!("{PROGRAM} run"));
        Failure::Usage(run.error(ErrorKind::ValueValidation, why))
    };
    let file = arguments.config.as_deref();
    let file = file.filter(|path| !path.as_os_str().is_empty());
    let file = file.map(kubelet_config::load).transpose()?;
    let settings = settings::settings(arguments, file.unwrap_or_default()).map_err(wrong)?;
    run::run(settings)?;
    Ok(())
}

/// Asks the agent, and prints what it answers.
fn ask(place: &Where, command: podctl::Command) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(unsayable)?;
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let mut desk = podctl::Desk {
        out: &mut out,
        err: &mut err,
    };
    let outcome = runtime.block_on(podctl::run(place.socket.clone(), command, &mut desk));
    // A thread that reads what is typed would wait for one more key.
    runtime.shutdown_background();
    match outcome {
        Ok(0) => Ok(()),
        Ok(code) => Err(Failure::Command(code)),
        // A reader that closed the pipe has seen enough.
        Err(Fault::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(fault) => Err(Failure::Asked(fault)),
    }
}

fn check(arguments: &Check) -> Result<(), Failure> {
    let places: Vec<Argument> = arguments
        .places
        .iter()
        .map(|text| place(text, arguments.insecure_manifest_url))
        .collect::<Result<_, Failure>>()?;
    let judge_host = !arguments.no_host;
    let own_name = || judge_host.then(host::name);
    let node = arguments.hostname_override.clone().or_else(own_name);
    let mut checker = Checker::new(Settings {
        advice: !arguments.no_advice,
        node: node.map(|name| Node { name, suffix: true }),
        look: judge_host.then_some(host::look),
    });
    let mut checked = Vec::new();
    each(&places, judge_host, |input| {
        checked.push(checker.check(input));
    });
    let summary = Summary::of(&checked);
    let complete = !checker.missed_an_argument();
    print(match arguments.output {
        Output::Text => report::text(&checked, &summary),
        Output::Json => report::json(&checked, &summary, arguments.strict).map_err(unsayable)?,
        Output::Sarif => {
            let here = std::env::current_dir().unwrap_or_default();
            report::sarif(&checked, &here, complete).map_err(unsayable)?
        }
    })?;
    if !complete {
        return Err(Failure::Unreadable);
    }
    match summary.outcome(arguments.strict) {
        Outcome::Fail => Err(Failure::Problems),
        Outcome::Pass | Outcome::Warn => Ok(()),
    }
}

fn place(text: &OsString, insecure: bool) -> Result<Argument, Failure> {
    let wrong = |why: String| {
        let grammar = Arguments::command();
        let check = grammar.find_subcommand("check").cloned();
        let mut check = check
            .unwrap_or(grammar)
            .bin_name(format!("{PROGRAM} check"));
        Failure::Usage(check.error(ErrorKind::ValueValidation, why))
    };
    if text.is_empty() {
        return Err(wrong("an argument is empty, and names no file".to_owned()));
    }
    Argument::parse(text, insecure).map_err(|error| wrong(error.to_string()))
}

/// The grammar without what is hidden: completion scripts and manual pages would offer it.
fn visible() -> clap::Command {
    let whole = Arguments::command();
    let shown = |command: &&clap::Command| !command.is_hide_set();
    let about = whole.get_about().cloned().unwrap_or_default();
    clap::Command::new(PROGRAM)
        .version(VERSION)
        .about(about)
        .disable_help_subcommand(true)
        .subcommand_required(true)
        .args(whole.get_arguments().cloned())
        .subcommands(whole.get_subcommands().filter(shown).cloned())
}

/// What `--help` says after these names.
fn help(names: &[String]) -> Result<(), Failure> {
    let words = [PROGRAM].into_iter();
    let words = words.chain(names.iter().map(String::as_str));
    match Arguments::try_parse_from(words.chain(["--help"])) {
        Ok(_) => Ok(()),
        Err(help) => Err(Failure::Usage(help)),
    }
}

fn generate(document: Document) -> Result<(), Failure> {
    let visible = visible();
    let of_check = format!("{PROGRAM}-check");
    match document {
        Document::Man => print(manual::page(visible, PROGRAM, &of_check).map_err(unsayable)?),
        Document::ManCheck => page_of(&visible, "check"),
        Document::ManRun => page_of(&visible, "run"),
        Document::ManGet => page_of(&visible, "get"),
        Document::ManDescribe => page_of(&visible, "describe"),
        Document::ManLogs => page_of(&visible, "logs"),
        Document::ManExec => page_of(&visible, "exec"),
        Document::ManRestart => page_of(&visible, "restart"),
        Document::ManStopAll => page_of(&visible, "stop-all"),
        Document::ManStartAll => page_of(&visible, "start-all"),
        Document::ReportsSchema => print(report::json::schema().map_err(unsayable)?),
    }
}

fn page_of(visible: &clap::Command, name: &str) -> Result<(), Failure> {
    let command = visible.find_subcommand(name).cloned().unwrap_or_default();
    let page = format!("{PROGRAM}-{name}");
    let command = command
        .bin_name(format!("{PROGRAM} {name}"))
        .display_name(page.clone());
    print(manual::page(command, &page, PROGRAM).map_err(unsayable)?)
}

fn print(text: impl AsRef<[u8]>) -> Result<(), Failure> {
    output::print(text.as_ref()).map_err(unsayable)
}

fn unsayable(error: impl Error + Send + Sync + 'static) -> Failure {
    Failure::Output(Box::new(error))
}
