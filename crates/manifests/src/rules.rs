//! What may be a manifest, by name, owner and mode.
//!
//! Whoever can write a manifest is root on the node: a pod may be privileged and mount the host.
//! So the directory, every directory on the way to a file, and the file belong to root or to the
//! user that the agent runs as, and nobody else can write to them.

use std::ffi::OsStr;

/// The endings of manifests. Backup copies of editors and package managers have others.
pub const ENDINGS: [&str; 3] = [".yaml", ".yml", ".json"];

/// No manifest is larger, bytes.
pub const MAX_BYTES: u64 = 10 << 20;

/// Writable by the group or by everybody.
const FOREIGN_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Why a file of this name is not read, if it is not.
#[must_use]
pub fn ignored(name: &OsStr) -> Option<&'static str> {
    if let Some(why) = unspeakable(name) {
        return Some(why);
    }
    let name = name.as_encoded_bytes();
    if name.starts_with(b".") {
        return Some("its name begins with a dot");
    }
    let ends = |ending: &&str| name.ends_with(ending.as_bytes());
    if ENDINGS.iter().any(ends) {
        return None;
    }
    Some("its name ends neither in .yaml nor in .yml nor in .json")
}

/// Names that cannot be shown or written down as they are.
pub(crate) fn unspeakable(name: &OsStr) -> Option<&'static str> {
    let Some(name) = name.to_str() else {
        return Some("its name is not UTF-8");
    };
    let control = name.chars().any(char::is_control);
    control.then_some("its name has control characters")
}

/// Owner and mode of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// User id.
    pub owner: u32,
    /// Permission bits.
    pub mode: u32,
}

/// Why this must not hold a manifest or be one, if it must not. `agent` is the user id that the
/// agent runs as.
///
/// # Errors
/// One sentence part that follows a path.
pub fn trusted(holder: Holder, agent: u32) -> Result<(), String> {
    let Holder { owner, mode } = holder;
    owned(owner, agent)?;
    if mode & FOREIGN_WRITE != 0 {
        let allowed = mode & 0o7777 & !FOREIGN_WRITE;
        let mode = mode & 0o7777;
        return Err(format!(
            "has mode {mode:04o}: others than its owner can write to it, and who writes manifests is root here; run chmod {allowed:04o} on it"
        ));
    }
    Ok(())
}

/// As [`trusted`], for a directory that is only passed through: one like `/tmp`, where nobody can
/// rename what is another's, will do.
///
/// # Errors
/// One sentence part that follows a path.
pub fn passable(holder: Holder, agent: u32) -> Result<(), String> {
    if holder.mode & STICKY != 0 {
        return owned(holder.owner, agent);
    }
    trusted(holder, agent)
}

/// # Errors
/// One sentence part that follows a path.
pub(crate) fn owned(owner: u32, agent: u32) -> Result<(), String> {
    if owner == 0 || owner == agent {
        return Ok(());
    }
    let allowed = if agent == 0 {
        "root".to_owned()
    } else {
        format!("root or to user {agent}")
    };
    Err(format!(
        "belongs to user {owner}, who would be root here; give it to {allowed}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_the_three_endings_and_no_dot_in_front_are_read() {
        for name in ["a.yaml", "a.yml", "a.json", "a.b.yaml", "~.json"] {
            assert_eq!(ignored(OsStr::new(name)), None, "{name}");
        }
        for name in [
            ".a.yaml",
            ".yaml",
            "..data",
            "a.yaml~",
            "a.yaml.bak",
            "a.json.orig",
            "4913",
            "sedAbCdEf",
            "a.YAML",
            "#a.yaml#",
            "a.yaml.swp",
            "a",
            "yaml",
            "a.yaml.rpmsave",
            "a.yaml.dpkg-old",
            "a.toml",
        ] {
            assert!(ignored(OsStr::new(name)).is_some(), "{name}");
        }
        assert!(ignored(OsStr::new(".a.yaml")).unwrap().contains("dot"));
        assert!(ignored(OsStr::new("a\n.yaml")).unwrap().contains("control"));
        let bytes = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff.yaml");
        assert!(ignored(bytes).unwrap().contains("UTF-8"));
    }

    #[test]
    fn owners_and_modes_decide_who_is_trusted() {
        let holder = |owner, mode| Holder { owner, mode };
        for (owner, mode, agent, fine) in [
            (0, 0o755, 0, true),
            (0, 0o644, 1000, true),
            (1000, 0o600, 1000, true),
            (1000, 0o600, 0, false),
            (1001, 0o600, 1000, false),
            (0, 0o775, 0, false),
            (0, 0o666, 0, false),
            (0, 0o602, 0, false),
            (0, 0o1777, 0, false),
            (0, 0o400, 0, true),
        ] {
            let verdict = trusted(holder(owner, mode), agent);
            assert_eq!(verdict.is_ok(), fine, "{owner} {mode:o} {agent}");
        }
        assert!(passable(holder(0, 0o1777), 0).is_ok());
        assert!(passable(holder(5, 0o1777), 0).is_err());
        assert!(passable(holder(0, 0o777), 0).is_err());
    }

    #[test]
    fn a_refusal_says_what_to_run() {
        let wide = trusted(
            Holder {
                owner: 0,
                mode: 0o100_664,
            },
            0,
        );
        assert!(wide.unwrap_err().ends_with("run chmod 0644 on it"));
        let foreign = trusted(
            Holder {
                owner: 7,
                mode: 0o600,
            },
            9,
        );
        assert!(
            foreign
                .unwrap_err()
                .ends_with("give it to root or to user 9")
        );
    }
}
