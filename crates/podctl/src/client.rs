//! A connection to a running agent: HTTP/1.1 on its Unix socket.

use std::{io, path::PathBuf, pin::Pin, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderName, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, client::conn::http1, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::{net::UnixStream, time::timeout};

use crate::{document::State, fault::Fault, request};

/// For an answer that needs nothing but a look at memory.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of a document.
const LONGEST: usize = 256 * 1024 * 1024;
/// Of a problem.
const LONGEST_PROBLEM: usize = 64 * 1024;

/// Where an agent listens. Must be used inside a runtime of tokio.
#[derive(Debug, Clone)]
pub(crate) struct Agent {
    socket: PathBuf,
}

/// What carries a connection on. Without it nothing moves. Once it has ended it is silent.
type Carrier = Pin<Box<dyn Future<Output = Result<(), hyper::Error>> + Send>>;

/// An answer that comes bit by bit.
pub(crate) struct Pieces {
    agent: Agent,
    what: &'static str,
    carrier: Option<Carrier>,
    body: Incoming,
}

impl Agent {
    /// At this path. Nothing has to be there.
    #[must_use]
    pub(crate) fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Everything there is to know now.
    ///
    /// # Errors
    /// [`Fault`].
    pub(crate) async fn state(&self) -> Result<State, Fault> {
        let what = "tell its state";
        let asking = async {
            let pieces = self
                .ask(Method::GET, "/v1/state", None::<&()>, what)
                .await?;
            self.document(&pieces.whole().await?)
        };
        let late = |_| self.broke_off(what, format!("no answer within {PATIENCE:?}"));
        timeout(PATIENCE, asking).await.map_err(late)?
    }

    /// A [`State`] per line, now and after every change.
    ///
    /// # Errors
    /// [`Fault`].
    pub(crate) async fn watch(&self) -> Result<Pieces, Fault> {
        let what = "tell its changes";
        self.ask(Method::GET, "/v1/watch", None::<&()>, what).await
    }

    /// The document of a line or a body.
    ///
    /// # Errors
    /// [`Fault::Strange`].
    pub(crate) fn document(&self, text: &[u8]) -> Result<State, Fault> {
        serde_json::from_slice(text).map_err(|error| Fault::Strange {
            socket: self.socket.clone(),
            why: error.to_string(),
        })
    }

    /// A log.
    ///
    /// # Errors
    /// [`Fault`].
    pub(crate) async fn logs(&self, request: &request::Logs) -> Result<Pieces, Fault> {
        let what = "show a log";
        self.ask(Method::POST, "/v1/logs", Some(request), what)
            .await
    }

    /// Restarts a pod or a container.
    ///
    /// # Errors
    /// [`Fault`].
    pub(crate) async fn restart(&self, request: &request::Restart) -> Result<(), Fault> {
        self.order("/v1/restart", Some(request), "restart a pod")
            .await
    }

    /// Stops everything, and waits for it.
    ///
    /// # Errors
    /// [`Fault`].
    pub(crate) async fn stop_all(&self, request: &request::StopAll) -> Result<(), Fault> {
        self.order("/v1/stop-all", Some(request), "stop everything")
            .await
    }

    /// Takes [`Agent::stop_all`] back.
    ///
    /// # Errors
    /// [`Fault`].
    pub(crate) async fn start_all(&self) -> Result<(), Fault> {
        self.order("/v1/start-all", None::<&()>, "start everything")
            .await
    }

    /// The streams of a command.
    ///
    /// # Errors
    /// [`Fault`].
    pub(crate) async fn exec(&self, request: &request::Exec) -> Result<TokioIo<Upgraded>, Fault> {
        let what = "run a command";
        let sent = self.send(Method::POST, "/v1/exec", Some(request), what);
        let (response, carrier) = sent.await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let pieces = self.pieces(response, carrier, what).await?;
            let said = pieces.whole().await?;
            return Err(Fault::Strange {
                socket: self.socket.clone(),
                why: format!("no streams: {}", String::from_utf8_lossy(&said)),
            });
        }
        let upgrading = hyper::upgrade::on(response);
        let mut upgrading = std::pin::pin!(upgrading);
        let upgraded = tokio::select! {
            biased;
            upgraded = &mut upgrading => upgraded,
            // It ends when the connection is handed over.
            _ = carrier => upgrading.await,
        };
        let upgraded = upgraded.map_err(|error| self.broke_off(what, error.to_string()))?;
        Ok(TokioIo::new(upgraded))
    }

    async fn order(
        &self,
        path: &str,
        request: Option<&impl Serialize>,
        what: &'static str,
    ) -> Result<(), Fault> {
        let pieces = self.ask(Method::POST, path, request, what).await?;
        pieces.whole().await.map(drop)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        request: Option<&impl Serialize>,
        what: &'static str,
    ) -> Result<Pieces, Fault> {
        let (response, carrier) = self.send(method, path, request, what).await?;
        self.pieces(response, carrier, what).await
    }

    /// A good answer, or the problem in it.
    async fn pieces(
        &self,
        response: Response<Incoming>,
        carrier: Carrier,
        what: &'static str,
    ) -> Result<Pieces, Fault> {
        let status = response.status();
        let pieces = Pieces {
            agent: self.clone(),
            what,
            carrier: Some(carrier),
            body: response.into_body(),
        };
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(pieces);
        }
        let said = pieces.limited(LONGEST_PROBLEM).await?;
        Err(match serde_json::from_slice(&said) {
            Ok(request::Problem { message }) => Fault::Refused(message),
            Err(_) => Fault::Strange {
                socket: self.socket.clone(),
                why: format!("{status}: {}", String::from_utf8_lossy(&said).trim()),
            },
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        request: Option<&impl Serialize>,
        what: &'static str,
    ) -> Result<(Response<Incoming>, Carrier), Fault> {
        let broke = |why: String| self.broke_off(what, why);
        let stream = self.connect().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broke(error.to_string()))?;
        let mut carrier: Carrier = Box::pin(connection.with_upgrades().fuse());
        let body = match request {
            None => Vec::new(),
            Some(request) => serde_json::to_vec(request).unwrap_or_default(),
        };
        let mut builder = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "staticpodd");
        if path == "/v1/exec" {
            for (name, value) in UPGRADE {
                builder = builder.header(name, value);
            }
        }
        let request = builder.body(Full::new(Bytes::from(body)));
        let request = request.map_err(|error| broke(error.to_string()))?;
        let mut sending = std::pin::pin!(sender.send_request(request));
        let response = tokio::select! {
            // An answer that came with the end of the connection is an answer.
            biased;
            response = &mut sending => response,
            ended = &mut carrier => match ended {
                Err(error) => Err(error),
                Ok(()) => sending.await,
            },
        };
        let response = response.map_err(|error| broke(error.to_string()))?;
        Ok((response, carrier))
    }

    async fn connect(&self) -> Result<UnixStream, Fault> {
        let socket = self.socket.clone();
        UnixStream::connect(&self.socket)
            .await
            .map_err(|source| match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    Fault::NotRunning { socket }
                }
                io::ErrorKind::PermissionDenied => Fault::NotAllowed { socket },
                _ => Fault::Connect { socket, source },
            })
    }

    fn broke_off(&self, what: &'static str, why: String) -> Fault {
        Fault::BrokeOff {
            socket: self.socket.clone(),
            what,
            why,
        }
    }
}

/// Headers of a request for streams.
const UPGRADE: [(HeaderName, &str); 2] = [
    (header::CONNECTION, "Upgrade"),
    (header::UPGRADE, "SPDY/3.1"),
];

impl Pieces {
    /// The next piece; nothing at the end.
    ///
    /// # Errors
    /// [`Fault::BrokeOff`].
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let frame = match &mut self.carrier {
                None => self.body.frame().await,
                Some(carrier) => tokio::select! {
                    biased;
                    frame = self.body.frame() => frame,
                    _ = carrier => {
                        // What it brought is still in the body, and so is why it broke.
                        self.carrier = None;
                        continue;
                    }
                },
            };
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(self.agent.broke_off(self.what, error.to_string())),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// All of it.
    async fn whole(self) -> Result<Bytes, Fault> {
        self.limited(LONGEST).await
    }

    async fn limited(self, longest: usize) -> Result<Bytes, Fault> {
        let broke = |why: String| self.agent.broke_off(self.what, why);
        let reading = Limited::new(self.body, longest).collect();
        let collected = match self.carrier {
            None => reading.await,
            Some(carrier) => {
                let mut reading = std::pin::pin!(reading);
                tokio::select! {
                    biased;
                    read = &mut reading => read,
                    _ = carrier => reading.await,
                }
            }
        };
        let collected = collected.map_err(|error| broke(error.to_string()))?;
        Ok(collected.to_bytes())
    }
}
