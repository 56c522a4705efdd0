//! A service in a directory of its own.

use std::{
    fs::{Permissions, set_permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use keyring::kms::Error;
use kms_server::{
    client::{Client, ClientError},
    errors::{ServeError, SocketError},
    inherit::Inherited,
    metrics::Metrics,
    server::{Bound, Server},
    settings::{Settings, SocketGroup},
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};
use tonic::Code;

use crate::fake::Fake;

/// Longer than anything takes, shorter than a stuck test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A fresh directory with the rights that a socket directory needs, whatever the umask of a
/// test beside this one is just now.
pub(crate) fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    set_mode(directory.path(), 0o750);
    directory
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

/// Settings for a socket in `directory`, of our own group.
pub(crate) fn settings(directory: &Path) -> Settings {
    let gid = rustix::process::getegid().as_raw();
    let path = directory.join("kms.sock");
    let mut settings = Settings::new(path, 0o660, SocketGroup::Gid(gid));
    settings.approved_directories = vec![std::env::temp_dir()];
    settings
}

pub(crate) fn bind(settings: Settings) -> Result<Bound, SocketError> {
    let metrics = Metrics::new(&mut Registry::default());
    Server::bind(settings, Inherited::none(), metrics)
}

/// A service that runs.
pub(crate) struct Running {
    pub(crate) path: PathBuf,
    pub(crate) fake: Arc<Fake>,
    registry: Registry,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), ServeError>>,
    directory: TempDir,
}

impl Running {
    pub(crate) fn start() -> Self {
        Self::start_with(|_| Inherited::none(), |_| {})
    }

    /// Starts with changed settings and perhaps a listener.
    pub(crate) fn start_with(
        inherit: impl FnOnce(&Path) -> Inherited,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let directory = directory();
        let mut settings = settings(directory.path());
        change(&mut settings);
        let path = settings.socket_path.clone();
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let inherited = inherit(&path);
        let bound = Server::bind(settings, inherited, metrics).unwrap();
        Self::serve(bound, registry, path, directory)
    }

    fn serve(bound: Bound, registry: Registry, path: PathBuf, directory: TempDir) -> Self {
        let fake = Arc::new(Fake::default());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(bound.serve(fake.clone(), async {
            let _ = stopped.await;
        }));
        Self {
            path,
            fake,
            registry,
            stop: Some(stop),
            task,
            directory,
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.path, PATIENCE).await.unwrap()
    }

    pub(crate) fn fail_with(&self, error: Option<Error>) {
        *self.fake.error.lock().unwrap() = error;
    }

    pub(crate) fn delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap();
        self.fake.delay_ms.store(millis, Ordering::SeqCst);
    }

    /// The value of one series; 0 when there is none.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = self.metrics();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        text
    }

    pub(crate) fn ask_to_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Stops and hands back the directory to look at; dropping it removes it.
    pub(crate) async fn stop(mut self) -> TempDir {
        self.ask_to_stop();
        let ended = tokio::time::timeout(PATIENCE, &mut self.task).await;
        ended.expect("the service ends").unwrap().unwrap();
        self.directory
    }
}

/// Waits until `true`, in small steps, for a bounded time.
pub(crate) async fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if check() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never happened: {what}");
}

pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Code {
    match result {
        Err(ClientError::Refused { code, .. }) => code,
        other => panic!("not a refusal: {other:?}"),
    }
}
