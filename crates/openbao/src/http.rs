//! HTTP/1.1 over the connections of [`crate::connect`]: a keep-alive pool, and single use.

use std::{error::Error as _, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{CONTENT_TYPE, RETRY_AFTER},
    uri::{Authority, Scheme},
};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, Error as ClientError},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::pki_types::ServerName;
use tokio::time::timeout_at;
use zeroize::Zeroizing;

use crate::{
    connect::{ConnectError, Connector},
    settings::{Settings, SettingsError},
    tls::Trust,
    transit::BoxFuture,
    transport::{Answer, Failure, Request, Route, Transport},
};

/// The server drops idle connections after 300 s. Dropping them well before avoids the race in
/// which a request is sent on a connection that is just being closed.
const IDLE: Duration = Duration::from_secs(90);

/// Idle connections that are kept for each endpoint: as many as calls usually run at once.
const MAX_IDLE: usize = 32;

/// The most that hyper buffers of an answer's head.
const MAX_HEAD: usize = 64 * 1024;

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");

/// The HTTPS client. Knows no proxies and follows no redirects.
pub(crate) struct HttpTransport {
    pooled: Client<Connector, Full<Bytes>>,
    fresh: Client<Connector, Full<Bytes>>,
    endpoints: Vec<Authority>,
    namespace: Option<HeaderValue>,
}

impl HttpTransport {
    /// Reads the CA bundle; connects to nothing yet.
    pub(crate) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        if settings.endpoints.is_empty() {
            return Err(SettingsError::NoEndpoint);
        }
        let endpoints = settings
            .endpoints
            .iter()
            .map(|endpoint| endpoint.authority().parse())
            .collect::<Result<_, _>>()
            .map_err(|_| SettingsError::NotInUrl {
                what: "the OpenBao address",
            })?;
        let name = ServerName::try_from(settings.server_name.clone())
            .map_err(|_| SettingsError::ServerName)?;
        let trust = Arc::new(Trust::load(&settings.ca_file)?);
        let connector = Connector::new(trust, name, settings.timeout / 2);
        Ok(Self {
            pooled: client(connector.clone(), MAX_IDLE),
            fresh: client(connector, 0),
            endpoints,
            namespace: namespace_header(&settings.namespace)?,
        })
    }

    fn build(&self, request: &Request, route: Route) -> Option<http::Request<Full<Bytes>>> {
        let uri = Uri::builder()
            .scheme(Scheme::HTTPS)
            .authority(self.endpoints.get(route.endpoint)?.clone())
            .path_and_query(request.path.as_str())
            .build()
            .ok()?;
        let mut built = http::Request::new(Full::new(request.body.clone()));
        *built.method_mut() = request.method.clone();
        *built.uri_mut() = uri;
        let headers = built.headers_mut();
        if !request.body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(token) = &request.token {
            headers.insert(TOKEN, token.clone());
        }
        // `sys/health` would refuse it, but is none of the requests of this client.
        if let Some(namespace) = &self.namespace {
            headers.insert(NAMESPACE, namespace.clone());
        }
        Some(built)
    }
}

impl Transport for HttpTransport {
    fn endpoints(&self) -> usize {
        self.endpoints.len()
    }

    fn name(&self, endpoint: usize) -> &str {
        self.endpoints
            .get(endpoint)
            .map_or("unknown", Authority::as_str)
    }

    fn send<'a>(
        &'a self,
        request: &'a Request,
        route: Route,
    ) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            // Paths and endpoints were checked when the client was made.
            let built = self.build(request, route).ok_or(Failure::NotHttp)?;
            let client = if route.new_connection {
                &self.fresh
            } else {
                &self.pooled
            };
            let response = timeout_at(route.until, client.request(built))
                .await
                .map_err(|_| Failure::Timeout { answering: false })?
                .map_err(|error| failure(&error))?;
            let (head, body) = response.into_parts();
            let status = head.status.as_u16();
            let limit = request.operation.body_limit(status);
            let body = timeout_at(route.until, read_body(body, limit))
                .await
                .map_err(|_| Failure::Timeout { answering: true })??;
            Ok(Answer {
                status,
                retry_after: retry_after(&head.headers),
                body,
            })
        })
    }
}

fn client(connector: Connector, max_idle: usize) -> Client<Connector, Full<Bytes>> {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        // 0 switches the pool off: every request gets a connection of its own.
        .pool_max_idle_per_host(max_idle)
        .http1_max_buf_size(MAX_HEAD)
        .build(connector)
}

fn namespace_header(namespace: &str) -> Result<Option<HeaderValue>, SettingsError> {
    if namespace.is_empty() {
        return Ok(None);
    }
    HeaderValue::from_bytes(namespace.as_bytes())
        .map(Some)
        .map_err(|_| SettingsError::Namespace)
}

/// Reads at most one byte more than `limit`, whatever Content-Length says.
async fn read_body(mut body: Incoming, limit: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut parts: Vec<Bytes> = Vec::new();
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure::LostInAnswer)?;
        if let Ok(data) = frame.into_data() {
            length = length.saturating_add(data.len());
            if length > limit {
                return Err(Failure::TooLarge);
            }
            parts.push(data);
        }
    }
    // Allocated once at its final size, so that no copy is left behind by growth.
    let mut whole = Zeroizing::new(Vec::with_capacity(length));
    for part in parts {
        whole.extend_from_slice(&part);
        wipe(part);
    }
    Ok(whole)
}

/// Best effort: only a buffer that nobody else holds can be wiped.
fn wipe(part: Bytes) {
    if let Ok(unique) = part.try_into_mut() {
        let mut unique: BytesMut = unique;
        zeroize::Zeroize::zeroize(&mut *unique);
    }
}

/// Far beyond any deadline, so that a larger number means the same and no sum overflows.
const LONGEST_RETRY_AFTER: u64 = 3600;

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds.min(LONGEST_RETRY_AFTER)))
}

fn failure(error: &ClientError) -> Failure {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(connect) = inner.downcast_ref::<ConnectError>() {
            return match connect {
                ConnectError::Dns => Failure::Dns,
                ConnectError::Refused => Failure::Refused,
                ConnectError::Timeout => Failure::ConnectTimeout,
                ConnectError::Tls => Failure::Tls,
                ConnectError::Certificate => Failure::Certificate,
            };
        }
        if let Some(hyper) = inner.downcast_ref::<hyper::Error>()
            && hyper.is_parse()
        {
            return Failure::NotHttp;
        }
        source = inner.source();
    }
    if error.is_connect() {
        return Failure::Refused;
    }
    Failure::LostBeforeAnswer
}
