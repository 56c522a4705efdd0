//! One request to one endpoint, as the floors above see it; the wire is behind a trait.
//!
//! Public for those who put another wire below the client, for example memory, to see what
//! the client itself costs.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::{operation::Operation, transit::BoxFuture};

/// What to send. Secrets in `body` and `token` are wiped when the last handle is gone.
pub struct Request {
    pub(crate) operation: Operation,
    /// GET or POST.
    pub method: Method,
    /// `/v1/...`
    pub path: String,
    /// JSON; empty with GET.
    pub body: Bytes,
    /// Absent in a login.
    pub token: Option<HeaderValue>,
}

/// Which way to send it.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// Index of the endpoint.
    pub endpoint: usize,
    /// On a connection that no earlier request used.
    pub new_connection: bool,
    /// Everything is over by then, the body included.
    pub until: Instant,
}

/// A complete answer.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Retry-After` in seconds, where it was sent.
    pub retry_after: Option<Duration>,
    /// May hold plaintext or a token.
    pub body: Zeroizing<Vec<u8>>,
}

/// What ended a TLS handshake, where it was not the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeFault {
    /// No TLS version, or no cipher, that both sides know.
    NothingInCommon,
    /// What came is no TLS, for example plain HTTP.
    NotTls,
    /// The connection ended.
    CutOff,
    /// Anything else.
    Other,
}

/// Why the server's certificate was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateFault {
    /// It, or one between it and the authority, is no longer valid.
    Expired,
    /// It, or one between it and the authority, is not yet valid.
    NotYetValid,
    /// It is for another name.
    OtherName,
    /// No authority of the bundle signed it.
    UnknownAuthority,
    /// Anything else, or there was none.
    Other,
}

/// Why there is no complete answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The host name does not resolve.
    Dns,
    /// Refused, or reset before the TLS handshake.
    Refused,
    /// No route to the host or its network.
    Unreachable,
    /// This node did not open the connection, for a reason of its own.
    Unopened,
    /// The name or TCP took too long.
    ConnectTimeout,
    /// TCP was there, and TLS took too long.
    HandshakeTimeout,
    /// The handshake failed.
    Tls(HandshakeFault),
    /// The handshake failed because of the server's certificate.
    Certificate(CertificateFault),
    /// The connection ended before the head of the answer.
    LostBeforeAnswer,
    /// The connection ended in the body.
    LostInAnswer,
    /// The head is not HTTP.
    NotHttp,
    /// One byte more than the operation allows.
    TooLarge,
    /// Not over by [`Route::until`].
    Timeout {
        /// Whether the head of the answer had come.
        answering: bool,
    },
}

/// Carries requests. Implemented by the HTTPS client and by fakes.
pub trait Transport: Send + Sync + 'static {
    /// How many endpoints there are; at least one.
    fn endpoints(&self) -> usize;

    /// `host:port` of an endpoint, for our own log: of several nodes, which one it was.
    fn name(&self, endpoint: usize) -> &str;

    /// Sends one request and reads the whole answer, following nothing and retrying nothing
    /// that may have reached the server. Over by `route.until`.
    fn send<'a>(
        &'a self,
        request: &'a Request,
        route: Route,
    ) -> BoxFuture<'a, Result<Answer, Failure>>;

    /// Lets go of what has been kept for too long. Called now and then.
    fn tidy(&self) {}
}
