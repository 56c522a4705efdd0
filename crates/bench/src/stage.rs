//! bao-dev, the provider and the floor, running side by side.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use ::stage::{places, process::Process};
use tempfile::TempDir;

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
        let home = tempfile::tempdir()?;
        let sockets = places::sockets()?;
        let provider_socket = sockets.path().join("kms.sock");
        let floor_socket = sockets.path().join("floor.sock");

        let folder = home.path().to_string_lossy().into_owned();
        let bao = Process::start(
            &places::beside("bao-dev")?,
            [
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
        places::appears(&home.path().join("bao-dev.json")).await?;
        let floor = Process::start(
            &std::env::current_exe()?,
            ["--floor", &floor_socket.to_string_lossy()],
            &home.path().join("floor.log"),
        )?;
        let began = Instant::now();
        let provider = Process::start(
            &places::beside("bao-kms-provider")?,
            [
                "serve",
                "--config",
                &home.path().join("config.yaml").to_string_lossy(),
            ],
            &home.path().join("provider.log"),
        )?;
        places::appears(&provider_socket).await?;
        let mut client = crate::load::client(&provider_socket).await?;
        while !crate::load::is_healthy(&mut client).await? {
            if began.elapsed() > places::PATIENCE {
                return Err("the provider did not become healthy".into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let start_to_healthy = began.elapsed();
        places::appears(&floor_socket).await?;
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
