//! grpc: one `grpc.health.v1.Health/Check` over HTTP/2.
//!
//! Two messages of one field each do not need a code generator: a request is a string in field
//! 1, an answer a number in field 1.

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, Method, Request, Version};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    dial::{self, Tls},
    outcome::{MOST, Outcome},
    target::AGENT,
    web::driven,
};

/// The answer that is a success.
const SERVING: u64 = 1;
const UNIMPLEMENTED: &str = "12";

/// Asks once, over TLS if `tls` is given. The time limit is the caller's.
pub(crate) async fn check(host: &str, port: u16, service: &str, tls: Option<&Tls>) -> Outcome {
    match connect(host, port, service, tls).await {
        Ok(SERVING) => Outcome::Success,
        Ok(status) => Outcome::Failure(format!(
            "service unhealthy (responded with {:?})",
            name(status)
        )),
        Err(why) => Outcome::Failure(why),
    }
}

fn name(status: u64) -> &'static str {
    match status {
        0 => "UNKNOWN",
        SERVING => "SERVING",
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "a status that is none",
    }
}

async fn connect(host: &str, port: u16, service: &str, tls: Option<&Tls>) -> Result<u64, String> {
    let stream = dial::tcp(host, port).await;
    let stream = stream.map_err(|error| format!("cannot be connected to: {error}"))?;
    let Some(tls) = tls else {
        return ask(stream, request("http", host, port)?, service).await;
    };
    let stream = tls.for_grpc(stream, host).await;
    let stream =
        stream.map_err(|error| format!("does not get through the TLS handshake: {error}"))?;
    ask(stream, request("https", host, port)?, service).await
}

async fn ask<S>(stream: S, request: Request<()>, service: &str) -> Result<u64, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let broken = |error: h2::Error| format!("did not answer as a gRPC server does: {error}");
    let (sender, connection) = h2::client::handshake(stream).await.map_err(broken)?;
    let asking = async move {
        let mut sender = sender.ready().await.map_err(broken)?;
        let (response, mut body) = sender.send_request(request, false).map_err(broken)?;
        body.send_data(message(service), true).map_err(broken)?;
        let (head, mut body) = response.await.map_err(broken)?.into_parts();
        if head.status != http::StatusCode::OK {
            return Err(format!("answered a gRPC request with {}", head.status));
        }
        let mut bytes = Vec::new();
        while let Some(data) = body.data().await {
            let data = data.map_err(broken)?;
            // What was read makes room for more.
            let _ = body.flow_control().release_capacity(data.len());
            bytes.extend_from_slice(&data);
            if bytes.len() > MOST {
                return Err("answered with more than a health status".into());
            }
        }
        let trailers = body.trailers().await.map_err(broken)?;
        failed(&head.headers)?;
        if let Some(trailers) = &trailers {
            failed(trailers)?;
        }
        status(&bytes).ok_or_else(|| "answered with what is no health status".into())
    };
    driven(connection, asking).await
}

fn request(scheme: &str, host: &str, port: u16) -> Result<Request<()>, String> {
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let request = Request::builder()
        .method(Method::POST)
        .version(Version::HTTP_2)
        .uri(format!(
            "{scheme}://{host}:{port}/grpc.health.v1.Health/Check"
        ))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", AGENT)
        .body(());
    request.map_err(|_| "has a host name that is none".into())
}

/// A frame: not compressed, its length, and the service in field 1 unless it is empty.
fn message(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.push(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
            length >>= 7;
        }
        message.push(u8::try_from(length).unwrap_or_default());
        message.extend_from_slice(service.as_bytes());
    }
    let mut frame = vec![0];
    frame.extend_from_slice(
        &u32::try_from(message.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes(),
    );
    frame.append(&mut message);
    frame.into()
}

/// Why the call failed, by its headers or trailers.
fn failed(headers: &HeaderMap) -> Result<(), String> {
    let text = |name| {
        headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
    };
    match text("grpc-status").as_deref() {
        None | Some("0") => Ok(()),
        Some(UNIMPLEMENTED) => Err(
            "this server does not implement the grpc health protocol (grpc.health.v1.Health)"
                .into(),
        ),
        Some(code) => {
            let said = text("grpc-message").unwrap_or_default();
            Err(
                format!("the health check failed with gRPC code {code} {said}")
                    .trim_end()
                    .to_owned(),
            )
        }
    }
}

/// The number in field 1 of a framed answer; fields that are not known are passed over.
fn status(frame: &[u8]) -> Option<u64> {
    let (head, mut message) = frame.split_at_checked(5)?;
    let (compressed, mut length) = head.split_first()?;
    if *compressed != 0 || usize::try_from(length.get_u32()).ok()? != message.len() {
        return None;
    }
    let mut status = 0;
    while !message.is_empty() {
        let key = number(&mut message)?;
        match (key >> 3, key & 7) {
            (1, 0) => status = number(&mut message)?,
            (_, 0) => {
                number(&mut message)?;
            }
            (_, 1) => skip(&mut message, 8)?,
            (_, 2) => {
                let length = number(&mut message)?;
                skip(&mut message, length)?;
            }
            (_, 5) => skip(&mut message, 4)?,
            _ => return None,
        }
    }
    Some(status)
}

fn skip(message: &mut &[u8], length: u64) -> Option<()> {
    let (_, rest) = message.split_at_checked(usize::try_from(length).ok()?)?;
    *message = rest;
    Some(())
}

fn number(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests;
