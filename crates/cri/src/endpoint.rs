//! Where a runtime listens.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// A Unix socket. Written as `unix:///run/containerd/containerd.sock` or as its absolute path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint(PathBuf);

/// A text that names no Unix socket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "runtime endpoint \"{0}\" is no Unix socket: write unix:///run/containerd/containerd.sock or an absolute path"
)]
pub struct EndpointError(pub String);

impl Endpoint {
    /// Reads `unix:///path`, `unix:/path` or `/path`. Nothing has to exist there.
    ///
    /// # Errors
    /// [`EndpointError`] for other schemes and for relative paths.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let path = text
            .strip_prefix("unix://")
            .or_else(|| text.strip_prefix("unix:"))
            .unwrap_or(text);
        if path.len() > 1 && path.starts_with('/') && !path.contains('\0') {
            Ok(Self(PathBuf::from(path)))
        } else {
            Err(EndpointError(text.to_owned()))
        }
    }

    /// The socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix://{}", self.0.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_named_by_url_or_by_path() {
        for text in ["unix:///run/c.sock", "unix:/run/c.sock", "/run/c.sock"] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!(endpoint.path(), Path::new("/run/c.sock"), "{text}");
            assert_eq!(endpoint.to_string(), "unix:///run/c.sock");
        }
    }

    #[test]
    fn what_is_no_unix_socket_is_refused_by_name() {
        for text in [
            "",
            "/",
            "unix://",
            "run/c.sock",
            "tcp://127.0.0.1:1",
            "npipe:////./pipe/c",
        ] {
            let fault = Endpoint::parse(text).unwrap_err();
            assert_eq!(fault, EndpointError(text.to_owned()));
            assert!(
                fault
                    .to_string()
                    .contains(&format!("\"{text}\" is no Unix socket"))
            );
        }
    }
}
