//! One keep-alive HTTP/1.1 connection and nothing around it: no pool, no retries, no deadlines.

use std::{error::Error, path::Path, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode,
    header::{CONTENT_TYPE, HOST},
};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Whatever went wrong, in words.
pub(crate) type Problem = Box<dyn Error + Send + Sync>;

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");

/// Whom TLS connections trust, and where they go.
#[derive(Clone)]
pub(crate) struct Address {
    /// Host and port.
    pub(crate) authority: String,
    pub(crate) server_name: String,
    tls: Arc<ClientConfig>,
}

impl Address {
    /// `url` is `https://HOST:PORT`; `server_name` is the host where none is given.
    pub(crate) fn new(url: &str, server_name: Option<&str>, ca: &Path) -> Result<Self, Problem> {
        let authority = url
            .strip_prefix("https://")
            .map(|rest| rest.trim_end_matches('/'))
            .ok_or("the address must begin with https://")?;
        let (host, _) = authority
            .rsplit_once(':')
            .ok_or("the address must end with a port, as in https://127.0.0.1:8200")?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca)? {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            authority: authority.to_owned(),
            server_name: server_name.unwrap_or(host).to_owned(),
            tls: Arc::new(tls),
        })
    }

    /// A connection on which nothing has been sent.
    pub(crate) async fn open(&self) -> Result<TlsStream<TcpStream>, Problem> {
        let tcp = TcpStream::connect(&self.authority).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(self.server_name.clone())?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        Ok(connector.connect(name, tcp).await?)
    }
}

/// A connection. Its task ends with it.
pub(crate) struct Line {
    sender: SendRequest<Full<Bytes>>,
    headers: HeaderMap,
    _connection: JoinSet<()>,
}

impl Line {
    /// In clear text, to a loopback address.
    pub(crate) async fn plain(authority: &str) -> Result<Self, Problem> {
        let tcp = TcpStream::connect(authority).await?;
        Self::over(tcp, authority).await
    }

    /// Over TLS.
    pub(crate) async fn tls(address: &Address) -> Result<Self, Problem> {
        Self::over(address.open().await?, &address.authority).await
    }

    async fn over<S>(stream: S, authority: &str) -> Result<Self, Problem>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut task = JoinSet::new();
        task.spawn(async move {
            // Its end shows in the next request.
            let _ = connection.await;
        });
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(authority)?);
        Ok(Self {
            sender,
            headers,
            _connection: task,
        })
    }

    /// Sends these with every request.
    pub(crate) fn with(mut self, token: &str, namespace: &str) -> Result<Self, Problem> {
        if !token.is_empty() {
            self.headers.insert(TOKEN, HeaderValue::from_str(token)?);
        }
        if !namespace.is_empty() {
            let value = HeaderValue::from_bytes(namespace.as_bytes())?;
            self.headers.insert(NAMESPACE, value);
        }
        Ok(self)
    }

    /// One request and its whole answer.
    pub(crate) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Problem> {
        let mut headers = self.headers.clone();
        if !body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse()?;
        *request.headers_mut() = headers;
        self.sender.ready().await?;
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        Ok((head.status, body.collect().await?.to_bytes()))
    }

    /// One request whose answer is JSON or empty; anything but success is an error that names
    /// the request.
    pub(crate) async fn json(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Problem> {
        let sent = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let (status, answer) = self.ask(method.clone(), path, sent).await?;
        if !status.is_success() {
            let text = String::from_utf8_lossy(&answer);
            return Err(format!("{method} {path}: {status}: {}", text.trim()).into());
        }
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_slice(&answer)?)
    }
}
