//! One connection: how it can be ended, silenced and found idle from outside.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustix::net::sockopt;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

/// How connections end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// A FIN at once, whatever is under way; TLS is not told.
    Fin,
    /// A TCP RST at once.
    Rst,
    /// As a server that shuts down: what is under way is answered, HTTP/2 gets a GOAWAY, TLS is told.
    Graceful,
}

fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known and wanted of one connection.
pub(crate) struct Line {
    ending: watch::Sender<Option<Ending>>,
    silent: AtomicBool,
    /// Who waits for the end of the silence.
    waiting: Mutex<Vec<Waker>>,
    /// Requests that are under way.
    busy: AtomicUsize,
    /// When the last of them ended.
    idle_since: Mutex<Instant>,
}

impl Line {
    pub(super) fn new(silent: bool) -> Self {
        Self {
            ending: watch::Sender::new(None),
            silent: AtomicBool::new(silent),
            waiting: Mutex::new(Vec::new()),
            busy: AtomicUsize::new(0),
            idle_since: Mutex::new(Instant::now()),
        }
    }

    /// Ends it. An abrupt ending overrules a graceful one, never the other way round.
    pub(crate) fn end(&self, how: Ending) {
        self.ending.send_if_modified(|ending| {
            let abrupt = matches!(ending, Some(Ending::Fin | Ending::Rst));
            if !abrupt {
                *ending = Some(how);
            }
            !abrupt
        });
    }

    /// Whether nothing may be answered on it any more.
    pub(crate) fn is_ended(&self) -> bool {
        matches!(*self.ending.borrow(), Some(Ending::Fin | Ending::Rst))
    }

    /// Waits until it is to end at once.
    pub(crate) async fn ended(&self) {
        let abrupt = |ending: &Option<Ending>| matches!(ending, Some(Ending::Fin | Ending::Rst));
        // The sender is ours, so that this never fails.
        let _ = self.ending.subscribe().wait_for(abrupt).await;
    }

    /// Waits until it is to end in good order.
    pub(crate) async fn dismissed(&self) {
        let graceful = |ending: &Option<Ending>| *ending == Some(Ending::Graceful);
        let _ = self.ending.subscribe().wait_for(graceful).await;
    }

    /// Waits until no request has been under way for as long as `limit` says.
    pub(crate) async fn idled(&self, mut limit: watch::Receiver<Duration>) {
        loop {
            let left = self.idle_left(*limit.borrow_and_update());
            if left.is_zero() {
                return;
            }
            tokio::select! {
                Ok(()) = limit.changed() => {}
                () = tokio::time::sleep(left) => {}
            }
        }
    }

    fn idle_left(&self, limit: Duration) -> Duration {
        if self.is_busy() {
            return limit;
        }
        limit.saturating_sub(locked(&self.idle_since).elapsed())
    }

    /// Whether a request is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire) > 0
    }

    /// Notes a request, until what this gives is dropped.
    pub(crate) fn work(self: &Arc<Self>) -> Work {
        self.busy.fetch_add(1, Ordering::AcqRel);
        Work(Arc::clone(self))
    }

    /// Nothing goes in or out, or everything again. Neither side is told.
    pub(super) fn silence(&self, silent: bool) {
        let mut waiting = locked(&self.waiting);
        self.silent.store(silent, Ordering::Release);
        if !silent {
            waiting.drain(..).for_each(Waker::wake);
        }
    }

    fn must_wait(&self, context: &Context<'_>) -> bool {
        if !self.silent.load(Ordering::Acquire) {
            return false;
        }
        let mut waiting = locked(&self.waiting);
        let silent = self.silent.load(Ordering::Acquire);
        if silent && !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            waiting.push(context.waker().clone());
        }
        silent
    }
}

/// A request under way.
pub(crate) struct Work(Arc<Line>);

impl Drop for Work {
    fn drop(&mut self) {
        *locked(&self.0.idle_since) = Instant::now();
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The connection's bytes.
pub(crate) struct Stream {
    inner: TcpStream,
    line: Arc<Line>,
}

impl Stream {
    pub(super) fn new(inner: TcpStream, line: Arc<Line>) -> Self {
        Self { inner, line }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if *self.line.ending.borrow() == Some(Ending::Rst) {
            // With no time to linger, the system resets a connection that is closed.
            let _ = sockopt::set_socket_linger(&self.inner, Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.line.must_wait(context) {
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.line.must_wait(context) {
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.line.must_wait(context) {
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
