//! Listeners: HTTP around the pure core, with the faults carried out.

mod reply;

mod act;

use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, Version};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::body::MAX_BODY;
use crate::control::{Control, Shared, handle};
use crate::envelope::Answer;
use crate::request::Request;
use crate::state::Node;
use crate::tls::Handshake;
use crate::wire::{Door, Ending, IDLE, Line, ListenerMode, Stream};
use act::{Fate, act};
use reply::{Ended, Manner, Reply, response};

const HANDSHAKE: Duration = Duration::from_secs(10);
/// After an error of the listener, so that it is not asked in a circle.
const PAUSE: Duration = Duration::from_millis(10);

/// Why a listener cannot be.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Somebody else could reach it.
    #[error(
        "listen address {0}: not a loopback address; bao-dev is for development only and refuses it"
    )]
    NotLoopback(SocketAddr),
    /// The system refuses.
    #[error("listen address {address}: cannot bind: {source}")]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Binds a loopback address; gives the listener and its port.
pub(crate) async fn bind(address: SocketAddr) -> Result<(StdListener, SocketAddr), ListenError> {
    if !address.ip().is_loopback() {
        return Err(ListenError::NotLoopback(address));
    }
    let refused = |source| ListenError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    Ok((listener.into_std().map_err(refused)?, bound))
}

/// Serves one node until `stop` changes; connections end with it.
pub(crate) async fn serve_node(shared: Arc<Shared>, node: Node, mut stop: watch::Receiver<bool>) {
    let mut door = shared.wire(node).door();
    let mut connections = JoinSet::new();
    while !*stop.borrow() {
        let now = door.borrow_and_update().clone();
        tokio::select! {
            _ = stop.changed() => {}
            Ok(()) = door.changed() => {}
            () = attend(&shared, node, now, &mut connections) => {}
        }
    }
    connections.shutdown().await;
}

/// Accepts connections, or waits until there are any to accept. Ends when it cannot go on.
async fn attend(shared: &Arc<Shared>, node: Node, door: Door, connections: &mut JoinSet<()>) {
    let Some(listener) = door.listener else {
        match door.reopen {
            None => std::future::pending().await,
            Some(reopen) => tokio::time::sleep_until(reopen).await,
        }
        if shared.wire(node).set_mode(ListenerMode::Open).is_err() {
            tokio::time::sleep(PAUSE).await;
        }
        return;
    };
    let listener = listener.try_clone().and_then(TcpListener::from_std);
    while let Ok(listener) = &listener {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_stream(Arc::clone(shared), node, stream));
                }
                Err(_) => break,
            }
        }
    }
    tokio::time::sleep(PAUSE).await;
}

async fn serve_stream(shared: Arc<Shared>, node: Node, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let (stream, line) = shared.wire(node).take(stream);
    let handshake = shared.wire(node).handshake();
    tokio::select! {
        biased;
        () = converse(&shared, node, stream, &line, handshake) => {}
        // What has been written by then has left: it is asked first.
        () = line.ended() => {}
    }
}

async fn converse(
    shared: &Arc<Shared>,
    node: Node,
    mut stream: Stream,
    line: &Arc<Line>,
    handshake: Handshake,
) {
    let config = match handshake {
        Handshake::Serve(config) => config,
        Handshake::Silent => return swallow(&mut stream).await,
        Handshake::Say(bytes) => {
            let _ = stream.read(&mut [0; 16_384]).await;
            let _ = stream.write_all(bytes).await;
            let _ = stream.shutdown().await;
            // Closing with bytes unread would reset what was just said.
            let _ = tokio::time::timeout(HANDSHAKE, swallow(&mut stream)).await;
            return;
        }
        Handshake::Reset => {
            let _ = stream.read(&mut [0; 16_384]).await;
            return line.end(Ending::Rst);
        }
    };
    let acceptor = TlsAcceptor::from(config);
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else {
        return;
    };
    let leave = async {
        tokio::select! {
            () = line.dismissed() => {}
            () = line.idled(shared.wire(node).idle_limit()) => {}
        }
    };
    let answer = |request| node_answer(Arc::clone(shared), node, Arc::clone(line), request);
    serve_connection(stream, answer, leave).await;
}

/// Reads until the other side has had enough.
async fn swallow(stream: &mut Stream) {
    let mut buffer = [0; 4096];
    while !matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {}
}

/// Serves the control endpoint until `stop` changes.
pub(crate) async fn serve_control(
    listener: StdListener,
    control: Control,
    mut stop: watch::Receiver<bool>,
) {
    // A listener that cannot be registered leaves a control endpoint that never answers.
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            _ = stop.changed() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = stream else { continue };
        let control = control.clone();
        let answer = move |request| control_answer(control.clone(), request);
        connections.spawn(serve_connection(stream, answer, std::future::pending()));
    }
    connections.shutdown().await;
}

/// Speaks HTTP until the client leaves; shuts down in good order once `leave` is over.
async fn serve_connection<I, F, R>(stream: I, answer: F, leave: impl Future<Output = ()>)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(http::Request<Incoming>) -> R,
    R: Future<Output = Result<Response<Reply>, Ended>> + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // A connection waits for its next request as long as the real server lets it.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(250);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service_fn(answer)));
    tokio::select! {
        biased;
        // An error ends the connection; that is what a fault wants of it.
        _ = connection.as_mut() => return,
        () = leave => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn node_answer(
    shared: Arc<Shared>,
    node: Node,
    line: Arc<Line>,
    request: http::Request<Incoming>,
) -> Result<Response<Reply>, Ended> {
    let work = line.work();
    let version = request.version();
    let request = whole(request).await?;
    if line.is_ended() {
        return std::future::pending().await;
    }
    let (seq, plan) = shared.plan(&request, node);
    if !plan.delay.is_zero() {
        tokio::time::sleep(plan.delay).await;
    }
    match act(&shared, node, &request, plan.action, &line) {
        Fate::Answered(answer, manner) => {
            shared.answered(seq, answer.status);
            Ok(response(answer, manner, version, Some((work, line))))
        }
        Fate::Ended => Err(Ended),
        Fate::Silence => std::future::pending().await,
    }
}

/// The request with its whole body; of one that is too large only that.
async fn whole(request: http::Request<Incoming>) -> Result<Request, Ended> {
    let (parts, body) = request.into_parts();
    let (body, too_large) = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => (body.to_bytes(), false),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => (Bytes::new(), true),
        Err(_) => return Err(Ended),
    };
    Ok(Request {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
        too_large,
    })
}

async fn control_answer(
    control: Control,
    request: http::Request<Incoming>,
) -> Result<Response<Reply>, Ended> {
    let request = whole(request).await?;
    let (status, body) = handle(&control, &request.method, &request.path, &request.body);
    let mut answer = Answer::new(status, body.to_string().into_bytes());
    answer.body.push(b'\n');
    Ok(response(answer, Manner::Whole, Version::HTTP_11, None))
}
