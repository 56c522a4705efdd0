use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::*;
use crate::disk::OsDisk;

const PRIVATE: Attributes = Attributes {
    mode: 0o640,
    owner: None,
};

/// A disk on which one step fails and the others are counted.
struct Failing {
    fails: &'static str,
    steps: std::cell::RefCell<Vec<&'static str>>,
}

impl Failing {
    fn at(fails: &'static str) -> Self {
        Self {
            fails,
            steps: std::cell::RefCell::default(),
        }
    }

    fn step<T>(&self, step: &'static str, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.steps.borrow_mut().push(step);
        if step == self.fails {
            Err(io::Error::other("no"))
        } else {
            run()
        }
    }
}

impl Disk for Failing {
    type File = fs::File;

    fn create(&self, path: &Path) -> io::Result<fs::File> {
        self.step("create", || OsDisk.create(path))
    }
    fn set_owner(&self, file: &fs::File, owner: Owner) -> io::Result<()> {
        self.step("set_owner", || OsDisk.set_owner(file, owner))
    }
    fn set_mode(&self, file: &fs::File, mode: u32) -> io::Result<()> {
        self.step("set_mode", || OsDisk.set_mode(file, mode))
    }
    fn write(&self, file: &mut fs::File, bytes: &[u8]) -> io::Result<()> {
        self.step("write", || OsDisk.write(file, bytes))
    }
    fn sync(&self, file: &fs::File) -> io::Result<()> {
        self.step("sync", || OsDisk.sync(file))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step("rename", || OsDisk.rename(from, to))
    }
    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.step("sync_directory", || OsDisk.sync_directory(directory))
    }
    fn sync_existing(&self, path: &Path) -> io::Result<()> {
        self.step("sync_existing", || OsDisk.sync_existing(path))
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step("remove", || OsDisk.remove(path))
    }
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_new_content_has_the_mode_that_was_asked_for_and_nothing_else_stays() {
    let home = tempfile::tempdir().unwrap();
    let target = home.path().join("f");
    for content in ["one", "two"] {
        replace(&OsDisk, &target, content.as_bytes(), PRIVATE).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), content);
        assert_eq!(
            fs::metadata(&target).unwrap().permissions().mode() & 0o7777,
            0o640
        );
        assert_eq!(names(home.path()), ["f"]);
    }
}

#[test]
fn content_is_durable_before_the_name_and_the_name_before_success() {
    let home = tempfile::tempdir().unwrap();
    let disk = Failing::at("nowhere");
    let metadata = fs::metadata(home.path()).unwrap();
    let owner = Some(Owner {
        user: metadata.uid(),
        group: metadata.gid(),
    });
    replace(
        &disk,
        &home.path().join("f"),
        b"x",
        Attributes { mode: 0o640, owner },
    )
    .unwrap();
    let steps = [
        "create",
        "set_owner",
        "set_mode",
        "write",
        "sync",
        "rename",
        "sync_directory",
    ];
    assert_eq!(*disk.steps.borrow(), steps);
}

#[test]
fn a_failure_before_the_rename_keeps_the_old_file_and_leaves_no_other() {
    let home = tempfile::tempdir().unwrap();
    let target = home.path().join("f");
    fs::write(&target, "old").unwrap();
    for step in ["create", "set_mode", "write", "sync", "rename"] {
        let error = replace(&Failing::at(step), &target, b"new", PRIVATE).unwrap_err();
        assert!(
            error.to_string().starts_with(target.to_str().unwrap()),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&target).unwrap(), "old", "{step}");
        assert_eq!(names(home.path()), ["f"], "{step}");
    }
    replace(&Failing::at("sync_directory"), &target, b"new", PRIVATE).unwrap_err();
}

#[test]
fn a_symlink_is_replaced_and_not_followed() {
    let home = tempfile::tempdir().unwrap();
    let target = home.path().join("f");
    let elsewhere = home.path().join("elsewhere");
    fs::write(&elsewhere, "old").unwrap();
    std::os::unix::fs::symlink(&elsewhere, &target).unwrap();
    replace(&OsDisk, &target, b"new", PRIVATE).unwrap();
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "old");
    assert!(fs::symlink_metadata(&target).unwrap().is_file());
}

#[test]
fn only_leftovers_of_the_target_itself_are_removed() {
    let home = tempfile::tempdir().unwrap();
    let names_before = [
        ".f.tmp-0123",
        ".f.tmp-",
        ".f.checkpoint.tmp-1",
        ".g.tmp-1",
        "f",
        "f.tmp-1",
        ".f",
    ];
    for name in names_before {
        fs::write(home.path().join(name), "").unwrap();
    }
    let removed = remove_leftovers(&OsDisk, &home.path().join("f")).unwrap();
    assert_eq!(removed.len(), 2);
    assert_eq!(
        names(home.path()),
        [".f", ".f.checkpoint.tmp-1", ".g.tmp-1", "f", "f.tmp-1"]
    );
    let error = remove_leftovers(&OsDisk, &home.path().join("gone/f")).unwrap_err();
    assert_eq!(error.step, "listing its directory");
}
