//! Where sockets of development go. The provider accepts them below `/run` only, in folders that
//! nobody else can write. One rule for tests, demo and measurements: root has `/run`; everybody
//! else `$XDG_RUNTIME_DIR` when it lies below `/run`, and `/run/user/UID` when it does not.
//! `scripts/run-dir.sh` and `conformance/harness` say the same.

use std::{
    ffi::OsStr,
    path::{Component, Path, PathBuf},
};

use rustix::fs::{Access, AtFlags, CWD, accessat};

/// The folder cannot be written.
#[derive(Debug, thiserror::Error)]
#[error(
    "sockets need a folder below /run, and {} cannot be written; run: {}sudo install -d -m 0700 \
     -o \"$USER\" /run/user/{uid}",
    folder.display(),
    if folder.ends_with(format!("user/{uid}")) { "" } else { "unset XDG_RUNTIME_DIR; " }
)]
pub struct RunDirError {
    folder: PathBuf,
    uid: u32,
}

/// The folder for sockets of this user.
///
/// # Errors
/// It cannot be written; the error says what to type.
pub fn find() -> Result<PathBuf, RunDirError> {
    let uid = rustix::process::geteuid().as_raw();
    let folder = choose(uid, std::env::var_os("XDG_RUNTIME_DIR").as_deref());
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    match accessat(CWD, &folder, wanted, AtFlags::EACCESS) {
        Ok(()) => Ok(folder),
        Err(_) => Err(RunDirError { folder, uid }),
    }
}

fn choose(uid: u32, session: Option<&OsStr>) -> PathBuf {
    if uid == 0 {
        return PathBuf::from("/run");
    }
    session
        .map(PathBuf::from)
        .filter(|folder| lies_below_run(folder))
        .unwrap_or_else(|| PathBuf::from(format!("/run/user/{uid}")))
}

fn lies_below_run(folder: &Path) -> bool {
    folder.strip_prefix("/run").is_ok_and(|rest| {
        let mut parts = rest.components().peekable();
        parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_folder_counts_only_below_run() {
        for (uid, session, expected) in [
            (0, Some("/run/user/0"), "/run"),
            (0, None, "/run"),
            (7, Some("/run/user/7"), "/run/user/7"),
            (7, Some("/run/elsewhere"), "/run/elsewhere"),
            (7, Some("/tmp/session"), "/run/user/7"),
            (7, Some("/runner"), "/run/user/7"),
            (7, Some("/run"), "/run/user/7"),
            (7, Some("/run/../tmp"), "/run/user/7"),
            (7, Some(""), "/run/user/7"),
            (7, None, "/run/user/7"),
        ] {
            let found = choose(uid, session.map(OsStr::new));
            assert_eq!(found, Path::new(expected), "{uid} {session:?}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_comes_with_the_command_that_makes_it() {
        let told = |folder: &str| {
            let folder = PathBuf::from(folder);
            RunDirError { folder, uid: 7 }.to_string()
        };
        assert_eq!(
            told("/run/user/7"),
            "sockets need a folder below /run, and /run/user/7 cannot be written; run: sudo install \
             -d -m 0700 -o \"$USER\" /run/user/7"
        );
        assert!(told("/run/user/0").contains("run: unset XDG_RUNTIME_DIR; sudo install"));
    }
}
