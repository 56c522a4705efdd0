//! A listener that the supervisor holds: the socket stays bound while we are away, so that no
//! client ever backs off.

use std::{
    io::ErrorKind,
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
};

use listenfd::ListenFd;
use rustix::{
    fs::fstat,
    io::Errno,
    net::{
        self, AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType,
        acceptfrom_with, getsockname, sockopt,
    },
};

use crate::{
    errors::SocketError,
    place::{Identity, Occupant, Place, identity_at},
    socket::Access,
};

/// What the supervisor passed, not yet checked.
#[derive(Debug, Default)]
pub struct Inherited(Option<UnixListener>);

/// How many connections are taken out of the kernel's queue to see who else waits. Each costs
/// one of the descriptors of the process, of which there may be 1024.
const MOST_WAITING: usize = 512;

/// What the kernel's queue was found to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Queue {
    /// The visitor that was looked for.
    Visitor,
    /// Nothing any more.
    Empty,
    /// More than can be taken out.
    Long,
}

impl Inherited {
    /// Nothing was passed: the service binds for itself.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// This listener, by whatever way it came.
    #[must_use]
    pub fn listener(listener: UnixListener) -> Self {
        Self(Some(listener))
    }

    /// Takes over what `LISTEN_FDS` announces, and takes the announcement out of the
    /// environment. For the beginning of a program, before its first thread.
    ///
    /// # Errors
    /// When it is not exactly one Unix stream socket.
    pub fn from_env() -> Result<Self, SocketError> {
        let mut passed = ListenFd::from_env();
        match passed.len() {
            0 => Ok(Self(None)),
            1 => match passed.take_unix_listener(0) {
                Ok(listener) => Ok(Self(listener)),
                Err(_) => Err(SocketError::inherited(
                    "the descriptor passed is no Unix stream socket (ListenStream= with a path)",
                )),
            },
            many => Err(SocketError::inherited(format!(
                "{many} descriptors were passed where one is expected"
            ))),
        }
    }

    pub(crate) fn into_listener(self) -> Option<UnixListener> {
        self.0
    }
}

/// A listener that passed every check.
#[derive(Debug)]
pub(crate) struct Adopted {
    pub(crate) listener: UnixListener,
    /// Connections that were waiting; they are served first.
    pub(crate) waiting: Vec<UnixStream>,
    /// The socket file, if the path still leads to the listener. Else the path has to be
    /// bound besides.
    pub(crate) leads: Option<Identity>,
}

/// Checks that `listener` is what the configuration describes.
pub(crate) fn adopt(
    listener: UnixListener,
    place: &Place,
    access: Access,
) -> Result<Adopted, SocketError> {
    check_kind(&listener)?;
    check_address(&listener, place)?;
    listener.set_nonblocking(true).map_err(|error| {
        SocketError::inherited(format!("cannot be made non-blocking ({error})"))
    })?;
    let mut adopted = Adopted {
        listener,
        waiting: Vec::new(),
        leads: None,
    };
    if adopted.is_led_to(place)? {
        check_mode(place, access)?;
        adopted.leads = identity_at(&place.path);
    }
    Ok(adopted)
}

fn check_kind(listener: &UnixListener) -> Result<(), SocketError> {
    let fault = if sockopt::socket_domain(listener) != Ok(AddressFamily::UNIX) {
        "is no Unix socket"
    } else if sockopt::socket_type(listener) != Ok(SocketType::STREAM) {
        "is no stream socket"
    } else if sockopt::socket_acceptconn(listener) != Ok(true) {
        "does not listen (Accept=no is needed)"
    } else {
        return Ok(());
    };
    Err(SocketError::inherited(fault))
}

fn check_address(listener: &UnixListener, place: &Place) -> Result<(), SocketError> {
    let address = listener.local_addr().ok();
    let bound = address.as_ref().and_then(|address| address.as_pathname());
    let Some(bound) = bound else {
        return Err(SocketError::inherited("is not bound to a path"));
    };
    // `/var/run` and `/run` are one directory: compare directories, not spellings.
    let directory = |path: &std::path::Path| path.parent().and_then(|p| p.canonicalize().ok());
    let same = bound == place.path
        || (bound.file_name() == place.path.file_name()
            && directory(bound).is_some()
            && directory(bound) == directory(&place.path));
    if same {
        return Ok(());
    }
    Err(SocketError::inherited(format!(
        "is bound to {} and not to the configured {}",
        bound.display(),
        place.path.display()
    )))
}

fn check_mode(place: &Place, access: Access) -> Result<(), SocketError> {
    let stat = place
        .stat()
        .map_err(SocketError::bind(&place.path, "read its mode"))?;
    let mode = stat.st_mode & 0o7777;
    if mode == access.mode {
        return Ok(());
    }
    Err(SocketError::inherited(format!(
        "{} has mode {mode:04o} and not the configured {:04o} (SocketMode=)",
        place.path.display(),
        access.mode
    )))
}

impl Adopted {
    /// Whether who connects to the path arrives here. The kernel does not tell which file a
    /// listener belongs to, so somebody with a name of his own is sent to the path.
    fn is_led_to(&mut self, place: &Place) -> Result<bool, SocketError> {
        let long = self.take_waiting(None)? == Queue::Long;
        let visitor = match place.look() {
            Ok(Occupant::Nobody | Occupant::Dead(_)) => return Ok(false),
            Ok(Occupant::Live(_)) if long => return Ok(self.presumed(place)),
            Ok(Occupant::Live(visitor)) => visitor,
            Err(SocketError::Undecidable { source, .. })
                if long && source.kind() == ErrorKind::WouldBlock =>
            {
                return Ok(self.presumed(place));
            }
            Err(error) => return Err(error),
        };
        // The first visitor proved that somebody listens; a named one can be recognised.
        drop(visitor);
        let visitor = place.socket()?;
        let failed = |step| SocketError::bind(&place.path, step);
        net::bind(&visitor, &SocketAddrUnix::new_unnamed())
            .map_err(failed("name a socket to test the inherited listener"))?;
        let name = getsockname(&visitor).map_err(failed("read the test socket's name"))?;
        match net::connect(&visitor, &place.address()?) {
            Ok(()) => {}
            Err(Errno::NOENT | Errno::CONNREFUSED) => return Ok(false),
            Err(errno) => return Err(failed("connect to it")(errno)),
        }
        match self.take_waiting(Some(&name))? {
            Queue::Visitor => Ok(true),
            Queue::Long => Ok(self.presumed(place)),
            // Alive, and not ours: another instance serves there.
            Queue::Empty => Err(SocketError::LivePeer(place.path.clone())),
        }
    }

    /// A visitor cannot be found in a crowd. That somebody listens at the path and a crowd
    /// waits here is proof enough: clients that wait are no reason not to serve them.
    fn presumed(&self, place: &Place) -> bool {
        tracing::warn!(
            path = %place.path.display(),
            waiting = self.waiting.len(),
            reason = "too many connections wait on the inherited listener to see whether the \
                      path leads to it; it is taken to do so",
            "socket.inherited_unproven"
        );
        true
    }

    /// Empties the kernel's queue as far as `visitor`, or as descriptors allow.
    fn take_waiting(&mut self, visitor: Option<&SocketAddrAny>) -> Result<Queue, SocketError> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        while self.waiting.len() < MOST_WAITING {
            match acceptfrom_with(&self.listener, flags) {
                Ok((_, Some(from))) if visitor == Some(&from) => return Ok(Queue::Visitor),
                Ok((stream, _)) => self.keep(stream),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::WOULDBLOCK) => return Ok(Queue::Empty),
                Err(Errno::MFILE | Errno::NFILE) => break,
                Err(errno) => {
                    return Err(SocketError::inherited(format!("cannot accept ({errno})")));
                }
            }
        }
        Ok(Queue::Long)
    }

    fn keep(&mut self, stream: OwnedFd) {
        // Descriptors that cannot even be looked at are of no use to anybody.
        if fstat(&stream).is_ok() {
            self.waiting.push(UnixStream::from(stream));
        }
    }
}
