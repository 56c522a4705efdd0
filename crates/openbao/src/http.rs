//! HTTP/1.1 over the connections of [`crate::connect`]: kept alive, and single use.

use std::{sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{CONTENT_TYPE, HOST, RETRY_AFTER},
    response::Parts,
    uri::Authority,
};
use http_body_util::Full;
use rustls::pki_types::ServerName;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use crate::{
    channel::{Channel, Lost, Outgoing},
    connect::Connector,
    idle::Idle,
    settings::{Settings, SettingsError},
    tls::Trust,
    transit::BoxFuture,
    transport::{Answer, Failure, Request, Route, Transport},
};

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");

/// The HTTPS client. Knows no proxies and follows no redirects.
pub(crate) struct HttpTransport {
    connector: Connector,
    endpoints: Vec<Endpoint>,
    namespace: Option<HeaderValue>,
}

struct Endpoint {
    authority: Authority,
    host: HeaderValue,
    idle: Idle<Channel>,
}

impl Endpoint {
    fn new(authority: &str) -> Result<Self, SettingsError> {
        let unusable = || SettingsError::NotInUrl {
            what: "the OpenBao address",
        };
        Ok(Self {
            authority: authority.parse().map_err(|_| unusable())?,
            host: HeaderValue::from_str(authority).map_err(|_| unusable())?,
            idle: Idle::new(),
        })
    }
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
            .map(|endpoint| Endpoint::new(&endpoint.authority()))
            .collect::<Result<_, _>>()?;
        let name = ServerName::try_from(settings.server_name.clone())
            .map_err(|_| SettingsError::ServerName)?;
        let trust = Arc::new(Trust::load(&settings.ca_file)?);
        Ok(Self {
            connector: Connector::new(trust, name, settings.timeout / 2),
            endpoints,
            namespace: namespace_header(&settings.namespace)?,
        })
    }

    fn build(&self, request: &Request, host: &HeaderValue) -> Option<Box<Outgoing>> {
        let mut built = http::Request::new(Full::new(request.body.clone()));
        *built.method_mut() = request.method.clone();
        *built.uri_mut() = Uri::try_from(request.path.as_str()).ok()?;
        let headers = built.headers_mut();
        headers.insert(HOST, host.clone());
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
        Some(Box::new(built))
    }

    async fn exchange(
        &self,
        request: &Request,
        route: Route,
        answering: &mut bool,
    ) -> Result<Answer, Failure> {
        // Paths and endpoints were checked when the client was made.
        let endpoint = self.endpoints.get(route.endpoint);
        let endpoint = endpoint.ok_or(Failure::NotHttp)?;
        let mut outgoing = self
            .build(request, &endpoint.host)
            .ok_or(Failure::NotHttp)?;
        let limit = |status| request.operation.body_limit(status);
        while !route.new_connection
            && let Some(mut channel) = endpoint.idle.take(Instant::now())
        {
            match channel.ask(outgoing, answering, limit).await {
                Ok((head, body)) => {
                    keep(endpoint, channel);
                    return Ok(answer(&head, body));
                }
                // The server has closed it while it was idle, and maybe others.
                Err(Lost::Unsent(request)) => outgoing = request,
                Err(Lost::Sent(failure)) => return Err(failure),
            }
        }
        let stream = self.connector.connect(&endpoint.authority).await?;
        let mut channel = Channel::over(stream).await?;
        match channel.ask(outgoing, answering, limit).await {
            Ok((head, body)) => {
                if !route.new_connection {
                    keep(endpoint, channel);
                }
                Ok(answer(&head, body))
            }
            Err(Lost::Unsent(_)) => Err(Failure::LostBeforeAnswer),
            Err(Lost::Sent(failure)) => Err(failure),
        }
    }
}

fn keep(endpoint: &Endpoint, channel: Channel) {
    if channel.is_open() {
        endpoint.idle.put(channel, Instant::now());
    }
}

fn answer(head: &Parts, body: Zeroizing<Vec<u8>>) -> Answer {
    Answer {
        status: head.status.as_u16(),
        retry_after: retry_after(&head.headers),
        body,
    }
}

impl Transport for HttpTransport {
    fn endpoints(&self) -> usize {
        self.endpoints.len()
    }

    fn name(&self, endpoint: usize) -> &str {
        self.endpoints
            .get(endpoint)
            .map_or("unknown", |endpoint| endpoint.authority.as_str())
    }

    fn send<'a>(
        &'a self,
        request: &'a Request,
        route: Route,
    ) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            let mut answering = false;
            let exchange = self.exchange(request, route, &mut answering);
            let outcome = timeout_at(route.until, exchange).await;
            outcome.unwrap_or(Err(Failure::Timeout { answering }))
        })
    }

    fn tidy(&self) {
        let now = Instant::now();
        self.endpoints
            .iter()
            .for_each(|endpoint| endpoint.idle.sweep(now));
    }
}

fn namespace_header(namespace: &str) -> Result<Option<HeaderValue>, SettingsError> {
    if namespace.is_empty() {
        return Ok(None);
    }
    HeaderValue::from_bytes(namespace.as_bytes())
        .map(Some)
        .map_err(|_| SettingsError::Namespace)
}

/// Far beyond any deadline, so that a larger number means the same and no sum overflows.
const LONGEST_RETRY_AFTER: u64 = 3600;

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds.min(LONGEST_RETRY_AFTER)))
}
