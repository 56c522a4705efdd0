//! `bao-dev up`: a server with everything a provider needs, written into one folder.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::json;
use thiserror::Error;

use crate::run_dir::RunDirError;
use crate::testing::{ControlError, DevServer, Jwt, Options, SERVER_NAME, Setup, StartError};

/// Lifetime of `identity.jwt`, seconds.
const JWT_LIFETIME: i64 = 7 * 86_400;

/// Name of the file that holds the JWT.
const IDENTITY: &str = "identity.jwt";

/// Name of the file that says where the server is.
const DESCRIPTION: &str = "bao-dev.json";

/// Name of the file that holds the signing key.
const SIGNING_KEY: &str = "jwt-signing-key.pk8";

/// What `config.yaml` says besides where the server is. Spans in Go's form.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// Where the provider's socket will be.
    pub socket: PathBuf,
    /// Group name or decimal group id of the socket.
    pub socket_group: String,
    /// The provider's state file.
    pub state: PathBuf,
    /// Where the provider serves metrics, or `off`.
    pub metrics_address: String,
    /// Where the provider serves health, or `off`.
    pub health_address: String,
    /// `openbao.instanceId`.
    pub instance_id: String,
    /// `status.probeInterval`.
    pub probe_interval: String,
    /// `status.deepProbeInterval`.
    pub deep_probe_interval: String,
    /// `status.statusMaxStaleness`.
    pub status_max_staleness: String,
    /// `rotation.activationDelay`.
    pub activation_delay: String,
    /// `rotation.requireStableObservationCount`.
    pub stable_observations: u32,
}

/// Name of the file that a running server holds locked.
const LOCK: &str = "bao-dev.lock";

/// Why `up` did not work.
#[derive(Debug, Error)]
pub enum UpError {
    /// A file or folder.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A running server owns the folder.
    #[error(
        "folder {}: another bao-dev is running there; stop it, or give this one a folder of its own",
        .0.display()
    )]
    Taken(PathBuf),
    /// The server.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A JWT.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// No folder for the provider's socket.
    #[error(transparent)]
    RunDir(#[from] RunDirError),
}

fn file_error(path: &Path) -> impl Fn(std::io::Error) -> UpError + '_ {
    move |source| UpError::File {
        path: path.to_owned(),
        source,
    }
}

/// A running server and its folder.
pub struct Up {
    server: DevServer,
    dir: PathBuf,
    generation: u64,
    refresh_at: i64,
    /// Locked as long as it is open: ends with the process, however that ends.
    _lock: File,
}

impl Up {
    /// Starts a server and writes the folder. `provider`: none writes no `config.yaml`.
    ///
    /// # Errors
    /// A folder in which another server runs, whatever the server runs into, and files that cannot
    /// be written.
    pub async fn start(
        dir: &Path,
        mut options: Options,
        provider: Option<&ProviderSettings>,
    ) -> Result<Self, UpError> {
        make_dir(dir)?;
        let dir = dir.canonicalize().map_err(file_error(dir))?;
        let lock = lock(&dir)?;
        // What a killed server left would send readers to a dead address.
        let _ = std::fs::remove_file(dir.join(DESCRIPTION));
        let key = dir.join(SIGNING_KEY);
        if key.exists() {
            options.signing_key = Some(std::fs::read(&key).map_err(file_error(&key))?);
        }
        let setup = options.setup.clone();
        let server = DevServer::start(options).await?;
        write(&dir.join("ca.crt"), server.ca_pem().as_bytes(), 0o644)?;
        if let (Some(setup), Some(provider)) = (&setup, provider) {
            for parent in [provider.state.parent(), provider.socket.parent()]
                .into_iter()
                .flatten()
            {
                make_dir(parent)?;
            }
            let config = config(&dir, &server, setup, provider);
            write(&dir.join("config.yaml"), config.as_bytes(), 0o640)?;
        }
        let mut up = Self {
            server,
            dir,
            generation: 0,
            refresh_at: 0,
            _lock: lock,
        };
        up.refresh_identity()?;
        up.describe(setup.as_ref(), provider)?;
        Ok(up)
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &DevServer {
        &self.server
    }

    /// Writes `identity.jwt` anew if half of its life is over or the signing key has changed.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn refresh_identity(&mut self) -> Result<(), UpError> {
        let control = self.server.control();
        let (generation, now) = (control.jwt_generation(), control.unix_now());
        if generation == self.generation
            && now < self.refresh_at
            && now > self.refresh_at - JWT_LIFETIME
        {
            return Ok(());
        }
        let jwt = Jwt {
            expires_in: Some(JWT_LIFETIME),
            ..Jwt::default()
        };
        let text = control.jwt_mint(&jwt)?;
        write(&self.dir.join(IDENTITY), text.as_bytes(), 0o640)?;
        write(
            &self.dir.join(SIGNING_KEY),
            &control.jwt_key_pkcs8()?,
            0o600,
        )?;
        self.generation = generation;
        self.refresh_at = now + JWT_LIFETIME / 2;
        Ok(())
    }

    /// Stops the server and removes `bao-dev.json`: nothing answers there any more.
    pub async fn stop(self) {
        let _ = std::fs::remove_file(self.dir.join(DESCRIPTION));
        self.server.stop().await;
    }

    fn describe(
        &self,
        setup: Option<&Setup>,
        provider: Option<&ProviderSettings>,
    ) -> Result<(), UpError> {
        let description = json!({
            "address": self.server.address(),
            "standby_address": self.server.standby_address(),
            "control": self.server.control_address(),
            "ca": self.dir.join("ca.crt"),
            "server_name": SERVER_NAME,
            "root_token": self.server.root_token(),
            "pid": std::process::id(),
            "key": setup.map(|setup| &setup.key),
            "mount": setup.map(|setup| &setup.mount),
            "role": setup.map(|setup| &setup.role),
            "socket": provider.map(|provider| &provider.socket),
            "state": provider.map(|provider| &provider.state),
        });
        write(
            &self.dir.join(DESCRIPTION),
            format!("{description:#}\n").as_bytes(),
            0o600,
        )
    }
}

/// Makes a JWT with the signing key that `up` left in `dir`. `now` is Unix seconds.
///
/// # Errors
/// Without the key, and for an algorithm other than ES256 or `none`.
pub fn mint(dir: &Path, jwt: &Jwt, now: i64) -> Result<String, UpError> {
    let path = dir.join(SIGNING_KEY);
    let key = std::fs::read(&path).map_err(file_error(&path))?;
    let signer = crate::jwt::Signer::from_pkcs8(&key).map_err(ControlError::from)?;
    // Only the ES256 key outlives the server.
    if !jwt.foreign_key && !matches!(jwt.algorithm.as_str(), "ES256" | "none") {
        return Err(
            ControlError::from(crate::jwt::MintError::Algorithm(jwt.algorithm.clone())).into(),
        );
    }
    Ok(signer.mint(jwt, now).map_err(ControlError::from)?)
}

/// Takes the folder, or says that it is taken.
fn lock(dir: &Path) -> Result<File, UpError> {
    let path = dir.join(LOCK);
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(file_error(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(UpError::Taken(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(file_error(&path)(error)),
    }
}

fn make_dir(path: &Path) -> Result<(), UpError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(path)
        .map_err(file_error(path))
}

/// Replaces a file, so that a reader sees the old or the new one.
///
/// # Errors
/// A file that cannot be written.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), UpError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let act = || {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        std::fs::rename(&temporary, path)
    };
    act().map_err(file_error(path))
}

/// A double-quoted YAML text.
fn quoted(text: &str) -> String {
    json!(text).to_string()
}

fn config(dir: &Path, server: &DevServer, setup: &Setup, provider: &ProviderSettings) -> String {
    let path = |path: &Path| quoted(&path.to_string_lossy());
    format!(
        r#"# Written by bao-dev, for development only.
configVersion: v1alpha1
server:
  socketPath: {socket}
  socketMode: "0660"
  socketGroup: {socket_group}
  metricsAddress: {metrics}
  healthAddress: {health}
openbao:
  address: {address}
  caCertFile: {ca}
  tlsServerName: {server_name}
  instanceId: {instance_id}
auth:
  method: jwt
  jwt:
    source: file
    mountPath: auth/jwt
    role: {role}
    jwtFile: {jwt}
transit:
  mountPath: {mount}
  keyName: {key}
  keyIdScope:
    providerName: bao-dev
    clusterId: dev-cluster
    transitMountId: dev-transit
    keyLineageId: dev-lineage
bootstrap:
  graceTimeout: 10s
  retryInterval: 500ms
  onTimeout: stay
status:
  probeInterval: {probe}
  deepProbeInterval: {deep}
  statusMaxStaleness: {staleness}
state:
  path: {state}
rotation:
  activationDelay: {delay}
  requireStableObservationCount: {count}
"#,
        socket = path(&provider.socket),
        socket_group = quoted(&provider.socket_group),
        metrics = quoted(&provider.metrics_address),
        health = quoted(&provider.health_address),
        address = quoted(server.address()),
        ca = path(&dir.join("ca.crt")),
        server_name = SERVER_NAME,
        instance_id = quoted(&provider.instance_id),
        role = quoted(&setup.role),
        jwt = path(&dir.join(IDENTITY)),
        mount = quoted(&setup.mount),
        key = quoted(&setup.key),
        probe = provider.probe_interval,
        deep = provider.deep_probe_interval,
        staleness = provider.status_max_staleness,
        state = path(&provider.state),
        delay = provider.activation_delay,
        count = provider.stable_observations,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(dir: &Path) -> ProviderSettings {
        ProviderSettings {
            socket: dir.join("run/kms.sock"),
            socket_group: String::from("0"),
            state: dir.join("state/key-registry.json"),
            metrics_address: String::from("127.0.0.1:8081"),
            health_address: String::from("127.0.0.1:8082"),
            instance_id: String::from("bao-dev"),
            probe_interval: String::from("1s"),
            deep_probe_interval: String::from("5s"),
            status_max_staleness: String::from("4s"),
            activation_delay: String::from("2s"),
            stable_observations: 3,
        }
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn the_folder_holds_everything_with_the_modes_a_provider_demands() {
        let dir = tempfile::tempdir().unwrap();
        let settings = provider(dir.path());
        let mut up = Up::start(dir.path(), Options::default(), Some(&settings))
            .await
            .unwrap();
        for (name, expected) in [
            ("ca.crt", 0o644),
            ("identity.jwt", 0o640),
            ("config.yaml", 0o640),
            ("bao-dev.json", 0o600),
            ("jwt-signing-key.pk8", 0o600),
            ("state", 0o750),
        ] {
            assert_eq!(
                mode(&dir.path().join(name)) & !0o007,
                expected & !0o007,
                "{name}"
            );
            assert_eq!(
                mode(&dir.path().join(name)) & 0o027 & !expected,
                0,
                "{name}"
            );
        }
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(read("config.yaml").contains(up.server().address()));
        assert_eq!(read("identity.jwt").matches('.').count(), 2);
        let description: serde_json::Value = serde_json::from_str(&read("bao-dev.json")).unwrap();
        assert_eq!(description["control"], up.server().control_address());

        let before = read("identity.jwt");
        up.refresh_identity().unwrap();
        assert_eq!(read("identity.jwt"), before);
        up.server().control().jwt_new_key(true).unwrap();
        up.refresh_identity().unwrap();
        assert_ne!(read("identity.jwt"), before);
        let late = read("identity.jwt");
        up.server().control().clock_advance(JWT_LIFETIME / 2 + 1);
        up.refresh_identity().unwrap();
        assert_ne!(read("identity.jwt"), late);
        up.stop().await;
        assert!(!dir.path().join("bao-dev.json").exists());
    }

    #[tokio::test]
    async fn a_jwt_of_the_folders_key_is_accepted_by_a_server_started_again() {
        let dir = tempfile::tempdir().unwrap();
        let up = Up::start(dir.path(), Options::default(), None)
            .await
            .unwrap();
        up.stop().await;
        let before = std::fs::read(dir.path().join(SIGNING_KEY)).unwrap();
        let up = Up::start(dir.path(), Options::default(), None)
            .await
            .unwrap();
        assert_eq!(std::fs::read(dir.path().join(SIGNING_KEY)).unwrap(), before);
        assert!(mint(dir.path(), &Jwt::default(), 0).unwrap().contains('.'));
        let rsa = Jwt {
            algorithm: String::from("RS256"),
            ..Jwt::default()
        };
        assert!(
            mint(dir.path(), &rsa, 0)
                .unwrap_err()
                .to_string()
                .contains("choose ES256")
        );
        up.stop().await;
    }

    #[tokio::test]
    async fn a_second_server_in_the_same_folder_is_refused_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let settings = provider(dir.path());
        let first = Up::start(dir.path(), Options::default(), Some(&settings))
            .await
            .unwrap();
        let files = || {
            ["ca.crt", "config.yaml", DESCRIPTION, IDENTITY]
                .map(|name| std::fs::read(dir.path().join(name)).unwrap())
        };
        let before = files();
        let Err(refused) = Up::start(dir.path(), Options::default(), Some(&settings)).await else {
            panic!("two servers in one folder")
        };
        assert!(
            refused.to_string().contains("another bao-dev is running"),
            "{refused}"
        );
        assert_eq!(files(), before);
        first.stop().await;
        let again = Up::start(dir.path(), Options::default(), Some(&settings)).await;
        again.unwrap().stop().await;
    }

    #[tokio::test]
    async fn an_address_that_others_could_reach_is_refused() {
        let options = Options {
            listen: "0.0.0.0:0".parse().unwrap(),
            ..Options::default()
        };
        let Err(error) = DevServer::start(options).await else {
            panic!("it started")
        };
        assert!(
            error.to_string().contains("not a loopback address"),
            "{error}"
        );
    }
}
