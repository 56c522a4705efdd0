//! Connections: name, TCP and TLS within one bound; no proxy, no plain HTTP.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::uri::Authority;
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
pub(crate) struct Connector {
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
        Self {
            trust,
            name,
            limit,
            opened: AtomicU64::new(0),
            reloaded: Mutex::new(None),
        }
    }

    /// A connection on which nothing has been sent.
    pub(crate) async fn connect(
        &self,
        authority: &Authority,
    ) -> Result<TlsStream<TcpStream>, ConnectError> {
        let until = Instant::now() + self.limit;
        let tcp = self.tcp(authority, until).await?;
        let tls = TlsConnector::from(self.trust.config());
        let handshake = timeout_at(until, tls.connect(self.name.clone(), tcp)).await;
        match handshake {
            Err(_) => Err(ConnectError::Timeout),
            Ok(Ok(stream)) => {
                let number = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
                tracing::trace!(connection = number, "openbao.connected");
                Ok(stream)
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

    async fn tcp(&self, authority: &Authority, until: Instant) -> Result<TcpStream, ConnectError> {
        let host = authority.host();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = authority.port_u16().ok_or(ConnectError::Refused)?;
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
