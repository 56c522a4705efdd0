//! The rooms of a call, put together as the program does, between a caller and an OpenBao that
//! are both memory: no socket, no TLS, no HTTP.

use std::{
    collections::HashMap, fs::Permissions, io::Write as _, os::unix::fs::PermissionsExt as _,
    path::Path, sync::Arc, time::Duration,
};

use arc_swap::ArcSwap;
use fastrand::Rng;
use keyring::{
    keyring::{Driver, Keyring, Settings as KeyringSettings},
    signals::Signals,
    view::{Slot, View},
};
use kms_server::{door::Door, metrics::Metrics};
use openbao::{
    OpenBao,
    settings::{Auth, JwtFile, Settings as OpenBaoSettings},
    transit::Transit,
};
use pace::ManualClock;
use prometheus_client::registry::Registry;
use registry::{record::RecordState, scope::Scope, snapshot::Snapshot};
use tempfile::NamedTempFile;
use tokio::{runtime::Runtime, sync::oneshot, task::JoinHandle};

use crate::{
    fault::Fault,
    wire::{BareTransit, Memory},
};

/// A header, claims that end in 2100, and a signature that nobody checks.
const JWT: &str = "eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjQxMDI0NDQ4MDB9.c2lnbmF0dXJl";

/// The wall clock, Unix seconds. It stands still: the machine's own is read through the kernel's
/// vDSO, which valgrind takes away.
const WALL: i64 = 1_800_000_000;

/// Everything that a call passes, and what runs beside it.
pub(crate) struct Stand {
    /// The service, without the connections before it.
    pub(crate) door: Door,
    /// The keyring over a Transit that costs nothing.
    pub(crate) keyring: Arc<Keyring>,
    /// The client over memory.
    pub(crate) client: Arc<OpenBao>,
    /// Below the client.
    pub(crate) memory: Arc<Memory>,
    /// The write key.
    pub(crate) snapshot: Arc<Snapshot>,
    stop: oneshot::Sender<()>,
    beside: [JoinHandle<()>; 3],
}

impl Stand {
    /// Logs in on `runtime`, so that the first call finds a token.
    pub(crate) fn set(runtime: &Runtime) -> Result<Self, Fault> {
        let memory = Memory::new();
        let mut registry = Registry::default();
        let jwt = jwt_file().map_err(|error| Fault::Stand("the JWT", error.into()))?;
        let client = OpenBao::over(
            Arc::clone(&memory) as _,
            client_settings(jwt.path()),
            Arc::new(ManualClock::new(WALL)),
            &mut registry,
            Rng::with_seed(7),
        )
        .map_err(|error| Fault::Stand("the client", error.into()))?;
        let snapshot = Arc::new(Snapshot::new(&scope(), "0.1.0", 1, 1_790_000_000));
        let (whole, driver) = keyring(&snapshot, Arc::clone(&client) as _, &mut registry);
        let (bare, bare_driver) = keyring(&snapshot, BareTransit::new(), &mut Registry::default());
        let (stop, stopped) = oneshot::channel();
        let keeper = Arc::clone(&client);
        let beside = [
            runtime.spawn(async move { keeper.run(async { drop(stopped.await) }).await }),
            runtime.spawn(driver.run()),
            runtime.spawn(bare_driver.run()),
        ];
        runtime.block_on(async {
            while client.token_ttl().is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        Ok(Self {
            door: Door::new(whole, Metrics::new(&mut registry), None),
            keyring: bare,
            client,
            memory,
            snapshot,
            stop,
            beside,
        })
    }

    /// Ends what runs beside the calls.
    pub(crate) fn strike(self, runtime: &Runtime) {
        let Self {
            door,
            keyring,
            stop,
            beside,
            ..
        } = self;
        // The drivers run until the last keyring is gone.
        drop((door, keyring, stop));
        runtime.block_on(async {
            for task in beside {
                // A panic there has made calls fail, which is what counts here.
                drop(task.await);
            }
        });
    }
}

fn jwt_file() -> std::io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    file.as_file()
        .set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(JWT.as_bytes())?;
    Ok(file)
}

fn keyring(
    snapshot: &Arc<Snapshot>,
    transit: Arc<dyn Transit>,
    registry: &mut Registry,
) -> (Arc<Keyring>, Driver) {
    let settings = KeyringSettings {
        max_encrypt: 32,
        max_decrypt: 64,
        // One, so that calls at once travel together.
        decrypt_lanes: 1,
        probe_interval: Duration::from_secs(30),
    };
    let slot = Slot {
        state: RecordState::Active,
        snapshot: Arc::clone(snapshot),
    };
    let view = View {
        active: Some(Arc::clone(snapshot)),
        records: HashMap::from([(snapshot.key_id.clone(), slot)]),
        healthy_until: Some(Duration::MAX),
        ..View::default()
    };
    Keyring::new(
        settings,
        Arc::new(scope()),
        "0.1.0",
        transit,
        Arc::new(ArcSwap::from_pointee(view)),
        Arc::new(Signals::default()),
        Arc::new(ManualClock::new(WALL)),
        registry,
    )
}

fn scope() -> Scope {
    Scope {
        provider_name: "bao-kms".into(),
        cluster_id: "cluster-1".into(),
        openbao_instance_id: "openbao-1".into(),
        openbao_namespace: String::new(),
        transit_mount_id: "transit-1".into(),
        key_lineage_id: "lineage-1".into(),
    }
}

fn client_settings(jwt: &Path) -> OpenBaoSettings {
    OpenBaoSettings {
        endpoints: Vec::new(),
        namespace: String::new(),
        ca_file: "".into(),
        server_name: "memory".into(),
        timeout: Duration::from_secs(2),
        transit_mount: "transit".into(),
        key_name: "kms".into(),
        refresh_ahead: Duration::from_secs(300),
        renewal_increment: Duration::from_secs(3600),
        login_timeout: Duration::from_secs(5),
        auth: Auth::JwtFile(JwtFile {
            mount: "jwt".into(),
            role: "kms".into(),
            file: jwt.into(),
            min_remaining: Duration::from_secs(120),
            clock_skew_leeway: Duration::from_secs(30),
            issuer: None,
            audience: None,
            subject: None,
        }),
        log_request_ids: true,
    }
}
