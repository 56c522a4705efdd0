//! The streams of a command: from whoever asked to the runtime's own server for them, which
//! listens on loopback. Not a byte of them is looked at.

use std::time::Duration;

use http::{Uri, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::TcpStream,
    time::timeout,
};

/// For the runtime's server to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of the head of its answer.
const LONGEST: usize = 16 * 1024;
/// What this side can speak beyond the head.
pub(crate) const PROTOCOL: &str = "SPDY/3.1";

/// The runtime's half, ready.
pub(crate) struct Half {
    stream: TcpStream,
    /// What came behind the head of the answer.
    early: Vec<u8>,
}

/// Connects to the address that the runtime gave.
pub(crate) async fn reach(url: &str) -> Result<Half, String> {
    let opening = timeout(PATIENCE, open(url));
    let late = |_| format!("the runtime's streams at {url} do not answer within {PATIENCE:?}");
    opening.await.map_err(late)?
}

async fn open(url: &str) -> Result<Half, String> {
    let uri: Uri = url
        .parse()
        .map_err(|_| format!("the runtime's streams are at {url}, which is no address"))?;
    if uri.scheme_str() != Some("http") {
        return Err(format!(
            "the runtime's streams at {url} want TLS; turn that off in the runtime's configuration"
        ));
    }
    let (Some(authority), Some(host)) = (uri.authority(), uri.host()) else {
        return Err(format!(
            "the runtime's streams are at {url}, which has no host"
        ));
    };
    let broken = |error: std::io::Error| format!("the runtime's streams at {url}: {error}");
    let host = host.trim_matches(['[', ']']);
    let port = uri.port_u16().unwrap_or(80);
    let mut stream = TcpStream::connect((host, port)).await.map_err(broken)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let head = format!(
        "POST {path} HTTP/1.1\r\n{}: {authority}\r\n{}: Upgrade\r\n{}: {PROTOCOL}\r\n\
         X-Stream-Protocol-Version: v4.channel.k8s.io\r\n{}: 0\r\n\r\n",
        header::HOST,
        header::CONNECTION,
        header::UPGRADE,
        header::CONTENT_LENGTH,
    );
    stream.write_all(head.as_bytes()).await.map_err(broken)?;
    let mut came = Vec::new();
    let end = loop {
        if let Some(end) = came.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if came.len() > LONGEST {
            return Err(format!(
                "the runtime's streams at {url} answer with too much"
            ));
        }
        if stream.read_buf(&mut came).await.map_err(broken)? == 0 {
            return Err(format!("the runtime's streams at {url} were closed"));
        }
    };
    let early = came.split_off(end);
    if !came.starts_with(b"HTTP/1.1 101") {
        let said = came.split(|byte| *byte == b'\r').next().unwrap_or_default();
        return Err(format!(
            "the runtime's streams at {url} say {}: {}",
            String::from_utf8_lossy(said),
            String::from_utf8_lossy(&early).trim()
        ));
    }
    Ok(Half { stream, early })
}

/// Carries bytes until both sides have ended, or one broke off.
pub(crate) async fn carry(half: Half, asker: OnUpgrade) {
    let Half { mut stream, early } = half;
    let Ok(asker) = asker.await else {
        return;
    };
    let mut asker = TokioIo::new(asker);
    if asker.write_all(&early).await.is_ok() {
        // Whoever breaks off knows it.
        let _ = copy_bidirectional(&mut asker, &mut stream).await;
    }
}
