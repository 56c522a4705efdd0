//! staticpodd, and the directory of manifests that it reads.

use std::{
    error::Error,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use stage::process::{self, Process};

use crate::recorder::wall;

/// Whatever goes wrong ends the run with one line.
pub(crate) type Problem = Box<dyn Error + Send + Sync>;

/// For anything to happen, on a machine that does other things besides.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(10);

/// Waits until there is an answer.
pub(crate) async fn until<T>(
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<Option<T>, Problem>,
) -> Result<T, Problem> {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("not within {PATIENCE:?}: {what}").into());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A running staticpodd, killed with this value. Its pods go on.
pub(crate) struct Agent {
    process: Process,
    manifests: PathBuf,
    root: PathBuf,
    log: PathBuf,
}

/// What it holds when nothing happens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Idle {
    /// Of one core.
    pub(crate) cpu_percent: f64,
    pub(crate) resident_kib: u64,
    /// The part that is no page of a file.
    pub(crate) anonymous_kib: u64,
    pub(crate) threads: u64,
    pub(crate) descriptors: u64,
}

impl Agent {
    /// Starts the program that `command` names, with everything below `home` but its memory, which
    /// is `root`, and returns when it has read its manifests.
    pub(crate) async fn start(
        command: &Command,
        home: &Path,
        root: &Path,
        endpoint: &str,
    ) -> Result<Self, Problem> {
        let manifests = home.join("manifests");
        fs::create_dir_all(&manifests)?;
        for folder in [home, &manifests] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        }
        let log = home.join("agent.log");
        let _ = fs::remove_file(&log);
        let mut arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let own = [
            "run".to_owned(),
            format!("--pod-manifest-path={}", text(&manifests)),
            format!("--root-dir={}", text(root)),
            format!("--pod-logs-dir={}", text(&home.join("log/pods"))),
            "--hostname-override=bench".to_owned(),
            format!("--container-runtime-endpoint={endpoint}"),
            format!("--socket={}", text(&home.join("run/agent.sock"))),
        ];
        arguments.extend(own.map(Into::into));
        let process = Process::start(Path::new(command.get_program()), arguments, &log)?;
        let mut agent = Self {
            process,
            manifests,
            root: root.to_owned(),
            log,
        };
        until("staticpodd reads its manifests", async || {
            agent.alive()?;
            let said = fs::read_to_string(&agent.log)?;
            Ok(said.contains("\"source.read\"").then_some(()))
        })
        .await?;
        Ok(agent)
    }

    /// An error with its last words where it has ended.
    pub(crate) fn alive(&mut self) -> Result<(), Problem> {
        let Some(status) = self.process.ended()? else {
            return Ok(());
        };
        let said = fs::read_to_string(&self.log)?;
        let last = said.lines().last().unwrap_or_default();
        Err(format!("staticpodd ended with {status}: {last}").into())
    }

    /// Writes a manifest as editors do it; the wall clock at the rename.
    pub(crate) fn put(&self, name: &str, text: &str) -> io::Result<Duration> {
        let temporary = self.manifests.join(format!(".{name}"));
        fs::write(&temporary, text)?;
        fs::set_permissions(&temporary, fs::Permissions::from_mode(0o644))?;
        let now = wall();
        fs::rename(temporary, self.manifests.join(format!("{name}.yaml")))?;
        Ok(now)
    }

    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.manifests.join(format!("{name}.yaml")))
    }

    /// Ends it, or kills it.
    pub(crate) async fn end(mut self, signal: Signal) -> Result<(), Problem> {
        self.process.signal(signal)?;
        until("staticpodd ends", async || Ok(self.process.ended()?)).await?;
        Ok(())
    }

    /// Watches it for a while in which nothing happens.
    pub(crate) async fn idle(&mut self, time: Duration) -> Result<Idle, Problem> {
        let (began, before) = (Instant::now(), self.process.cpu()?);
        tokio::time::sleep(time).await;
        let used = self.process.cpu()?.saturating_sub(before);
        let share = used.as_secs_f64() / began.elapsed().as_secs_f64();
        self.alive()?;
        let holdings = self.process.holdings()?;
        Ok(Idle {
            cpu_percent: share * 100.0,
            resident_kib: holdings.resident_kib,
            anonymous_kib: process::status(self.process.id(), "RssAnon:")?,
            threads: holdings.threads,
            descriptors: holdings.descriptors,
        })
    }

    /// The most that was ever resident, KiB.
    pub(crate) fn most_resident_kib(&self) -> io::Result<u64> {
        process::status(self.process.id(), "VmHWM:")
    }

    /// Files and KiB below its root directory.
    pub(crate) fn on_disk(&self) -> (u64, u64) {
        self.on_disk_of("")
    }

    /// Of one folder there.
    pub(crate) fn on_disk_of(&self, folder: &str) -> (u64, u64) {
        let (files, bytes) = weigh(&self.root.join(folder));
        (files, bytes.div_ceil(1024))
    }
}

/// Files below a folder, and their bytes. What goes meanwhile does not count.
fn weigh(folder: &Path) -> (u64, u64) {
    let listed = fs::read_dir(folder).into_iter().flatten().flatten();
    listed.fold((0, 0), |(files, bytes), entry| match entry.metadata() {
        Ok(found) if found.is_dir() => {
            let inside = weigh(&entry.path());
            (files + 1 + inside.0, bytes + inside.1)
        }
        Ok(found) => (files + 1, bytes + found.len()),
        Err(_) => (files, bytes),
    })
}
