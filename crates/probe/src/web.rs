//! httpGet: one GET on a new connection, redirects to the same host only.

use std::{
    future::{Future, pending},
    pin::pin,
    task::Poll,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response, Uri,
    header::{CONNECTION, HOST, LOCATION},
};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    dial::{self, Tls},
    outcome::{MOST, Outcome, shown},
    target::HttpTarget,
};

/// As many redirects as Go's client follows.
const MAX_REDIRECTS: usize = 10;

/// What came of a GET that was answered.
enum Got {
    /// By whom it was meant for.
    Answer(Answer),
    /// With the name of another host.
    Elsewhere(String),
}

/// Asks once, with all redirects. The time limit is the caller's.
pub(crate) async fn get(target: &HttpTarget, tls: &Tls) -> Outcome {
    match follow(target, tls).await {
        Ok(Got::Answer(answer)) => verdict(answer.status, &answer.body),
        Ok(Got::Elsewhere(host)) => Outcome::Warning(format!(
            "was redirected to another host, {host}, which is not followed and counts as a success"
        )),
        Err(why) => Outcome::Failure(why),
    }
}

/// As [`get`], but whatever is answered is as good.
pub(crate) async fn tell(target: &HttpTarget, tls: &Tls) -> Result<(), String> {
    follow(target, tls).await.map(drop)
}

async fn follow(target: &HttpTarget, tls: &Tls) -> Result<Got, String> {
    let mut here = target.clone();
    for _ in 0..=MAX_REDIRECTS {
        let answer = ask(&here, tls).await?;
        let Some(location) = &answer.location else {
            return Ok(Got::Answer(answer));
        };
        match redirected(&here, location) {
            None => return Err("was redirected to what is no URL".into()),
            Some(next) if next.host != here.host => return Ok(Got::Elsewhere(next.host)),
            Some(next) => here = next,
        }
    }
    Err(format!("was redirected more than {MAX_REDIRECTS} times"))
}

fn verdict(status: u16, body: &[u8]) -> Outcome {
    if (200..400).contains(&status) {
        return Outcome::Success;
    }
    let body = shown(body);
    let said = if body.is_empty() {
        String::new()
    } else {
        format!(": {body}")
    };
    Outcome::Failure(format!("HTTP probe failed with statuscode: {status}{said}"))
}

struct Answer {
    status: u16,
    /// Where a redirect leads.
    location: Option<String>,
    body: Vec<u8>,
}

async fn ask(target: &HttpTarget, tls: &Tls) -> Result<Answer, String> {
    let request = request(target)?;
    let stream = dial::tcp(&target.host, target.port).await;
    let stream = stream.map_err(|error| format!("cannot be connected to: {error}"))?;
    if !target.tls {
        return exchange(stream, request).await;
    }
    let stream = tls.for_http(stream, &target.host).await;
    let stream =
        stream.map_err(|error| format!("does not get through the TLS handshake: {error}"))?;
    exchange(stream, request).await
}

fn request(target: &HttpTarget) -> Result<Request<Empty<Bytes>>, String> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = target
        .path
        .parse()
        .map_err(|_| "has a path that is none".to_owned())?;
    let mut headers: HeaderMap = target.headers.clone();
    if !headers.contains_key(HOST) {
        let host = HeaderValue::from_str(&authority(target));
        headers.insert(
            HOST,
            host.map_err(|_| "has a host name that is none".to_owned())?,
        );
    }
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    *request.headers_mut() = headers;
    Ok(request)
}

fn authority(target: &HttpTarget) -> String {
    let HttpTarget { host, port, .. } = target;
    let default = if target.tls { 443 } else { 80 };
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.clone()
    };
    if *port == default {
        host
    } else {
        format!("{host}:{port}")
    }
}

async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let broken = |error: hyper::Error| format!("did not answer as an HTTP server does: {error}");
    let opened = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = opened.map_err(broken)?;
    let asking = async move {
        let response = sender.send_request(request).await.map_err(broken)?;
        read(response).await
    };
    driven(connection, asking).await
}

/// `work`, which waits for `connection`. No task: nothing outlives the probe.
pub(crate) async fn driven<T>(connection: impl Future, work: impl Future<Output = T>) -> T {
    let driving = async {
        let _ = connection.await;
        pending::<T>().await
    };
    let (mut driving, mut work) = (pin!(driving), pin!(work));
    std::future::poll_fn(|cx| {
        // Twice, as each half answers the other.
        for _ in 0..2 {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            let _ = driving.as_mut().poll(cx).is_ready();
        }
        Poll::Pending
    })
    .await
}

async fn read(response: Response<Incoming>) -> Result<Answer, String> {
    let (head, mut body) = response.into_parts();
    let status = head.status.as_u16();
    let location = head
        .headers
        .get(LOCATION)
        .filter(|_| matches!(status, 301 | 302 | 303 | 307 | 308));
    let location = location.map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
    let mut bytes = Vec::new();
    // The rest of a longer answer is nobody's concern.
    while bytes.len() < MOST
        && let Some(frame) = body.frame().await
    {
        let frame = frame.map_err(|error| format!("broke off its answer: {error}"))?;
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    bytes.truncate(MOST);
    Ok(Answer {
        status,
        location,
        body: bytes,
    })
}

/// Where `location` leads, seen from `here`. A `Host` header of the manifest is for its own host:
/// it goes along to relative locations only.
fn redirected(here: &HttpTarget, location: &str) -> Option<HttpTarget> {
    let location = location.split('#').next().unwrap_or_default();
    let mut next = here.clone();
    let scheme = if here.tls { "https" } else { "http" };
    let absolute = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if let Some((before, _)) = location.split_once("://")
        && before.chars().all(|c| c.is_ascii_alphanumeric())
    {
        location.to_owned()
    } else {
        next.path = relative(&here.path, location);
        return next.path.parse::<Uri>().is_ok().then_some(next);
    };
    let uri: Uri = absolute.parse().ok()?;
    next.tls = match uri.scheme_str()? {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    next.headers.remove(HOST);
    let authority = uri.authority()?;
    let (host, named) = (authority.host(), authority.as_str());
    host.trim_matches(['[', ']']).clone_into(&mut next.host);
    next.port = match authority.port_u16() {
        Some(port) => port,
        // A port that is none, or too large for one.
        None if !named.ends_with(host) => return None,
        None if next.tls => 443,
        None => 80,
    };
    next.path = uri
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    Some(next)
}

/// A relative reference against a path with a query.
fn relative(base: &str, reference: &str) -> String {
    let base = base.split('?').next().unwrap_or("/");
    let joined = match reference.chars().next() {
        None => return base.to_owned(),
        Some('/') => reference.to_owned(),
        Some('?') => return format!("{base}{reference}"),
        Some(_) => {
            let directory = base.rsplit_once('/').map_or("", |(directory, _)| directory);
            format!("{directory}/{reference}")
        }
    };
    let (path, query) = match joined.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (joined.as_str(), None),
    };
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    if path.ends_with("/..") || path.ends_with("/.") {
        segments.push("");
    }
    let path = segments.join("/");
    query.map_or_else(|| format!("/{path}"), |query| format!("/{path}?{query}"))
}

#[cfg(test)]
mod tests;
