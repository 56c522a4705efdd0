//! Lets people in, and hears them out.

use std::{
    convert::Infallible,
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn, upgrade::OnUpgrade};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::de::DeserializeOwned;
use tokio::{
    net::UnixStream,
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

pub(crate) use super::asked::Office;
use super::{
    answer::{Answer, Refused, switched},
    socket::{Socket, SocketError},
    tunnel::{self, Half},
};

const CONNECTIONS: usize = 64;
const HEADER_TIME: Duration = Duration::from_secs(10);
const HEADER_BYTES: usize = 16 * 1024;
const BODY_BYTES: usize = 256 * 1024;
const BODY_TIME: Duration = Duration::from_secs(10);
const BREATH: Duration = Duration::from_millis(100);

/// The socket, open.
pub(crate) struct Door(Socket);

impl Door {
    /// Opens it. Must be called inside a runtime of tokio.
    pub(crate) fn open(path: &Path) -> Result<Self, SocketError> {
        Socket::open(path).map(Self)
    }

    /// Lets people in, for as long as this is polled. Dropped, it shuts the door.
    pub(crate) async fn serve(self, office: Arc<Office>) -> Infallible {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut visits = JoinSet::new();
        loop {
            let place = Arc::clone(&places).acquire_owned().await;
            let accepted = self.0.listener.accept().await;
            while visits.try_join_next().is_some() {}
            match accepted {
                Ok((stream, _)) => match admit(&stream) {
                    Ok(()) => {
                        let office = Arc::clone(&office);
                        let _ = visits.spawn(async move {
                            let _place = place;
                            visit(stream, office).await;
                        });
                    }
                    Err(user) => tracing::warn!(user, "door.refused"),
                },
                Err(error) => {
                    tracing::warn!(reason = %error, "door.accept_failed");
                    sleep(BREATH).await;
                }
            }
        }
    }
}

/// Root and the agent's own user; whoever else got hold of the socket is not heard.
fn admit(stream: &UnixStream) -> Result<(), Option<u32>> {
    let own = rustix::process::geteuid().as_raw();
    let user = stream.peer_cred().map_err(|_: io::Error| None)?.uid();
    match is_welcome(user, own) {
        true => Ok(()),
        false => Err(Some(user)),
    }
}

fn is_welcome(user: u32, own: u32) -> bool {
    user == 0 || user == own
}

/// What a connection becomes after it was one of HTTP.
type After = Arc<Mutex<Option<(Half, OnUpgrade)>>>;

async fn visit(stream: UnixStream, office: Arc<Office>) {
    let after = After::default();
    let next = Arc::clone(&after);
    let service = service_fn(move |request| {
        let (office, after) = (Arc::clone(&office), Arc::clone(&next));
        async move { Ok::<_, Infallible>(hear(request, office, &after).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    // Who breaks off knows it.
    let _ = connection.await;
    let streams = after.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((half, asker)) = streams {
        tunnel::carry(half, asker).await;
    }
}

async fn hear(mut request: Request<Incoming>, office: Arc<Office>, after: &After) -> Answer {
    let path = request.uri().path().to_owned();
    let outcome = match (request.method(), path.as_str()) {
        (&Method::GET, "/pods") => office.pods().await,
        (&Method::GET, "/v1/state") => office.state().await,
        (&Method::GET, "/v1/watch") => Ok(office.watch()),
        (&Method::POST, "/v1/start-all") => office.start_all().await,
        (&Method::POST, "/v1/logs") => match body(request).await {
            Ok(asked) => office.logs(asked).await,
            Err(refused) => Err(refused),
        },
        (&Method::POST, "/v1/restart") => match body(request).await {
            Ok(asked) => office.restart(&asked).await,
            Err(refused) => Err(refused),
        },
        (&Method::POST, "/v1/stop-all") => match body(request).await {
            Ok(asked) => office.stop_all(&asked).await,
            Err(refused) => Err(refused),
        },
        (&Method::POST, "/v1/exec") => {
            let wanted = request.headers().get(header::UPGRADE);
            if wanted.is_none_or(|wanted| wanted != tunnel::PROTOCOL) {
                let message = format!("ask for an upgrade to {}", tunnel::PROTOCOL);
                return Refused::new(StatusCode::UPGRADE_REQUIRED, message).answer();
            }
            let asker = hyper::upgrade::on(&mut request);
            match body(request).await {
                Ok(asked) => office.exec(&asked).await.map(|half| {
                    let mut after = after.lock().unwrap_or_else(PoisonError::into_inner);
                    *after = Some((half, asker));
                    switched(HeaderValue::from_static(tunnel::PROTOCOL))
                }),
                Err(refused) => Err(refused),
            }
        }
        (method, path) => Err(Refused::new(
            StatusCode::NOT_FOUND,
            format!("there is nothing to {method} at {path}"),
        )),
    };
    outcome.unwrap_or_else(Refused::answer)
}

async fn body<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Refused> {
    let refused =
        |why: String| Refused::new(StatusCode::BAD_REQUEST, format!("the request: {why}"));
    let reading = Limited::new(request.into_body(), BODY_BYTES).collect();
    let read = timeout(BODY_TIME, reading)
        .await
        .map_err(|_| refused("it did not come in time".to_owned()))?;
    let text: Bytes = read.map_err(|error| refused(error.to_string()))?.to_bytes();
    serde_json::from_slice(&text).map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_root_and_the_agents_user_are_heard() {
        for (user, own, expected) in [
            (0, 0, true),
            (0, 7, true),
            (7, 7, true),
            (7, 0, false),
            (8, 7, false),
        ] {
            assert_eq!(is_welcome(user, own), expected, "{user} {own}");
        }
        let (_near, far) = UnixStream::pair().unwrap();
        assert_eq!(admit(&far), Ok(()), "this process");
    }
}
