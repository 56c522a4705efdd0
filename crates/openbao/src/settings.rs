//! What the client is told when it is made: plain values, validated where they were read.

use std::{path::PathBuf, time::Duration};

/// Everything the client needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The cluster's endpoints in order of preference; at least one.
    pub endpoints: Vec<Endpoint>,
    /// The namespace, without slashes at its ends; empty for the root namespace.
    pub namespace: String,
    /// PEM bundle of the only authorities that are trusted. Read again after a TLS failure.
    pub ca_file: PathBuf,
    /// The name that the server's certificate must carry, whatever the endpoint's host is.
    pub server_name: String,
    /// One request, connecting and the whole answer included.
    pub timeout: Duration,
    /// Path of the Transit mount, for example `transit` or `team/transit`.
    pub transit_mount: String,
    /// Name of the Transit key.
    pub key_name: String,
    /// A refresh starts when the token has less left than this.
    pub refresh_ahead: Duration,
    /// What a renewal asks for.
    pub renewal_increment: Duration,
    /// Acquiring the credential and logging in with it, together.
    pub login_timeout: Duration,
    /// How to log in.
    pub auth: Auth,
    /// Whether OpenBao's request ids appear in debug events.
    pub log_request_ids: bool,
}

/// The ways to log in.
#[derive(Debug, Clone)]
pub enum Auth {
    /// The `jwt` method with a JWT from a file.
    JwtFile(JwtFile),
}

/// A JWT in a file, and what must hold for it before it is sent.
#[derive(Debug, Clone)]
pub struct JwtFile {
    /// Path of the auth mount; `jwt` and `auth/jwt` mean the same.
    pub mount: String,
    /// Role to log in with.
    pub role: String,
    /// Path of the JWT, read again before every login.
    pub file: PathBuf,
    /// A JWT that ends sooner than this is not used.
    pub min_remaining: Duration,
    /// How far `nbf` and `iat` may lie in the future.
    pub clock_skew_leeway: Duration,
    /// `iss` must be this, when set.
    pub issuer: Option<String>,
    /// `aud` must hold this, when set.
    pub audience: Option<String>,
    /// `sub` must be this, when set.
    pub subject: Option<String>,
}

/// Where one node, or a load balancer before some, listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
}

/// Port of `https://host` without one.
const HTTPS_PORT: u16 = 443;

impl Endpoint {
    /// Reads `https://host[:port]`, a trailing slash allowed.
    ///
    /// # Errors
    /// [`EndpointError`] for another scheme, user info, a path, a query, a fragment or no host.
    pub fn parse(url: &str) -> Result<Self, EndpointError> {
        let uri: http::Uri = url.parse().map_err(|_| EndpointError::NotAUrl)?;
        if uri.scheme_str() != Some("https") {
            return Err(EndpointError::NotHttps);
        }
        let authority = uri.authority().ok_or(EndpointError::NoHost)?;
        if authority.as_str().contains('@') {
            return Err(EndpointError::UserInfo);
        }
        // `http::Uri` drops fragments without a word.
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() || url.contains('#') {
            return Err(EndpointError::Path);
        }
        let host = authority.host();
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => HTTPS_PORT,
            _ => authority.port_u16().ok_or(EndpointError::Port)?,
        };
        if host.is_empty() {
            return Err(EndpointError::NoHost);
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }

    /// `host:port`, IPv6 in brackets: the `Host` header.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Why an address is no endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It does not parse.
    #[error("the address is not a URL")]
    NotAUrl,
    /// Another scheme, or none.
    #[error("the address must begin with https://")]
    NotHttps,
    /// `https://:8200`.
    #[error("the address names no host")]
    NoHost,
    /// `https://user@host`.
    #[error("the address must not hold user information")]
    UserInfo,
    /// Not 0..65535.
    #[error("the address has a port that is not a number up to 65535")]
    Port,
    /// More than scheme, host and port.
    #[error("the address must not have a path, a query or a fragment")]
    Path,
}

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Nowhere to go.
    #[error("no OpenBao address is configured")]
    NoEndpoint,
    /// The endpoint or path cannot be written as a URL.
    #[error("{what} cannot be part of a URL")]
    NotInUrl {
        /// The field's subject.
        what: &'static str,
    },
    /// An empty, `.` or `..` segment, which a server would answer with a redirect.
    #[error("{what} has an empty, `.` or `..` segment")]
    Segments {
        /// The field's subject.
        what: &'static str,
    },
    /// Control characters.
    #[error("the namespace cannot be sent in a header; remove its control characters")]
    Namespace,
    /// Neither a DNS name nor an IP address.
    #[error("the TLS server name is neither a DNS name nor an IP address")]
    ServerName,
    /// A duration of nothing.
    #[error("{what} is zero")]
    Zero {
        /// The field's subject.
        what: &'static str,
    },
    /// The CA bundle.
    #[error("the CA bundle cannot be used")]
    CaBundle(#[from] crate::tls::CaError),
    /// A duration that no deadline can be made of.
    #[error("{what} is longer than ten years")]
    TooLong {
        /// The field's subject.
        what: &'static str,
    },
    /// Constants of this crate that contradict each other.
    #[error("the retry schedule is impossible")]
    Backoff(#[from] pace::BackoffError),
}

/// Turns a configured path into what stands in a URL: every segment percent-encoded.
pub(crate) fn url_path(what: &'static str, path: &str) -> Result<String, SettingsError> {
    let path = path.trim_matches('/');
    let mut encoded = String::with_capacity(path.len());
    for (index, segment) in path.split('/').enumerate() {
        if matches!(segment, "" | "." | "..") {
            return Err(SettingsError::Segments { what });
        }
        if index > 0 {
            encoded.push('/');
        }
        for byte in segment.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    encoded.push(char::from(byte));
                }
                _ => encoded.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    Ok(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_scheme_host_and_port_and_nothing_else() {
        let good = [
            ("https://bao.internal", "bao.internal:443"),
            ("https://bao.internal/", "bao.internal:443"),
            ("https://127.0.0.1:8200", "127.0.0.1:8200"),
            ("https://[::1]:8200", "[::1]:8200"),
            ("https://[::1]", "[::1]:443"),
        ];
        for (url, authority) in good {
            assert_eq!(Endpoint::parse(url).unwrap().authority(), authority);
        }
        let bad = [
            ("http://bao.internal", EndpointError::NotHttps),
            ("bao.internal:8200", EndpointError::NotHttps),
            ("https://user@bao.internal", EndpointError::UserInfo),
            ("https://bao.internal/v1", EndpointError::Path),
            ("https://bao.internal?x", EndpointError::Path),
            ("https://bao.internal#x", EndpointError::Path),
            ("https://bao.internal:", EndpointError::Port),
            ("https://bao.internal:99999", EndpointError::Port),
            ("", EndpointError::NotAUrl),
        ];
        for (url, error) in bad {
            assert_eq!(Endpoint::parse(url).unwrap_err(), error, "{url}");
        }
    }

    #[test]
    fn a_path_is_encoded_segment_by_segment_and_never_climbs() {
        assert_eq!(
            url_path("x", "/team a/transit/").unwrap(),
            "team%20a/transit"
        );
        assert_eq!(url_path("x", "größe?#").unwrap(), "gr%C3%B6%C3%9Fe%3F%23");
        for path in ["", "a//b", "a/../b", "./a"] {
            assert!(matches!(
                url_path("the mount", path),
                Err(SettingsError::Segments { what: "the mount" })
            ));
        }
    }
}
