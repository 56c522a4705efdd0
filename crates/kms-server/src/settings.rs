//! What the room needs to know, already validated by the one who fills it in.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::Instant;

/// Where the service listens, for whom, and how it ends.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Absolute path of the socket, at most 107 bytes.
    pub socket_path: PathBuf,
    /// Permission bits of the socket; no world bits, no execute bits.
    pub socket_mode: u32,
    /// Group of the socket.
    pub socket_group: SocketGroup,
    /// Directories below which the socket may lie. Only root can write to the usual ones.
    pub approved_directories: Vec<PathBuf>,
    /// Users that may connect; empty leaves the choice to mode and group. The process's own
    /// user may always connect: it must be able to ask itself whether it is alive.
    pub allowed_peers: Vec<u32>,
    /// How long calls in flight may take once the service is asked to stop.
    pub drain_timeout: Duration,
    /// Names calls in the log; `None` in normal operation.
    pub correlation: Option<Correlation>,
}

impl Settings {
    /// The given socket, with the defaults of everything else.
    #[must_use]
    pub fn new(socket_path: impl Into<PathBuf>, socket_mode: u32, group: SocketGroup) -> Self {
        Self {
            socket_path: socket_path.into(),
            socket_mode,
            socket_group: group,
            approved_directories: ["/run", "/var/run"].map(PathBuf::from).into(),
            allowed_peers: Vec::new(),
            drain_timeout: Duration::from_secs(10),
            correlation: None,
        }
    }

    /// The path as an error names it.
    pub(crate) fn path(&self) -> &Path {
        &self.socket_path
    }
}

/// A group by name or by number; static pods have no names for the host's groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketGroup {
    /// Looked up in the group database when the socket is bound.
    Name(String),
    /// Used as it is.
    Gid(u32),
}

impl SocketGroup {
    /// Decimal digits are a number, everything else a name.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.parse() {
            Ok(gid) if text.bytes().all(|byte| byte.is_ascii_digit()) => Self::Gid(gid),
            _ => Self::Name(text.to_owned()),
        }
    }
}

/// Log lines that join with the API server's, for a short time and a named reason.
#[derive(Debug, Clone)]
pub struct Correlation {
    /// Why somebody looks, `debug_correlation_incident`.
    pub incident: String,
    /// RFC 3339, `debug_correlation_expires_at`.
    pub expires_at: String,
    /// The same instant on the clock of the runtime; from then on no call is named.
    pub until: Instant,
}

#[cfg(test)]
mod tests {
    use super::SocketGroup;

    #[test]
    fn only_decimal_digits_are_a_group_number() {
        assert_eq!(SocketGroup::parse("65532"), SocketGroup::Gid(65532));
        for name in ["+5", "kms", "0x1", "4294967296", ""] {
            assert_eq!(SocketGroup::parse(name), SocketGroup::Name(name.into()));
        }
    }
}
