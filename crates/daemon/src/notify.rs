//! Notes to systemd: ready, stopping, still alive.

use std::{
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

/// The service manager, when there is one. Without it every note is a no-op.
#[derive(Debug)]
pub struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// `notify_socket` and `watchdog_usec` are the values of `NOTIFY_SOCKET` and
    /// `WATCHDOG_USEC`, read once by the program.
    ///
    /// # Errors
    /// When the address is no socket address, or no datagram socket can be made.
    pub fn new(notify_socket: Option<&OsStr>, watchdog_usec: Option<&str>) -> io::Result<Self> {
        let socket = match notify_socket {
            None => None,
            Some(name) => {
                let address = match name.as_bytes() {
                    [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
                    _ => SocketAddr::from_pathname(name)?,
                };
                Some((UnixDatagram::unbound()?, address))
            }
        };
        let watchdog = watchdog_usec
            .and_then(|text| text.parse().ok())
            .filter(|micros| *micros > 0)
            .map(Duration::from_micros);
        Ok(Self { socket, watchdog })
    }

    /// How often to send [`Notifier::alive`]: half of what the manager allows.
    #[must_use]
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2)
    }

    /// The socket is bound: units ordered after this one may start.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// The drain has begun.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// The watchdog's sign of life.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    /// One sentence for `systemctl status`.
    pub fn status(&self, sentence: &str) {
        self.send(&format!("STATUS={sentence}"));
    }

    fn send(&self, note: &str) {
        let Some((socket, address)) = &self.socket else {
            return;
        };
        if let Err(error) = socket.send_to_addr(note.as_bytes(), address) {
            tracing::warn!(%error, "systemd.notify_failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_reach_a_path_socket_and_nothing_happens_without_one() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::new(Some(path.as_os_str()), Some("4000000")).unwrap();
        notifier.ready();
        notifier.status("healthy");
        let mut note = [0; 64];
        let length = manager.recv(&mut note).unwrap();
        assert_eq!(&note[..length], b"READY=1");
        let length = manager.recv(&mut note).unwrap();
        assert_eq!(&note[..length], b"STATUS=healthy");
        assert_eq!(notifier.watchdog_interval(), Some(Duration::from_secs(2)));

        let alone = Notifier::new(None, None).unwrap();
        alone.ready();
        assert_eq!(alone.watchdog_interval(), None);
    }

    #[test]
    fn notes_reach_an_abstract_socket() {
        let name = format!("daemon-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let notifier = Notifier::new(Some(OsStr::new(&format!("@{name}"))), None).unwrap();
        notifier.stopping();
        let mut note = [0; 64];
        let length = manager.recv(&mut note).unwrap();
        assert_eq!(&note[..length], b"STOPPING=1");
    }
}
