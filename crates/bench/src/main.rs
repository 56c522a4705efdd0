//! What a call costs, in one run, next to its floors: an empty handler on the same gRPC stack, a
//! bare client of the same OpenBao, and a relay that does both and nothing else.
//!
//! Machines differ and are noisy: read the ratios, not the figures. A report and no gate: a
//! missed goal does not change the exit code.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

mod line;

mod floor;

mod distance;

mod load;

mod callers;

mod backend;

mod relay;

mod row;

mod stage;

mod burst;

mod contest;

mod goals;

mod report;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use ::stage::{machine, places, process, tables};
use clap::Parser;
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

use crate::{
    backend::{Backend, BaoDev, Place},
    contest::{Cast, Peer, Plan},
    goals::Facts,
    line::Problem,
    relay::Relay,
    report::Report,
    stage::Stage,
};

const SLICE: Duration = Duration::from_millis(250);
/// A cold start over so many seeds, with OpenBao so far away.
const BURST: usize = 2000;
const FAR_AWAY: Duration = Duration::from_millis(200);

/// What a call costs, next to an empty handler and a bare client, as one table.
#[derive(Parser)]
struct Arguments {
    /// Seconds for each row, spread over the run
    #[arg(long, default_value_t = 2)]
    seconds: u32,
    /// Calls at once
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64])]
    at: Vec<usize>,
    /// Only rows whose names hold this text, as for a profile of one kind of call
    #[arg(long, default_value = "")]
    only: String,
    /// Write the figures as JSON here, too
    #[arg(long)]
    json: Option<PathBuf>,
    /// Put the tables between the marks of this document, too
    #[arg(long)]
    document: Option<PathBuf>,
    /// The program that is measured [default: bao-kms-provider beside this one]
    #[arg(long)]
    provider: Option<PathBuf>,
    /// Ask this OpenBao, as https://127.0.0.1:8200, instead of a bao-dev of our own
    #[arg(long, requires = "ca_file", requires = "token_file")]
    address: Option<String>,
    /// Authorities of that OpenBao, PEM
    #[arg(long)]
    ca_file: Option<PathBuf>,
    /// Name in its certificate [default: the host of the address]
    #[arg(long)]
    server_name: Option<String>,
    /// A token there that may mount a secrets engine and an auth method and write a policy; all is
    /// removed afterwards
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// Namespace there
    #[arg(long, default_value = "")]
    namespace: String,
    /// Its process, if it runs on this machine: its CPU is measured, too
    #[arg(long)]
    backend_pid: Option<u32>,
    /// Measure the KMS v2 plugin on this socket, too
    #[arg(long)]
    peer: Option<PathBuf>,
    /// Its process
    #[arg(long, requires = "peer")]
    peer_pid: Option<u32>,
    /// Be the empty handler on this socket (started by the program itself)
    #[arg(long, hide = true)]
    floor: Option<PathBuf>,
    /// Be the relay on this socket (as above)
    #[arg(long, hide = true, requires = "relay_order")]
    relay: Option<PathBuf>,
    /// What the relay sends, and where
    #[arg(long, hide = true)]
    relay_order: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // The floors have one thread, as the provider; its callers have two.
    let mut executor = match (&arguments.floor, &arguments.relay) {
        (None, None) => Builder::new_multi_thread(),
        _ => Builder::new_current_thread(),
    };
    let outcome = match executor.worker_threads(2).enable_all().build() {
        Ok(executor) => executor.block_on(act(&arguments)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "bench: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn act(arguments: &Arguments) -> Result<(), Problem> {
    match (&arguments.floor, &arguments.relay, &arguments.relay_order) {
        (Some(socket), _, _) => floor::serve(socket).await,
        (None, Some(socket), Some(order)) => relay::serve(socket, order).await,
        _ => run(arguments).await,
    }
}

async fn run(arguments: &Arguments) -> Result<(), Problem> {
    let home = tempfile::tempdir()?;
    let bao_dev = match arguments.address {
        Some(_) => None,
        None => Some(BaoDev::start(home.path()).await?),
    };
    let (program, place) = match &bao_dev {
        Some(bao_dev) => ("bao-dev as OpenBao", bao_dev.place.clone()),
        None => ("OpenBao", elsewhere(arguments)?),
    };
    let mut terminated = signal(SignalKind::terminate())?;
    let mut backend = Backend::prepare(program, place, home.path()).await?;
    // However it ends, what was made on the server goes.
    let outcome = tokio::select! {
        outcome = measure(arguments, &backend, home.path()) => outcome,
        _ = tokio::signal::ctrl_c() => Err("stopped".into()),
        _ = terminated.recv() => Err("stopped".into()),
    };
    let removed = backend.remove().await;
    publish(arguments, &outcome?)?;
    removed
}

fn elsewhere(arguments: &Arguments) -> Result<Place, Problem> {
    let missing = "an OpenBao elsewhere needs --address, --ca-file and --token-file";
    let token = arguments.token_file.as_ref().ok_or(missing)?;
    Ok(Place {
        url: arguments.address.clone().ok_or(missing)?,
        server_name: arguments.server_name.clone(),
        ca: arguments.ca_file.clone().ok_or(missing)?,
        token: fs::read_to_string(token)?.trim().to_owned(),
        namespace: arguments.namespace.clone(),
        pid: arguments.backend_pid,
    })
}

async fn measure(arguments: &Arguments, backend: &Backend, home: &Path) -> Result<Report, Problem> {
    let program = match &arguments.provider {
        Some(program) => program.clone(),
        None => places::beside("bao-kms-provider")?,
    };
    let stage = Stage::set(&program, backend, home).await?;
    let cast = cast(arguments, backend, &stage, home).await?;
    let plan = Plan {
        slices: (arguments.seconds * 4).max(1),
        slice: SLICE,
        only: &arguments.only,
    };
    let mut rows = Vec::new();
    for &concurrency in &arguments.at {
        rows.extend(contest::hold(&cast, concurrency, plan).await?);
    }
    let provider = stage.provider.id();
    let resident = |name| process::status(provider, name);
    let after_load = resident("VmRSS:")?;
    let threads = resident("Threads:")?;
    let some = cast.sealed.get(..BURST).unwrap_or_default();
    let burst = burst::far_away(&stage, backend, some, FAR_AWAY, home).await?;
    let facts = Facts {
        real_backend: arguments.address.is_some(),
        resident_after_load_kib: after_load,
        start_to_healthy_ms: stage.start_to_healthy.as_secs_f64() * 1e3,
        burst_seconds: burst.took.as_secs_f64(),
    };
    let mut figures = vec![
        ("resident idle, KiB", stage.resident_idle_kib as f64),
        ("resident after load, KiB", after_load as f64),
        (
            "resident at most, KiB",
            resident("VmHWM:")?.max(burst.resident_at_most_kib) as f64,
        ),
        ("threads", threads as f64),
        ("binary, KiB", (stage.binary_bytes / 1024) as f64),
        (
            "start to healthy, ms",
            (facts.start_to_healthy_ms * 10.0).round() / 10.0,
        ),
    ];
    if let Some(pid) = arguments.peer_pid {
        figures.push((
            "peer resident after load, KiB",
            process::status(pid, "VmRSS:")? as f64,
        ));
    }
    Ok(Report {
        machine: machine::describe(),
        backend: format!("{} on {}", backend.program, backend.whereabouts()),
        goals: goals::goals(&rows, &facts),
        rows,
        provider: figures,
    })
}

async fn cast<'a>(
    arguments: &Arguments,
    backend: &'a Backend,
    stage: &'a Stage,
    home: &Path,
) -> Result<Cast<'a>, Problem> {
    let mut provider = callers::client(&stage.provider_socket).await?;
    let sealed = Arc::new(callers::ciphertexts(&mut provider, BURST).await?);
    let peer = match &arguments.peer {
        None => None,
        Some(socket) => {
            let mut client = callers::client(socket).await?;
            Some(Peer {
                sealed: Arc::new(callers::ciphertexts(&mut client, BURST / 4).await?),
                client,
                pid: arguments.peer_pid,
            })
        }
    };
    let scope = stage::scope(&backend.place.namespace);
    let associated_data = backend.snapshot(&scope).await?.associated_data;
    let some = sealed.first().cloned().unwrap_or_default();
    let bodies = [
        callers::encrypt_body(&associated_data),
        callers::decrypt_body(&some, &associated_data),
    ];
    let [encrypt, decrypt] = &bodies;
    let relay = Relay::start(backend, [encrypt, decrypt], home, stage.sockets());
    Ok(Cast {
        stage,
        backend,
        floor: callers::client(&stage.floor_socket).await?,
        relay: relay.await?,
        provider,
        sealed,
        associated_data,
        peer,
    })
}

fn publish(arguments: &Arguments, report: &Report) -> Result<(), Problem> {
    write!(std::io::stdout(), "{}", report.text())?;
    if let Some(path) = &arguments.json {
        fs::write(path, format!("{:#}\n", report.json()))?;
    }
    if let Some(path) = &arguments.document {
        let mark = if arguments.address.is_some() {
            "bench openbao"
        } else {
            "bench bao-dev"
        };
        let text = fs::read_to_string(path)?;
        let text = tables::replaced(&text, mark, &report.markdown());
        let text = text.ok_or_else(|| format!("{}: no marks of {mark}", path.display()))?;
        fs::write(path, text)?;
    }
    Ok(())
}
