//! `fsGroup`: volumes of the agent's own belong to a group of the pod.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use crate::{host::HostError, tree};

const SETGID: u32 = 0o2000;

/// Who may use a volume, beside its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Group {
    /// Its number on the host.
    pub(crate) id: u32,
    /// Leaves a tree alone whose root is right already.
    pub(crate) only_on_mismatch: bool,
    /// Gives it no more than reading.
    pub(crate) is_read_only: bool,
}

impl Group {
    /// What the mode of a file becomes: the group may do what the owner of such a volume may, and
    /// what is made in its directories later belongs to the group too.
    pub(crate) fn mode(self, mode: u32, is_directory: bool) -> u32 {
        let files = if self.is_read_only { 0o440 } else { 0o660 };
        let directories = if is_directory { SETGID | 0o110 } else { 0 };
        mode | files | directories
    }

    /// Whether the root of a tree looks as if the whole tree had been given.
    fn has(self, group: u32, mode: u32) -> bool {
        group == self.id && self.mode(mode, true) == mode
    }

    /// Gives a tree to the group.
    ///
    /// # Errors
    /// Part of it could not be given.
    pub(crate) fn give(self, tree: &Path) -> Result<(), HostError> {
        let found = fs::symlink_metadata(tree).map_err(HostError::io(tree, "looking at it"))?;
        if self.only_on_mismatch && self.has(found.gid(), found.mode() & 0o7777) {
            return Ok(());
        }
        tree::give_to_group(tree, self.id, &|mode, is_directory| {
            self.mode(mode, is_directory)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn group(id: u32, only_on_mismatch: bool) -> Group {
        Group {
            id,
            only_on_mismatch,
            is_read_only: false,
        }
    }

    #[test]
    fn modes_let_the_group_in() {
        for (mode, is_directory, is_read_only, wanted) in [
            (0o600, false, false, 0o660),
            (0o755, false, false, 0o775),
            (0o400, false, true, 0o440),
            (0o777, true, false, 0o2777),
            (0o700, true, false, 0o2770),
            (0o700, true, true, 0o2750),
            (0o1777, true, false, 0o3777),
        ] {
            let group = Group {
                id: 1,
                only_on_mismatch: false,
                is_read_only,
            };
            assert_eq!(group.mode(mode, is_directory), wanted, "{mode:o}");
            assert_eq!(group.mode(wanted, is_directory), wanted, "{mode:o}, twice");
        }
    }

    #[test]
    fn a_tree_whose_root_is_right_is_left_alone_only_when_asked() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs::write(&file, "").unwrap();
        let id = fs::metadata(place.path()).unwrap().gid();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };

        // The root is wrong: all is given.
        set(&file, 0o600);
        set(place.path(), 0o700);
        group(id, true).give(place.path()).unwrap();
        assert_eq!((mode(place.path()), mode(&file)), (0o2770, 0o660));

        // The root is right.
        set(&file, 0o600);
        group(id, true).give(place.path()).unwrap();
        assert_eq!(mode(&file), 0o600);
        group(id, false).give(place.path()).unwrap();
        assert_eq!(mode(&file), 0o660);
    }
}
