//! The OpenBao that is asked: bao-dev, started here, or any other. What the provider needs is
//! made there under a name of its own and taken away again.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use bao_dev::testing::{Jwt, SERVER_NAME, Setup, Signer};
use http::Method;
use registry::{scope::Scope, snapshot::Snapshot};
use serde_json::{Value, json};
use stage::{places, process::Process};

use crate::line::{Address, Line, Problem};

/// Seconds that a token lives at most: longer than any run.
const TOKEN_TTL: i64 = 7200;

/// Where an OpenBao is, and what opens it.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) url: String,
    /// None: the host of the address.
    pub(crate) server_name: Option<String>,
    pub(crate) ca: PathBuf,
    pub(crate) token: String,
    pub(crate) namespace: String,
    pub(crate) pid: Option<u32>,
}

/// A bao-dev of our own, empty.
pub(crate) struct BaoDev {
    pub(crate) place: Place,
    _process: Process,
}

impl BaoDev {
    /// Starts it, with its files in `home`.
    pub(crate) async fn start(home: &Path) -> Result<Self, Problem> {
        let dir = home.join("bao-dev");
        let process = Process::start(
            &places::beside("bao-dev")?,
            ["up", "--virgin", "--dir", &dir.to_string_lossy()],
            &home.join("bao-dev.log"),
        )?;
        let file = dir.join("bao-dev.json");
        places::appears(&file).await?;
        let description: Value = serde_json::from_slice(&fs::read(&file)?)?;
        let text = |name: &str| {
            let value = description.get(name).and_then(Value::as_str);
            value
                .map(str::to_owned)
                .ok_or("bao-dev did not say where it is")
        };
        Ok(Self {
            place: Place {
                url: text("address")?,
                server_name: Some(SERVER_NAME.to_owned()),
                ca: dir.join("ca.crt"),
                token: text("root_token")?,
                namespace: String::new(),
                pid: Some(process.id()),
            },
            _process: process,
        })
    }
}

/// What the provider needs on a server: mount, key, policy and role, all of one name, which is
/// new, so that nothing that was there before is touched.
pub(crate) struct Backend {
    /// Which program, and its version.
    pub(crate) program: String,
    pub(crate) place: Place,
    /// Of mount, key, policy, auth method and role.
    pub(crate) name: String,
    pub(crate) jwt: PathBuf,
    pub(crate) address: Address,
    made: Vec<String>,
}

impl Backend {
    /// Makes it. Of an attempt that fails nothing is left.
    pub(crate) async fn prepare(program: &str, place: Place, home: &Path) -> Result<Self, Problem> {
        let mut backend = Self {
            program: program.to_owned(),
            address: Address::new(&place.url, place.server_name.as_deref(), &place.ca)?,
            place,
            name: format!("bench-{:08x}", fastrand::u32(..)),
            jwt: home.join("identity.jwt"),
            made: Vec::new(),
        };
        if let Err(problem) = backend.furnish().await {
            backend.remove().await?;
            return Err(format!(
                "{problem}\nthe benchmark cannot prepare the server, and has left nothing on it; the token must be \
                 allowed to mount a secrets engine and an auth method, and to write a policy"
            )
            .into());
        }
        Ok(backend)
    }

    /// Where it runs, as far as that matters for costs.
    pub(crate) fn whereabouts(&self) -> &'static str {
        match self.place.pid {
            Some(_) => "the same machine",
            None => "another machine or unknown",
        }
    }

    async fn furnish(&mut self) -> Result<(), Problem> {
        let name = self.name.as_str();
        let mut health = Line::tls(&self.address).await?;
        let answer = health.json(Method::GET, "/v1/sys/health", None).await?;
        if let Some(version) = answer.get("version").and_then(Value::as_str) {
            self.program = format!("{} {version}", self.program);
        }
        let mut line = self.master().await?;
        let signer = Signer::generate()?;
        let jwt = Jwt {
            expires_in: Some(TOKEN_TTL),
            not_before_in: Some(-10),
            ..Jwt::default()
        };
        let setup = Setup {
            mount: name.to_owned(),
            key: name.to_owned(),
            ..Setup::default()
        };
        let role = json!({
            "role_type": "jwt", "user_claim": "sub", "bound_audiences": [jwt.audience],
            "bound_subject": jwt.subject, "token_policies": [name], "token_ttl": TOKEN_TTL,
            "token_max_ttl": TOKEN_TTL,
        });
        let public: Vec<_> = signer.public_pems()?.into_iter().take(1).collect();
        let trust = json!({"jwt_validation_pubkeys": public, "bound_issuer": jwt.issuer});
        let steps = [
            (
                format!("sys/mounts/{name}"),
                json!({"type": "transit"}),
                true,
            ),
            (
                format!("{name}/config/keys"),
                json!({"disable_upsert": true}),
                false,
            ),
            (format!("{name}/keys/{name}"), json!({}), false),
            (
                format!("sys/policies/acl/{name}"),
                json!({"policy": setup.policy_text()}),
                true,
            ),
            (format!("sys/auth/{name}"), json!({"type": "jwt"}), true),
            (format!("auth/{name}/config"), trust, false),
            (format!("auth/{name}/role/{name}"), role, false),
        ];
        for (path, body, remove) in steps {
            line.json(Method::POST, &format!("/v1/{path}"), Some(&body))
                .await?;
            if remove {
                self.made.push(path);
            }
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let jwt = signer.mint(&jwt, i64::try_from(now)?)?;
        bao_dev::up::write(&self.jwt, jwt.as_bytes(), 0o640)?;
        Ok(())
    }

    async fn master(&self) -> Result<Line, Problem> {
        let line = Line::tls(&self.address).await?;
        line.with(&self.place.token, &self.place.namespace)
    }

    /// Takes away what was made.
    pub(crate) async fn remove(&mut self) -> Result<(), Problem> {
        if self.made.is_empty() {
            return Ok(());
        }
        let mut line = self.master().await?;
        while let Some(path) = self.made.pop() {
            line.json(Method::DELETE, &format!("/v1/{path}"), None)
                .await
                .map_err(|problem| format!("{problem}; remove {path} by hand"))?;
        }
        Ok(())
    }

    /// A token of the provider's role: what such a token may do is looked up for each request, as
    /// it is for the provider's.
    pub(crate) async fn login(&self) -> Result<String, Problem> {
        let mut line = Line::tls(&self.address).await?;
        line = line.with("", &self.place.namespace)?;
        let jwt = fs::read_to_string(&self.jwt)?;
        let login = json!({"role": self.name, "jwt": jwt.trim()});
        let path = format!("/v1/auth/{}/login", self.name);
        let answer = line.json(Method::POST, &path, Some(&login)).await?;
        let token = answer.pointer("/auth/client_token").and_then(Value::as_str);
        Ok(token.ok_or("the login gave no token")?.to_owned())
    }

    /// `count` connections with such a token.
    pub(crate) async fn lines(&self, count: usize) -> Result<Vec<Line>, Problem> {
        let token = self.login().await?;
        let mut lines = Vec::with_capacity(count);
        for _ in 0..count {
            let line = Line::tls(&self.address).await?;
            lines.push(line.with(&token, &self.place.namespace)?);
        }
        Ok(lines)
    }

    /// Where Transit does `operation`, as `encrypt`, with the key.
    pub(crate) fn path(&self, operation: &str) -> String {
        format!("/v1/{0}/{operation}/{0}", self.name)
    }

    /// What the provider derives from the key's first version.
    pub(crate) async fn snapshot(&self, scope: &Scope) -> Result<Snapshot, Problem> {
        let path = format!("/v1/{0}/keys/{0}", self.name);
        let key = self.master().await?.json(Method::GET, &path, None).await?;
        let created = key.pointer("/data/keys/1").and_then(Value::as_i64);
        let created = created.ok_or("the key has no first version")?;
        Ok(Snapshot::new(scope, "bench", 1, created))
    }
}
