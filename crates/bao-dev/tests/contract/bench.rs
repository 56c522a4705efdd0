//! The fixture every case finds, and the ways to send a request to it.

use std::time::{SystemTime, UNIX_EPOCH};

use bao_dev::testing::{Control, DevServer, Jwt, Options, Signer};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use crate::client::{Client, Got};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// No token at all.
    Nobody,
    /// The root token.
    Root,
    /// Policies `kms` and `default`.
    Kms,
    /// Policy `kms` only.
    NoDefault,
    /// May create keys by encrypting.
    Creator,
}

const KMS: &str = r#"
path "transit/encrypt/k1" { capabilities = ["update"] }
path "transit/decrypt/k1" { capabilities = ["update"] }
path "transit/encrypt/none" { capabilities = ["update"] }
path "transit/keys/k1" { capabilities = ["read"] }
"#;

const CREATOR: &str = r#"path "transit/encrypt/*" { capabilities = ["create", "update"] }"#;

/// The server under test, and the fixture in it.
pub(crate) struct Bench {
    pub(crate) client: Client,
    pub(crate) standby: Option<Client>,
    root: String,
    kms: String,
    no_default: String,
    creator: String,
    signer: Signer,
    emulator: Option<DevServer>,
}

impl Bench {
    /// The server in this process.
    pub(crate) async fn emulator() -> Self {
        let server = DevServer::start(Options::virgin()).await.unwrap();
        let client = Client::new(server.address(), server.ca_pem());
        let standby = Client::new(server.standby_address(), server.ca_pem());
        let root = server.root_token().to_owned();
        Self::prepare(client, root, Some(standby), Some(server)).await
    }

    /// A real server somewhere.
    pub(crate) async fn remote(address: &str, ca_pem: &str, root: String) -> Self {
        Self::prepare(Client::new(address, ca_pem), root, None, None).await
    }

    async fn prepare(
        client: Client,
        root: String,
        standby: Option<Client>,
        emulator: Option<DevServer>,
    ) -> Self {
        let mut signer = Signer::generate().unwrap();
        signer.add_rsa().unwrap();
        let empty = String::new;
        let mut bench = Self {
            client,
            standby,
            root,
            kms: empty(),
            no_default: empty(),
            creator: empty(),
            signer,
            emulator,
        };
        bench
            .root_post("sys/mounts/transit", json!({"type": "transit"}))
            .await;
        bench.root_post("transit/keys/k1", json!({})).await;
        bench.root_post("transit/keys/k2", json!({})).await;
        bench
            .root_post("sys/policies/acl/kms", json!({"policy": KMS}))
            .await;
        bench
            .root_post("sys/policies/acl/creator", json!({"policy": CREATOR}))
            .await;
        bench
            .root_post("sys/auth/jwt", json!({"type": "jwt"}))
            .await;
        let keys = bench.signer.public_pems().unwrap();
        let config = json!({"jwt_validation_pubkeys": keys, "bound_issuer": Jwt::default().issuer});
        bench.root_post("auth/jwt/config", config).await.bare(204);
        bench.put_role("kms", json!({})).await.bare(204);
        bench.kms = bench.token(json!({"policies": ["kms"]})).await;
        bench.no_default = bench
            .token(json!({"policies": ["kms"], "no_default_policy": true}))
            .await;
        bench.creator = bench.token(json!({"policies": ["creator"]})).await;
        bench
    }

    /// The role of the fixture, or one that differs from it.
    pub(crate) async fn put_role(&self, name: &str, changes: Value) -> Got {
        let mut role = json!({
            "role_type": "jwt", "user_claim": "sub", "bound_audiences": [Jwt::default().audience],
            "bound_subject": Jwt::default().subject, "token_policies": ["kms"],
            "token_ttl": "10m", "token_max_ttl": "30m",
        });
        role.as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        self.root_post(&format!("auth/jwt/role/{name}"), role).await
    }

    /// The control handle; a case that needs it runs on the emulator only.
    pub(crate) fn control(&self) -> &Control {
        self.emulator
            .as_ref()
            .expect("an emulator-only case")
            .control()
    }

    pub(crate) fn is_emulator(&self) -> bool {
        self.emulator.is_some()
    }

    pub(crate) fn kms_token(&self) -> &str {
        &self.kms
    }

    fn token_of(&self, who: Who) -> Option<&str> {
        match who {
            Who::Nobody => None,
            Who::Root => Some(&self.root),
            Who::Kms => Some(&self.kms),
            Who::NoDefault => Some(&self.no_default),
            Who::Creator => Some(&self.creator),
        }
    }

    /// Sends a request below `/v1/` with any headers and body.
    pub(crate) async fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Got {
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.client
            .send(method, &format!("/v1/{path}"), headers, body)
            .await
            .unwrap()
    }

    pub(crate) async fn send(&self, method: &str, path: &str, who: Who, body: &str) -> Got {
        match self.token_of(who) {
            None => self.raw(method, path, &[], body).await,
            Some(token) => {
                self.raw(method, path, &[("x-vault-token", token)], body)
                    .await
            }
        }
    }

    pub(crate) async fn get(&self, path: &str, who: Who) -> Got {
        self.send("GET", path, who, "").await
    }

    pub(crate) async fn post(&self, path: &str, who: Who, body: Value) -> Got {
        self.send("POST", path, who, &body.to_string()).await
    }

    pub(crate) async fn root_post(&self, path: &str, body: Value) -> Got {
        self.post(path, Who::Root, body).await
    }

    /// With a token of one's own, inside a namespace or not.
    pub(crate) async fn post_as(&self, path: &str, token: &str, body: Value) -> Got {
        self.raw("POST", path, &[("x-vault-token", token)], &body.to_string())
            .await
    }

    pub(crate) async fn get_as(&self, path: &str, token: &str) -> Got {
        self.raw("GET", path, &[("x-vault-token", token)], "").await
    }

    /// A new token.
    pub(crate) async fn token(&self, body: Value) -> String {
        let auth = self.root_post("auth/token/create", body).await.auth();
        auth["client_token"].as_str().unwrap().to_owned()
    }

    /// A key with so many versions, made anew.
    pub(crate) async fn key(&self, name: &str, versions: usize) -> String {
        self.root_post(&format!("transit/keys/{name}"), json!({}))
            .await
            .data();
        for _ in 1..versions {
            self.root_post(&format!("transit/keys/{name}/rotate"), json!({}))
                .await
                .data();
        }
        name.to_owned()
    }

    pub(crate) async fn configure(&self, key: &str, body: Value) -> Got {
        self.root_post(&format!("transit/keys/{key}/config"), body)
            .await
    }

    pub(crate) async fn encrypt(&self, key: &str, body: Value) -> Got {
        self.root_post(&format!("transit/encrypt/{key}"), body)
            .await
    }

    pub(crate) async fn decrypt(&self, key: &str, body: Value) -> Got {
        self.root_post(&format!("transit/decrypt/{key}"), body)
            .await
    }

    /// A ciphertext of `aGk=`.
    pub(crate) async fn ciphertext(&self, key: &str) -> String {
        let data = self.encrypt(key, json!({"plaintext": "aGk="})).await.data();
        data["ciphertext"].as_str().unwrap().to_owned()
    }

    pub(crate) fn mint(&self, jwt: &Jwt) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        self.signer.mint(jwt, i64::try_from(now).unwrap()).unwrap()
    }

    pub(crate) async fn login(&self, role: &str, jwt: &str) -> Got {
        self.post(
            "auth/jwt/login",
            Who::Nobody,
            json!({"role": role, "jwt": jwt}),
        )
        .await
    }

    /// A request to the control endpoint.
    pub(crate) async fn steer(&self, method: &str, name: &str, body: &str) -> (u16, Value) {
        let server = self.emulator.as_ref().expect("an emulator-only case");
        let authority = server.control_address().strip_prefix("http://").unwrap();
        let stream = tokio::net::TcpStream::connect(authority).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream))
                .await
                .unwrap();
        let driver = tokio::spawn(connection);
        let request = http::Request::builder()
            .method(method)
            .uri(format!("/control/{name}"))
            .header("host", authority)
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
            .unwrap();
        let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        driver.abort();
        (
            parts.status.as_u16(),
            serde_json::from_slice(&body).unwrap(),
        )
    }
}
