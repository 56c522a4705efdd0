//! Binding at a place, and going away from it.

use std::{
    os::{fd::OwnedFd, unix::net::UnixListener},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::{
    fs::{self, AtFlags, Gid, Mode},
    net,
    process::umask,
};

use crate::{
    claim::Claim,
    errors::SocketError,
    metrics::Metrics,
    place::{Identity, Occupant, Place},
    settings::SocketGroup,
};

/// Connections that wait in the kernel while we are busy or away.
const BACKLOG: i32 = 1024;

/// Mode and group, as numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access {
    pub(crate) mode: u32,
    group: Gid,
}

impl Access {
    /// Looks the group up.
    pub(crate) fn resolve(mode: u32, group: &SocketGroup) -> Result<Self, SocketError> {
        if mode & !0o660 != 0 {
            return Err(SocketError::Mode(mode));
        }
        let gid = match group {
            SocketGroup::Gid(gid) => *gid,
            SocketGroup::Name(name) => match nix::unistd::Group::from_name(name) {
                Ok(Some(group)) => group.gid.as_raw(),
                Ok(None) | Err(_) => return Err(SocketError::NoGroup(name.clone())),
            },
        };
        Ok(Self {
            mode,
            group: Gid::from_raw(gid),
        })
    }
}

/// A listener of our own and the file that leads to it.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) listener: UnixListener,
    pub(crate) identity: Identity,
}

/// Makes the place free if what lies there is certainly dead, then listens on it.
pub(crate) fn listen(claim: &Claim, access: Access, metrics: &Metrics) -> Result<Own, SocketError> {
    let place = claim.place();
    match place.look()? {
        Occupant::Nobody => {}
        Occupant::Dead(found) => remove_dead(place, found, metrics)?,
        Occupant::Live(_) => return Err(SocketError::LivePeer(place.path.clone())),
    }
    bind(place, access)
}

fn remove_dead(place: &Place, found: Identity, metrics: &Metrics) -> Result<(), SocketError> {
    if place.identity() != Ok(found) {
        return Err(SocketError::LivePeer(place.path.clone()));
    }
    place
        .unlink(&place.name)
        .map_err(SocketError::bind(&place.path, "remove the dead socket"))?;
    metrics.socket_restarted();
    tracing::warn!(path = %place.path.display(), "socket.stale_removed");
    Ok(())
}

/// Nobody can connect before `listen`, and by then mode and group are set; the umask keeps
/// the file narrow even until then.
fn bind(place: &Place, access: Access) -> Result<Own, SocketError> {
    let socket = place.socket()?;
    {
        let _narrow = Umask::narrow(access.mode);
        net::bind(&socket, &place.address()?)
            .map_err(SocketError::bind(&place.path, "bind a socket there"))?;
    }
    let identity = place
        .identity()
        .map_err(SocketError::bind(&place.path, "find the socket just bound"))?;
    match open_to_group(place, &socket, access) {
        Ok(()) => Ok(Own {
            listener: UnixListener::from(socket),
            identity,
        }),
        Err(error) => {
            remove_ours(place, identity);
            Err(error)
        }
    }
}

fn open_to_group(place: &Place, socket: &OwnedFd, access: Access) -> Result<(), SocketError> {
    let (directory, name) = (&place.directory, &place.name);
    fs::chownat(
        directory,
        name,
        None,
        Some(access.group),
        AtFlags::SYMLINK_NOFOLLOW,
    )
    .map_err(SocketError::bind(
        &place.path,
        "give it to the socket group; this process must be a member of it",
    ))?;
    let mode = Mode::from_raw_mode(access.mode);
    fs::chmodat(directory, name, mode, AtFlags::empty())
        .map_err(SocketError::bind(&place.path, "set its mode"))?;
    net::listen(socket, BACKLOG).map_err(SocketError::bind(&place.path, "listen on it"))
}

/// Removes the file if it still is the one that we bound; whether it did.
pub(crate) fn remove_ours(place: &Place, ours: Identity) -> bool {
    place.identity() == Ok(ours) && place.unlink(&place.name).is_ok()
}

/// One at a time, or the second would put back the narrow mask of the first.
static UMASK: Mutex<()> = Mutex::new(());

/// A process-wide mask for the moment of `bind`, put back on drop. Files that other threads
/// make in that moment come out narrower, never wider.
struct Umask {
    before: Mode,
    _turn: MutexGuard<'static, ()>,
}

impl Umask {
    fn narrow(mode: u32) -> Self {
        let turn = UMASK.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            before: umask(Mode::from_raw_mode(0o777 & !(mode & 0o700))),
            _turn: turn,
        }
    }
}

impl Drop for Umask {
    fn drop(&mut self) {
        umask(self.before);
    }
}
