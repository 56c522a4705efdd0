use std::{fs, os::unix::fs::MetadataExt as _};

use super::*;

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn the_agents_directories_are_closed_to_others() {
    let place = tempfile::tempdir().unwrap();
    let root = Root::open(&place.path().join("a/b")).unwrap();
    let pod = root.pod("u1").unwrap();
    let _ = pod.write_hosts("x").unwrap();
    for path in [root.path(), &root.path().join("pods"), pod.path()] {
        assert_eq!(mode_of(path), 0o750, "{}", path.display());
    }
    assert!(pod.exists());
    assert_eq!(root.uids().unwrap(), ["u1"]);
}

#[test]
fn the_root_is_known_by_its_true_name() {
    let place = tempfile::tempdir().unwrap();
    let place = fs::canonicalize(place.path()).unwrap();
    fs::create_dir(place.join("true")).unwrap();
    std::os::unix::fs::symlink("true", place.join("link")).unwrap();
    let root = Root::open(&place.join("link")).unwrap();
    assert_eq!(root.path(), place.join("true"));
}

#[test]
fn names_that_lead_away_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let root = Root::open(place.path()).unwrap();
    for name in ["", ".", "..", "a/b", "/", "a\0"] {
        let error = root.pod(name).unwrap_err();
        assert!(matches!(error, HostError::Name { .. }), "{name:?}");
        let pod = root.pod("u").unwrap();
        assert!(pod.volume("k", name).is_err());
        assert!(pod.marker("k", name).is_err());
        assert!(pod.container(name).is_err());
        assert!(pod.sub_path("v", name, 0).is_err());
        assert!(pod.sub_path(name, "c", 0).is_err());
    }
}

#[test]
fn a_hosts_file_is_the_same_file_after_it_was_written_again() {
    let place = tempfile::tempdir().unwrap();
    let pod = Root::open(place.path()).unwrap().pod("u").unwrap();
    let path = pod.write_hosts("a long first text").unwrap();
    let before = fs::metadata(&path).unwrap().ino();
    let _ = pod.write_hosts("second").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"second");
    assert_eq!(fs::metadata(&path).unwrap().ino(), before);
    assert_eq!(mode_of(&path), 0o644);
}

#[test]
fn a_hosts_file_is_not_written_through_a_symlink() {
    let place = tempfile::tempdir().unwrap();
    let pod = Root::open(place.path()).unwrap().pod("u").unwrap();
    make_directory(pod.path(), 0o750).unwrap();
    let outside = place.path().join("outside");
    fs::write(&outside, "mine").unwrap();
    std::os::unix::fs::symlink(&outside, pod.hosts_file()).unwrap();
    assert!(pod.write_hosts("x").is_err());
    assert_eq!(fs::read(&outside).unwrap(), b"mine");
}

#[test]
fn a_directory_is_not_made_through_a_symlink() {
    let place = tempfile::tempdir().unwrap();
    let link = place.path().join("link");
    std::os::unix::fs::symlink(place.path().join("absent"), &link).unwrap();
    let error = make_directory(&link, 0o750).unwrap_err();
    assert!(matches!(error, HostError::Kind { .. }), "{error}");
    assert!(!place.path().join("absent").exists());
}

#[test]
fn a_replaced_file_has_its_mode_and_leaves_nothing_beside_it() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("file");
    replace_file(&path, b"one", 0o600).unwrap();
    replace_file(&path, b"two", 0o666).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"two");
    assert_eq!(mode_of(&path), 0o666);
    assert_eq!(names(place.path()).unwrap(), ["file"]);

    let directory = place.path().join("directory");
    fs::create_dir(&directory).unwrap();
    assert!(replace_file(&directory, b"", 0o600).is_err());
    assert_eq!(names(place.path()).unwrap().len(), 2);
}

#[test]
fn errors_name_the_path_and_what_to_do() {
    for (error, wanted) in [
        (
            Errno::NOSPC,
            "/x: writing failed: free space or inodes on its disk",
        ),
        (
            Errno::ROFS,
            "/x: writing failed: its file system is read-only; remount it, or choose another place",
        ),
        (
            Errno::ACCESS,
            "/x: writing failed: the agent needs to run as root, with all capabilities",
        ),
        (
            Errno::BUSY,
            "/x: writing failed: something uses it; end that, the agent tries again",
        ),
        (
            Errno::XDEV,
            "/x: writing failed: a symlink or a mount leads away from there; remove it",
        ),
        (
            Errno::INVAL,
            "/x: writing failed: see the cause, and check its file system",
        ),
    ] {
        let error = HostError::io(Path::new("/x"), "writing")(error);
        assert_eq!(error.to_string(), wanted);
    }
}
