//! Mounts that an agent in a mount namespace of its own makes for pods.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What is mounted below `folder` from here on is seen in every namespace that is made after this.
pub(crate) fn share(folder: &Path) {
    run(Command::new("mount").arg("--bind").args([folder, folder]));
    run(Command::new("mount").arg("--make-shared").arg(folder));
}

/// Takes away every mount below `folder`, the last one first.
pub(crate) fn unmount_below(folder: &Path) {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let places = table.lines().filter_map(|line| line.split(' ').nth(4));
    let places = places.map(PathBuf::from);
    let mut below: Vec<PathBuf> = places.filter(|place| place.starts_with(folder)).collect();
    below.reverse();
    for place in below {
        run(Command::new("umount").arg("-l").arg(place));
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}
