//! Small HTTP pages on loopback: health, readiness, metrics.
//!
//! GET and HEAD only, no request bodies, few connections, short header time: a stuck or
//! hostile client of this port costs the daemon nothing.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};

use crate::shutdown::Shutdown;

const CONNECTIONS: usize = 32;
const HEADER_TIME: Duration = Duration::from_secs(5);
const PAGE_TIME: Duration = Duration::from_secs(5);
const CONNECTION_TIME: Duration = Duration::from_secs(300);
const HEADER_BYTES: usize = 16 * 1024;

/// An answer.
#[derive(Debug, Clone)]
pub struct Page {
    /// HTTP status.
    pub status: StatusCode,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The whole body.
    pub body: String,
}

impl Page {
    /// A plain-text page.
    #[must_use]
    pub fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: body.into(),
        }
    }

    /// A page for people, whole in itself: it may load and run nothing.
    #[must_use]
    pub fn html(body: String) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: "text/html; charset=utf-8",
            body,
        }
    }

    /// A JSON page.
    #[must_use]
    pub fn json(status: StatusCode, body: &serde_json::Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            body: format!("{body}\n"),
        }
    }
}

type Handler =
    Arc<dyn Fn(Asked) -> Pin<Box<dyn Future<Output = Page> + Send>> + Send + Sync + 'static>;

/// What a page may know of the request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The `Accept` header, empty when there is none.
    pub accept: String,
}

/// The pages of one address, by path.
#[derive(Clone, Default)]
pub struct Site {
    pages: BTreeMap<&'static str, Handler>,
    by_address: bool,
}

impl Site {
    /// Adds a page.
    #[must_use]
    pub fn page<F>(
        mut self,
        path: &'static str,
        page: impl Fn(Asked) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Page> + Send + 'static,
    {
        self.pages
            .insert(path, Arc::new(move |asked| Box::pin(page(asked))));
        self
    }

    /// Answers only who asks by address or for `localhost`. Anybody's page in a browser of this
    /// machine may have a name of its own lead here; with that name it gets nothing.
    #[must_use]
    pub fn by_address(mut self) -> Self {
        self.by_address = true;
        self
    }
}

/// Whether a `Host` header, with its port, is one that nobody else can claim.
fn is_address(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => {
            return v6
                .split(']')
                .next()
                .is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok());
        }
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok()
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.pages.keys()).finish()
    }
}

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {purpose}; is another process using it?")]
pub struct ListenError {
    /// What was configured.
    pub address: String,
    /// `health` or `metrics`.
    pub purpose: &'static str,
    source: io::Error,
}

/// A bound address, not yet served.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    site: Site,
}

impl Admin {
    /// Binds `address`; `purpose` names it in errors.
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn bind(
        address: &str,
        purpose: &'static str,
        site: Site,
    ) -> Result<Self, ListenError> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| ListenError {
                address: address.into(),
                purpose,
                source,
            })?;
        Ok(Self { listener, site })
    }

    /// Where it listens, with the port that the kernel chose for port 0.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until shutdown. Health pages keep answering during the drain: what is running
    /// is dropped only when this future is.
    ///
    /// # Errors
    /// Never; accept errors are logged and waited out.
    pub async fn serve(self, shutdown: Shutdown) -> Result<(), Infallible> {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        let stop = shutdown.wait();
        tokio::pin!(stop);
        loop {
            let place = tokio::select! {
                () = &mut stop => break,
                place = Arc::clone(&places).acquire_owned() => place,
            };
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = self.listener.accept() => accepted,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((stream, _)) => {
                    let site = self.site.clone();
                    connections.spawn(async move {
                        let _place = place;
                        serve_connection(stream, site).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "admin.accept_failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        Ok(())
    }
}

async fn serve_connection(stream: tokio::net::TcpStream, site: Site) {
    let service = service_fn(move |request| answer(request, site.clone()));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    // A client that breaks off is its own affair.
    let _ = tokio::time::timeout(CONNECTION_TIME, connection).await;
}

/// No browser leaves the header out.
fn asked_by_address(request: &Request<Incoming>) -> bool {
    let uri = request.uri().host().is_none_or(is_address);
    let mut hosts = request.headers().get_all(header::HOST).iter();
    uri && hosts.all(|host| host.to_str().is_ok_and(is_address))
}

async fn answer(
    request: Request<Incoming>,
    site: Site,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let page = if !matches!(*request.method(), Method::GET | Method::HEAD) {
        Page::text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n")
    } else if site.by_address && !asked_by_address(&request) {
        Page::text(
            StatusCode::MISDIRECTED_REQUEST,
            "ask by address, or for localhost\n",
        )
    } else if let Some(page) = site.pages.get(request.uri().path()) {
        let accept = request.headers().get(header::ACCEPT);
        let accept = accept
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        tokio::time::timeout(PAGE_TIME, page(Asked { accept }))
            .await
            .unwrap_or_else(|_| Page::text(StatusCode::SERVICE_UNAVAILABLE, "no answer in time\n"))
    } else {
        Page::text(StatusCode::NOT_FOUND, "no such page\n")
    };
    // hyper drops the body of an answer to HEAD and keeps its length.
    let mut response = Response::new(Full::new(Bytes::from(page.body)));
    *response.status_mut() = page.status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(page.content_type),
    );
    headers.insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-store"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        header::HeaderValue::from_static("nosniff"),
    );
    // Whatever came into a page by mistake, a browser neither runs nor fetches it.
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        header::HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'"),
    );
    if page.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    use super::*;

    async fn site() -> (
        SocketAddr,
        Shutdown,
        tokio::task::JoinHandle<Result<(), Infallible>>,
    ) {
        let site = Site::default()
            .page("/live", |_| async { Page::text(StatusCode::OK, "ok\n") })
            .page("/hangs", |_| std::future::pending());
        let admin = Admin::bind("127.0.0.1:0", "health", site).await.unwrap();
        let address = admin.address().unwrap();
        let shutdown = Shutdown::default();
        let serving = tokio::spawn(admin.serve(shutdown.clone()));
        (address, shutdown, serving)
    }

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("{request}\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn only_get_and_head_of_known_pages_are_answered() {
        let (address, shutdown, serving) = site().await;
        assert!(
            ask(address, "GET /live HTTP/1.1")
                .await
                .starts_with("HTTP/1.1 200")
        );
        let head = ask(address, "HEAD /live HTTP/1.1").await;
        assert!(
            head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"),
            "{head}"
        );
        let post = ask(address, "POST /live HTTP/1.1").await;
        assert!(
            post.starts_with("HTTP/1.1 405") && post.contains("allow: GET, HEAD"),
            "{post}"
        );
        assert!(
            ask(address, "GET /etc/passwd HTTP/1.1")
                .await
                .starts_with("HTTP/1.1 404")
        );
        shutdown.trigger();
        serving.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn silent_connections_do_not_keep_others_out() {
        let (address, _shutdown, _serving) = site().await;
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS - 1 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        assert!(
            ask(address, "GET /live HTTP/1.1")
                .await
                .starts_with("HTTP/1.1 200")
        );
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_named_with_its_purpose() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let error = Admin::bind(&address, "metrics", Site::default())
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(&address) && text.contains("metrics"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn pages_for_this_machine_are_not_answered_under_other_names() {
        let site = Site::default().page("/live", |_| async { Page::text(StatusCode::OK, "ok\n") });
        let admin = Admin::bind("127.0.0.1:0", "health", site.by_address()).await;
        let admin = admin.unwrap();
        let address = admin.address().unwrap();
        let shutdown = Shutdown::default();
        let serving = tokio::spawn(admin.serve(shutdown.clone()));
        for (head, code) in [
            ("GET /live HTTP/1.1\r\nHost: 127.0.0.1:10", 200),
            ("GET /live HTTP/1.1\r\nHost: [::1]:10", 200),
            ("GET /live HTTP/1.1\r\nHost: LocalHost", 200),
            ("GET /live HTTP/1.0", 200),
            ("GET /live HTTP/1.1\r\nHost: a.example", 421),
            ("GET /live HTTP/1.1\r\nHost: 127.0.0.1.a.example", 421),
            ("GET /live HTTP/1.1\r\nHost: [a.example]", 421),
            (
                "GET /live HTTP/1.1\r\nHost: localhost\r\nHost: a.example",
                421,
            ),
            ("GET http://a.example/live HTTP/1.1\r\nHost: localhost", 421),
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = format!("{head}\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer.split(' ').nth(1), Some(&*code.to_string()), "{head}");
        }
        shutdown.trigger();
        serving.await.unwrap().unwrap();
    }
}
