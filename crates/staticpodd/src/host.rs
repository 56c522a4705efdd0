//! Facts of this machine: who runs us, who may write where, what lies at a path.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::Path,
};

use manifests::rules::{Holder, passable, trusted};
use pod::advice::Found;

/// The user that this process runs as, as which an agent would run.
pub(crate) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The host's name in lower case, as a kubelet would call its node.
pub(crate) fn name() -> String {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy();
    name.trim().to_ascii_lowercase()
}

/// What is wrong, and what to do.
pub(crate) type Complaint = (String, String);

/// Why `path` must not hold a manifest or be one, for an agent that runs as `agent`. Nothing when
/// it cannot be examined: who reads it will say so.
pub(crate) fn distrust(path: &Path, agent: u32) -> Option<Complaint> {
    judge(path, agent).ok()?.err().map(|why| complaint(&why))
}

/// As [`distrust`], of a file in a directory that is judged by itself: where the file is no link,
/// nothing needs to be said of the way to it.
pub(crate) fn distrust_alone(path: &Path, agent: u32) -> Option<Complaint> {
    let found = fs::symlink_metadata(path).ok()?;
    if found.is_symlink() {
        return distrust(path, agent);
    }
    trusted(holder(&found), agent)
        .err()
        .map(|why| complaint(&why))
}

/// The rules give one sentence part, with the advice at its end.
fn complaint(why: &str) -> Complaint {
    let (what, advice) = why.rsplit_once("; ").unwrap_or((why, "mend that"));
    (what.to_owned(), advice.to_owned())
}

fn judge(path: &Path, agent: u32) -> io::Result<Result<(), String>> {
    let link = fs::symlink_metadata(path)?;
    if link.is_symlink() {
        // Anybody may write to a link, as it seems; only its owner counts.
        let holder = Holder {
            owner: link.uid(),
            mode: 0,
        };
        if let Err(why) = passable(holder, agent) {
            return Ok(Err(format!("is a symbolic link that {why}")));
        }
    }
    let target = path.canonicalize()?;
    for directory in target.ancestors().skip(1) {
        if let Err(why) = passable(holder(&fs::metadata(directory)?), agent) {
            let directory = directory.display();
            return Ok(Err(format!(
                "is reached through the directory {directory}, which {why}"
            )));
        }
    }
    Ok(trusted(holder(&fs::metadata(&target)?), agent))
}

fn holder(found: &Metadata) -> Holder {
    Holder {
        owner: found.uid(),
        mode: found.mode(),
    }
}

/// What a look at a path finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// This lies there.
    Lies(Found),
    /// Nothing does.
    Nothing,
    /// This user may not look.
    Hidden,
}

/// What lies at `path`, links followed.
pub(crate) fn look(path: &Path) -> Sight {
    let kind = match fs::metadata(path) {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Sight::Hidden,
        Err(_) => return Sight::Nothing,
    };
    Sight::Lies(if kind.is_dir() {
        Found::Directory
    } else if kind.is_file() {
        Found::File
    } else if kind.is_socket() {
        Found::Socket
    } else if kind.is_char_device() {
        Found::CharDevice
    } else if kind.is_block_device() {
        Found::BlockDevice
    } else {
        Found::Other
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn home() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        mode(home.path(), 0o755);
        home
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn who_else_can_write_is_told_with_what_to_do() {
        let home = home();
        let file = home.path().join("a.yaml");
        fs::write(&file, "").unwrap();
        mode(&file, 0o644);
        assert_eq!(distrust(&file, user()), None);
        mode(&file, 0o666);
        let (what, advice) = distrust(&file, user()).unwrap();
        assert!(what.starts_with("has mode 0666: others"), "{what}");
        assert_eq!(advice, "run chmod 0644 on it");
        mode(&file, 0o644);
        mode(home.path(), 0o777);
        let (what, advice) = distrust(&file, user()).unwrap();
        assert!(what.starts_with("is reached through"), "{what}");
        assert_eq!(advice, "run chmod 0755 on it");
        assert_eq!(distrust(&home.path().join("none"), user()), None);
    }

    #[test]
    fn a_link_is_as_good_as_its_target() {
        let home = home();
        let (file, link) = (home.path().join("a.yaml"), home.path().join("b.yaml"));
        fs::write(&file, "").unwrap();
        mode(&file, 0o644);
        symlink(&file, &link).unwrap();
        assert_eq!(distrust(&link, user()), None);
        mode(&file, 0o606);
        assert!(distrust(&link, user()).is_some());
    }

    #[test]
    fn what_lies_at_a_path_is_seen_through_links() {
        let home = home();
        let link = home.path().join("link");
        symlink("/dev/null", &link).unwrap();
        assert_eq!(look(&link), Sight::Lies(Found::CharDevice));
        assert_eq!(look(home.path()), Sight::Lies(Found::Directory));
        assert_eq!(look(&home.path().join("none")), Sight::Nothing);
        assert_eq!(look(&home.path().join("link/none")), Sight::Nothing);
    }
}
