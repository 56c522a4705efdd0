//! One provider: its files, its process, its socket.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value, json};
use stage::{
    places,
    process::{Holdings, Process},
};
use tokio::net::UnixStream;

use crate::{growth::Life, model::NAMES, pacing::Pacing};

/// How long a provider may take to end after SIGTERM.
const FAREWELL: Duration = Duration::from_secs(15);

/// What both nodes share.
pub(crate) struct Cluster {
    /// Where files of both are.
    pub(crate) home: PathBuf,
    /// Where sockets are.
    pub(crate) sockets: PathBuf,
    /// Name in the backend's certificate.
    pub(crate) server_name: String,
    /// Of the providers.
    pub(crate) pacing: Pacing,
}

/// One node.
pub(crate) struct Node {
    program: PathBuf,
    home: PathBuf,
    socket: PathBuf,
    process: Option<Process>,
    started: Instant,
    life: Life,
    past: Vec<Life>,
}

impl Node {
    /// Writes the files of node `number`; nothing runs yet. It asks `addresses` in this order.
    pub(crate) fn prepare(
        cluster: &Cluster,
        number: usize,
        addresses: [&str; 2],
    ) -> io::Result<Self> {
        let name = NAMES.get(number).copied().unwrap_or("?");
        let home = cluster.home.join(name);
        let state = home.join("state");
        fs::create_dir_all(&state)?;
        fs::set_permissions(&state, fs::Permissions::from_mode(0o750))?;
        let socket = cluster.sockets.join(format!("{name}.sock"));
        let config = config(cluster, &home, &socket, addresses);
        bao_dev::up::write(
            &home.join("config.yaml"),
            format!("{config:#}\n").as_bytes(),
            0o640,
        )
        .map_err(io::Error::other)?;
        Ok(Self {
            program: places::beside("bao-kms-provider")?,
            home,
            socket,
            process: None,
            started: Instant::now(),
            life: Life::default(),
            past: Vec::new(),
        })
    }

    /// Gives this node the registry of `other`, as one joins that comes later.
    pub(crate) fn join(&self, other: &Self) -> io::Result<()> {
        for file in ["key-registry.json", "key-registry.json.checkpoint"] {
            let to = self.home.join("state").join(file);
            fs::copy(other.home.join("state").join(file), &to)?;
            fs::set_permissions(&to, fs::Permissions::from_mode(0o640))?;
        }
        Ok(())
    }

    /// Starts the provider, and waits until it listens.
    pub(crate) async fn start(&mut self) -> io::Result<()> {
        let config = self.home.join("config.yaml");
        let arguments = ["serve".as_ref(), "--config".as_ref(), config.as_os_str()];
        let process = Process::start(&self.program, arguments, &self.home.join("provider.log"))?;
        self.started = Instant::now();
        self.process = Some(process);
        self.past.push(std::mem::take(&mut self.life));
        while UnixStream::connect(&self.socket).await.is_err() {
            if self.started.elapsed() > places::PATIENCE {
                return Err(io::Error::other("the provider does not listen"));
            }
            self.check()?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// SIGTERM; it has to end with 0.
    pub(crate) async fn terminate(&mut self) -> io::Result<()> {
        self.signal(Signal::TERM)?;
        let began = Instant::now();
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        let status = loop {
            if let Some(status) = process.ended()? {
                break status;
            }
            if began.elapsed() > FAREWELL {
                return Err(io::Error::other("the provider did not end after SIGTERM"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        self.process = None;
        if !status.success() || self.socket.exists() {
            let message = format!("after SIGTERM: {status}, socket left behind or not 0");
            return Err(io::Error::other(message));
        }
        Ok(())
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Stops or continues it, for instance.
    pub(crate) fn signal(&mut self, signal: Signal) -> io::Result<()> {
        match &mut self.process {
            Some(process) => process.signal(signal),
            None => Ok(()),
        }
    }

    /// An error when the provider has ended by itself.
    pub(crate) fn check(&mut self) -> io::Result<()> {
        match &mut self.process {
            Some(process) => match process.ended()? {
                Some(status) => {
                    let message = format!("the provider ended by itself: {status}");
                    Err(io::Error::other(message))
                }
                None => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// Notes what it holds now.
    pub(crate) fn sample(&mut self) -> Option<Holdings> {
        let holdings = self.process.as_ref()?.holdings().ok()?;
        self.life.add(self.started.elapsed(), holdings);
        Some(holdings)
    }

    /// All instances, the one that runs last.
    pub(crate) fn lives(&self) -> impl Iterator<Item = &Life> {
        self.past.iter().chain([&self.life])
    }

    /// Bytes of both files of the registry.
    pub(crate) fn registry_bytes(&self) -> u64 {
        let files = ["key-registry.json", "key-registry.json.checkpoint"];
        let sizes = files.map(|file| fs::metadata(self.home.join("state").join(file)));
        sizes.into_iter().flatten().map(|file| file.len()).sum()
    }

    /// Takes the state directory away, or brings it back.
    pub(crate) fn move_state(&self, away: bool) -> io::Result<()> {
        let (here, there) = (self.home.join("state"), self.home.join("state.away"));
        if away {
            fs::rename(here, there)
        } else {
            fs::rename(there, here)
        }
    }

    /// Where it serves.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }
}

/// Every JSON document is a YAML document.
fn config(cluster: &Cluster, home: &Path, socket: &Path, addresses: [&str; 2]) -> Value {
    let millis = |millis: u64| format!("{millis}ms");
    let [first, second] = addresses;
    let pacing = &cluster.pacing;
    json!({
        "configVersion": "v1alpha1",
        "server": {
            "socketPath": socket,
            "socketGroup": rustix::process::getegid().as_raw().to_string(),
            "metricsAddress": "off",
            "healthAddress": "off",
        },
        "openbao": {
            "address": first,
            "failoverAddresses": [second],
            "caCertFile": cluster.home.join("ca.crt"),
            "tlsServerName": cluster.server_name,
            "instanceId": SCOPE.openbao_instance,
            "timeout": "1s",
        },
        "auth": {"jwt": {"mountPath": "jwt", "role": "kms", "jwtFile": cluster.home.join("token")}},
        "transit": {
            "mountPath": "transit",
            "keyName": "k8s-etcd",
            "keyIdScope": {
                "providerName": SCOPE.provider,
                "clusterId": SCOPE.cluster,
                "transitMountId": SCOPE.mount,
                "keyLineageId": SCOPE.lineage,
            },
        },
        "bootstrap": {"graceTimeout": "60s", "retryInterval": "500ms", "onTimeout": "stay"},
        "status": {
            "probeInterval": millis(pacing.probe),
            "deepProbeInterval": millis(pacing.deep),
            "statusMaxStaleness": millis(pacing.staleness),
        },
        "state": {"path": home.join("state/key-registry.json")},
        "rotation": {
            "activationDelay": millis(pacing.activation),
            "requireStableObservationCount": 2,
        },
    })
}

/// Names that make a key_id.
struct Names {
    provider: &'static str,
    cluster: &'static str,
    openbao_instance: &'static str,
    mount: &'static str,
    lineage: &'static str,
}

const SCOPE: Names = Names {
    provider: "openbao",
    cluster: "soak",
    openbao_instance: "bao-soak",
    mount: "transit-soak",
    lineage: "k8s-etcd-1",
};

/// The scope of both nodes.
pub(crate) fn scope() -> registry::scope::Scope {
    registry::scope::Scope {
        provider_name: SCOPE.provider.to_owned(),
        cluster_id: SCOPE.cluster.to_owned(),
        openbao_instance_id: SCOPE.openbao_instance.to_owned(),
        openbao_namespace: String::new(),
        transit_mount_id: SCOPE.mount.to_owned(),
        key_lineage_id: SCOPE.lineage.to_owned(),
    }
}
