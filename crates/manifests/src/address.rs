//! Which URLs manifests may come from.

use std::{fmt, net::IpAddr};

use http::{Uri, uri::Scheme};

/// Why a URL is not used. Shows neither its path nor its query: they may hold a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a URL.
    #[error("the manifest URL cannot be understood; write it as https://host[:port]/path")]
    Syntax,
    /// Another scheme than http and https.
    #[error(
        "the manifest URL has the scheme `{0}`; only https, and http where it is allowed, can be fetched"
    )]
    Scheme(String),
    /// Plain http over a network.
    #[error(
        "the manifest URL for {0} is plain http: whoever is on the way would be root here; use https, or allow it with --insecure-manifest-url"
    )]
    Plain(String),
    /// A password in the URL.
    #[error("the manifest URL holds a user name or password; send an Authorization header instead")]
    UserInfo,
}

/// A URL that may be fetched.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    pub(crate) uri: Uri,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
    /// Plain http, allowed because the host is this one: a name must lead to it.
    pub(crate) only_loopback: bool,
}

impl Address {
    /// Judges `url`. `insecure` allows plain http to any host.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn parse(url: &str, insecure: bool) -> Result<Self, AddressError> {
        let uri: Uri = url.parse().map_err(|_| AddressError::Syntax)?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(AddressError::Syntax);
        };
        let tls = *scheme == Scheme::HTTPS;
        if !tls && *scheme != Scheme::HTTP {
            return Err(AddressError::Scheme(scheme.to_string()));
        }
        if authority.as_str().contains('@') {
            return Err(AddressError::UserInfo);
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(AddressError::Syntax);
        }
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            // A port that is none, or too large for one.
            None if authority.as_str() != authority.host() => return Err(AddressError::Syntax),
            None if tls => 443,
            None => 80,
        };
        let loopback = is_loopback(&host);
        if !tls && !loopback && !insecure {
            return Err(AddressError::Plain(authority.to_string()));
        }
        Ok(Self {
            host,
            port,
            tls,
            only_loopback: !tls && !insecure,
            uri,
        })
    }
}

/// Without the query, which may hold a token.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        let authority = self
            .uri
            .authority()
            .map_or("", |authority| authority.as_str());
        write!(f, "{scheme}://{authority}{}", self.uri.path())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_goes_anywhere_and_http_to_this_host_or_where_it_is_allowed() {
        for url in [
            "https://x.example/pods.yaml",
            "https://10.0.0.1:8443/",
            "http://127.0.0.1:8080/p",
            "http://127.8.8.8/p",
            "http://[::1]:80/p",
            "http://localhost/p",
            "http://LOCALHOST/p",
        ] {
            assert!(Address::parse(url, false).is_ok(), "{url}");
        }
        for url in [
            "http://x.example/p",
            "http://10.0.0.1/p",
            "http://localhost.example/p",
            "http://127.0.0.1.example/p",
            "http://0.0.0.0/p",
            "http://[::ffff:10.0.0.1]/p",
        ] {
            assert!(
                matches!(Address::parse(url, false), Err(AddressError::Plain(_))),
                "{url}"
            );
            assert!(Address::parse(url, true).is_ok(), "{url}");
        }
    }

    #[test]
    fn what_is_no_url_for_manifests_is_refused() {
        for (url, error) in [
            ("x.example/p", AddressError::Syntax),
            ("/p", AddressError::Syntax),
            ("", AddressError::Syntax),
            ("https://x.example:/p", AddressError::Syntax),
            ("https://x.example:99999/p", AddressError::Syntax),
            ("ftp://x.example/p", AddressError::Scheme("ftp".into())),
            ("https://u:p@x.example/p", AddressError::UserInfo),
        ] {
            assert_eq!(Address::parse(url, true), Err(error), "{url}");
        }
    }

    #[test]
    fn ports_are_those_of_the_scheme_and_a_query_is_not_shown() {
        let address = Address::parse("https://x.example/p?token=hunter2", false).unwrap();
        assert_eq!((address.port, address.tls), (443, true));
        assert_eq!(
            format!("{address} {address:?}"),
            "https://x.example/p https://x.example/p"
        );
        let address = Address::parse("http://[::1]/p", false).unwrap();
        assert_eq!((address.host.as_str(), address.port), ("::1", 80));
        assert!(address.only_loopback);
        assert!(
            !Address::parse("http://[::1]/p", true)
                .unwrap()
                .only_loopback
        );
    }
}
