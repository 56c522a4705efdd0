//! Listeners: HTTP around the pure core, with the faults carried out.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::body::MAX_BODY;
use crate::control::{Control, Shared, handle};
use crate::envelope::Answer;
use crate::faults::{Action, edit};
use crate::request::Request;
use crate::state::Node;

const HANDSHAKE: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(300);

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
pub(crate) async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ListenError> {
    if !address.ip().is_loopback() {
        return Err(ListenError::NotLoopback(address));
    }
    let refused = |source| ListenError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    Ok((listener, bound))
}

/// Serves one node until `stop` changes; connections end with it.
pub(crate) async fn serve_node(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    shared: Arc<Shared>,
    node: Node,
    stop: watch::Receiver<bool>,
) {
    let acceptor = TlsAcceptor::from(tls);
    accept(listener, stop, |stream| {
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        async move {
            let _ = stream.set_nodelay(true);
            let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await
            else {
                return;
            };
            serve_connection(stream, move |request| {
                node_answer(Arc::clone(&shared), node, request)
            })
            .await;
        }
    })
    .await;
}

/// Serves the control endpoint until `stop` changes.
pub(crate) async fn serve_control(
    listener: TcpListener,
    control: Control,
    stop: watch::Receiver<bool>,
) {
    accept(listener, stop, |stream| {
        let control = control.clone();
        serve_connection(stream, move |request| {
            control_answer(control.clone(), request)
        })
    })
    .await;
}

/// Gives each connection to a task of its own until `stop` changes; then ends them all.
async fn accept<R>(
    listener: TcpListener,
    mut stop: watch::Receiver<bool>,
    serve: impl Fn(TcpStream) -> R,
) where
    R: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            _ = stop.changed() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = stream else { continue };
        connections.spawn(serve(stream));
    }
    connections.shutdown().await;
}

/// An error here ends the connection; that is what a reset is.
async fn serve_connection<I, F, R>(stream: I, answer: F)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(http::Request<Incoming>) -> R + Send + 'static,
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
    let _ = builder
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .await;
}

/// A connection that ends on purpose.
#[derive(Debug, Error)]
#[error("connection ended by a fault rule")]
struct Ended;

/// A body: whole, or cut off after a part.
struct Reply {
    bytes: Option<Bytes>,
    cut: bool,
    /// Whether what came before the cut has had its chance to leave.
    flushed: bool,
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Ended;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Ended>>> {
        let next = match self.bytes.take() {
            Some(bytes) => Some(Ok(Frame::data(bytes))),
            None if self.cut && !self.flushed => {
                // A body that has to wait makes the server flush what it has.
                self.flushed = true;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            None if self.cut => Some(Err(Ended)),
            None => None,
        };
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none() && !self.cut
    }

    fn size_hint(&self) -> SizeHint {
        if self.cut {
            return SizeHint::default();
        }
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

async fn node_answer(
    shared: Arc<Shared>,
    node: Node,
    request: http::Request<Incoming>,
) -> Result<Response<Reply>, Ended> {
    let version = request.version();
    let request = whole(request).await?;
    let (seq, plan) = shared.plan(&request, node);
    if !plan.delay.is_zero() {
        tokio::time::sleep(plan.delay).await;
    }
    let query = if request.query.is_empty() {
        String::new()
    } else {
        format!("?{}", request.query)
    };
    let target = format!("{}{query}", request.path);
    let made = plan
        .action
        .as_ref()
        .and_then(|action| action.answer(&target));
    let (answer, cut) = match (made, plan.action) {
        (Some(answer), _) => (answer, false),
        (None, None) => (shared.answer(&request, node), false),
        (None, Some(Action::Hang)) => std::future::pending().await,
        (None, Some(Action::LoseAnswer)) => {
            shared.answer(&request, node);
            return Err(Ended);
        }
        (None, Some(Action::ResetMidBody)) => (shared.answer(&request, node), true),
        (None, Some(Action::Edit { pointer, value })) => {
            let mut answer = shared.answer(&request, node);
            answer.body = edit(&answer.body, &pointer, value.as_ref());
            (answer, false)
        }
        (None, Some(_)) => return Err(Ended),
    };
    shared.answered(seq, answer.status);
    Ok(response(answer, cut, version))
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

fn response(answer: Answer, cut: bool, version: Version) -> Response<Reply> {
    let mut bytes = Bytes::from(answer.body);
    let length = bytes.len();
    if cut {
        bytes.truncate(length / 2);
    }
    let mut response = Response::new(Reply {
        bytes: Some(bytes).filter(|bytes| !bytes.is_empty()),
        cut,
        flushed: false,
    });
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        "strict-transport-security",
        HeaderValue::from_static("max-age=31536000; includeSubDomains"),
    );
    if answer.no_store {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if cut {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if answer.close && version <= Version::HTTP_11 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    for (name, value) in answer.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            headers.insert(name, value);
        }
    }
    response
}

async fn control_answer(
    control: Control,
    request: http::Request<Incoming>,
) -> Result<Response<Reply>, Ended> {
    let request = whole(request).await?;
    let (status, body) = handle(&control, &request.method, &request.path, &request.body);
    let mut answer = Answer::new(status, body.to_string().into_bytes());
    answer.body.push(b'\n');
    Ok(response(answer, false, Version::HTTP_11))
}
