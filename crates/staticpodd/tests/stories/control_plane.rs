//! What a provider stands between: an OpenBao, and an API server with its etcd.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use pod_rig::Node;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use serde_json::{Value, json};

use crate::pipe::{Answer, Question, ask, ask_securely};

const TOKEN: &str = "token-of-a-test";
const ETCD: u16 = 2379;
const API: u16 = 6443;

/// A process in the network of a node; it is killed with this value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(node: &Node, program: &Path, folder: &Path, arguments: &[String]) -> Process {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(folder.with_extension("log"))
        .unwrap();
    let mut command = node.rig().enter(program);
    command.args(arguments).stdin(Stdio::null());
    command.stdout(log.try_clone().unwrap()).stderr(log);
    Process(command.spawn().unwrap())
}

/// An OpenBao with all that a provider needs.
pub(crate) struct Backend {
    folder: PathBuf,
    _process: Process,
}

impl Backend {
    pub(crate) fn start(node: &Node, program: &Path) -> Self {
        let folder = node.home().join("bao");
        let unused = |name: &str| folder.join("unused").join(name).display().to_string();
        let arguments = [
            "up".to_owned(),
            "--dir".to_owned(),
            folder.display().to_string(),
            "--socket".to_owned(),
            unused("kms.sock"),
            "--socket-group".to_owned(),
            "4242".to_owned(),
            "--state".to_owned(),
            unused("key-registry.json"),
        ];
        let process = start(node, program, &folder, &arguments);
        node.until("OpenBao is up", |_| folder.join("bao-dev.json").exists());
        Self {
            folder,
            _process: process,
        }
    }

    /// One of its files, where they are.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The configuration of a provider, with the paths that its installation has.
    pub(crate) fn config(&self) -> String {
        let mut text = fs::read_to_string(self.file("config.yaml")).unwrap();
        for (here, there) in [
            ("ca.crt", "/etc/openbao-kms/tls/ca.crt"),
            ("identity.jwt", "/var/lib/openbao-kms/identity.jwt"),
            ("unused/kms.sock", "/run/openbao-kms/kms.sock"),
            (
                "unused/key-registry.json",
                "/var/lib/openbao-kms/state/key-registry.json",
            ),
        ] {
            let here = self.file(here).display().to_string();
            assert!(text.contains(&here), "{here} is not in {text}");
            text = text.replace(&here, there);
        }
        text
    }
}

/// The API server's own code, which stores Secrets as every API server does.
pub(crate) struct ApiServer<'a> {
    node: &'a Node,
    program: PathBuf,
    folder: PathBuf,
    arguments: Vec<String>,
    process: Option<Process>,
    _etcd: Process,
}

impl<'a> ApiServer<'a> {
    /// Starts it for the plugin at `socket`, and waits until it is ready.
    pub(crate) fn start(node: &'a Node, program: &Path, etcd: &Path, socket: &Path) -> Self {
        let folder = node.home().join("api");
        fs::create_dir(&folder).unwrap();
        let place = |name: &str| folder.join(name).display().to_string();
        let data = node.home().join("etcd");
        let of_etcd = [
            format!("--data-dir={}", data.display()),
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        let etcd = start(node, etcd, &data, &of_etcd);
        node.until("etcd is healthy", |node| {
            node.get("127.0.0.1:2379", "/health").contains("200 OK")
        });
        let encryption = json!({
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "EncryptionConfiguration",
            "resources": [{
                "resources": ["secrets"],
                "providers": [{"kms": {
                    "apiVersion": "v2",
                    "name": "bao",
                    "endpoint": format!("unix://{}", socket.display()),
                }}],
            }],
        });
        fs::write(place("encryption.yaml"), encryption.to_string()).unwrap();
        fs::write(
            place("tokens.csv"),
            format!("{TOKEN},admin,1,system:masters\n"),
        )
        .unwrap();
        let arguments = vec![
            format!("--listen=127.0.0.1:{API}"),
            format!("--etcd-servers=http://127.0.0.1:{ETCD}"),
            "--etcd-prefix=/registry".to_owned(),
            format!("--encryption-provider-config={}", place("encryption.yaml")),
            format!("--token-auth-file={}", place("tokens.csv")),
            format!("--cert-dir={}", folder.display()),
        ];
        let mut server = Self {
            node,
            program: program.to_owned(),
            folder,
            arguments,
            process: None,
            _etcd: etcd,
        };
        server.restart();
        server
    }

    /// Starts it anew: what it had decrypted is forgotten, so that every key is asked for again.
    pub(crate) fn restart(&mut self) {
        self.process = None;
        self.process = Some(start(
            self.node,
            &self.program,
            &self.folder,
            &self.arguments,
        ));
        self.node.until("the API server is ready", |_| {
            self.ask("GET", "/readyz", "")
                .is_some_and(|(status, _)| status == 200)
        });
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": "default"},
            "data": {"text": base64(text)},
        });
        let path = "/api/v1/namespaces/default/secrets";
        let (status, body) = self.ask("POST", path, &secret.to_string()).unwrap();
        assert_eq!(status, 201, "{body}");
    }

    /// The Secret's text in base64.
    pub(crate) fn read(&self, name: &str) -> String {
        let path = format!("/api/v1/namespaces/default/secrets/{name}");
        let (status, body) = self.ask("GET", &path, "").unwrap();
        assert_eq!(status, 200, "{body}");
        let secret: Value = serde_json::from_str(&body).unwrap();
        secret["data"]["text"].as_str().unwrap().to_owned()
    }

    /// A Secret as etcd has it.
    pub(crate) fn stored(&self, name: &str) -> Vec<u8> {
        let key = base64(&format!("/registry/secrets/default/{name}"));
        let question = Question {
            method: "POST",
            path: "/v3/kv/range",
            headers: "",
            body: &json!({"key": key}).to_string(),
        };
        let (status, body) = ask(self.node.rig(), ETCD, &question).unwrap();
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        let value = answer["kvs"][0]["value"].as_str().unwrap();
        STANDARD.decode(value).unwrap()
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Option<Answer> {
        let headers = format!("authorization: Bearer {TOKEN}\r\n");
        let question = Question {
            method,
            path,
            headers: &headers,
            body,
        };
        ask_securely(self.node.rig(), API, &self.trust()?, &question)
    }

    /// Of the certificate that it made for itself.
    fn trust(&self) -> Option<Arc<ClientConfig>> {
        let pem = fs::read(self.folder.join("apiserver.crt")).ok()?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).flatten());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Some(Arc::new(config))
    }
}

/// As JSON writes bytes.
pub(crate) fn base64(text: &str) -> String {
    STANDARD.encode(text)
}
