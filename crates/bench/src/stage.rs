//! The processes that are measured, and what the kernel says about them.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long a process may take until its socket answers.
const PATIENCE: Duration = Duration::from_secs(20);

/// A child that is ended with this value.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn start(program: &Path, arguments: &[&str], log: &Path) -> io::Result<Self> {
        let log = fs::File::create(log)?;
        Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map(Self)
            .map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("cannot start {}: {error}", program.display()),
                )
            })
    }

    /// User and system time so far.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        // Fields 14 and 15, counted after the name, which may hold anything.
        let ticks: u64 = text
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Ok(Duration::from_secs(ticks)
            / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100))
    }

    /// Resident memory, KiB.
    pub(crate) fn resident(&self) -> io::Result<u64> {
        self.status_line("VmRSS:")
    }

    /// Number of threads.
    pub(crate) fn threads(&self) -> io::Result<u64> {
        self.status_line("Threads:")
    }

    fn status_line(&self, name: &str) -> io::Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        text.lines()
            .find_map(|line| {
                line.strip_prefix(name)?
                    .split_whitespace()
                    .next()?
                    .parse()
                    .ok()
            })
            .ok_or_else(|| io::Error::other(format!("no {name} in the status of the process")))
    }
}

/// bao-dev, the provider and the floor, running.
pub(crate) struct Stage {
    pub(crate) provider: Process,
    pub(crate) floor: Process,
    pub(crate) provider_socket: PathBuf,
    pub(crate) floor_socket: PathBuf,
    /// From starting the provider to the first healthy Status.
    pub(crate) start_to_healthy: Duration,
    _bao: Process,
    _home: TempDir,
    _sockets: TempDir,
}

impl Stage {
    /// Starts everything; the programs lie beside this one.
    pub(crate) async fn set() -> Result<Self, Box<dyn std::error::Error>> {
        let own = std::env::current_exe()?;
        let beside = |name: &str| own.with_file_name(name);
        let home = tempfile::tempdir()?;
        // The provider wants its socket where only root, or only this user, can write.
        let run = bao_dev::run_dir::find()?;
        let sockets = tempfile::Builder::new()
            .prefix("kms-bench-")
            .tempdir_in(run)?;
        fs::set_permissions(sockets.path(), fs::Permissions::from_mode(0o750))?;
        let provider_socket = sockets.path().join("kms.sock");
        let floor_socket = sockets.path().join("floor.sock");

        let folder = home.path().to_string_lossy().into_owned();
        let bao = Process::start(
            &beside("bao-dev"),
            &[
                "up",
                "--dir",
                &folder,
                "--socket",
                &provider_socket.to_string_lossy(),
                "--metrics-address",
                "off",
                "--health-address",
                "off",
                "--probe-interval",
                "30s",
                "--deep-probe-interval",
                "5m",
                "--status-max-staleness",
                "2m",
            ],
            &home.path().join("bao-dev.log"),
        )?;
        wait_for("bao-dev", || home.path().join("bao-dev.json").exists()).await?;
        let floor = Process::start(
            &own,
            &["--floor", &floor_socket.to_string_lossy()],
            &home.path().join("floor.log"),
        )?;
        let began = Instant::now();
        let provider = Process::start(
            &beside("bao-kms-provider"),
            &[
                "serve",
                "--config",
                &home.path().join("config.yaml").to_string_lossy(),
            ],
            &home.path().join("provider.log"),
        )?;
        wait_for("the provider's socket", || provider_socket.exists()).await?;
        let mut client = crate::load::client(&provider_socket).await?;
        while !crate::load::is_healthy(&mut client).await? {
            if began.elapsed() > PATIENCE {
                return Err("the provider did not become healthy".into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let start_to_healthy = began.elapsed();
        wait_for("the floor's socket", || floor_socket.exists()).await?;
        Ok(Self {
            provider,
            floor,
            provider_socket,
            floor_socket,
            start_to_healthy,
            _bao: bao,
            _home: home,
            _sockets: sockets,
        })
    }
}

async fn wait_for(what: &str, mut there: impl FnMut() -> bool) -> io::Result<()> {
    let began = Instant::now();
    while !there() {
        if began.elapsed() > PATIENCE {
            return Err(io::Error::other(format!("{what} did not appear")));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
