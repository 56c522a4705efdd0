//! What only the machine can tell: whether the files that the configuration names are safe,
//! and who the socket's group is.

use nix::unistd;
use secret::file::{self, FileError};
use yaml::fault::Fault;

use super::{
    error::{ConfigError, Faults},
    settings::{AuthMethod, Config, Group},
};

/// What was looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// The socket's group.
    pub socket_gid: u32,
}

impl Config {
    /// Checks the named files and looks the socket's group up.
    ///
    /// A credential that is not there, not readable or half-written is left to the login, which
    /// tries again until it is: at boot it may come later than we do. One that is open to
    /// others, or no regular file, is refused, since waiting does not mend it. The CA bundle
    /// must be there.
    ///
    /// # Errors
    /// All that is wrong, with the positions of the fields.
    pub fn check_host(&self) -> Result<Host, ConfigError> {
        let mut faults = Vec::new();
        if let Err(error) = file::read(&self.openbao.ca_cert_file, &file::CA) {
            faults.push(self.file_fault("openbao.caCertFile", &error));
        }
        let AuthMethod::Jwt(jwt) = &self.auth.method;
        // The token is read into memory that is wiped, and dropped at once.
        match file::read_secret(&jwt.jwt_file, &file::JWT) {
            Err(error) if !may_pass(&error) => {
                faults.push(self.file_fault("auth.jwt.jwtFile", &error));
            }
            _ => {}
        }
        let gid = self.socket_gid(&mut faults);
        match gid {
            Some(socket_gid) if faults.is_empty() => Ok(Host { socket_gid }),
            _ => Err(Faults::new(&self.origin.source, &faults).into()),
        }
    }

    fn socket_gid(&self, faults: &mut Vec<Fault>) -> Option<u32> {
        let name = match &self.server.socket_group {
            Group::Gid(gid) => return Some(*gid),
            Group::Name(name) => name,
        };
        let message = match unistd::Group::from_name(name) {
            Ok(Some(group)) => return Some(group.gid.as_raw()),
            Ok(None) => "is no group of this host".to_owned(),
            Err(errno) => format!("cannot be looked up: {}", errno.desc()),
        };
        faults.push(self.fault(
            "server.socketGroup",
            message,
            "create the group, or write its decimal GID",
        ));
        None
    }

    fn file_fault(&self, field: &str, error: &FileError) -> Fault {
        self.fault(
            field,
            format!(
                "names a file that cannot be used: {}",
                crate::causes::chain(error)
            ),
            "put the file right, or name another one",
        )
    }
}

/// Whether time alone can mend it.
fn may_pass(error: &FileError) -> bool {
    match error {
        FileError::Missing { .. }
        | FileError::Unreadable { .. }
        | FileError::Empty { .. }
        | FileError::HalfWritten { .. }
        | FileError::Text { .. } => true,
        FileError::Symlink { .. }
        | FileError::ForeignSymlink { .. }
        | FileError::NotRegular { .. }
        | FileError::Mode { .. }
        | FileError::TooLarge { .. } => false,
    }
}
