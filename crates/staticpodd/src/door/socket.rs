//! Where the socket lies. A lock beside it makes sure that of two agents that start together
//! none removes the living socket of the other.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io,
    os::{
        fd::AsFd as _,
        unix::{
            fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
            net::UnixStream,
        },
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with},
};
use tokio::net::UnixListener;

/// Connections that wait to be let in.
const BACKLOG: i32 = 64;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    /// Somebody else has it.
    #[error("another agent listens at {}: give this one another --socket", .0.display())]
    Taken(PathBuf),
    /// Something else lies there.
    #[error("{} is no socket: remove it, or give another --socket", .0.display())]
    InTheWay(PathBuf),
    /// Somebody else may write to the directory, and put a socket of his own there.
    #[error("the directory {} is not root's alone: chown it to root and chmod it to 0755", .0.display())]
    Untrusted(PathBuf),
    /// The system refused something.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A socket that listens, and goes when this is dropped, if it still lies there.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) listener: UnixListener,
    path: PathBuf,
    file: (u64, u64),
    _lock: File,
}

impl Socket {
    /// Makes the directory, takes the lock, replaces a dead socket and leaves a living one alone.
    pub(crate) fn open(path: &Path) -> Result<Self, SocketError> {
        let parent = path.parent().unwrap_or(Path::new("/"));
        directory(parent)?;
        let lock = lock(path)?;
        clear(path)?;
        let io = |what| failed(what, path);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(|errno| io("make a socket for")(errno.into()))?;
        let address = SocketAddrUnix::new(path)
            .map_err(|errno| io("use as the address of a socket")(errno.into()))?;
        bind(&socket, &address).map_err(|errno| io("bind")(errno.into()))?;
        // Nobody can connect before it listens, so nobody slips in before this.
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(io("set the mode of"))?;
        let file = identity(path).map_err(io("look at"))?;
        listen(&socket, BACKLOG).map_err(|errno| io("listen at")(errno.into()))?;
        let listener = UnixListener::from_std(socket.into()).map_err(io("listen at"))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            file,
            _lock: lock,
        })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            // Who finds it finds that nobody listens.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn failed(what: &'static str, path: &Path) -> impl Fn(io::Error) -> SocketError + use<> {
    let path = path.to_owned();
    move |source| SocketError::Io {
        what,
        path: path.clone(),
        source,
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// The last part of it is made; others could only be guessed at.
fn directory(path: &Path) -> Result<(), SocketError> {
    match DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed("make the directory", path)(error));
        }
        _ => {}
    }
    let found = fs::metadata(path).map_err(failed("look at the directory", path))?;
    let own = rustix::process::geteuid().as_raw();
    let is_ours = found.uid() == own || found.uid() == 0;
    if found.is_dir() && is_ours && found.mode() & 0o022 == 0 {
        Ok(())
    } else {
        Err(SocketError::Untrusted(path.to_owned()))
    }
}

/// The lock's file stays: the next start uses it.
fn lock(socket: &Path) -> Result<File, SocketError> {
    let mut name = std::ffi::OsString::from(".");
    name.push(socket.file_name().unwrap_or_default());
    name.push(".lock");
    let path = socket.with_file_name(name);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|errno| failed("open the lock", &path)(errno.into()))?;
    match flock(lock.as_fd(), FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock.into()),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(SocketError::Taken(socket.to_owned())),
        Err(errno) => Err(failed("lock", &path)(errno.into())),
    }
}

/// Removes a socket on which nobody listens.
fn clear(path: &Path) -> Result<(), SocketError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at", path)(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(SocketError::InTheWay(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        // Only this proves that nobody listens.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed("remove the dead socket", path))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) => Err(SocketError::Taken(path.to_owned())),
        Err(error) => Err(failed("find out who listens at", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), Permissions::from_mode(0o755)).unwrap();
        home
    }

    #[tokio::test]
    async fn a_socket_is_its_owners_alone_and_goes_with_its_agent() {
        let home = home();
        let path = home.path().join("run/agent.sock");
        let socket = Socket::open(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&home.path().join("run")), 0o755);
        assert!(UnixStream::connect(&path).is_ok());
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn the_living_are_left_alone_and_the_dead_replaced() {
        let home = home();
        let path = home.path().join("agent.sock");
        let first = Socket::open(&path).unwrap();
        let taken = Socket::open(&path).unwrap_err();
        assert!(matches!(taken, SocketError::Taken(_)), "{taken}");
        drop(first);
        // Somebody who takes no lock.
        let stranger = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let taken = Socket::open(&path).unwrap_err();
        assert!(matches!(taken, SocketError::Taken(_)), "{taken}");
        drop(stranger);
        let second = Socket::open(&path).unwrap();
        assert!(UnixStream::connect(&path).is_ok());
        // What came in its place stays.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        drop(second);
        let in_the_way = Socket::open(&path).unwrap_err();
        assert!(
            matches!(in_the_way, SocketError::InTheWay(_)),
            "{in_the_way}"
        );
    }

    #[tokio::test]
    async fn a_directory_that_others_can_write_to_is_refused() {
        let home = home();
        fs::set_permissions(home.path(), Permissions::from_mode(0o777)).unwrap();
        let error = Socket::open(&home.path().join("agent.sock")).unwrap_err();
        assert!(matches!(error, SocketError::Untrusted(_)), "{error}");
    }
}
