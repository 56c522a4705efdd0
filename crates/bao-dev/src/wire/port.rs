//! A listening port that can refuse connections and come back under the same number.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, sockopt};

const BACKLOG: i32 = 1024;

/// A port of ours, whether it listens or not.
pub(super) enum Port {
    /// Connections are taken.
    Open(Arc<TcpListener>),
    /// Connections are refused; the socket keeps the number from being given to those who ask the
    /// system for any.
    Held(OwnedFd),
    /// It is no longer ours.
    Gone,
}

impl Port {
    /// From now on the system refuses connections, those it had not handed over included.
    pub(super) fn close(&mut self, address: SocketAddr) -> std::io::Result<()> {
        let Self::Open(listener) = self else {
            return Ok(());
        };
        rustix::net::shutdown(&*listener, Shutdown::Both)?;
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, &address)?;
        *self = Self::Held(socket);
        Ok(())
    }

    /// From now on connections are taken; gives the listener.
    pub(super) fn open(&mut self) -> std::io::Result<Arc<TcpListener>> {
        let socket = match self {
            Self::Open(listener) => return Ok(Arc::clone(listener)),
            Self::Held(socket) => socket.try_clone()?,
            Self::Gone => return Err(std::io::ErrorKind::NotConnected.into()),
        };
        rustix::net::listen(&socket, BACKLOG)?;
        let listener = Arc::new(TcpListener::from(socket));
        *self = Self::Open(Arc::clone(&listener));
        Ok(listener)
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_closed_port_refuses_and_keeps_its_number_until_it_is_open_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut port = Port::Open(Arc::new(listener));
        for _ in 0..3 {
            let kept = TcpStream::connect(address).unwrap();
            port.close(address).unwrap();
            port.close(address).unwrap();
            let refused = TcpStream::connect(address).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            drop(kept);
            let listener = port.open().unwrap();
            TcpStream::connect(address).unwrap();
            assert_eq!(listener.local_addr().unwrap(), address);
        }
    }
}
