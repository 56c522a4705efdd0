//! What a probe of a manifest asks, with host, port and headers filled in.

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use pod::api;

/// A probe that can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A GET; 200 to 399 is a success.
    Http(HttpTarget),
    /// A connection that comes about is a success.
    Tcp {
        /// Name or address, without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// A command in the container; exit code 0 is a success.
    Exec {
        /// Program and arguments; there is no shell.
        command: Vec<String>,
    },
    /// `grpc.health.v1.Health/Check`; SERVING is a success.
    Grpc {
        /// Over TLS; the certificate is not looked at.
        tls: bool,
        /// Address, without brackets.
        host: String,
        /// Port.
        port: u16,
        /// What is asked about; empty is the server as a whole.
        service: String,
    },
}

/// A GET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpTarget {
    /// HTTPS; the certificate is not looked at.
    pub tls: bool,
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// With the query, if there is one.
    pub path: String,
    /// As they go out, but for `Host` where none is given.
    pub headers: HeaderMap,
}

/// Why a probe cannot be made. Nothing was asked, so it is neither a success nor a failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// None of the four handlers.
    #[error("the probe has no handler")]
    NoHandler,
    /// Nothing to connect to.
    #[error("the probe names no host, and the pod has no address yet")]
    NoAddress,
    /// A name that no port of the container has.
    #[error("the probe names the port `{0}`, which this container does not have")]
    NoSuchPort(String),
    /// Not from 1 to 65535.
    #[error("the probe's port {0} is none")]
    BadPort(i32),
    /// A header or path that cannot be sent.
    #[error("the probe's {0} cannot be sent")]
    Unsendable(String),
}

/// Where the pod can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whereabouts {
    /// The pod's first address, once it has one.
    pub address: Option<IpAddr>,
    /// It has no network of its own: it is asked on loopback, which works without knowing any
    /// address of the node.
    pub host_network: bool,
}

impl Whereabouts {
    fn host(self, named: Option<&str>) -> Result<String, TargetError> {
        if let Some(named) = named.filter(|named| !named.is_empty()) {
            return Ok(named.trim_matches(['[', ']']).to_owned());
        }
        if self.host_network {
            return Ok(Ipv4Addr::LOCALHOST.to_string());
        }
        let address = self.address.ok_or(TargetError::NoAddress)?;
        Ok(address.to_string())
    }
}

/// Fills in what `probe` of `container` leaves open.
///
/// # Errors
/// [`TargetError`].
pub fn target(
    probe: &api::Probe,
    container: &api::Container,
    pod: Whereabouts,
) -> Result<Target, TargetError> {
    if let Some(exec) = &probe.exec {
        let command = exec.command.clone().unwrap_or_default();
        return Ok(Target::Exec { command });
    }
    if let Some(get) = &probe.http_get {
        return http(get, container, pod).map(Target::Http);
    }
    if let Some(tcp) = &probe.tcp_socket {
        return Ok(Target::Tcp {
            port: port(&tcp.port, container)?,
            host: pod.host(tcp.host.as_deref())?,
        });
    }
    if let Some(grpc) = &probe.grpc {
        return Ok(Target::Grpc {
            tls: grpc.mode.as_deref() == Some("TLS"),
            port: number(grpc.port)?,
            host: pod.host(None)?,
            service: grpc.service.clone().unwrap_or_default(),
        });
    }
    Err(TargetError::NoHandler)
}

fn http(
    get: &api::HTTPGetAction,
    container: &api::Container,
    pod: Whereabouts,
) -> Result<HttpTarget, TargetError> {
    let path = get.path.as_deref().unwrap_or_default();
    let path = match path.strip_prefix('/') {
        Some(_) => path.to_owned(),
        None => format!("/{path}"),
    };
    let path = path.split('#').next().unwrap_or("/").to_owned();
    if path.parse::<http::uri::PathAndQuery>().is_err() {
        return Err(TargetError::Unsendable("path".into()));
    }
    Ok(HttpTarget {
        tls: get.scheme.as_deref() == Some("HTTPS"),
        port: port(&get.port, container)?,
        host: pod.host(get.host.as_deref())?,
        path,
        headers: headers(get.http_headers.as_deref().unwrap_or_default())?,
    })
}

/// The manifest's, and two that are there unless it names them; one that is named and empty is
/// not sent.
fn headers(given: &[api::HTTPHeader]) -> Result<HeaderMap, TargetError> {
    let mut headers = HeaderMap::new();
    for api::HTTPHeader { name, value } in given {
        let unsendable = |_| TargetError::Unsendable(format!("header `{name}`"));
        let value = HeaderValue::from_str(value)
            .map_err(|_| TargetError::Unsendable(format!("header `{name}`")))?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(unsendable)?;
        headers.append(name, value);
    }
    for (name, default) in [(header::USER_AGENT, AGENT), (header::ACCEPT, "*/*")] {
        match headers.get(&name) {
            None => {
                headers.insert(name, HeaderValue::from_static(default));
            }
            Some(value) if value.is_empty() => {
                headers.remove(name);
            }
            Some(_) => {}
        }
    }
    Ok(headers)
}

/// Servers know probes by its beginning; the rest is the version of the API that is spoken.
pub(crate) const AGENT: &str = "kube-probe/1.37";

/// A number, or the name of a port of this container.
fn port(port: &api::IntOrString, container: &api::Container) -> Result<u16, TargetError> {
    match port {
        api::IntOrString::Int(port) => number(*port),
        api::IntOrString::String(name) => {
            let ports = container.ports.as_deref().unwrap_or_default();
            let named = ports.iter().find(|port| port.name.as_ref() == Some(name));
            match named {
                Some(port) => number(port.container_port),
                // A number in quotes.
                None => match name.parse::<i32>() {
                    Ok(port) => number(port),
                    Err(_) => Err(TargetError::NoSuchPort(name.clone())),
                },
            }
        }
    }
}

fn number(port: i32) -> Result<u16, TargetError> {
    let number = u16::try_from(port).ok().filter(|port| *port > 0);
    number.ok_or(TargetError::BadPort(port))
}

#[cfg(test)]
mod tests;
