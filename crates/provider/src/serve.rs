//! The daemon, assembled: registry, socket, client, probes, pages, and who waits for each.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

mod ending;
mod exposition;
mod history;
mod losses;

mod front;

mod pages;
mod rooms;
mod state;

use std::{ffi::OsString, io, process, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use daemon::{
    admin::{Admin, Site},
    harden, lines,
    logging::Log,
    notify::Notifier,
    shutdown::Shutdown,
    supervisor::{Supervisor, TaskError},
};
use keyring::{
    keyring::Keyring,
    probes::{Doors, Probes},
    signals::Signals,
    view::View,
};
use kms_server::{errors::SocketError, inherit::Inherited, server::Server};
use openbao::{OpenBao, settings::SettingsError};
use pace::{Clock, SystemClock};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use self::{ending::Calls, history::History, losses::Losses, pages::Facts, state::State};
use crate::{
    config::{Config, ConfigError, ListenAddress},
    exit::{Failure, Fault},
    variables::Stray,
    version::{COMMIT, VERSION},
};

/// Tasks have this long after the stop; calls in flight have less.
const DRAIN: Duration = Duration::from_secs(15);

/// What the service manager handed to this process.
#[derive(Debug, Default)]
pub struct Manager {
    /// `NOTIFY_SOCKET`
    pub notify_socket: Option<OsString>,
    /// `WATCHDOG_USEC`
    pub watchdog_usec: Option<OsString>,
    /// Variables that look like ours and are not.
    pub strays: Vec<Stray>,
}

/// Serves until SIGTERM or SIGINT, and writes `log`, whose last lines are its owner's to wait for.
///
/// # Errors
/// [`Failure::Runtime`] for everything that needs an operator: a damaged registry, a socket
/// that cannot be bound, a task that failed.
pub fn run(config: &Config, manager: &Manager, log: &Log) -> Result<(), Failure> {
    let (level, format) = rooms::logging(config);
    log.follow(level, format).map_err(runtime)?;
    warn_of(&manager.strays);
    // Both before the first thread: one looks names up, the other changes the environment.
    config.check_host()?;
    let inherited = Inherited::from_env();
    kms_server::hide_panic_payloads();
    harden::protect_memory().map_err(runtime)?;
    log.start().map_err(runtime)?;
    // One thread carries every call, as none of them computes for long: a call passed between
    // threads costs more than it gains. Whatever may block, files, resolvers and the log, has
    // threads of its own, so nothing stalls a Status.
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(runtime)?;
    let outcome = executor.block_on(serve(config, manager, inherited, log));
    // Whatever still blocks on a disk or a resolver must not keep the process from ending.
    executor.shutdown_background();
    if outcome.is_ok() {
        tracing::info!("process.stopped");
    }
    outcome
}

/// Warns of variables where no configuration could be read, perhaps because one of them was to
/// name it: nothing says how to log, so the lines come in the default form.
pub fn log_strays(strays: &[Stray], log: &Log) {
    if log
        .follow(tracing::Level::INFO, lines::Format::Json)
        .is_ok()
    {
        warn_of(strays);
    }
}

fn warn_of(strays: &[Stray]) {
    for stray in strays {
        let (variable, reason) = (&stray.name, stray.to_string());
        tracing::warn!(variable, reason, "config.unknown_variable");
    }
}

/// The log line that ends a daemon that failed, to be written once and last. A configuration
/// that was not read has not said how to log, so the line comes in the default form.
pub fn log_failure(failure: &Failure, log: &Log) {
    // Refused where the configuration has been followed already.
    let _ = log.follow(tracing::Level::INFO, lines::Format::Json);
    let reason = match failure {
        Failure::Config(ConfigError::Faults(faults)) => faults.summary().to_owned(),
        other => crate::causes::chain(other),
    };
    tracing::error!(error_class = failure.class(), reason, "process.failed");
}

fn runtime(error: impl Into<TaskError>) -> Failure {
    Failure::Runtime(error.into())
}

/// What the client cannot use is a fault of the configuration where a field names it.
fn not_a_client(config: &Config, error: SettingsError) -> Failure {
    match error {
        SettingsError::CaBundle(error) => config
            .refuse(
                "openbao.caCertFile",
                format!(
                    "names a bundle that cannot be used: {}",
                    crate::causes::chain(&error)
                ),
                "put the PEM certificates of OpenBao's authority there",
            )
            .into(),
        other => runtime(other),
    }
}

async fn serve(
    config: &Config,
    manager: &Manager,
    inherited: Result<Inherited, SocketError>,
    log: &Log,
) -> Result<(), Failure> {
    let watchdog = manager
        .watchdog_usec
        .as_ref()
        .and_then(|text| text.to_str());
    let notifier =
        Arc::new(Notifier::new(manager.notify_socket.as_deref(), watchdog).map_err(runtime)?);
    // From here on a signal is a request: a stop in the middle of the start leaves no socket.
    let shutdown = Shutdown::default();
    let second_signal = shutdown.on_signals().map_err(runtime)?;
    tracing::info!(
        version = VERSION,
        commit = COMMIT,
        pid = process::id(),
        config_fingerprint = config.fingerprint(),
        "process.started"
    );
    let mut registry = Registry::with_prefix("openbao_kms");
    describe(config, &mut registry);
    registry.register_collector(Box::new(Losses(log.dropped())));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let scope = Arc::new(config.transit.scope.clone());

    // The registry comes first: with a damaged one nobody may connect.
    let (state, loaded) =
        State::open(&config.state.path, Arc::clone(&scope)).map_err(Fault::from)?;
    let settings = rooms::openbao(config).map_err(runtime)?;
    let openbao = OpenBao::new(settings, Arc::clone(&clock), &mut registry)
        .map_err(|error| not_a_client(config, error))?;

    let view = Arc::new(ArcSwap::from_pointee(View::default()));
    let signals = Arc::new(Signals::default());
    let transit: Arc<dyn openbao::transit::Transit> = Arc::clone(&openbao) as _;
    let (keyring, driver) = Keyring::new(
        rooms::keyring(config),
        Arc::clone(&scope),
        VERSION,
        Arc::clone(&transit),
        Arc::clone(&view),
        Arc::clone(&signals),
        Arc::clone(&clock),
        &mut registry,
    );
    let doors = Doors {
        transit,
        persist: Arc::new(state),
        absorb: Arc::clone(keyring.discovery()) as _,
        signals,
        clock: Arc::clone(&clock),
        view: Arc::clone(&view),
    };
    let probes = Probes::new(
        rooms::probes(config),
        scope,
        VERSION,
        loaded,
        doors,
        &mut registry,
    );

    let calls = kms_server::metrics::Metrics::new(&mut registry);
    // Everything is registered.
    let registry = Arc::new(registry);
    let history = History::of(Arc::clone(&registry));
    let facts = Facts {
        socket: config.server.socket_path.clone(),
        view,
        openbao: Arc::clone(&openbao),
        clock,
        history: Arc::clone(&history),
    };
    let pages = bind_pages(config, facts, registry).await?;
    // Last: as soon as it is bound, clients connect and wait for an answer.
    let inherited = inherited.map_err(Fault::from)?;
    let bound = Server::bind(rooms::socket(config), inherited, calls).map_err(Fault::from)?;

    let mut house = Supervisor::new(shutdown.clone());
    // A call that is answered during the drain may need a token, and work at OpenBao.
    let calls = Calls::until(&shutdown);
    let over = calls.over();
    house.spawn("login", infallible(async move { openbao.run(over).await }));
    house.spawn("decrypts", infallible(calls.served_by(driver.run())));
    house.spawn("probes", probes.run(shutdown.wait()));
    house.spawn("kms", calls.taken_by(bound.serve(keyring, shutdown.wait())));
    for admin in pages.into_iter().flatten() {
        house.spawn("admin", admin.serve(shutdown.clone()));
    }
    if config.server.health_address.is_some() {
        let stop = shutdown.wait();
        house.spawn(
            "history",
            infallible(async move { history.keep(stop).await }),
        );
    }
    house.spawn(
        "manager",
        infallible(keep_informed(Arc::clone(&notifier), shutdown.clone())),
    );
    notifier.ready();
    tokio::select! {
        ended = house.run(DRAIN) => Ok(ended.map_err(Fault::from)?),
        () = second_signal => Err(Failure::Runtime("a second signal came before the drain was over".into())),
    }
}

/// The two metrics that say what runs.
fn describe(config: &Config, registry: &mut Registry) {
    #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
    struct Build {
        version: &'static str,
        commit: &'static str,
    }
    #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
    struct Identity {
        fingerprint: String,
    }
    let build = Family::<Build, Gauge>::default();
    build
        .get_or_create(&Build {
            version: VERSION,
            commit: COMMIT,
        })
        .set(1);
    registry.register("build_info", "Version and commit of this build", build);
    let identity = Family::<Identity, Gauge>::default();
    identity
        .get_or_create(&Identity {
            fingerprint: config.fingerprint(),
        })
        .set(1);
    registry.register(
        "config_identity_info",
        "Fingerprint of the identity-bearing configuration, equal on all nodes",
        identity,
    );
}

/// The pages that are configured.
async fn bind_pages(
    config: &Config,
    facts: Facts,
    registry: Arc<Registry>,
) -> Result<[Option<Admin>; 2], Failure> {
    let server = &config.server;
    let (health, metrics) = (pages::health(facts), pages::metrics(registry));
    Ok([
        bind(server.health_address.as_ref(), "health", health).await?,
        bind(server.metrics_address.as_ref(), "metrics", metrics).await?,
    ])
}

async fn bind(
    address: Option<&ListenAddress>,
    purpose: &'static str,
    site: Site,
) -> Result<Option<Admin>, Failure> {
    match address {
        None => Ok(None),
        Some(address) => {
            let admin = Admin::bind(&address.to_string(), purpose, site)
                .await
                .map_err(Fault::from)?;
            // With port 0 only this line tells where it is.
            let address = admin.address().map_err(runtime)?;
            tracing::info!(purpose, %address, "admin.listening");
            Ok(Some(admin))
        }
    }
}

/// Tells systemd that the daemon stops, and until then that it lives.
async fn keep_informed(notifier: Arc<Notifier>, shutdown: Shutdown) {
    let stop = shutdown.wait();
    tokio::pin!(stop);
    match notifier.watchdog_interval() {
        None => stop.await,
        Some(interval) => {
            let mut beat = tokio::time::interval(interval);
            loop {
                tokio::select! {
                    () = &mut stop => break,
                    _ = beat.tick() => notifier.alive(),
                }
            }
        }
    }
    notifier.stopping();
}

async fn infallible(task: impl Future<Output = ()>) -> Result<(), io::Error> {
    task.await;
    Ok(())
}
