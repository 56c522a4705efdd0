//! Files and directories of one provider, and the configuration that names them.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A directory for sockets below `/run`; short, because the kernel takes 107 bytes.
struct SocketDirectory(PathBuf);

impl SocketDirectory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let base = bao_dev::run_dir::find().unwrap_or_else(|error| panic!("{error}"));
        let path = base.join(format!("bkp-{}-{number}", std::process::id()));
        // Process ids come again, and a run that was killed has left its directories.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
        Self(path)
    }
}

impl Drop for SocketDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What one provider needs on disk. Removed with the value.
pub(crate) struct Stage {
    home: TempDir,
    sockets: SocketDirectory,
    config: Value,
}

impl Stage {
    /// Everything in order, with probes fast enough for a test. A verdict lives long enough for
    /// a machine that is busy with other work, see [`Stage::hasten`].
    pub(crate) fn new(address: &str, server_name: &str, ca: &str, jwt: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let sockets = SocketDirectory::new();
        let place = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
        fs::create_dir(home.path().join("state")).unwrap();
        mode(&home.path().join("state"), 0o750);
        let config = json!({
            "configVersion": "v1alpha1",
            "server": {
                "socketPath": sockets.0.join("kms.sock"),
                "socketGroup": nix::unistd::getegid().to_string(),
                "metricsAddress": "127.0.0.1:0",
                "healthAddress": "127.0.0.1:0",
            },
            "openbao": {
                "address": address,
                "caCertFile": place("ca.crt"),
                "tlsServerName": server_name,
                "instanceId": "bao-tests",
                "timeout": "900ms",
            },
            "auth": {"jwt": {"mountPath": "jwt", "role": "kms", "jwtFile": place("token")}},
            "transit": {
                "mountPath": "transit",
                "keyName": "k8s-etcd",
                "keyIdScope": {
                    "providerName": "openbao",
                    "clusterId": "cluster-1",
                    "transitMountId": "transit-tests",
                    "keyLineageId": "k8s-etcd-1",
                },
            },
            "bootstrap": {"graceTimeout": "60s", "retryInterval": "200ms", "onTimeout": "stay"},
            "status": {
                "probeInterval": "200ms",
                "deepProbeInterval": "300ms",
                "statusMaxStaleness": "8s",
            },
            "state": {"path": place("state/key-registry.json")},
            "rotation": {"activationDelay": "0s", "requireStableObservationCount": 2},
            "logging": {"level": "debug"},
        });
        let stage = Self {
            home,
            sockets,
            config,
        };
        put(&stage.ca_file(), ca, 0o644);
        put(&stage.jwt_file(), jwt, 0o640);
        stage
    }

    /// Sets one field by its dotted path; to be called before the start.
    pub(crate) fn set(&mut self, field: &str, value: impl Into<Value>) {
        let pointer = format!("/{}", field.replace('.', "/"));
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        self.config.pointer_mut(parent).unwrap()[name] = value.into();
    }

    /// A verdict dies soon without probes: for who waits for that.
    pub(crate) fn hasten(&mut self) {
        self.set("status.statusMaxStaleness", "1800ms");
    }

    /// Writes the configuration and gives its path. Every JSON document is a YAML document.
    pub(crate) fn write_config(&self) -> PathBuf {
        let text = serde_json::to_string_pretty(&self.config).unwrap();
        put(&self.config_file(), &text, 0o640);
        self.config_file()
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.home.path().join("config.yaml")
    }

    pub(crate) fn jwt_file(&self) -> PathBuf {
        self.home.path().join("token")
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.home.path().join("ca.crt")
    }

    pub(crate) fn state_file(&self) -> PathBuf {
        self.home.path().join("state/key-registry.json")
    }

    pub(crate) fn checkpoint_file(&self) -> PathBuf {
        self.home.path().join("state/key-registry.json.checkpoint")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.sockets.0.join("kms.sock")
    }

    /// Gives everything to a user, and to the group of the same number.
    pub(crate) fn give_to(&self, user: u32) {
        for path in [self.home.path(), &self.sockets.0] {
            give(path, user);
        }
    }

    /// The bytes of both files of the state pair; `None` for one that is not there.
    pub(crate) fn pair(&self) -> [Option<Vec<u8>>; 2] {
        [self.state_file(), self.checkpoint_file()].map(|path| fs::read(path).ok())
    }
}

/// Writes a file with exactly these permission bits, at once as a whole.
pub(crate) fn put(path: &Path, content: impl AsRef<[u8]>, bits: u32) {
    let beside = path.with_extension("new");
    fs::write(&beside, content).unwrap();
    mode(&beside, bits);
    fs::rename(&beside, path).unwrap();
}

pub(crate) fn mode(path: &Path, bits: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(bits)).unwrap();
}

fn give(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), user);
        }
    }
}

/// Puts `path` into the directory `aside` and a symlink to it in its place.
pub(crate) fn link(path: &Path, aside: &Path) {
    let aside = aside.join("elsewhere");
    fs::copy(path, &aside).unwrap();
    fs::remove_file(path).unwrap();
    std::os::unix::fs::symlink(aside, path).unwrap();
}
