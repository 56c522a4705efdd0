//! Against real servers on loopback: one that speaks TLS and says whatever it is told to.

use std::{path::Path, sync::Mutex};

use pace::SystemClock;
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    sync::{oneshot, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::{
    testing::{Plain, PlainDecoder},
    view::Status,
};

const SOON: Duration = Duration::from_secs(20);

/// What a server answers next, and what it was asked.
#[derive(Default)]
struct Script {
    answer: Mutex<String>,
    asked: Mutex<Vec<String>>,
}

struct Server {
    port: u16,
    script: Arc<Script>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An authority, and a server's configuration under it for `name`.
fn certificates(name: &str) -> (String, Arc<ServerConfig>) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(params, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    (ca.pem(), Arc::new(config))
}

impl Server {
    async fn start(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = Arc::new(Script::default());
        let play = Arc::clone(&script);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                match &tls {
                    None => serve(stream, &play).await,
                    Some(config) => {
                        let acceptor = TlsAcceptor::from(Arc::clone(config));
                        if let Ok(stream) = acceptor.accept(stream).await {
                            serve(stream, &play).await;
                        }
                    }
                }
            }
        });
        Self { port, script, task }
    }

    fn says(&self, answer: &str) {
        answer.clone_into(&mut self.script.answer.lock().unwrap());
    }

    fn serves(&self, body: &str) {
        self.says(&ok(body, ""));
    }

    fn asked(&self) -> Vec<String> {
        self.script.asked.lock().unwrap().clone()
    }
}

fn ok(body: &str, headers: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, script: &Script) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let request = String::from_utf8(request).unwrap();
    script.asked.lock().unwrap().push(request);
    let answer = script.answer.lock().unwrap().clone();
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

struct Running {
    view: watch::Receiver<Arc<View<Plain>>>,
    orders: mpsc::Sender<Order>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    fetches: watch::Receiver<usize>,
}

fn settings(root: &Path, url: &str) -> Settings {
    Settings {
        address: Address::parse(url, false).unwrap(),
        headers: Vec::new(),
        ca_file: None,
        period: Duration::from_millis(20),
        root: root.to_owned(),
    }
}

impl Running {
    fn start(settings: Settings) -> Self {
        let clock = Arc::new(SystemClock::new());
        let (site, damaged) = Site::open(settings, Arc::new(PlainDecoder), clock).unwrap();
        assert!(damaged.is_empty());
        let (publish, view) = watch::channel(Arc::new(site.view()));
        let (count, fetches) = watch::channel(0);
        let (orders, receive) = mpsc::channel(1);
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            site.run(receive, stopped, |_, view| {
                publish.send_replace(view);
                count.send_modify(|count| *count += 1);
            })
            .await;
        });
        Self {
            view,
            orders,
            stop,
            task,
            fetches,
        }
    }

    async fn until(&mut self, what: &str, mut holds: impl FnMut(&View<Plain>) -> bool) {
        let waiting = self.view.wait_for(|view| holds(view));
        let arrived = timeout(SOON, waiting)
            .await
            .is_ok_and(|found| found.is_ok());
        assert!(arrived, "not seen: {what}; {:#?}", *self.view.borrow());
    }

    async fn in_force(&mut self, texts: &[&str]) {
        self.until(&texts.join(", "), |view| {
            let shown = view.in_force.iter().map(|good| good.pod.text.as_str());
            shown.eq(texts.iter().copied())
        })
        .await;
    }

    async fn trouble(&mut self, part: &str) {
        self.until(part, |view| {
            view.trouble.as_ref().is_some_and(|why| why.contains(part))
        })
        .await;
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(SOON, self.task).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn pods_come_over_https_from_the_host_that_the_own_authority_vouches_for() {
    let root = tempfile::tempdir().unwrap();
    let (ca, config) = certificates("localhost");
    let server = Server::start(Some(config)).await;
    server.says(&ok(
        "pod d/a 1",
        "etag: \"v1\"\r\ncontent-type: application/yaml\r\n",
    ));
    let ca_file = root.path().join("ca.crt");
    std::fs::write(&ca_file, ca).unwrap();
    let mut own = settings(
        root.path(),
        &format!("https://localhost:{}/pods?x=1", server.port),
    );
    own.ca_file = Some(ca_file);
    let header = |name: &'static str, value: &str| {
        (
            HeaderName::from_static(name),
            SecretText::new(value.to_owned()),
        )
    };
    own.headers = vec![
        header("authorization", "Bearer canary"),
        header("x-two", "1"),
        header("x-two", "2"),
    ];
    let mut running = Running::start(own);
    running.in_force(&["pod d/a 1"]).await;
    assert!(running.view.borrow().ready);
    let shown = format!("{:?}", *running.view.borrow());
    assert!(
        !shown.contains("canary") && !shown.contains("x=1"),
        "{shown}"
    );

    server.says("HTTP/1.1 304 Not Modified\r\n\r\n");
    while !server
        .asked()
        .iter()
        .any(|request| request.contains("if-none-match: \"v1\"\r\n"))
    {
        tokio::task::yield_now().await;
    }
    server.serves("items: []");
    running.in_force(&[]).await;
    let first = &server.asked()[0];
    assert!(first.starts_with("GET /pods?x=1 HTTP/1.1\r\n"), "{first}");
    assert!(
        first.contains(&format!("host: localhost:{}\r\n", server.port)),
        "{first}"
    );
    assert!(
        first.contains("authorization: Bearer canary\r\n"),
        "{first}"
    );
    assert!(first.contains("x-two: 1\r\nx-two: 2\r\n"), "{first}");
    running.stop().await;
}

#[tokio::test]
async fn a_host_that_nobody_trusted_vouches_for_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (_, config) = certificates("localhost");
    let (other, _) = certificates("localhost");
    let server = Server::start(Some(config)).await;
    server.serves("pod d/a 1");
    let ca_file = root.path().join("ca.crt");
    std::fs::write(&ca_file, other).unwrap();
    let mut own = settings(root.path(), &format!("https://localhost:{}/", server.port));
    own.ca_file = Some(ca_file.clone());
    let mut running = Running::start(own);
    running.trouble("TLS handshake").await;
    std::fs::write(&ca_file, "nothing").unwrap();
    running.trouble("no usable certificate authority").await;
    assert!(server.asked().is_empty());
    running.in_force(&[]).await;
    running.stop().await;
}

#[tokio::test]
async fn lies_and_failures_of_the_server_change_nothing_and_are_told() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(None).await;
    server.serves("pod d/a 1");
    let url = format!("http://127.0.0.1:{}/p", server.port);
    let mut running = Running::start(settings(root.path(), &url));
    running.in_force(&["pod d/a 1"]).await;
    let large = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(11 << 20));
    for (answer, why) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\npod d/a 2",
            "broke off",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\npod d/a 2\r\n",
            "broke off",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "empty body"),
        (
            "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n",
            "answered 500",
        ),
        (
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            "answered 404",
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", "answered 204"),
        (
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/other?secret\r\ncontent-length: 0\r\n\r\n",
            "answered 302 to http://127.0.0.1:1/other; redirects",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: 9\r\n\r\npod d/a 2",
            "text/html",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nbroken !",
            "no pod",
        ),
        ("SSH-2.0-OpenSSH_9.2\r\n", "HTTP server"),
        ("", "broke off"),
        (large.as_str(), "more than 10 MiB"),
    ] {
        server.says(answer);
        running.trouble(why).await;
        running.in_force(&["pod d/a 1"]).await;
    }
    server.serves("pod d/a 2");
    running.in_force(&["pod d/a 2"]).await;
    running
        .until("no trouble", |view| view.trouble.is_none())
        .await;
    running.stop().await;
}

#[tokio::test]
async fn a_server_that_is_away_at_the_start_leaves_what_was_kept_in_force() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(None).await;
    server.serves("pod d/a 1\npod d/b 1");
    let url = format!("http://127.0.0.1:{}/p", server.port);
    let mut running = Running::start(settings(root.path(), &url));
    running.in_force(&["pod d/a 1", "pod d/b 1"]).await;
    running.stop().await;
    drop(server);
    let mut running = Running::start(settings(root.path(), &url));
    running.trouble("cannot be connected to").await;
    running.in_force(&["pod d/a 1", "pod d/b 1"]).await;
    assert!(!running.view.borrow().ready);
    running.stop().await;
}

#[tokio::test]
async fn an_order_fetches_at_once() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(None).await;
    server.serves("pod d/a 1");
    let mut own = settings(root.path(), &format!("http://127.0.0.1:{}/p", server.port));
    own.period = Duration::from_secs(3_600);
    let mut running = Running::start(own);
    running.in_force(&["pod d/a 1"]).await;
    server.serves("pod d/a 2");
    running.orders.send(Order::Look).await.unwrap();
    running.in_force(&["pod d/a 2"]).await;
    assert_eq!(running.view.borrow().files[0].status, Status::Ok);
    assert!(*running.fetches.borrow() >= 2);
    running.stop().await;
}

#[tokio::test]
async fn a_name_of_this_host_that_leads_elsewhere_is_not_asked_over_plain_http() {
    let server = Server::start(None).await;
    let url = format!("http://localhost:{}/", server.port);
    let mut address = Address::parse(&url, false).unwrap();
    // As a resolver might answer that somebody else runs.
    address.host = "192.0.2.1".into();
    let question = Question {
        address: &address,
        headers: &[],
        tag: None,
        trust: None,
    };
    let error = fetch(question).await.unwrap_err();
    assert!(error.to_string().contains("does not lead to this host"));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up_after_ten_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/");
    let address = Address::parse(&url, false).unwrap();
    let question = Question {
        address: &address,
        headers: &[],
        tag: None,
        trust: None,
    };
    let before = tokio::time::Instant::now();
    let error = fetch(question).await.unwrap_err();
    assert_eq!(error.to_string(), "did not answer within 10 s");
    assert!(before.elapsed() < Duration::from_secs(11));
}
