//! A server, a client whose loop runs, and a relay that counts connections.

use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bao_dev::testing::{Control, DevServer, Jwt, Options};
use openbao::{
    OpenBao,
    error::{Class, Error},
    settings::{Auth, Endpoint, JwtFile, Settings},
    transit::{CallOptions, DecryptItem, Encrypted, Transit as _},
};
use pace::SystemClock;
use prometheus_client::registry::Registry;
use secret::SecretBytes;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::Instant,
};

/// Associated data of every request.
pub(crate) const AAD: &str = "YWFk";

/// A server and the files that a client needs.
pub(crate) struct Rig {
    pub(crate) server: DevServer,
    dir: tempfile::TempDir,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        let server = DevServer::start(Options::default()).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let rig = Self { server, dir };
        write(&rig.file("ca.crt"), rig.server.ca_pem(), 0o644);
        write(&rig.file("jwt"), rig.server.jwt(), 0o600);
        rig
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn control(&self) -> &Control {
        self.server.control()
    }

    /// Puts another JWT where the client reads it.
    pub(crate) fn put_jwt(&self, jwt: &Jwt) {
        let jwt = self.server.mint(jwt).unwrap();
        write(&self.file("jwt"), &jwt, 0o600);
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            endpoints: vec![Endpoint::parse(self.server.address()).unwrap()],
            namespace: String::new(),
            ca_file: self.file("ca.crt"),
            server_name: self.server.server_name().to_owned(),
            timeout: Duration::from_secs(2),
            transit_mount: "transit".to_owned(),
            key_name: "k8s-etcd".to_owned(),
            refresh_ahead: Duration::from_secs(300),
            renewal_increment: Duration::from_secs(3600),
            login_timeout: Duration::from_secs(5),
            auth: Auth::JwtFile(self.jwt_settings()),
            log_request_ids: true,
        }
    }

    pub(crate) fn jwt_settings(&self) -> JwtFile {
        JwtFile {
            mount: "auth/jwt".to_owned(),
            role: "kms".to_owned(),
            file: self.file("jwt"),
            min_remaining: Duration::from_secs(120),
            clock_skew_leeway: Duration::from_secs(30),
            issuer: None,
            audience: None,
            subject: None,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::start(self.settings())
    }
}

pub(crate) fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A client whose loop runs until the value is dropped.
pub(crate) struct Client {
    pub(crate) bao: Arc<OpenBao>,
    pub(crate) registry: Registry,
    running: JoinHandle<()>,
}

impl Client {
    pub(crate) fn start(settings: Settings) -> Self {
        let mut registry = Registry::default();
        let clock = Arc::new(SystemClock::new());
        let bao = OpenBao::new(settings, clock, &mut registry).unwrap();
        let looped = Arc::clone(&bao);
        let running = tokio::spawn(async move { looped.run(std::future::pending()).await });
        Self {
            bao,
            registry,
            running,
        }
    }

    /// A cheap call that needs a token.
    pub(crate) async fn read(&self) -> Result<bool, Error> {
        self.bao.read_disable_upsert(within(3000)).await
    }

    pub(crate) async fn class(&self) -> Class {
        self.read().await.unwrap_err().class
    }

    pub(crate) async fn encrypt(&self, plaintext: &str) -> Result<Encrypted, Error> {
        let plaintext = SecretBytes::new(plaintext.as_bytes().to_vec());
        self.bao.encrypt(1, &plaintext, AAD, within(3000)).await
    }

    pub(crate) async fn decrypt(&self, ciphertext: &str) -> Result<Vec<u8>, Error> {
        let plaintext = self.bao.decrypt(&item(ciphertext), within(3000)).await?;
        Ok(plaintext.expose_secret().to_vec())
    }

    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.running.abort();
    }
}

pub(crate) fn item(ciphertext: &str) -> DecryptItem {
    DecryptItem {
        ciphertext: ciphertext.to_owned(),
        associated_data: AAD.to_owned(),
    }
}

pub(crate) fn within(ms: u64) -> CallOptions {
    CallOptions {
        deadline: Instant::now() + Duration::from_millis(ms),
        new_connection: false,
    }
}

/// Passes TCP connections on and counts them.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    running: JoinHandle<()>,
}

impl Relay {
    /// To the host and port of `url`.
    pub(crate) async fn to(url: &str) -> Self {
        let target = url.strip_prefix("https://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let running = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let target = target.clone();
                connections.spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(target).await {
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Self {
            address,
            accepted,
            running,
        }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::parse(&format!("https://{}", self.address)).unwrap()
    }

    /// Connections so far.
    pub(crate) fn count(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.running.abort();
    }
}
