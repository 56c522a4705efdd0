//! Faults of ports, handshakes and connections, as a plain client sees them.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use bao_dev::testing::{
    Action, Control, DevServer, Ending, Fault, Listener, ListenerMode, Options, TlsMode,
};
use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::client::Client;

const ACTIVE: Option<Listener> = Some(Listener::Active);
/// Long enough for an answer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// After this a server that says nothing is taken for silent.
const SILENCE: Duration = Duration::from_millis(200);

/// A server with its set-up, and a client of each node.
struct Rig {
    server: DevServer,
    active: Client,
    standby: Client,
}

impl Rig {
    async fn new() -> Self {
        let server = DevServer::start(Options::default()).await.unwrap();
        Self {
            active: Client::new(server.address(), server.ca_pem()),
            standby: Client::new(server.standby_address(), server.ca_pem()),
            server,
        }
    }

    fn control(&self) -> &Control {
        self.server.control()
    }

    /// A kept connection to the active node, used once.
    async fn kept(&self) -> Kept {
        let mut kept = Kept(self.active.connect().await);
        assert_eq!(kept.ask().await.unwrap(), 200);
        kept
    }

    /// Whether a new connection to the active node gets an answer.
    async fn is_well(&self) -> bool {
        let got = self
            .active
            .send("GET", "/v1/sys/health", &[], Bytes::new())
            .await;
        got.is_ok_and(|got| got.status == 200)
    }

    /// Why a new connection to the active node fails.
    async fn trouble(&self) -> io::Error {
        let connected = timeout(PATIENCE, self.active.try_connect()).await.unwrap();
        connected.expect_err("a connection that fails")
    }
}

/// A connection that is kept.
struct Kept(TlsStream<TcpStream>);

impl Kept {
    async fn send(&mut self) -> io::Result<()> {
        let request = b"GET /v1/sys/health HTTP/1.1\r\nhost: localhost\r\n\r\n";
        self.0.write_all(request).await?;
        self.0.flush().await
    }

    /// The status of an answer; an end of the connection is an error.
    async fn status(&mut self) -> io::Result<u16> {
        let mut head = vec![0; 8192];
        match timeout(PATIENCE, self.0.read(&mut head)).await.unwrap()? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            length => Ok(String::from_utf8_lossy(&head[9..length.min(12)])
                .parse()
                .unwrap()),
        }
    }

    async fn ask(&mut self) -> io::Result<u16> {
        self.send().await?;
        self.status().await
    }

    /// How the connection ends, by itself.
    async fn end(&mut self) -> ErrorKind {
        self.status().await.unwrap_err().kind()
    }

    async fn is_silent(&mut self) -> bool {
        timeout(SILENCE, self.0.read_u8()).await.is_err()
    }
}

#[tokio::test]
async fn a_node_refuses_connections_until_it_is_open_again_on_the_same_port() {
    let rig = Rig::new().await;
    let mut kept = rig.kept().await;
    for _ in 0..3 {
        rig.control()
            .listener(ACTIVE, ListenerMode::Refuse)
            .unwrap();
        assert_eq!(rig.trouble().await.kind(), ErrorKind::ConnectionRefused);
        assert!(rig.standby.try_connect().await.is_ok());
        rig.control().listener(ACTIVE, ListenerMode::Open).unwrap();
        assert!(rig.is_well().await);
    }
    assert_eq!(kept.end().await, ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn connections_end_by_rst_or_by_fin_before_an_answer() {
    let rig = Rig::new().await;
    for (action, expected) in [
        (Action::Reset, ErrorKind::ConnectionReset),
        (Action::Close, ErrorKind::UnexpectedEof),
        (Action::ResetStream, ErrorKind::UnexpectedEof),
        (Action::LoseAnswer, ErrorKind::UnexpectedEof),
    ] {
        let mut kept = rig.kept().await;
        rig.control().fault(Fault::new(action.clone()).times(1));
        let end = kept.ask().await.unwrap_err();
        assert_eq!(end.kind(), expected, "{action:?}");
    }
}

#[tokio::test]
async fn connections_end_by_rst_or_by_fin_in_the_middle_of_a_body() {
    let rig = Rig::new().await;
    for (action, expected) in [
        (Action::ResetMidBody, ErrorKind::ConnectionReset),
        (Action::CloseMidBody, ErrorKind::UnexpectedEof),
    ] {
        let mut kept = rig.kept().await;
        rig.control().fault(Fault::new(action.clone()).times(1));
        kept.send().await.unwrap();
        let mut got = Vec::new();
        let end = timeout(PATIENCE, kept.0.read_to_end(&mut got)).await;
        assert_eq!(end.unwrap().unwrap_err().kind(), expected, "{action:?}");
        let text = String::from_utf8(got).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let length = head.to_lowercase();
        let length = length
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.unwrap().parse().unwrap();
        assert!(body.starts_with('{') && body.len() == length / 2, "{body}");
    }
}

#[tokio::test]
async fn a_stream_of_http2_is_reset_and_its_connection_goes_on() {
    let rig = Rig::new().await;
    let client = rig.active.with(&["h2"], rustls::DEFAULT_VERSIONS);
    let stream = client.connect().await;
    let executor = hyper_util::rt::TokioExecutor::new();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io)
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let mut ask = async || {
        let request = http::Request::get("https://localhost/v1/sys/health");
        let body = http_body_util::Empty::<Bytes>::new();
        let answer = sender.send_request(request.body(body).unwrap()).await;
        answer.map(|answer| answer.status().as_u16())
    };
    assert_eq!(ask().await.unwrap(), 200);
    rig.control()
        .fault(Fault::new(Action::ResetStream).times(1));
    assert!(ask().await.is_err());
    assert_eq!(ask().await.unwrap(), 200);
    let before = rig.control().connections(Listener::Active);
    assert_eq!(before.open, 1);
    // A GOAWAY: the connection ends without an error.
    rig.control().connections_close(ACTIVE, Ending::Graceful);
    timeout(PATIENCE, driver).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_handshake_is_never_answered() {
    let rig = Rig::new().await;
    let mut kept = rig.kept().await;
    rig.control().tls(ACTIVE, TlsMode::Silent).unwrap();
    assert!(timeout(SILENCE, rig.active.try_connect()).await.is_err());
    assert_eq!(kept.end().await, ErrorKind::UnexpectedEof);
    rig.control().tls(ACTIVE, TlsMode::Good).unwrap();
    assert!(rig.is_well().await);
}

#[tokio::test]
async fn a_black_hole_swallows_old_and_new_connections_and_gives_them_back() {
    let rig = Rig::new().await;
    let mut kept = rig.kept().await;
    rig.control()
        .listener(ACTIVE, ListenerMode::BlackHole)
        .unwrap();
    kept.send().await.unwrap();
    let connecting = rig.active.try_connect();
    tokio::pin!(connecting);
    assert!(timeout(SILENCE, &mut connecting).await.is_err());
    assert!(kept.is_silent().await);
    assert_eq!(rig.control().count("health"), 1);
    rig.control().listener(ACTIVE, ListenerMode::Open).unwrap();
    assert_eq!(kept.status().await.unwrap(), 200);
    let mut late = Kept(timeout(PATIENCE, connecting).await.unwrap().unwrap());
    assert_eq!(late.ask().await.unwrap(), 200);
}

#[tokio::test]
async fn every_trouble_with_tls_is_its_own_and_good_ends_it() {
    let rig = Rig::new().await;
    let mut kept = rig.kept().await;
    for (mode, words) in [
        (TlsMode::Expired, "Expired"),
        (TlsMode::NotYetValid, "NotValidYet"),
        (TlsMode::WrongName, "NotValidForName"),
        (TlsMode::UnknownCa, "UnknownIssuer"),
        (TlsMode::Version, "ProtocolVersion"),
        (TlsMode::Alert, "HandshakeFailure"),
        (TlsMode::Reset, "ConnectionReset"),
        (TlsMode::Plain, "InvalidContentType"),
    ] {
        rig.control().tls(ACTIVE, mode).unwrap();
        let trouble = format!("{:?}", rig.trouble().await);
        assert!(trouble.contains(words), "{mode:?}: {trouble}");
        rig.control().tls(ACTIVE, TlsMode::Good).unwrap();
        assert!(rig.is_well().await, "{mode:?}");
    }
    assert_eq!(kept.end().await, ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn a_server_that_speaks_only_tls_1_2_fails_those_who_insist_on_1_3() {
    let rig = Rig::new().await;
    rig.control().tls(ACTIVE, TlsMode::Tls12).unwrap();
    let stream = rig.active.connect().await;
    let version = stream.get_ref().1.protocol_version();
    assert_eq!(version, Some(rustls::ProtocolVersion::TLSv1_2));
    let modern = rig.active.with(&[], &[&rustls::version::TLS13]);
    assert!(modern.try_connect().await.is_err());
}

#[tokio::test]
async fn idle_connections_are_closed_and_busy_ones_are_not() {
    let rig = Rig::new().await;
    let mut idle = rig.kept().await;
    let mut busy = rig.kept().await;
    rig.control()
        .fault(Fault::new(Action::Delay { ms: 300 }).times(1));
    busy.send().await.unwrap();
    while rig.control().count("health") < 3 {
        tokio::task::yield_now().await;
    }
    let closed = rig.control().connections_close_idle(ACTIVE, Ending::Fin);
    assert_eq!(closed, 1);
    assert_eq!(idle.end().await, ErrorKind::UnexpectedEof);
    assert_eq!(busy.status().await.unwrap(), 200);
    for (how, expected) in [
        (Ending::Rst, ErrorKind::ConnectionReset),
        (Ending::Graceful, ErrorKind::UnexpectedEof),
    ] {
        let mut kept = rig.kept().await;
        assert!(rig.control().connections_close(ACTIVE, how) > 0);
        assert_eq!(kept.end().await, expected, "{how:?}");
    }
}

#[tokio::test]
async fn a_connection_without_a_request_ends_after_the_idle_time() {
    let rig = Rig::new().await;
    let mut kept = rig.kept().await;
    rig.control().idle_timeout(ACTIVE, 100);
    let start = Instant::now();
    assert_eq!(kept.end().await, ErrorKind::UnexpectedEof);
    assert!(start.elapsed() < Duration::from_secs(5));
    // A request under way is no idleness, however long it takes.
    rig.control().idle_timeout(ACTIVE, 300_000);
    let mut slow = rig.kept().await;
    rig.control()
        .fault(Fault::new(Action::Delay { ms: 400 }).times(1));
    slow.send().await.unwrap();
    while rig.control().count("health") < 3 {
        tokio::task::yield_now().await;
    }
    rig.control().idle_timeout(ACTIVE, 100);
    assert_eq!(slow.status().await.unwrap(), 200);
    assert_eq!(slow.end().await, ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn a_restart_drops_everything_refuses_for_a_while_and_keeps_its_state() {
    let rig = Rig::new().await;
    let mut kept = rig.kept().await;
    let version = rig.control().rotate().unwrap();
    let start = Instant::now();
    rig.control().restart(None, 1000, true).unwrap();
    assert_eq!(rig.trouble().await.kind(), ErrorKind::ConnectionRefused);
    assert!(rig.standby.try_connect().await.is_err());
    assert_eq!(kept.end().await, ErrorKind::ConnectionReset);
    while rig.active.try_connect().await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(start.elapsed() >= Duration::from_millis(1000));
    assert!(!rig.is_well().await, "it was to come back sealed");
    rig.control().unseal();
    assert!(rig.is_well().await);
    assert_eq!(rig.control().rotate().unwrap(), version + 1);
}

#[tokio::test]
async fn the_status_tells_how_the_listeners_stand() {
    let rig = Rig::new().await;
    let _kept = rig.kept().await;
    let standby = Some(Listener::Standby);
    rig.control()
        .listener(standby, ListenerMode::Refuse)
        .unwrap();
    rig.control().tls(standby, TlsMode::WrongName).unwrap();
    let status = rig.control().status();
    let expected = serde_json::json!({
        "active": {"mode": "open", "tls": "good", "connections": {"accepted": 1, "open": 1}},
        "standby": {"mode": "refuse", "tls": "wrong-name", "connections": {"accepted": 0, "open": 0}},
    });
    assert_eq!(status["listeners"], expected);
}

#[tokio::test]
async fn a_server_that_has_stopped_refuses_although_somebody_still_holds_its_handle() {
    let rig = Rig::new().await;
    let control = rig.control().clone();
    rig.server.stop().await;
    let refused = rig.active.try_connect().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert!(control.listener(ACTIVE, ListenerMode::Open).is_err());
}
