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
use rustls::{CertificateError, pki_types::ServerName};
use tokio::{
    net::{TcpStream, lookup_host},
    task::spawn_blocking,
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    tls::Trust,
    transport::{CertificateFault, Failure, HandshakeFault},
};

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
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let until = Instant::now() + self.limit;
        let tcp = self.tcp(authority, until).await?;
        let tls = TlsConnector::from(self.trust.config());
        let handshake = timeout_at(until, tls.connect(self.name.clone(), tcp)).await;
        match handshake {
            Err(_) => Err(Failure::HandshakeTimeout),
            Ok(Ok(stream)) => {
                let number = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
                tracing::trace!(connection = number, "openbao.connected");
                Ok(stream)
            }
            Ok(Err(error)) => {
                let failure = handshake_failure(&error);
                if matches!(failure, Failure::Certificate(_)) {
                    self.reload_trust().await;
                }
                Err(failure)
            }
        }
    }

    async fn tcp(&self, authority: &Authority, until: Instant) -> Result<TcpStream, Failure> {
        let host = authority.host();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = authority.port_u16().ok_or(Failure::Unopened)?;
        let addresses: Vec<SocketAddr> = timeout_at(until, lookup_host((host, port)))
            .await
            .map_err(|_| Failure::ConnectTimeout)?
            .map_err(|_| Failure::Dns)?
            .collect();
        if addresses.is_empty() {
            return Err(Failure::Dns);
        }
        let mut last = Failure::Unopened;
        let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        for address in addresses {
            // A share of the time for each: one dead address must not eat it all.
            let now = Instant::now();
            let share = now + until.saturating_duration_since(now) / left;
            left -= 1;
            match timeout_at(share, TcpStream::connect(address)).await {
                Err(_) => last = Failure::ConnectTimeout,
                Ok(Err(error)) => last = tcp_failure(&error),
                Ok(Ok(stream)) => {
                    // Requests are single small writes; waiting for more costs milliseconds.
                    stream
                        .set_nodelay(true)
                        .map_err(|error| tcp_failure(&error))?;
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

fn tcp_failure(error: &io::Error) -> Failure {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkDown,
        NetworkUnreachable, TimedOut,
    };
    match error.kind() {
        ConnectionRefused | ConnectionReset | ConnectionAborted => Failure::Refused,
        HostUnreachable | NetworkUnreachable | NetworkDown => Failure::Unreachable,
        TimedOut => Failure::ConnectTimeout,
        _ => Failure::Unopened,
    }
}

fn handshake_failure(error: &io::Error) -> Failure {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let inner = error
        .get_ref()
        .and_then(|e| e.downcast_ref::<rustls::Error>());
    match (inner, error.kind()) {
        (Some(rustls::Error::InvalidCertificate(why)), _) => {
            Failure::Certificate(certificate_fault(why))
        }
        (Some(rustls::Error::NoCertificatesPresented), _) => {
            Failure::Certificate(CertificateFault::Other)
        }
        (Some(error), _) => Failure::Tls(handshake_fault(error)),
        (None, UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe) => {
            Failure::Tls(HandshakeFault::CutOff)
        }
        (None, _) => Failure::Tls(HandshakeFault::Other),
    }
}

fn handshake_fault(error: &rustls::Error) -> HandshakeFault {
    use rustls::{AlertDescription as Alert, Error, InvalidMessage, PeerIncompatible};
    match error {
        // A server that only says "handshake failure" found no cipher or group of ours.
        Error::AlertReceived(
            Alert::ProtocolVersion | Alert::HandshakeFailure | Alert::InsufficientSecurity,
        )
        | Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::NoCipherSuitesInCommon
            | PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NoSignatureSchemesInCommon,
        ) => HandshakeFault::NothingInCommon,
        // The first bytes of plain HTTP are no kind of record.
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => HandshakeFault::NotTls,
        _ => HandshakeFault::Other,
    }
}

fn certificate_fault(why: &CertificateError) -> CertificateFault {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext,
        NotValidYet, NotValidYetContext, UnknownIssuer,
    };
    match why {
        Expired | ExpiredContext { .. } => CertificateFault::Expired,
        NotValidYet | NotValidYetContext { .. } => CertificateFault::NotYetValid,
        NotValidForName | NotValidForNameContext { .. } => CertificateFault::OtherName,
        // An authority that was made anew under its old name has another key.
        UnknownIssuer | BadSignature => CertificateFault::UnknownAuthority,
        _ => CertificateFault::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use rustls::{AlertDescription, Error, InvalidMessage, PeerIncompatible};

    use super::*;

    #[test]
    fn a_connection_that_is_not_made_is_told_by_what_the_system_says() {
        for (kind, failure) in [
            (ErrorKind::ConnectionRefused, Failure::Refused),
            (ErrorKind::ConnectionReset, Failure::Refused),
            (ErrorKind::HostUnreachable, Failure::Unreachable),
            (ErrorKind::NetworkUnreachable, Failure::Unreachable),
            (ErrorKind::NetworkDown, Failure::Unreachable),
            (ErrorKind::TimedOut, Failure::ConnectTimeout),
            (ErrorKind::PermissionDenied, Failure::Unopened),
            (ErrorKind::AddrNotAvailable, Failure::Unopened),
        ] {
            assert_eq!(tcp_failure(&kind.into()), failure, "{kind}");
        }
    }

    #[test]
    fn a_certificate_is_refused_for_the_reason_that_it_has() {
        for (why, fault) in [
            (CertificateError::Expired, CertificateFault::Expired),
            (CertificateError::NotValidYet, CertificateFault::NotYetValid),
            (
                CertificateError::NotValidForName,
                CertificateFault::OtherName,
            ),
            (
                CertificateError::UnknownIssuer,
                CertificateFault::UnknownAuthority,
            ),
            (
                CertificateError::BadSignature,
                CertificateFault::UnknownAuthority,
            ),
            (CertificateError::Revoked, CertificateFault::Other),
            (CertificateError::BadEncoding, CertificateFault::Other),
            (CertificateError::InvalidPurpose, CertificateFault::Other),
        ] {
            let text = format!("{why:?}");
            let error = io::Error::new(ErrorKind::InvalidData, Error::InvalidCertificate(why));
            let failure = Failure::Certificate(fault);
            assert_eq!(handshake_failure(&error), failure, "{text}");
        }
        let error = io::Error::other(Error::NoCertificatesPresented);
        let failure = Failure::Certificate(CertificateFault::Other);
        assert_eq!(handshake_failure(&error), failure);
    }

    #[test]
    fn a_handshake_fails_for_want_of_a_version_of_tls_or_of_a_connection() {
        let version = PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig;
        for (error, fault) in [
            (
                Error::AlertReceived(AlertDescription::ProtocolVersion),
                HandshakeFault::NothingInCommon,
            ),
            (
                Error::AlertReceived(AlertDescription::HandshakeFailure),
                HandshakeFault::NothingInCommon,
            ),
            (
                Error::PeerIncompatible(version),
                HandshakeFault::NothingInCommon,
            ),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                HandshakeFault::NotTls,
            ),
            (
                Error::AlertReceived(AlertDescription::InternalError),
                HandshakeFault::Other,
            ),
            (Error::DecryptError, HandshakeFault::Other),
        ] {
            let text = format!("{error:?}");
            let error = io::Error::new(ErrorKind::InvalidData, error);
            assert_eq!(handshake_failure(&error), Failure::Tls(fault), "{text}");
        }
        for kind in [
            ErrorKind::UnexpectedEof,
            ErrorKind::ConnectionReset,
            ErrorKind::BrokenPipe,
        ] {
            let cut_off = Failure::Tls(HandshakeFault::CutOff);
            assert_eq!(handshake_failure(&kind.into()), cut_off, "{kind}");
        }
    }
}
