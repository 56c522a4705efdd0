//! A small HTTPS client, and assertions about what it got.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where requests go. Every request has a connection of its own.
pub(crate) struct Client {
    authority: String,
    roots: Arc<RootCertStore>,
    config: Arc<ClientConfig>,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    pub(crate) fn new(address: &str, ca_pem: &str) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let authority = address
            .strip_prefix("https://")
            .unwrap()
            .trim_end_matches('/')
            .to_owned();
        let roots = Arc::new(roots);
        let config = config(&roots, rustls::DEFAULT_VERSIONS, &[]);
        Self {
            authority,
            roots,
            config,
        }
    }

    /// The same, with other protocol versions and names of HTTP.
    pub(crate) fn with(
        &self,
        alpn: &[&str],
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let config = config(&self.roots, versions, alpn);
        Self {
            authority: self.authority.clone(),
            roots: Arc::clone(&self.roots),
            config,
        }
    }

    pub(crate) async fn connect(&self) -> TlsStream<TcpStream> {
        self.try_connect().await.unwrap()
    }

    /// An error is a connection that was refused, or a handshake that failed.
    pub(crate) async fn try_connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let host = self
            .authority
            .rsplit_once(':')
            .unwrap()
            .0
            .trim_matches(['[', ']'])
            .to_owned();
        let stream = TcpStream::connect(&self.authority).await?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        connector
            .connect(ServerName::try_from(host).unwrap(), stream)
            .await
    }

    /// Sends one request; an error is a connection that ended.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Got, hyper::Error> {
        let mut request = Request::builder()
            .method(method)
            .header("host", &self.authority);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let stream = self.connect().await;
        let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        if is_h2 {
            let uri = format!("https://{}{path}", self.authority);
            let request = request.uri(uri).body(Full::new(body)).unwrap();
            let (mut sender, connection) =
                http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
            let driver = tokio::spawn(connection);
            let got = receive(sender.send_request(request).await?).await;
            driver.abort();
            return got;
        }
        let request = request.uri(path).body(Full::new(body)).unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let got = receive(sender.send_request(request).await?).await;
        driver.abort();
        got
    }
}

fn config(
    roots: &Arc<RootCertStore>,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(Arc::clone(roots))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

async fn receive(response: http::Response<hyper::body::Incoming>) -> Result<Got, hyper::Error> {
    let (parts, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Got {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body,
    })
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    fn text(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(&self.body))
    }

    /// The whole body of an answer with this status.
    #[track_caller]
    pub(crate) fn body(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()
    }

    /// `data` of a 200.
    #[track_caller]
    pub(crate) fn data(&self) -> Value {
        self.body(200)["data"].clone()
    }

    /// `auth` of a 200.
    #[track_caller]
    pub(crate) fn auth(&self) -> Value {
        self.body(200)["auth"].clone()
    }

    /// `data.batch_results` with this status.
    #[track_caller]
    pub(crate) fn results(&self, status: u16) -> Vec<Value> {
        let body = self.body(status);
        assert!(body.get("errors").is_none(), "{}", self.text());
        body["data"]["batch_results"].as_array().unwrap().clone()
    }

    /// A status without a body.
    #[track_caller]
    pub(crate) fn bare(&self, status: u16) {
        assert_eq!(
            (self.status, self.body.len()),
            (status, 0),
            "{}",
            self.text()
        );
    }

    /// The one element of `errors`.
    #[track_caller]
    pub(crate) fn error_text(&self, status: u16) -> String {
        let body = self.body(status);
        let errors = body["errors"]
            .as_array()
            .unwrap_or_else(|| panic!("{}", self.text()));
        assert_eq!(errors.len(), 1, "{}", self.text());
        errors[0].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn error(&self, status: u16, text: &str) {
        assert_eq!(self.error_text(status), text);
    }

    #[track_caller]
    pub(crate) fn error_start(&self, status: u16, start: &str) {
        let text = self.error_text(status);
        assert!(
            text.starts_with(start),
            "{text:?} does not start with {start:?}"
        );
    }

    #[track_caller]
    pub(crate) fn wrapped(&self, status: u16, text: &str) {
        assert_eq!(
            self.error_text(status),
            format!("1 error occurred:\n\t* {text}\n\n")
        );
    }

    #[track_caller]
    pub(crate) fn wrapped_start(&self, status: u16, start: &str) {
        self.error_start(status, &format!("1 error occurred:\n\t* {start}"));
    }

    /// `{"errors":[]}`.
    #[track_caller]
    pub(crate) fn no_errors(&self, status: u16) {
        assert_eq!(
            self.body(status),
            serde_json::json!({"errors": []}),
            "{}",
            self.text()
        );
    }

    /// The warnings of an envelope.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let json = self.json();
        let warnings = json["warnings"].as_array().into_iter().flatten();
        warnings
            .map(|warning| warning.as_str().unwrap().to_owned())
            .collect()
    }
}
