//! One instance per path: a lock beside the socket, held for as long as the process lives.
//!
//! Without it two instances that start together could both find the same dead socket, and the
//! slower one would remove the living socket of the faster.

use std::{
    ffi::OsString,
    os::fd::{AsFd as _, OwnedFd},
};

use rustix::{
    fs::{self, FlockOperation, Mode, OFlags},
    io::Errno,
};

use crate::{
    errors::SocketError,
    place::{Identity, Place},
};

/// The right to touch what lies at a place. The kernel takes it back when the process ends,
/// however it ends.
#[derive(Debug)]
pub(crate) struct Claim {
    place: Place,
    lock_name: OsString,
    _lock: OwnedFd,
}

impl Claim {
    /// Takes the lock, or says that another instance has it.
    pub(crate) fn take(place: Place) -> Result<Self, SocketError> {
        let mut lock_name = OsString::from(".");
        lock_name.push(&place.name);
        lock_name.push(".lock");
        // Only the owner can open it, so that nobody else can hold it. A symlink in the
        // name's place is refused.
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let lock =
            fs::openat(&place.directory, &lock_name, flags, Mode::RUSR | Mode::WUSR).map_err(
                SocketError::bind(&place.path, "open the lock file beside it"),
            )?;
        match fs::flock(lock.as_fd(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(SocketError::SecondInstance(place.path)),
            Err(errno) => return Err(SocketError::bind(&place.path, "lock it")(errno)),
        }
        // An instance that ended in between took the file away with it.
        let held = Identity::of(&lock);
        let named = Identity::at(&place.directory, &lock_name);
        if held.is_err() || held != named {
            return Err(SocketError::SecondInstance(place.path));
        }
        Ok(Self {
            place,
            lock_name,
            _lock: lock,
        })
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Ends the claim and leaves nothing behind.
    pub(crate) fn release(self) {
        // A lock file that stays harms nobody: the next start uses it.
        let _ = self.place.unlink(&self.lock_name);
    }
}
