//! The provider and the floor, running side by side.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ::stage::{
    places,
    process::{self, Process},
};
use http::Method;
use registry::scope::Scope;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    backend::Backend,
    callers,
    line::{Line, Problem},
};

/// So many starts tell how long a start takes.
const STARTS: usize = 5;
/// What ends up in the associated data besides the key; any text of a usual length does.
const NAMES: [&str; 5] = [
    "bench",
    "bench-cluster",
    "bench-openbao",
    "bench-transit",
    "bench-lineage",
];

/// The identity that the provider gets.
pub(crate) fn scope(namespace: &str) -> Scope {
    let [provider, cluster, instance, mount, lineage] = NAMES.map(str::to_owned);
    Scope {
        provider_name: provider,
        cluster_id: cluster,
        openbao_instance_id: instance,
        openbao_namespace: namespace.to_owned(),
        transit_mount_id: mount,
        key_lineage_id: lineage,
    }
}

/// Who is measured.
pub(crate) struct Stage {
    pub(crate) provider: Process,
    pub(crate) floor: Process,
    pub(crate) provider_socket: PathBuf,
    pub(crate) floor_socket: PathBuf,
    pub(crate) metrics: Metrics,
    pub(crate) binary_bytes: u64,
    /// From starting the provider to the first healthy Status; the median of some starts, each
    /// without a state file.
    pub(crate) start_to_healthy: Duration,
    pub(crate) resident_idle_kib: u64,
    program: PathBuf,
    sockets: TempDir,
}

impl Stage {
    /// Starts `program` before `backend`, with its files in `home`, and the floor.
    pub(crate) async fn set(
        program: &Path,
        backend: &Backend,
        home: &Path,
    ) -> Result<Self, Problem> {
        let sockets = places::sockets()?;
        let floor_socket = sockets.path().join("floor.sock");
        let floor = Process::start(
            &std::env::current_exe()?,
            ["--floor", &floor_socket.to_string_lossy()],
            &home.join("floor.log"),
        )?;
        let mut starts = Vec::new();
        let url = &backend.place.url;
        let mut started = start(program, backend, url, home, sockets.path(), 0).await?;
        starts.push(started.took);
        for number in 1..STARTS {
            drop(started);
            started = start(program, backend, url, home, sockets.path(), number).await?;
            starts.push(started.took);
        }
        starts.sort_unstable();
        places::appears(&floor_socket).await?;
        let log = fs::read_to_string(&started.log)?;
        Ok(Self {
            resident_idle_kib: process::status(started.process.id(), "VmRSS:")?,
            provider: started.process,
            floor,
            provider_socket: started.socket,
            floor_socket,
            metrics: Metrics::find(&log)?,
            binary_bytes: fs::metadata(program)?.len(),
            start_to_healthy: starts.get(STARTS / 2).copied().unwrap_or_default(),
            program: program.to_owned(),
            sockets,
        })
    }

    /// Where sockets go.
    pub(crate) fn sockets(&self) -> &Path {
        self.sockets.path()
    }

    /// One more provider, which reaches `backend` at `url`.
    pub(crate) async fn another(
        &self,
        backend: &Backend,
        url: &str,
        home: &Path,
    ) -> Result<Started, Problem> {
        start(&self.program, backend, url, home, self.sockets(), STARTS).await
    }
}

/// A provider that has become healthy.
pub(crate) struct Started {
    pub(crate) process: Process,
    pub(crate) socket: PathBuf,
    log: PathBuf,
    took: Duration,
}

async fn start(
    program: &Path,
    backend: &Backend,
    url: &str,
    home: &Path,
    sockets: &Path,
    number: usize,
) -> Result<Started, Problem> {
    let socket = sockets.join(format!("kms{number}.sock"));
    let state = home.join(format!("state{number}"));
    fs::create_dir(&state)?;
    let file = home.join(format!("config{number}.yaml"));
    let text = config(backend, url, &socket, &state.join("registry.json"));
    bao_dev::up::write(&file, text.as_bytes(), 0o640)?;
    let log = home.join(format!("provider{number}.log"));
    let began = Instant::now();
    let process = Process::start(
        program,
        ["serve", "--config", &file.to_string_lossy()],
        &log,
    )?;
    let became = async {
        // The file is there a moment before it listens.
        let mut client = None;
        loop {
            client = match client {
                None => callers::client(&socket).await.ok(),
                Some(mut client) => {
                    if callers::is_healthy(&mut client).await? {
                        return Ok(began.elapsed());
                    }
                    Some(client)
                }
            };
            if began.elapsed() > places::PATIENCE {
                return Err(Problem::from("it did not become healthy"));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    match became.await {
        Ok(took) => Ok(Started {
            process,
            socket,
            log,
            took,
        }),
        Err(problem) => {
            let log = fs::read_to_string(&log).unwrap_or_default();
            Err(format!("the provider: {problem}; it said:\n{log}").into())
        }
    }
}

/// JSON is YAML. Probes are so rare that none falls into a measurement.
fn config(backend: &Backend, url: &str, socket: &Path, state: &Path) -> String {
    let Scope {
        provider_name,
        cluster_id,
        openbao_instance_id,
        openbao_namespace,
        transit_mount_id,
        key_lineage_id,
    } = scope(&backend.place.namespace);
    // No namespace is an empty one, as far as the field is concerned.
    let openbao = json!({
        "address": url.trim_end_matches('/'),
        "caCertFile": backend.place.ca,
        "tlsServerName": backend.address.server_name,
        "instanceId": openbao_instance_id,
        "namespace": openbao_namespace,
    });
    let config = json!({
        "configVersion": "v1alpha1",
        "server": {
            "socketPath": socket, "socketMode": "0660",
            "socketGroup": rustix::process::getgid().as_raw().to_string(),
            "metricsAddress": "127.0.0.1:0", "healthAddress": "off",
        },
        "openbao": openbao,
        "auth": {"method": "jwt", "jwt": {
            "source": "file", "mountPath": format!("auth/{}", backend.name),
            "role": backend.name, "jwtFile": backend.jwt,
        }},
        "transit": {
            "mountPath": backend.name, "keyName": backend.name,
            "keyIdScope": {
                "providerName": provider_name, "clusterId": cluster_id,
                "transitMountId": transit_mount_id, "keyLineageId": key_lineage_id,
            },
        },
        "status": {
            "probeInterval": "30m", "deepProbeInterval": "60m", "statusMaxStaleness": "90m",
        },
        "state": {"path": state},
    });
    format!("{config:#}\n")
}

/// Where the provider tells what it has counted.
pub(crate) struct Metrics {
    authority: String,
}

impl Metrics {
    /// The log says where.
    fn find(log: &str) -> Result<Self, Problem> {
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let text =
            |line: &Value, name: &str| line.get(name).and_then(Value::as_str).map(str::to_owned);
        let authority = lines
            .filter(|line| text(line, "purpose").as_deref() == Some("metrics"))
            .find_map(|line| text(&line, "address"));
        let authority = authority.ok_or("the provider did not say where its metrics are")?;
        Ok(Self { authority })
    }

    /// How many requests the provider has sent to OpenBao, of whatever kind.
    pub(crate) async fn backend_calls(&self) -> Result<u64, Problem> {
        let mut line = Line::plain(&self.authority).await?;
        let (_, page) = line
            .ask(Method::GET, "/metrics", bytes::Bytes::new())
            .await?;
        let page = String::from_utf8_lossy(&page);
        let counted = page
            .lines()
            .filter(|line| line.starts_with("openbao_kms_openbao_requests_total{"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        Ok(counted.sum())
    }
}
