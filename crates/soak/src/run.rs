//! One run from the first process to the verdict.

use std::{
    io::{self, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};

use fastrand::Rng;
use kms_server::client::Client;
use stage::places;
use tokio::{signal::unix, task::JoinSet};

use crate::{
    backend::Backend,
    callers::Caller,
    director::Director,
    keys::Keys,
    ledger::Ledger,
    model::{Model, NODES},
    node::{self, Cluster, Node},
    pacing::Pacing,
    report::{Run, Summary},
    sky::Sky,
};

/// Callers at each node, besides the one that watches Status.
const CALLERS: usize = 4;
/// What the watchers take of the rate.
const WATCHED: f64 = 20.0;
/// Ciphertexts that are remembered.
const MEMORY: usize = 60_000;
/// Those who decrypt everything at the end, at each node.
const READERS: usize = 8;

/// What is asked for.
pub(crate) struct Plan {
    pub(crate) time: Duration,
    pub(crate) seed: u64,
    pub(crate) rate: u32,
}

/// Runs, prints, and gives the summary. Files are kept when it is not well.
pub(crate) async fn run(plan: &Plan) -> Result<Summary, Box<dyn std::error::Error>> {
    let began = Instant::now();
    let pacing = Pacing::of(plan.time);
    let mut rng = Rng::with_seed(plan.seed);
    let home = tempfile::Builder::new().prefix("soak-").tempdir()?;
    let sockets = places::sockets()?;
    let backend = Backend::start(home.path()).await?;
    let cluster = Cluster {
        home: home.path().to_owned(),
        sockets: sockets.path().to_owned(),
        server_name: backend.server_name().to_owned(),
        pacing: pacing.clone(),
    };
    writeln!(
        io::stdout(),
        "soak for {:?}, seed {}, {} calls a second, files in {}",
        plan.time,
        plan.seed,
        plan.rate,
        home.path().display()
    )?;
    let nodes = start(&cluster, &backend).await?;
    let bytes: Vec<u64> = nodes.iter().map(Node::registry_bytes).collect();
    let ledger = Ledger::open(&home.path().join("diary.log"))?;
    let keys = Keys::new(backend.control().clone(), node::scope());
    let sky = Sky::new(pacing.clone());
    let model = Arc::new(Model::new(ledger, keys, sky, MEMORY, rng.fork()));

    let mut tasks = employ(&model, &nodes, &pacing, plan.rate, &mut rng);
    let mut director = Director::new(Arc::clone(&model), backend, nodes, pacing, rng.fork());
    let (interrupted, played) = tokio::select! {
        played = director.play(plan.time) => (false, played),
        signal = interruption() => (true, signal),
    };
    model.ledger.finish();
    while let Some(done) = tasks.join_next().await {
        done?;
    }
    let broken = played.err().map(|error| error.to_string());
    let (sealed, versions) = model.all();
    if broken.is_none() && !interrupted {
        read_all(&model, &director.nodes, &director.pacing).await?;
    }
    let after = director.nodes.iter().map(Node::registry_bytes);
    let run = Run {
        seed: plan.seed,
        took: began.elapsed(),
        versions,
        remembered: sealed.len(),
        interrupted,
        broken,
        registry_bytes: bytes.into_iter().zip(after).collect(),
    };
    let books = std::mem::take(&mut *model.ledger.books());
    let summary = Summary::new(run, books, &director.nodes);
    if !summary.is_well() {
        for entry in director.backend.control().requests() {
            model.ledger.note(&format!("REQUEST {entry:?}"));
        }
    }
    stop(director).await;
    let page = summary.page();
    writeln!(io::stdout(), "\n{page}")?;
    if !summary.is_well() {
        let kept = home.keep();
        std::fs::write(kept.join("summary.md"), page)?;
        let again = format!("make soak TIME={}s SEED={}", plan.time.as_secs(), plan.seed);
        writeln!(
            io::stdout(),
            "logs, registries and diary: {}; again: {again}",
            kept.display()
        )?;
    }
    Ok(summary)
}

/// Both nodes, healthy; the second with a copy of the first one's registry, and asking the
/// standby first.
async fn start(cluster: &Cluster, backend: &Backend) -> io::Result<Vec<Node>> {
    let [active, standby] = backend.addresses();
    let mut first = Node::prepare(cluster, 0, [active, standby])?;
    first.start().await?;
    healthy(&first).await?;
    let mut second = Node::prepare(cluster, 1, [standby, active])?;
    second.join(&first)?;
    second.start().await?;
    healthy(&second).await?;
    Ok(vec![first, second])
}

async fn healthy(node: &Node) -> io::Result<()> {
    let began = Instant::now();
    loop {
        let client = Client::connect(node.socket(), places::PATIENCE).await;
        let mut client = client.map_err(io::Error::other)?;
        let status = client.status().await.map_err(io::Error::other)?;
        if status.healthz == "ok" {
            return Ok(());
        }
        if began.elapsed() > places::PATIENCE {
            return Err(io::Error::other("a provider does not become healthy"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn employ(
    model: &Arc<Model>,
    nodes: &[Node],
    pacing: &Pacing,
    rate: u32,
    rng: &mut Rng,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let rate = (f64::from(rate) - WATCHED).max(1.0);
    let pause = Duration::from_secs_f64((CALLERS * NODES) as f64 / rate);
    for (number, node) in nodes.iter().enumerate() {
        for place in 0..=CALLERS {
            let caller = Caller {
                model: Arc::clone(model),
                node: number,
                socket: node.socket().to_owned(),
                patience: pacing.patience,
                pause,
                rng: rng.fork(),
                client: None,
            };
            if place == CALLERS {
                tasks.spawn(caller.watch());
            } else {
                tasks.spawn(caller.call());
            }
        }
    }
    tasks
}

/// In calm, everything that is remembered has to decrypt on both nodes.
async fn read_all(
    model: &Arc<Model>,
    nodes: &[Node],
    pacing: &Pacing,
) -> Result<(), tokio::task::JoinError> {
    let (sealed, _) = model.all();
    let share = sealed.len().div_ceil(READERS).max(1);
    let mut tasks = JoinSet::new();
    for (number, node) in nodes.iter().enumerate() {
        for part in sealed.chunks(share) {
            let caller = Caller {
                model: Arc::clone(model),
                node: number,
                socket: node.socket().to_owned(),
                patience: pacing.patience,
                pause: Duration::ZERO,
                rng: Rng::with_seed(0),
                client: None,
            };
            tasks.spawn(caller.open_all(part.to_vec()));
        }
    }
    while let Some(done) = tasks.join_next().await {
        done?;
    }
    Ok(())
}

/// SIGINT or SIGTERM.
async fn interruption() -> io::Result<()> {
    let mut interrupt = unix::signal(unix::SignalKind::interrupt())?;
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

async fn stop(director: Director) {
    let Director { backend, nodes, .. } = director;
    // A process is ended with its value.
    drop(nodes);
    backend.stop().await;
}
