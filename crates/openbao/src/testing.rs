//! Fakes for unit tests: a scripted transport, a clock that follows tokio's, a JWT in a file.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use fastrand::Rng;
use pace::{Clock, Now};
use prometheus_client::registry::Registry;
use tokio::time::{Instant, sleep, sleep_until};
use zeroize::Zeroizing;

use crate::{
    client::OpenBao,
    settings::{Auth, JwtFile, Settings},
    transit::{BoxFuture, CallOptions},
    transport::{Answer, Failure, Request, Route, Transport},
};

/// Wall time at which every test begins.
pub(crate) const WALL: i64 = 1_800_000_000;

/// Both clocks from tokio's, so that a paused test moves them together.
pub(crate) struct TokioClock(Instant);

impl TokioClock {
    pub(crate) fn start() -> Arc<dyn Clock> {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Now {
        let mono = self.0.elapsed();
        Now {
            wall: WALL + i64::try_from(mono.as_secs()).unwrap(),
            mono,
        }
    }
}

/// A request as the fake saw it.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) operation: &'static str,
    pub(crate) path: String,
    pub(crate) body: String,
    pub(crate) token: Option<String>,
    pub(crate) endpoint: usize,
    pub(crate) new_connection: bool,
    /// Since the fake was made.
    pub(crate) at: Duration,
}

/// What the fake does with a request.
pub(crate) enum Reply {
    Answer(u16, String),
    RetryAfter(u16, u64),
    Fail(Failure),
    Hang,
    After(Duration, Box<Reply>),
}

impl Reply {
    pub(crate) fn error(status: u16, text: &str) -> Self {
        let text = serde_json::to_string(text).unwrap();
        Self::Answer(status, format!("{{\"errors\":[{text}]}}\n"))
    }

    pub(crate) fn data(data: &str) -> Self {
        Self::Answer(200, format!(r#"{{"request_id":"","data":{data}}}"#))
    }

    pub(crate) fn grant(token: &str, lease: u64, renewable: bool) -> Self {
        Self::Answer(
            200,
            format!(
                r#"{{"data":null,"auth":{{"client_token":"{token}","lease_duration":{lease},"renewable":{renewable}}}}}"#
            ),
        )
    }
}

/// What the log calls the endpoints.
const NAMES: [&str; 3] = ["bao-0.test:8200", "bao-1.test:8200", "bao-2.test:8200"];

type Handler = Box<dyn FnMut(&Sent) -> Reply + Send>;

/// A transport whose server is a closure.
pub(crate) struct Fake {
    endpoints: usize,
    start: Instant,
    handler: Mutex<Handler>,
    log: Mutex<Vec<Sent>>,
    tidied: Mutex<Vec<Duration>>,
}

impl Fake {
    pub(crate) fn new(
        endpoints: usize,
        handler: impl FnMut(&Sent) -> Reply + Send + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            endpoints,
            start: Instant::now(),
            handler: Mutex::new(Box::new(handler)),
            log: Mutex::new(Vec::new()),
            tidied: Mutex::new(Vec::new()),
        })
    }

    /// When it was told to let go of what it keeps.
    pub(crate) fn tidied(&self) -> Vec<Duration> {
        self.tidied.lock().unwrap().clone()
    }

    /// Everything that was sent so far.
    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.log.lock().unwrap().clone()
    }

    /// How often `operation` was sent.
    pub(crate) fn count(&self, operation: &str) -> usize {
        let sent = self.sent();
        sent.iter().filter(|s| s.operation == operation).count()
    }
}

impl Transport for Fake {
    fn endpoints(&self) -> usize {
        self.endpoints
    }

    fn tidy(&self) {
        self.tidied.lock().unwrap().push(self.start.elapsed());
    }

    fn name(&self, endpoint: usize) -> &str {
        NAMES[endpoint]
    }

    fn send<'a>(
        &'a self,
        request: &'a Request,
        route: Route,
    ) -> BoxFuture<'a, Result<Answer, Failure>> {
        let sent = Sent {
            operation: request.operation.as_str(),
            path: request.path.clone(),
            body: String::from_utf8(request.body.to_vec()).unwrap(),
            token: request.token.as_ref().map(|t| {
                assert!(t.is_sensitive());
                t.to_str().unwrap().to_owned()
            }),
            endpoint: route.endpoint,
            new_connection: route.new_connection,
            at: self.start.elapsed(),
        };
        self.log.lock().unwrap().push(sent.clone());
        let reply = (self.handler.lock().unwrap())(&sent);
        Box::pin(async move {
            tokio::select! {
                biased;
                answer = play(reply) => answer,
                () = sleep_until(route.until) => Err(Failure::Timeout { answering: false }),
            }
        })
    }
}

async fn play(reply: Reply) -> Result<Answer, Failure> {
    let answer = |status, body: String, retry_after| Answer {
        status,
        retry_after,
        body: Zeroizing::new(body.into_bytes()),
    };
    match reply {
        Reply::Answer(status, body) => Ok(answer(status, body, None)),
        Reply::RetryAfter(status, seconds) => {
            let body = r#"{"errors":["x"]}"#.to_owned();
            Ok(answer(status, body, Some(Duration::from_secs(seconds))))
        }
        Reply::Fail(failure) => Err(failure),
        Reply::Hang => std::future::pending().await,
        Reply::After(time, reply) => {
            sleep(time).await;
            Box::pin(play(*reply)).await
        }
    }
}

/// A compact JWS with these claims and a made-up signature.
pub(crate) fn jwt_of(claims: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!(
        "{}.{}.{}",
        part(r#"{"alg":"ES256"}"#),
        part(claims),
        part("signature")
    )
}

/// A client over a fake, with a JWT file that is good for a day.
pub(crate) struct Bench {
    pub(crate) client: Arc<OpenBao>,
    pub(crate) fake: Arc<Fake>,
    pub(crate) registry: Registry,
    pub(crate) jwt_file: PathBuf,
    _dir: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new(fake: &Arc<Fake>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let jwt_file = dir.path().join("identity.jwt");
        write_private(
            &jwt_file,
            &jwt_of(&format!(r#"{{"exp":{}}}"#, WALL + 86_400)),
        );
        let mut registry = Registry::default();
        let client = OpenBao::over(
            Arc::clone(fake) as Arc<dyn Transport>,
            settings(jwt_file.clone()),
            TokioClock::start(),
            &mut registry,
            Rng::with_seed(7),
        )
        .unwrap();
        Self {
            client,
            fake: Arc::clone(fake),
            registry,
            jwt_file,
            _dir: dir,
        }
    }

    /// Runs `test` beside the keeper's loop.
    pub(crate) async fn run<T>(&self, test: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            value = test => value,
            () = self.client.run(std::future::pending()) => unreachable!("the loop ended"),
        }
    }

    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

pub(crate) fn write_private(path: &std::path::Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn settings(jwt_file: PathBuf) -> Settings {
    Settings {
        endpoints: Vec::new(),
        namespace: String::new(),
        ca_file: PathBuf::new(),
        server_name: "localhost".to_owned(),
        timeout: Duration::from_secs(2),
        transit_mount: "transit".to_owned(),
        key_name: "k8s".to_owned(),
        refresh_ahead: Duration::from_secs(300),
        renewal_increment: Duration::from_secs(3600),
        login_timeout: Duration::from_secs(5),
        auth: Auth::JwtFile(JwtFile {
            mount: "jwt".to_owned(),
            role: "kms".to_owned(),
            file: jwt_file,
            min_remaining: Duration::from_secs(120),
            clock_skew_leeway: Duration::from_secs(30),
            issuer: None,
            audience: None,
            subject: None,
        }),
        log_request_ids: true,
    }
}

/// A deadline `ms` milliseconds from now.
pub(crate) fn within(ms: u64) -> CallOptions {
    CallOptions {
        deadline: Instant::now() + Duration::from_millis(ms),
        new_connection: false,
    }
}
