//! Where programs, sockets and files are.

use std::{
    env, fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long a process may take until what it makes is there.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The program `name` that lies beside the running one, as one cargo build puts them.
///
/// # Errors
/// When the system does not say where the running program is, or `name` is not there.
pub fn beside(name: &str) -> io::Result<PathBuf> {
    let path = env::current_exe()?.with_file_name(name);
    if path.exists() {
        return Ok(path);
    }
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        format!("{} is not there; build it first", path.display()),
    ))
}

/// A directory below `/run` for sockets, as the provider wants it: only we can write there.
/// Removed with the value.
///
/// # Errors
/// When there is no place to make it.
pub fn sockets() -> io::Result<TempDir> {
    let run = bao_dev::run_dir::find().map_err(io::Error::other)?;
    let directory = tempfile::Builder::new().prefix("kms-").tempdir_in(run)?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o750))?;
    Ok(directory)
}

/// Waits until `path` exists.
///
/// # Errors
/// When it does not appear in [`PATIENCE`].
pub async fn appears(path: &Path) -> io::Result<()> {
    let began = Instant::now();
    while !path.exists() {
        if began.elapsed() > PATIENCE {
            let message = format!("{} did not appear", path.display());
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
