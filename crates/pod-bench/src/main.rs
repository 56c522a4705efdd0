//! What staticpodd costs, in one run: its share of the time from a manifest to a container, next
//! to the same calls made by hand; what it holds and uses when nothing happens; and whether it
//! grows with edits.
//!
//! A report and no gate: a missed goal does not change the exit code.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

mod recorder;

mod agent;

mod texts;

mod memory;

mod starts;

mod idle;

mod growth;

mod report;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use cri::Runtime as _;
use fake_cri::{
    containerd::{Network, Rig},
    programs::stock,
};
use stage::{machine, places, tables};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

use crate::{agent::Problem, report::Report, starts::Place};

/// What staticpodd costs, as one table.
#[derive(Parser)]
struct Arguments {
    /// Starts of a pod, and as many by hand
    #[arg(long, default_value_t = 20)]
    starts: u32,
    /// Seconds in which nothing happens, for each situation; 0 leaves them out
    #[arg(long, default_value_t = 60)]
    idle: u64,
    /// Edits; 0 leaves them out
    #[arg(long, default_value_t = 10_000)]
    edits: u32,
    /// Write the figures as JSON here, too
    #[arg(long)]
    json: Option<PathBuf>,
    /// Put the tables between the marks of this document, too
    #[arg(long)]
    document: Option<PathBuf>,
    /// The program that is measured [default: staticpodd beside this one]
    #[arg(long)]
    staticpodd: Option<PathBuf>,
    /// Be the runtime of memory on this socket (started by the program itself)
    #[arg(long, hide = true)]
    memory: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(executor) => executor.block_on(act(&arguments)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "pod-bench: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn act(arguments: &Arguments) -> Result<(), Problem> {
    if let Some(socket) = &arguments.memory {
        return memory::serve(socket).await;
    }
    // What would be in vain is said before minutes are spent.
    let page = match &arguments.document {
        Some(path) => Some((path, readable(path)?)),
        None => None,
    };
    let mut terminated = signal(SignalKind::terminate())?;
    // However it ends, everything that was started goes with the rig.
    let report = tokio::select! {
        report = measure(arguments) => report?,
        _ = tokio::signal::ctrl_c() => return Err("stopped".into()),
        _ = terminated.recv() => return Err("stopped".into()),
    };
    write!(std::io::stdout(), "{}", report.text())?;
    if let Some(path) = &arguments.json {
        fs::write(path, format!("{:#}\n", report.json()))?;
    }
    if let Some((path, text)) = page {
        let text = tables::replaced(&text, MARK, &report.markdown()).unwrap_or(text);
        fs::write(path, text)?;
    }
    Ok(())
}

const MARK: &str = "bench-pods";

fn readable(path: &Path) -> Result<String, Problem> {
    let text = fs::read_to_string(path)?;
    match tables::replaced(&text, MARK, "") {
        Some(_) => Ok(text),
        None => Err(format!(
            "{}: no <!-- {MARK} --> and <!-- /{MARK} --> in it",
            path.display()
        )
        .into()),
    }
}

async fn measure(arguments: &Arguments) -> Result<Report, Problem> {
    let program = match &arguments.staticpodd {
        Some(program) => program.canonicalize()?,
        None => places::beside("staticpodd")?,
    };
    say("starting containerd");
    let rig = Rig::start(Network::Own)?;
    let place = Place {
        rig: &rig,
        program: &program,
        image: &stock()?.workload.pinned(),
    };
    let version = rig.client().version().await?;
    let mut report = Report {
        machine: machine::describe(),
        runtime: format!("{} {}", version.runtime_name, version.runtime_version),
        figures: vec![("binary, KiB", fs::metadata(&program)?.len() / 1024)],
        ..Report::default()
    };
    if arguments.starts > 0 {
        say("starting a pod again and again, with the agent and by hand");
        report.starts = starts::measure(&place, arguments.starts).await?;
    }
    if arguments.idle > 0 {
        let time = Duration::from_secs(arguments.idle);
        say("watching an agent with 5 pods on containerd");
        let (idle, most) = idle::on_containerd(&place, 5, time).await?;
        report.idle.push(("5 pods on containerd".to_owned(), idle));
        report
            .figures
            .push(("resident at most with 5 pods, KiB", most));
        say("watching an agent with 100 pods on a runtime of memory");
        let idle = idle::on_memory(&place, 100, time).await?;
        let situation = "100 pods on a runtime of memory".to_owned();
        report.idle.push((situation, idle));
    }
    if arguments.edits > 0 {
        say(&format!("editing manifests {} times", arguments.edits));
        report.growth = growth::measure(&place, arguments.edits).await?;
    }
    Ok(report)
}

/// To people who wait.
fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "==> bench-pods: {what}");
}
