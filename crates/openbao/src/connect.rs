//! Connections: name, TCP and TLS within one bound; no proxy, no plain HTTP.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use rustls::pki_types::ServerName;
use tokio::{
    net::{TcpStream, lookup_host},
    task::spawn_blocking,
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::tls::Trust;

/// Where a connection attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("the host name does not resolve")]
    Dns,
    #[error("the connection cannot be made")]
    Refused,
    #[error("connecting took too long")]
    Timeout,
    #[error("the TLS handshake failed")]
    Tls,
    #[error("the server's certificate was not accepted")]
    Certificate,
}

/// Makes TLS connections for the HTTP client.
#[derive(Clone)]
pub(crate) struct Connector(Arc<Inner>);

struct Inner {
    trust: Arc<Trust>,
    name: ServerName<'static>,
    limit: Duration,
    opened: AtomicU64,
    reloaded: Mutex<Option<Instant>>,
}

/// The CA bundle is not read more often than this, however many handshakes fail.
const RELOAD_PAUSE: Duration = Duration::from_secs(5);

impl Connector {
    /// `limit` bounds name resolution, TCP and TLS together.
    pub(crate) fn new(trust: Arc<Trust>, name: ServerName<'static>, limit: Duration) -> Self {
        Self(Arc::new(Inner {
            trust,
            name,
            limit,
            opened: AtomicU64::new(0),
            reloaded: Mutex::new(None),
        }))
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TlsConnection;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<TlsConnection, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.connect(&uri).await })
    }
}

impl Inner {
    async fn connect(&self, uri: &Uri) -> Result<TlsConnection, ConnectError> {
        let until = Instant::now() + self.limit;
        let tcp = self.tcp(uri, until).await?;
        let tls = TlsConnector::from(self.trust.config());
        let handshake = timeout_at(until, tls.connect(self.name.clone(), tcp)).await;
        match handshake {
            Err(_) => Err(ConnectError::Timeout),
            Ok(Ok(stream)) => {
                let number = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
                tracing::trace!(connection = number, "openbao.connected");
                Ok(TlsConnection(TokioIo::new(stream)))
            }
            Ok(Err(error)) => {
                let error = tls_error(&error);
                if error == ConnectError::Certificate {
                    self.reload_trust().await;
                }
                Err(error)
            }
        }
    }

    async fn tcp(&self, uri: &Uri, until: Instant) -> Result<TcpStream, ConnectError> {
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().ok_or(ConnectError::Refused)?;
        let addresses: Vec<SocketAddr> = timeout_at(until, lookup_host((host, port)))
            .await
            .map_err(|_| ConnectError::Timeout)?
            .map_err(|_| ConnectError::Dns)?
            .collect();
        if addresses.is_empty() {
            return Err(ConnectError::Dns);
        }
        let mut last = ConnectError::Refused;
        let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        for address in addresses {
            // A share of the time for each: one dead address must not eat it all.
            let now = Instant::now();
            let share = now + until.saturating_duration_since(now) / left;
            left -= 1;
            match timeout_at(share, TcpStream::connect(address)).await {
                Err(_) => last = ConnectError::Timeout,
                Ok(Err(_)) => last = ConnectError::Refused,
                Ok(Ok(stream)) => {
                    // Requests are single small writes; waiting for more costs milliseconds.
                    stream
                        .set_nodelay(true)
                        .map_err(|_| ConnectError::Refused)?;
                    return Ok(stream);
                }
            }
        }
        Err(last)
    }

    /// An authority may have been replaced: the next attempt uses the new bundle.
    async fn reload_trust(&self) {
        if !self.may_reload() {
            return;
        }
        let trust = Arc::clone(&self.trust);
        match spawn_blocking(move || trust.reload()).await {
            Ok(Ok(true)) => tracing::info!("tls.ca_reloaded"),
            Ok(Ok(false)) | Err(_) => {}
            Ok(Err(error)) => tracing::warn!(
                reason = %error,
                "tls.ca_unreadable"
            ),
        }
    }

    fn may_reload(&self) -> bool {
        let now = Instant::now();
        let mut reloaded = self.reloaded.lock().unwrap_or_else(PoisonError::into_inner);
        if reloaded.is_some_and(|last| now.saturating_duration_since(last) < RELOAD_PAUSE) {
            return false;
        }
        *reloaded = Some(now);
        true
    }
}

fn tls_error(error: &io::Error) -> ConnectError {
    let inner = error
        .get_ref()
        .and_then(|e| e.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            ConnectError::Certificate
        }
        _ => ConnectError::Tls,
    }
}

/// A TLS connection that the HTTP client can hold.
pub(crate) struct TlsConnection(TokioIo<TlsStream<TcpStream>>);

impl Connection for TlsConnection {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for TlsConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for TlsConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, bufs)
    }
}
