//! One GET, from the name to the last byte, within one limit.
//!
//! No proxy, no kept connection, and no redirects: a manifest URL names the machine that is root
//! here, and that machine cannot pass this on.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH, LOCATION, USER_AGENT},
};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use secret::SecretText;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{address::Address, remote::Answer, rules::MAX_BYTES};

/// Name, connection, request and answer together.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("did not answer within {} s", LIMIT.as_secs())]
    Timeout,
    #[error("has a name that cannot be resolved: {0}")]
    Name(io::Error),
    #[error(
        "has a name that does not lead to this host, and plain http is allowed to this host only"
    )]
    Elsewhere,
    #[error("cannot be connected to: {0}")]
    Connect(io::Error),
    #[error("has a host name that no certificate can be for")]
    ServerName,
    #[error("does not get through the TLS handshake: {0}")]
    Tls(io::Error),
    #[error("has a header that cannot be sent: {0}")]
    Header(HeaderName),
    #[error("did not answer as an HTTP server does, or broke off: {0}")]
    Http(hyper::Error),
    #[error("broke off its answer, or sent more or less than it announced")]
    Body,
    #[error("answered with more than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
    #[error("answered {status}{to}; redirects are not followed: name the final URL")]
    Redirect { status: u16, to: String },
    #[error("answered {0}")]
    Status(u16),
    #[error("answered with {0}, which is no manifest")]
    Type(String),
}

/// What goes out.
pub(crate) struct Question<'a> {
    pub(crate) address: &'a Address,
    pub(crate) headers: &'a [(HeaderName, SecretText)],
    pub(crate) tag: Option<&'a [u8]>,
    /// For https.
    pub(crate) trust: Option<Arc<ClientConfig>>,
}

/// Asks once.
pub(crate) async fn fetch(question: Question<'_>) -> Result<Answer, FetchError> {
    let asked = timeout(LIMIT, ask(question)).await;
    asked.unwrap_or(Err(FetchError::Timeout))
}

async fn ask(question: Question<'_>) -> Result<Answer, FetchError> {
    let address = question.address;
    let request = request(&question)?;
    let stream = connect(address).await?;
    let Some(trust) = question.trust else {
        return exchange(stream, request).await;
    };
    let name = ServerName::try_from(address.host.clone()).map_err(|_| FetchError::ServerName)?;
    let tls = TlsConnector::from(trust).connect(name, stream).await;
    exchange(tls.map_err(FetchError::Tls)?, request).await
}

async fn connect(address: &Address) -> Result<TcpStream, FetchError> {
    let found = lookup_host((address.host.as_str(), address.port)).await;
    let mut found: Vec<SocketAddr> = found.map_err(FetchError::Name)?.collect();
    if address.only_loopback {
        found.retain(|address| address.ip().is_loopback());
        if found.is_empty() {
            return Err(FetchError::Elsewhere);
        }
    }
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    let share = LIMIT / u32::try_from(found.len().max(1)).unwrap_or(u32::MAX);
    for address in found {
        // A share of the time for each: one dead address must not eat it all.
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(FetchError::Connect(last))
}

fn request(question: &Question<'_>) -> Result<Request<Empty<Bytes>>, FetchError> {
    let uri = &question.address.uri;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = path.parse().map_err(|_| FetchError::Header(LOCATION))?;
    let headers = request.headers_mut();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    headers.insert(HOST, value(&HOST, authority.as_bytes())?);
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(USER_AGENT, HeaderValue::from_static("staticpodd"));
    if let Some(tag) = question.tag {
        headers.insert(IF_NONE_MATCH, value(&IF_NONE_MATCH, tag)?);
    }
    let own = [HOST, ACCEPT, USER_AGENT];
    for name in own
        .iter()
        .filter(|own| question.headers.iter().any(|(name, _)| name == *own))
    {
        headers.remove(name);
    }
    for (name, text) in question.headers {
        let mut value = value(name, text.expose_secret().as_bytes())?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(request)
}

fn value(name: &HeaderName, bytes: &[u8]) -> Result<HeaderValue, FetchError> {
    HeaderValue::from_bytes(bytes).map_err(|_| FetchError::Header(name.clone()))
}

async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<Answer, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let opened = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = opened.map_err(FetchError::Http)?;
    let asking = async move {
        let response = sender
            .send_request(request)
            .await
            .map_err(FetchError::Http)?;
        read(response).await
    };
    // The connection is driven here and not by a task: nothing outlives the call. What it ends
    // with reaches the one who asks, too.
    let driving = async {
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        answer = asking => answer,
        () = driving => Err(FetchError::Body),
    }
}

async fn read(response: Response<Incoming>) -> Result<Answer, FetchError> {
    let (head, body) = response.into_parts();
    match head.status {
        StatusCode::OK => {}
        StatusCode::NOT_MODIFIED => return Ok(Answer::Unchanged),
        status if status.is_redirection() => {
            return Err(FetchError::Redirect {
                status: status.as_u16(),
                to: destination(&head.headers),
            });
        }
        status => return Err(FetchError::Status(status.as_u16())),
    }
    manifest_type(&head.headers)?;
    let limit = usize::try_from(MAX_BYTES).unwrap_or(usize::MAX);
    let body = Limited::new(body, limit).collect().await;
    let bytes = body.map_err(|error| match error.downcast::<hyper::Error>() {
        Ok(_) => FetchError::Body,
        Err(_) => FetchError::TooLarge,
    })?;
    let tag = head.headers.get(ETAG).map(|tag| tag.as_bytes().to_vec());
    Ok(Answer::Body {
        bytes: Arc::from(&*bytes.to_bytes()),
        tag,
    })
}

/// Where a redirect leads, without its query.
fn destination(headers: &HeaderMap) -> String {
    let location = headers.get(LOCATION).and_then(|to| to.to_str().ok());
    let place = location.and_then(|to| to.split(['?', '#']).next());
    place.map_or_else(String::new, |to| format!(" to {to}"))
}

/// A login page or an error page with status 200 is no manifest. Servers of plain files say
/// many things of YAML.
fn manifest_type(headers: &HeaderMap) -> Result<(), FetchError> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let text = value.to_str().unwrap_or("a type that is no text");
    let kind = text.split(';').next().unwrap_or_default();
    let kind = kind.trim().to_ascii_lowercase();
    let fine = [
        "application/json",
        "application/octet-stream",
        "text/plain",
        "",
    ];
    if fine.contains(&kind.as_str()) || kind.contains("yaml") || kind.ends_with("+json") {
        return Ok(());
    }
    Err(FetchError::Type(kind))
}
