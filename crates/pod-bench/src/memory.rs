//! The runtime of memory as a process of its own, so that its memory and its work do not count as
//! the agent's.

use std::{path::Path, sync::Arc};

use cri::{Client, Endpoint};
use fake_cri::{
    fake::{Fake, FakeImage},
    serve::Server,
};
use pace::SystemClock;
use stage::{places, process::Process};

use crate::agent::Problem;

/// The only image that it has.
pub(crate) const IMAGE: &str = "registry.local/plain:1";

/// Serves until it is killed. Without logs, and with events as containerd has them.
pub(crate) async fn serve(socket: &Path) -> Result<(), Problem> {
    let fake = Fake::new(Arc::new(SystemClock::new()))
        .without_logs()
        .with_events();
    fake.add_image(FakeImage::workload(IMAGE, &["hang"]));
    let _server = Server::start(Arc::new(fake), socket)?;
    std::future::pending().await
}

/// Such a process. Killed with this value.
pub(crate) struct Memory {
    _process: Process,
    endpoint: Endpoint,
}

impl Memory {
    /// Listens when this returns.
    pub(crate) async fn start(home: &Path) -> Result<Self, Problem> {
        let socket = home.join("memory.sock");
        let program = std::env::current_exe()?;
        let arguments = [Path::new("--memory"), &socket];
        let process = Process::start(&program, arguments, &home.join("memory.log"))?;
        places::appears(&socket).await?;
        let endpoint = Endpoint::parse(&socket.to_string_lossy())?;
        Ok(Self {
            _process: process,
            endpoint,
        })
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.endpoint.clone())
    }

    pub(crate) fn endpoint(&self) -> String {
        self.endpoint.to_string()
    }
}
