//! Debian's containerd on a root, a state folder and a socket of its own.

use std::{
    env,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use cri::{Client, Endpoint, EndpointError, Runtime as _};
use image::Built;
use tempfile::TempDir;

use crate::programs::{StockError, stock};

mod config;
mod leftovers;
mod prerequisites;

pub use prerequisites::{can_run, missing};

/// How long containerd may take until it answers; a machine that compiles elsewhere is slow.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);
const PREFIX: &str = "cri-rig-";
/// Below a rig's folder: a folder for each container that runs.
const BUNDLES: &str = "state/io.containerd.runtime.v2.task/k8s.io";
/// Where plugins and shims are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The network that pods on the node's network see, and that containerd lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// The machine's. `NetworkReady` is false: there is no CNI configuration.
    #[default]
    Machine,
    /// A namespace with nothing but a loopback, so that ports of several rigs never clash. Enter
    /// it with [`Rig::enter`].
    Own,
    /// As [`Network::Own`], and a CNI bridge in it for pods with a network of their own.
    Bridge,
}

/// What a rig could not do.
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    /// This machine cannot; see [`missing`].
    #[error("{0}")]
    Missing(String),
    /// There are no images.
    #[error("no images to run: {0}")]
    Stock(&'static StockError),
    /// The system refused something.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// The path of the socket.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// containerd ended, or did not answer in time.
    #[error("containerd does not answer: {why}; its log ends with: {log}")]
    Silent {
        /// What the last question met.
        why: String,
        /// The end of its log.
        log: String,
    },
    /// A program failed.
    #[error("{command} failed: {said}")]
    Failed {
        /// Its command line.
        command: String,
        /// Its words.
        said: String,
    },
    /// No container, sandbox or shim of this id runs.
    #[error("nothing runs as {0}")]
    Unknown(String),
}

/// A containerd of its own, and all that it starts. Several can live at a time. Dropped, it takes
/// everything away: containers, shims, mounts, cgroups, files; also when a test fails. What a
/// killed test left is taken away by the next rig.
///
/// Its methods wait, with the thread that calls them.
pub struct Rig {
    home: TempDir,
    /// Part of every name that this rig gives.
    name: String,
    network: Network,
    endpoint: Endpoint,
    /// Keeps the network's namespace while no containerd runs.
    holder: Option<Child>,
    daemon: Mutex<Option<Child>>,
}

impl Rig {
    /// Starts containerd and gives it the images of [`stock`].
    ///
    /// # Errors
    /// [`RigError`].
    pub fn start(network: Network) -> Result<Self, RigError> {
        if let Some(reason) = missing() {
            return Err(RigError::Missing(reason));
        }
        sweep();
        let stock = stock().map_err(RigError::Stock)?;
        let rig = Self::prepare(network, &stock.pause.name)?;
        rig.start_containerd()?;
        rig.import(&stock.pause)?;
        rig.import(&stock.workload)?;
        Ok(rig)
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A new client. Must be called inside a runtime of tokio.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.endpoint.clone())
    }

    /// A folder that is this rig's, for logs and whatever a test needs; removed with it.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.home.path().join("scratch")
    }

    /// A cgroup that is this rig's, such as `/cri-rig-12-0`: for `cgroup_parent`, itself or with
    /// something below it. Removed with the rig, and what lives in it is killed.
    #[must_use]
    pub fn cgroup(&self) -> String {
        format!("/{}", self.name)
    }

    /// containerd's words so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// A command in the network of this rig, with the arguments still to be given.
    #[must_use]
    pub fn enter(&self, program: impl AsRef<Path>) -> Command {
        let mut command = match &self.holder {
            None => Command::new(program.as_ref()),
            Some(holder) => {
                let mut command = Command::new("nsenter");
                command
                    .arg(format!("--net=/proc/{}/ns/net", holder.id()))
                    .arg("--")
                    .arg(program.as_ref());
                command
            }
        };
        command.env("PATH", PATH);
        command
    }

    /// `ctr` in the namespace of Kubernetes; its standard output.
    ///
    /// # Errors
    /// [`RigError::Failed`] with its words.
    pub fn ctr(&self, arguments: &[&str]) -> Result<String, RigError> {
        let mut command = Command::new("ctr");
        command
            .arg("-a")
            .arg(self.endpoint.path())
            .args(["-n", "k8s.io"])
            .args(arguments)
            .env("PATH", PATH);
        run(&mut command)
    }

    /// Gives containerd an image under its name and under its digest, and waits until the CRI
    /// knows it.
    ///
    /// # Errors
    /// [`RigError`].
    pub fn import(&self, image: &Built) -> Result<(), RigError> {
        let hex = image.manifest.trim_start_matches("sha256:");
        let file = self.home.path().join(format!("{hex}.tar"));
        fs::write(&file, &image.archive).map_err(io_error("cannot write an image"))?;
        let path = file.to_string_lossy();
        let base = image.repository();
        let arguments = ["images", "import", "--digests", "--base-name", base, &path];
        self.ctr(&arguments)?;
        let _ = fs::remove_file(&file);
        // The part of containerd that speaks the CRI hears of it through an event.
        for name in [image.name.clone(), image.pinned()] {
            self.until(async |client| match client.image_status(&name).await {
                Ok(Some(_)) => Ok(()),
                Ok(None) => Err(format!("{name} was imported and is not there")),
                Err(fault) => Err(fault.to_string()),
            })?;
        }
        Ok(())
    }

    /// Starts containerd, where it does not run, and waits until it answers.
    ///
    /// # Errors
    /// [`RigError::Silent`] with the end of its log.
    pub fn start_containerd(&self) -> Result<(), RigError> {
        {
            let mut daemon = self.daemon();
            if daemon.is_some() {
                return Ok(());
            }
            *daemon = Some(self.spawn()?);
        }
        self.until(async |client| {
            let status = client
                .status(false)
                .await
                .map_err(|fault| fault.to_string())?;
            let conditions = status.status.unwrap_or_default().conditions;
            let is_ready = |kind: &str| {
                let mut of_kind = conditions
                    .iter()
                    .filter(|condition| condition.r#type == kind);
                of_kind.any(|condition| condition.status)
            };
            let network = self.network != Network::Bridge || is_ready("NetworkReady");
            if is_ready("RuntimeReady") && network {
                Ok(())
            } else {
                Err(format!("it is not ready: {conditions:?}"))
            }
        })
    }

    /// Kills containerd itself with SIGKILL. Shims and containers live on.
    pub fn kill_containerd(&self) {
        let daemon = self.daemon().take();
        if let Some(mut daemon) = daemon {
            let mut running = leftovers::family(daemon.id());
            running.retain(|pid| *pid != daemon.id());
            let _ = daemon.kill();
            let _ = daemon.wait();
            // Plugins and runc of calls that nobody waits for any more.
            leftovers::kill(&running);
        }
    }

    /// Kills the first process of a container, or of a sandbox, with SIGKILL.
    ///
    /// # Errors
    /// [`RigError::Unknown`] where it does not run.
    pub fn kill_task(&self, id: &str) -> Result<(), RigError> {
        let file = self.bundles().join(id).join("init.pid");
        let pid = fs::read_to_string(file).unwrap_or_default();
        let pid = pid.trim().parse().ok().filter(|pid| leftovers::lives(*pid));
        let pid = pid.ok_or_else(|| RigError::Unknown(id.to_owned()))?;
        leftovers::kill(&[pid]);
        Ok(())
    }

    /// Kills the shim that keeps a sandbox and its containers, and nothing else.
    ///
    /// # Errors
    /// [`RigError::Unknown`] where there is none.
    pub fn kill_shim(&self, sandbox: &str) -> Result<(), RigError> {
        let shims = leftovers::shims(self.endpoint.path());
        let shim = shims.iter().find(|(_, kept)| kept == sandbox);
        let (pid, _) = shim.ok_or_else(|| RigError::Unknown(sandbox.to_owned()))?;
        // containerd will remove the bundle, and does not know of the rest.
        let doomed = leftovers::address(&self.bundles().join(sandbox));
        leftovers::kill(&[*pid]);
        leftovers::remove_socket(doomed);
        Ok(())
    }

    /// What a power cut does: every process of this rig is gone, with its mounts, its cgroups and
    /// what was below `/run`. What is on the disk stays. Start containerd again to boot.
    pub fn power_off(&self) {
        self.kill_containerd();
        self.end_processes();
        let state = self.home.path().join("state");
        leftovers::unmount_below(&state);
        let _ = fs::remove_dir_all(&state);
        for socket in ["c.sock", "c.sock.ttrpc"] {
            let _ = fs::remove_file(self.home.path().join(socket));
        }
    }

    /// [`Rig::power_off`], and containerd is started.
    ///
    /// # Errors
    /// As [`Rig::start_containerd`].
    pub fn reboot(&self) -> Result<(), RigError> {
        self.power_off();
        self.start_containerd()
    }

    fn prepare(network: Network, pause: &str) -> Result<Self, RigError> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        let home = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .tempdir()
            .map_err(io_error("cannot make a folder for containerd"))?;
        let runc = prerequisites::find("runc").unwrap_or_default();
        let restricted = prerequisites::is_restricted();
        let toml = config::containerd(home.path(), pause, &runc, restricted);
        let cni = home.path().join("cni");
        let prepared = (|| {
            fs::create_dir(&cni)?;
            fs::create_dir(home.path().join("scratch"))?;
            if network == Network::Bridge {
                fs::write(
                    cni.join("10-rig.conflist"),
                    config::bridge(home.path(), &name),
                )?;
            }
            fs::write(home.path().join("c.toml"), toml)
        })();
        prepared.map_err(io_error("cannot write what containerd reads"))?;
        let socket = home.path().join("c.sock");
        let endpoint = Endpoint::parse(&socket.to_string_lossy())?;
        let holder = match network {
            Network::Machine => None,
            Network::Own | Network::Bridge => Some(hold_network(home.path())?),
        };
        let daemon = Mutex::new(None);
        let rig = Self {
            home,
            name,
            network,
            endpoint,
            holder,
            daemon,
        };
        if rig.holder.is_some() {
            run(rig.enter("ip").args(["link", "set", "lo", "up"]))?;
        }
        Ok(rig)
    }

    fn spawn(&self) -> Result<Child, RigError> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.home.path().join("log"));
        let spawned = log.and_then(|log| {
            self.enter("containerd")
                .arg("--config")
                .arg(self.home.path().join("c.toml"))
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log)
                .spawn()
        });
        spawned.map_err(io_error("cannot start containerd"))
    }

    /// Asks until the answer is good. On a thread and a runtime of its own, because the caller
    /// may be inside one.
    fn until(
        &self,
        ask: impl AsyncFn(&Client) -> Result<(), String> + Sync,
    ) -> Result<(), RigError> {
        let endpoint = &self.endpoint;
        let outcome = std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .map_err(|fault| fault.to_string())?;
                runtime.block_on(async {
                    let began = Instant::now();
                    let client = Client::new(endpoint.clone());
                    loop {
                        match ask(&client).await {
                            Ok(()) => return Ok(()),
                            Err(why) if began.elapsed() > PATIENCE || self.has_ended() => {
                                return Err(why);
                            }
                            Err(_) => tokio::time::sleep(LOOK).await,
                        }
                    }
                })
            });
            asking.join().unwrap_or_else(|_| Err("a panic".to_owned()))
        });
        outcome.map_err(|why| {
            let log = self.log();
            let lines: Vec<&str> = log.lines().rev().take(8).collect();
            let log = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
            RigError::Silent { why, log }
        })
    }

    fn has_ended(&self) -> bool {
        let mut daemon = self.daemon();
        daemon
            .as_mut()
            .is_none_or(|daemon| matches!(daemon.try_wait(), Ok(Some(_))))
    }

    fn daemon(&self) -> MutexGuard<'_, Option<Child>> {
        self.daemon.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bundles(&self) -> PathBuf {
        self.home.path().join(BUNDLES)
    }

    /// Every process but containerd and the holder of the network; their cgroups and sockets.
    fn end_processes(&self) {
        let spared = self.holder.as_ref().map(Child::id);
        leftovers::end_related(self.home.path(), &self.name, spared);
        leftovers::remove_cgroup(&self.name);
        leftovers::remove_all_traces(&self.bundles());
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.kill_containerd();
        self.end_processes();
        if let Some(mut holder) = self.holder.take() {
            let _ = holder.kill();
            let _ = holder.wait();
        }
        leftovers::unmount_below(self.home.path());
        leftovers::remove_network(&self.name);
    }
}

/// Takes away what rigs left whose test was killed. Every new rig does it.
pub fn sweep() {
    let Ok(entries) = fs::read_dir(env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        let mut parts = rest.split('-');
        let (Some(pid), Some(number)) = (parts.next(), parts.next()) else {
            continue;
        };
        if pid.parse().is_ok_and(|pid| !leftovers::lives(pid)) {
            let name = format!("{PREFIX}{pid}-{number}");
            leftovers::end_related(&entry.path(), &name, None);
            leftovers::remove_all_traces(&entry.path().join(BUNDLES));
            leftovers::unmount_below(&entry.path());
            leftovers::remove_cgroup(&name);
            leftovers::remove_network(&name);
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A process in a network of its own, which ends when this one does.
fn hold_network(home: &Path) -> Result<Child, RigError> {
    let ours = fs::read_link("/proc/self/ns/net").map_err(io_error("cannot see our network"))?;
    let mut holder = Command::new("unshare")
        .args(["--net", "--", "tail", "-f"])
        .arg(format!("--pid={}", std::process::id()))
        .arg(home.join("c.toml"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(io_error("cannot start unshare"))?;
    let its = format!("/proc/{}/ns/net", holder.id());
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        match fs::read_link(&its) {
            Ok(network) if network != ours => return Ok(holder),
            _ => leftovers::pause(LOOK),
        }
    }
    let _ = holder.kill();
    let _ = holder.wait();
    Err(RigError::Unknown("a network of its own".to_owned()))
}

fn run(command: &mut Command) -> Result<String, RigError> {
    let line = || {
        let words: Vec<_> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_string_lossy())
            .collect();
        words.join(" ")
    };
    let line = line();
    let output = command.output().map_err(io_error(&line))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(RigError::Failed {
        command: line,
        said,
    })
}

fn io_error(what: &str) -> impl FnOnce(io::Error) -> RigError {
    let what = what.to_owned();
    move |source| RigError::Io { what, source }
}
