//! One connection: HTTP/2 with numbers that were each paid for once.

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    rt::{Read, ReadBufCursor, Write},
    server::conn::http2::Builder,
    service::Service,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::AsyncReadExt as _,
    net::UnixStream,
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    answer::{Answer, Asked},
    door::{Door, NotSent},
    metrics::{Metrics, Turned},
    peer::Peers,
    stream::Stream,
    untaken::{Held, Kind, Taker, Untaken},
};

/// How many connections are served at once.
pub(crate) const MAX_CONNECTIONS: usize = 128;

/// What a client sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A client that has not sent those 24 bytes by then is none.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);

/// A cold start sends up to a hundred Decrypts in a millisecond. Clients that have more queue
/// it themselves, inside their own deadline.
const STREAMS: u32 = 2048;
const HEADER_LIST: u32 = 16 * 1024;
/// Streams that the client canceled before we looked. The default of 20 ends the connection,
/// and with it every innocent call on it, when API clients cancel in a burst.
const PENDING_RESETS: usize = 100_000;
/// A whole message fits a window, so that no call waits for a window update.
const STREAM_WINDOW: u32 = 128 * 1024;
/// Half of it is what small DATA frames may cost, at 256 bytes each, until their handlers have
/// read them; beyond it the connection is ended. All streams at once must fit twice.
const CONNECTION_WINDOW: u32 = 2 * 2 * 256 * STREAMS;
const SEND_BUFFER: usize = 128 * 1024;
/// A client that does not even answer pings is stuck or gone.
const PING_INTERVAL: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// A client that was told to go, and has no calls any more, need not be waited for longer. The
/// last answers are written in that time, too.
const FAREWELL: Duration = Duration::from_secs(1);

/// What all connections share.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) door: Door,
    pub(crate) peers: Peers,
    pub(crate) metrics: Metrics,
    pub(crate) untaken: Untaken,
    /// Turns true when the service is asked to stop.
    pub(crate) stop: watch::Receiver<bool>,
}

/// Serves `stream` until either side ends it. Returns once all its calls have ended.
pub(crate) async fn serve(mut stream: UnixStream, host: Host) {
    if let Err(uid) = host.peers.admit(&stream) {
        host.metrics.turned_away(Turned::peer_not_allowed);
        tracing::warn!(uid, reason = "peer_not_allowed", "socket.turned_away");
        return;
    }
    let mut stop = host.stop.clone();
    let greeting = tokio::select! {
        greeting = greet(&mut stream) => greeting,
        _ = stop.wait_for(|stop| *stop) => return,
    };
    match greeting {
        Greeting::Http2 => speak(stream, host).await,
        Greeting::Gone => {}
        Greeting::Turned(reason) => {
            host.metrics.turned_away(reason);
            tracing::warn!(reason = ?reason, "socket.turned_away");
        }
    }
}

enum Greeting {
    Http2,
    /// Closed without a byte, as one who only looks whether somebody listens does.
    Gone,
    Turned(Turned),
}

async fn greet(stream: &mut UnixStream) -> Greeting {
    let mut first = [0; PREFACE.len()];
    let mut read = 0;
    let reading = async {
        while let Some(rest) = first.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match stream.read(rest).await {
                Ok(0) | Err(_) => break,
                Ok(more) => read += more,
            }
            // Garbage need not be waited for: TLS and HTTP/1 differ in the first bytes.
            if first.get(..read) != PREFACE.get(..read) {
                break;
            }
        }
    };
    let in_time = timeout(PREFACE_TIMEOUT, reading).await.is_ok();
    match (read, in_time) {
        _ if first == PREFACE => Greeting::Http2,
        (_, false) => Greeting::Turned(Turned::silent),
        (0, true) => Greeting::Gone,
        _ => Greeting::Turned(Turned::not_http2),
    }
}

async fn speak(stream: UnixStream, host: Host) {
    let stream = match Stream::new(PREFACE, stream) {
        Ok(stream) => stream,
        Err(error) => {
            tracing::warn!(error = %error, "socket.connection_failed");
            return;
        }
    };
    let calls = Calls::default();
    let client = host.untaken.client();
    let io = InOnePiece {
        stream: TokioIo::new(stream),
        client: client.clone(),
        full: None,
    };
    let served = Served {
        door: host.door,
        client: client.clone(),
    };
    let mut connection = pin!(builder(calls.clone()).serve_connection(io, served));
    let mut stop = host.stop;
    let mut stopping = pin!(async move {
        // The sender is dropped only after every connection has ended.
        let _ = stop.wait_for(|stop| *stop).await;
    });
    let mut farewell = None;
    let end = pin!(poll_fn(|cx| {
        if farewell.is_none() && stopping.as_mut().poll(cx).is_ready() {
            connection.as_mut().graceful_shutdown();
            farewell = Some(Box::pin(sleep(FAREWELL)));
        }
        let end = connection.as_mut().poll(cx);
        let reaped = calls.reap(cx);
        let waited = farewell.as_mut().is_some_and(|over| {
            // A call may have ended on another thread after the connection was polled, with
            // its answer still to be written.
            if reaped.some_ended {
                over.as_mut().reset(Instant::now() + FAREWELL);
            }
            over.as_mut().poll(cx).is_ready()
        });
        if end.is_pending() && waited && reaped.none_left {
            return Poll::Ready(Ok(()));
        }
        end
    }));
    tokio::select! {
        biased;
        cut = client.cut_off() => {
            host.metrics.cut_off(cut.reason);
            tracing::warn!(
                reason = ?cut.reason,
                answers = cut.answers,
                full_pipe = cut.full_pipe,
                "socket.connection_cut_off"
            );
        }
        end = end => if let Err(error) = end {
            // Every client that is killed looks like this; its calls are counted as canceled.
            tracing::debug!(error = %error, "socket.connection_ended");
        },
    }
    calls.end().await;
}

/// The door, with the name of who comes through it.
struct Served {
    door: Door,
    client: Taker,
}

impl Service<Request<Incoming>> for Served {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (door, client) = (self.door.clone(), self.client.clone());
        let request = request.map(|body| Asked::new(body, client.clone()));
        Box::pin(async move {
            let answer = door.answer(request).await;
            if answer.extensions().get::<NotSent>().is_some() {
                client.gave_up_on_a_request();
            }
            Ok(answer.map(|body| Answer::new(body, &client)))
        })
    }
}

fn builder(calls: Calls) -> Builder<Calls> {
    let mut builder = Builder::new(calls);
    builder
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        // Counted over the life of a connection, and this one lives for months.
        .max_local_error_reset_streams(None)
        .max_header_list_size(HEADER_LIST)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// A stream that takes one buffer at a time. HTTP/2 then copies an answer of ours, which is
/// small, behind its headers and sends both and the trailers with one system call; else the
/// message would be written from where it lies, and the trailers after it, and the client woken
/// for each. It also notices that the client does not read.
struct InOnePiece<S> {
    stream: S,
    client: Taker,
    full: Option<Held>,
}

impl<S: Read + Unpin> Read for InOnePiece<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: Write + Unpin> Write for InOnePiece<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if written.is_ready() {
            self.full = None;
        } else if self.full.is_none() {
            self.full = Some(self.client.hold(Kind::FullPipe(STREAMS)));
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        false
    }
}

/// The tasks of a connection's calls. The connection holds them and outlives them.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Calls {
    fn execute(&self, call: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(call);
    }
}

/// What a look at the calls has found.
struct Reaped {
    /// Since the last look.
    some_ended: bool,
    none_left: bool,
}

impl Calls {
    /// Lets go of calls that have ended, and asks to be woken when the next one does.
    fn reap(&self, cx: &mut Context<'_>) -> Reaped {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut some_ended = false;
        while let Poll::Ready(Some(_)) = tasks.poll_join_next(cx) {
            some_ended = true;
        }
        Reaped {
            some_ended,
            none_left: tasks.is_empty(),
        }
    }

    async fn end(&self) {
        let mut tasks = {
            let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *tasks)
        };
        tasks.shutdown().await;
    }
}
