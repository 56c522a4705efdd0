//! `run`: the agent, from its settings to its end.

use std::{
    convert::Infallible,
    ffi::OsString,
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    process,
    sync::Arc,
    time::Duration,
};

use agent::{Agent, Handle, Listener, Manifests, Source};
use cri::{
    Client, Endpoint, Runtime,
    v1::{Container, PodSandbox},
};
use daemon::{
    harden,
    lines::Format,
    logging::{Dropped, Log},
    notify::Notifier,
    shutdown::Shutdown,
};
use http::HeaderName;
use launch::{
    cgroup::Trees,
    host::Root,
    logs::Logs,
    node::{Dns, Driver},
};
use manifests::{
    address::Address,
    directory::Timing,
    folder::{self, Folder},
    kept::{KeptError, boot},
    site::{self, Site},
};
use pace::{Clock, SystemClock};
use pod::{Node, RuntimeFeatures};
use secret::SecretText;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use crate::{
    annals::Annals,
    causes::chain,
    collecting,
    documents::Place,
    door::{Door, Office},
    host,
    kubelets::{Kubelets, Rivalry},
    launching::{Launcher, Premises},
    meter::Meter,
    metered::Metered,
    node::{self, Abilities, Machine},
    pages::{self, Sight},
    telling,
    upkeep::{self, Upkeep},
    version::{COMMIT, VERSION},
};

/// Between two questions to a runtime that does not answer yet.
const RUNTIME_RETRY: Duration = Duration::from_secs(1);
/// Between two tries to open the socket, which another agent may still have.
const DOOR_RETRY: Duration = Duration::from_secs(5);
/// How long something that hangs in the kernel may hold up the end of the process.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long a thread that waited for the disk stays for the next one. A burst of edits needs many,
/// and each holds memory.
const LINGER: Duration = Duration::from_secs(1);

/// What the agent is told on its command line.
pub(crate) struct Settings {
    pub(crate) folder: Option<PathBuf>,
    pub(crate) site: Option<Address>,
    pub(crate) headers: Vec<(HeaderName, SecretText)>,
    /// Instead of the system's authorities.
    pub(crate) site_ca: Option<PathBuf>,
    pub(crate) node: String,
    pub(crate) endpoint: Endpoint,
    pub(crate) folder_period: Duration,
    pub(crate) site_period: Duration,
    pub(crate) root: PathBuf,
    pub(crate) logs: PathBuf,
    pub(crate) ips: Vec<IpAddr>,
    pub(crate) cluster_dns: Vec<String>,
    pub(crate) cluster_domain: String,
    pub(crate) resolv_conf: PathBuf,
    pub(crate) seccomp_default: bool,
    pub(crate) unsafe_sysctls: Vec<String>,
    /// Of a runtime that does not tell its own.
    pub(crate) driver: Option<Driver>,
    /// Whether a kubelet's static pods are to be stopped.
    pub(crate) take_over: bool,
    pub(crate) log_limits: launch::logs::Limits,
    pub(crate) image_limits: collecting::Limits,
    pub(crate) pages: pages::Addresses,
    /// Where the agent is asked.
    pub(crate) socket: PathBuf,
    /// At most so many images are fetched at a time.
    pub(crate) pulls: Option<usize>,
    /// Fields of the configuration that have no effect.
    pub(crate) idle: Vec<String>,
    /// `NOTIFY_SOCKET`.
    pub(crate) notify_socket: Option<OsString>,
}

/// Why the agent does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// The system has no threads, signals or sockets left, or takes no settings of the process.
    #[error("the process cannot be set up")]
    Process(#[source] io::Error),
    /// Its directories, or the cgroups.
    #[error(transparent)]
    Host(#[from] launch::host::HostError),
    /// What it remembers of manifests.
    #[error(transparent)]
    Kept(#[from] KeptError),
    /// Its lock, or what it remembers of pods.
    #[error(transparent)]
    Open(#[from] agent::OpenError),
    /// It broke off.
    #[error(transparent)]
    Agent(#[from] agent::RunError),
    /// Two would fight for the same pods.
    #[error(transparent)]
    Kubelet(#[from] Rivalry),
}

/// Runs until a signal. What runs goes on running.
///
/// # Errors
/// [`RunError`]; the log has said it.
pub(crate) fn run(settings: Settings) -> Result<(), RunError> {
    let log = Log::default();
    // Somebody else's log in this process is as good.
    let _ = log.follow(tracing::Level::INFO, Format::Json);
    let outcome = start(settings, &log);
    match &outcome {
        Ok(()) => tracing::info!("process.stopped"),
        Err(error) => tracing::error!(reason = chain(error), "process.failed"),
    }
    outcome
}

fn start(settings: Settings, log: &Log) -> Result<(), RunError> {
    harden::protect_memory().map_err(RunError::Process)?;
    log.start().map_err(RunError::Process)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_keep_alive(LINGER)
        .build()
        .map_err(RunError::Process)?;
    let outcome = runtime.block_on(serve(settings, log.dropped()));
    runtime.shutdown_timeout(FAREWELL);
    outcome
}

async fn serve(settings: Settings, dropped: Dropped) -> Result<(), RunError> {
    let notifier =
        Notifier::new(settings.notify_socket.as_deref(), None).map_err(RunError::Process)?;
    let shutdown = Shutdown::default();
    let impatient = shutdown.on_signals().map_err(RunError::Process)?;
    // From the first moment on: by itself, this signal ends a process.
    let hangup = signal(SignalKind::hangup()).map_err(RunError::Process)?;
    tracing::info!(
        version = VERSION,
        commit = COMMIT,
        pid = process::id(),
        node = settings.node,
        "process.started"
    );
    for field in &settings.idle {
        tracing::warn!(field, "config.no_effect");
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let meter = Arc::new(Meter::default());
    let client: Arc<dyn Runtime> = Arc::new(Metered {
        runtime: Client::new(settings.endpoint.clone()),
        meter: Arc::clone(&meter),
        clock: Arc::clone(&clock),
    });
    let (running, seen) = watch::channel(None);
    let place = place(&settings);
    let sight = Sight {
        agent: seen,
        meter: Arc::clone(&meter),
        place: place.clone(),
        started: clock.now().wall,
        clock: Arc::clone(&clock),
        dropped,
    };
    let pages = pages::serve(settings.pages, sight, shutdown.clone());
    let working = async {
        let (abilities, found) = tokio::select! {
            answers = ask(&*client) => answers,
            () = shutdown.wait() => return Ok(()),
        };
        refuse_rivals(&settings, &found)?;
        let logs = logs(&settings.logs);
        let (log_limits, image_limits) = (settings.log_limits, settings.image_limits);
        let hears = Arc::clone(&meter);
        let annals = Arc::new(Annals::new(Arc::clone(&clock)));
        let notes = Arc::clone(&annals);
        let socket = settings.socket.clone();
        let listener: Listener = Arc::new(move |event| {
            hears.hear(event);
            notes.note(event);
            telling::tell(event);
        });
        let parts = (Arc::clone(&client), Arc::clone(&clock), listener);
        let agent = assemble(settings, parts, &abilities)?;
        let handle = agent.handle();
        let office = Arc::new(Office {
            agent: handle.clone(),
            runtime: Arc::clone(&client),
            annals,
            place,
            logs: logs.clone(),
            clock: Arc::clone(&clock),
        });
        let upkeep = Upkeep::new(upkeep::Tools {
            runtime: client,
            clock,
            meter,
            logs,
            log_limits,
            image_limits,
            sandbox_image: abilities.sandbox_image,
        });
        let for_upkeep = handle.clone();
        let _ = running.send(Some(handle.clone()));
        notifier.ready();
        let running = async {
            let outcome = tokio::select! {
                outcome = agent.run(shutdown.wait()) => outcome,
                never = accept(hangup, handle) => match never {},
                never = listen(&socket, office) => match never {},
            };
            shutdown.trigger();
            outcome
        };
        let upkeep = upkeep.run(for_upkeep, shutdown.wait());
        let (outcome, ()) = tokio::join!(running, upkeep);
        notifier.stopping();
        Ok(outcome?)
    };
    let working = async {
        let outcome = working.await;
        shutdown.trigger();
        outcome
    };
    tokio::select! {
        (outcome, ()) = async { tokio::join!(working, pages) } => outcome,
        // Orders that are given up are seen by the next run.
        () = impatient => Ok(()),
    }
}

/// Takes a directory that came in the place of another one for the one that is meant, whenever
/// the operator says so.
async fn accept(mut hangup: Signal, agent: Handle) -> Infallible {
    while hangup.recv().await.is_some() {
        tracing::info!(signal = "SIGHUP", "source.accepted");
        if agent.accept_replacements().await.is_err() {
            break;
        }
    }
    // Whoever runs the agent says when it ends.
    std::future::pending().await
}

fn place(settings: &Settings) -> Place {
    Place {
        node: settings.node.clone(),
        runtime: settings.endpoint.to_string(),
    }
}

/// Hears whoever asks. Pods must not wait for that: without its socket the agent runs them all
/// the same.
async fn listen(socket: &Path, office: Arc<Office>) -> Infallible {
    let mut said = None;
    loop {
        match Door::open(socket) {
            Ok(door) => {
                tracing::info!(path = %socket.display(), "door.open");
                match door.serve(office).await {}
            }
            Err(error) => {
                let reason = chain(&error);
                if said.as_ref() != Some(&reason) {
                    tracing::error!(reason, "door.shut");
                    said = Some(reason);
                }
            }
        }
        tokio::time::sleep(DOOR_RETRY).await;
    }
}

/// What the runtime has.
struct Found {
    sandboxes: Vec<PodSandbox>,
    containers: Vec<Container>,
}

/// What the runtime can do and what it has, as soon as it answers.
async fn ask(runtime: &dyn Runtime) -> (Abilities, Found) {
    let mut said = None;
    loop {
        let asking = async {
            let abilities = Abilities::ask(runtime).await?;
            let found = Found {
                sandboxes: runtime.list_pod_sandbox(None).await?,
                containers: runtime.list_containers(None).await?,
            };
            Ok::<_, cri::Error>((abilities, found))
        };
        match asking.await {
            Ok(answers) => return answers,
            Err(error) => {
                let reason = chain(&error);
                if said.as_ref() != Some(&reason) {
                    tracing::warn!(reason, "runtime.awaited");
                    said = Some(reason);
                }
            }
        }
        tokio::time::sleep(RUNTIME_RETRY).await;
    }
}

/// Two that run the same pods, or from the same manifests, would undo each other's work.
fn refuse_rivals(settings: &Settings, found: &Found) -> Result<(), Rivalry> {
    let (endpoint, folder) = (&settings.endpoint, settings.folder.as_deref());
    let kubelets = Kubelets::look(endpoint, folder, &found.sandboxes, &found.containers);
    kubelets.judge(settings.take_over, endpoint, folder)
}

fn logs(pods: &Path) -> Logs {
    let beside = pods.parent().unwrap_or(Path::new("/"));
    Logs {
        pods: pods.to_owned(),
        links: beside.join("containers"),
    }
}

fn assemble(
    settings: Settings,
    (runtime, clock, listener): (Arc<dyn Runtime>, Arc<dyn Clock>, Listener),
    abilities: &Abilities,
) -> Result<Agent, RunError> {
    let root = Root::open(&settings.root)?;
    let endpoint = settings.endpoint.to_string();
    let boot = boot();
    let ips = node::addresses(&settings.ips);
    let launcher = Launcher::new(premises(
        &settings,
        root.clone(),
        abilities,
        &ips,
        Arc::clone(&clock),
    )?);
    let mut agent_settings = agent::Settings::new(root.path().to_owned(), endpoint, boot);
    agent_settings.host_ips = ips;
    agent_settings.take_over = settings.take_over;
    agent_settings.pulls = settings.pulls;
    let sources = sources(settings, root.path(), abilities, &clock)?;
    let (agent, damaged) = Agent::new(
        agent_settings,
        runtime,
        Arc::new(launcher),
        sources,
        clock,
        listener,
    )?;
    for piece in damaged {
        tracing::warn!(reason = chain(&piece), "store.damaged");
    }
    Ok(agent)
}

fn premises(
    settings: &Settings,
    root: Root,
    abilities: &Abilities,
    ips: &[IpAddr],
    clock: Arc<dyn Clock>,
) -> Result<Premises, RunError> {
    let machine = Machine::look();
    let mut cgroups = abilities.cgroups(&machine);
    cgroups.driver = cgroups.driver.or(settings.driver);
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let node = launch::Node {
        name: settings.node.clone(),
        ips: ips.iter().map(ToString::to_string).collect(),
        dns: Dns {
            resolv_conf: fs::read_to_string(&settings.resolv_conf).unwrap_or_default(),
            cluster: settings.cluster_dns.clone(),
            domain: settings.cluster_domain.clone(),
        },
        memory: machine.memory,
        allocatable: machine.allocatable,
        cgroups,
        huge_pages: machine.huge_pages,
        masked_paths: machine.masked_paths,
        selinux: machine.selinux,
        seccomp_default: settings.seccomp_default,
        recursive_read_only: abilities.recursive_read_only,
        handlers: std::collections::BTreeMap::new(),
        root: text(root.path()),
        logs: text(&settings.logs),
    };
    Ok(Premises {
        node,
        root,
        logs: logs(&settings.logs),
        trees: Trees::find(Path::new(node::CGROUPS))?,
        clock,
    })
}

fn sources(
    settings: Settings,
    root: &Path,
    abilities: &Abilities,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Source>, RunError> {
    let node = Node {
        name: settings.node,
        suffix: true,
    };
    let decoder = |name: &str| {
        let features = Some(RuntimeFeatures {
            unsafe_sysctls: settings.unsafe_sysctls.clone(),
            ..abilities.features()
        });
        let clock = Arc::clone(clock);
        Arc::new(Manifests::new(
            name.to_owned(),
            node.clone(),
            features,
            clock,
        ))
    };
    let mut sources = Vec::new();
    if let Some(path) = settings.folder {
        let name = path.to_string_lossy().into_owned();
        let timing = Timing {
            rescan: settings.folder_period,
            ..Timing::default()
        };
        let of_folder = folder::Settings {
            path,
            root: root.to_owned(),
            timing,
            agent: host::user(),
        };
        let (folder, damaged) = Folder::open(&of_folder, decoder(&name), Arc::clone(clock))?;
        damaged.iter().for_each(tell_damage);
        sources.push(Source::Folder(name, Box::new(folder)));
    }
    if let Some(address) = settings.site {
        let name = address.to_string();
        let of_site = site::Settings {
            address,
            headers: settings.headers,
            ca_file: settings.site_ca,
            period: settings.site_period,
            root: root.to_owned(),
        };
        let (site, damaged) = Site::open(of_site, decoder(&name), Arc::clone(clock))?;
        damaged.iter().for_each(tell_damage);
        sources.push(Source::Site(name, Box::new(site)));
    }
    Ok(sources)
}

fn tell_damage(piece: &KeptError) {
    tracing::warn!(reason = chain(piece), "source.damaged");
}
