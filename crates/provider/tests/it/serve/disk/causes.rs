//! What a disk does to a write that it does not take.

use std::{fs, os::unix::fs::symlink};

use super::{
    super::stage::{mode, put},
    place::{
        Place,
        Setting::{self, Plain, Traced, User, Volume},
    },
};

/// A trouble of the disk.
pub(super) struct Cause {
    pub(super) name: &'static str,
    pub(super) setting: Setting,
    pub(super) begins: fn(&Place),
    pub(super) ends: fn(&Place),
    /// What the operator reads.
    pub(super) says: &'static str,
    /// Whether the new file gets its name before the write fails. Then it lies there, and is not
    /// in force.
    pub(super) is_renamed: bool,
}

impl Cause {
    const fn new(
        (name, setting): (&'static str, Setting),
        begins: fn(&Place),
        ends: fn(&Place),
        says: &'static str,
    ) -> Self {
        Self {
            name,
            setting,
            begins,
            ends,
            says,
            is_renamed: false,
        }
    }
}

/// The system calls that make durable.
pub(super) const SYNCS: &str = "fsync,fdatasync";
/// Those that give a new name, as far as the machine has them.
const RENAMES: &str = "?rename,?renameat,?renameat2";

pub(super) const CAUSES: [Cause; 14] = [
    Cause::new(
        ("no space", Volume("size=64k")),
        |place| place.script("! dd if=/dev/zero of=$1/ballast bs=4096 2>/dev/null"),
        |place| place.script("rm $1/ballast"),
        "No space left on device",
    ),
    Cause::new(
        ("no inodes", Volume("nr_inodes=16")),
        |place| {
            place.script("i=0; while true 2>/dev/null >$1/x$i; do i=$((i+1)); done; test $i -gt 3");
        },
        |place| place.script("rm $1/x*"),
        "No space left on device",
    ),
    Cause::new(
        ("read-only", Volume("size=1m")),
        |place| place.script("mount --bind $1 $1 && mount -o remount,bind,ro $1"),
        |place| place.script("umount $1"),
        "Read-only file system",
    ),
    Cause::new(
        ("another volume over it", Volume("size=1m")),
        |place| place.script("mount -t tmpfs -o size=1m,mode=0750 tmpfs $1"),
        |place| place.script("umount $1"),
        "another file system than at the start",
    ),
    Cause::new(
        ("gone", Plain),
        |place| fs::rename(&place.directory, &place.away).unwrap(),
        |place| fs::rename(&place.away, &place.directory).unwrap(),
        "does not exist",
    ),
    Cause::new(
        ("a symbolic link", Plain),
        |place| {
            fs::rename(&place.directory, &place.away).unwrap();
            symlink(&place.away, &place.directory).unwrap();
        },
        un_replace,
        "is a symbolic link",
    ),
    Cause::new(
        ("a file", Plain),
        |place| {
            fs::rename(&place.directory, &place.away).unwrap();
            fs::write(&place.directory, "").unwrap();
        },
        un_replace,
        "is not a directory",
    ),
    Cause::new(
        ("open to others", Plain),
        |place| mode(&place.directory, 0o777),
        |place| mode(&place.directory, 0o750),
        "others can replace the state",
    ),
    Cause::new(
        ("closed to its user", User),
        |place| mode(&place.directory, 0o550),
        |place| mode(&place.directory, 0o750),
        "Permission denied",
    ),
    Cause::new(
        ("an older pair was restored", Plain),
        |place| {
            place.keep("last");
            place.put_state_back("first");
        },
        |place| place.put_pair_back("last"),
        "nothing was written over it",
    ),
    Cause::new(
        ("edited", Plain),
        |place| {
            place.keep("last");
            let text = fs::read_to_string(place.file()).unwrap();
            put(&place.file(), text.replace("pending", "retired"), 0o640);
        },
        |place| place.put_pair_back("last"),
        "the state file is corrupt",
    ),
    Cause::new(
        ("EIO when the new file is synced", Traced),
        |place| place.trace(SYNCS, None, "error=EIO"),
        Place::untrace,
        "syncing the new file failed; check the disk's space and health: Input/output error",
    ),
    Cause {
        is_renamed: true,
        ..Cause::new(
            ("EIO when the directory is synced", Traced),
            |place| place.trace(SYNCS, Some(&place.directory), "error=EIO"),
            Place::untrace,
            "syncing its directory failed; check the disk's space and health: Input/output error",
        )
    },
    Cause::new(
        ("EIO when the new file is renamed", Traced),
        |place| place.trace(RENAMES, None, "error=EIO"),
        Place::untrace,
        "renaming the new file into place failed; check the disk's space and health: Input/output \
         error",
    ),
];

fn un_replace(place: &Place) {
    fs::remove_file(&place.directory).unwrap();
    fs::rename(&place.away, &place.directory).unwrap();
}
