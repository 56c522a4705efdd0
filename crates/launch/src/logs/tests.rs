use std::{io::Read as _, os::unix::fs::MetadataExt as _};

use flate2::read::GzDecoder;

use super::*;
use crate::volumes::tests::pod;

fn some_pod() -> Pod {
    pod(r#"{"containers": []}"#)
}

fn logs(place: &Path) -> Logs {
    Logs {
        pods: place.join("pods"),
        links: place.join("containers"),
    }
}

fn small() -> Limits {
    Limits {
        bytes: 10,
        files: 3,
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + seconds).unwrap()
}

fn sorted(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = list(directory)
        .unwrap()
        .into_iter()
        .map(|name| name.into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn directories_of_logs_are_open_to_readers_and_tell_the_restart_count() {
    let place = tempfile::tempdir().unwrap();
    let (logs, pod) = (logs(place.path()), some_pod());
    assert_eq!(logs.next_restart_count(&pod, "c").unwrap(), 0);
    let path = logs.make(&pod, "c").unwrap();
    assert_eq!(path, place.path().join("pods/default_p-node_u/c"));
    for path in [logs.pods.as_path(), path.parent().unwrap(), &path] {
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o7777, 0o755);
    }
    assert_eq!(logs.next_restart_count(&pod, "c").unwrap(), 0);
    for name in [
        "0.log",
        "9.log.20260101-000000.gz",
        "10.log",
        "x.log",
        "11.txt",
    ] {
        fs::write(path.join(name), "").unwrap();
    }
    assert_eq!(logs.next_restart_count(&pod, "c").unwrap(), 11);
    assert!(logs.make(&pod, "../c").is_err());
}

#[test]
fn a_full_log_is_renamed_reopened_and_compressed_one_rotation_later() {
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("0.log");
    let turn = |seconds: i64| {
        let turned = rotate(&log, small(), at(seconds), || fs::write(&log, ""));
        let turned = turned.unwrap();
        assert!(turned.left.is_empty());
        turned.is_rotated
    };
    assert!(!turn(0), "there is none");
    assert!(log.exists(), "and the runtime is asked for one");
    fs::write(&log, "small").unwrap();
    assert!(!turn(1), "it is small");
    fs::write(&log, "the first text").unwrap();
    assert!(turn(2));
    assert_eq!(sorted(place.path()), ["0.log", "0.log.20260101-000002"]);
    fs::write(&log, "the second text").unwrap();
    assert!(turn(3));
    assert_eq!(
        sorted(place.path()),
        ["0.log", "0.log.20260101-000002.gz", "0.log.20260101-000003"]
    );
    let packed = File::open(place.path().join("0.log.20260101-000002.gz")).unwrap();
    let mut text = String::new();
    let _ = GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    assert_eq!(text, "the first text");
    // A clock that was set back.
    fs::write(&log, "the third text").unwrap();
    assert!(turn(-500));
    assert_eq!(
        sorted(place.path()),
        ["0.log", "0.log.20260101-000003.gz", "0.log.20260101-000004"]
    );
    remove(&log).unwrap();
    assert!(sorted(place.path()).is_empty());
}

#[test]
fn a_log_that_the_runtime_does_not_reopen_has_its_name_again() {
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("0.log");
    fs::write(&log, "the only text").unwrap();
    let error = rotate(&log, small(), at(0), || Err(io::Error::other("no"))).unwrap_err();
    assert!(matches!(error, RotationError::Reopen { .. }));
    assert_eq!(sorted(place.path()), ["0.log"]);
    assert_eq!(fs::read(&log).unwrap(), b"the only text");
}

#[test]
fn what_the_runtime_writes_in_spite_of_its_error_is_kept() {
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("0.log");
    fs::write(&log, "the first text").unwrap();
    let reopen = || {
        fs::write(&log, "new").unwrap();
        Err(io::Error::other("too late"))
    };
    assert!(rotate(&log, small(), at(0), reopen).is_err());
    assert_eq!(sorted(place.path()), ["0.log", "0.log.20260101-000000"]);
    assert_eq!(fs::read(&log).unwrap(), b"new");
}

#[test]
fn what_cannot_be_compressed_stays_plain_and_is_told() {
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("0.log");
    let old = "0.log.20260101-000000";
    fs::write(place.path().join(old), "old").unwrap();
    fs::write(&log, "the first text").unwrap();
    // In the way of the compressed file.
    fs::create_dir(place.path().join(format!("{old}.tmp"))).unwrap();
    let turned = rotate(&log, small(), at(5), || fs::write(&log, "")).unwrap();
    assert!(turned.is_rotated);
    assert!(!turned.left.is_empty());
    assert_eq!(fs::read(place.path().join(old)).unwrap(), b"old");
}

#[test]
fn nothing_but_a_regular_file_is_rotated() {
    let place = tempfile::tempdir().unwrap();
    let other = place.path().join("other");
    fs::write(&other, "a long enough text").unwrap();
    let log = place.path().join("0.log");
    symlink(&other, &log).unwrap();
    let turned = rotate(&log, small(), at(0), || Ok::<(), io::Error>(())).unwrap();
    assert!(!turned.is_rotated);
    assert_eq!(sorted(place.path()), ["0.log", "other"]);
}

#[test]
fn links_lead_to_logs_and_dead_ones_of_our_own_are_removed() {
    let place = tempfile::tempdir().unwrap();
    let (logs, pod) = (logs(place.path()), some_pod());
    let directory = logs.make(&pod, "c").unwrap();
    let log = directory.join("0.log");
    fs::write(&log, "").unwrap();
    let alive = logs.link(&pod, "c", "aa", &log).unwrap();
    assert_eq!(
        alive.file_name().unwrap().to_str().unwrap(),
        "p-node_default_c-aa.log"
    );
    assert_eq!(logs.link(&pod, "c", "aa", &log).unwrap(), alive);
    let dead = logs
        .link(&pod, "c", "bb", &directory.join("1.log"))
        .unwrap();
    let rotating = logs
        .link(&pod, "c", "cc", &directory.join("2.log"))
        .unwrap();
    // Of another instance before: it is put right.
    let _ = logs
        .link(&pod, "c", "cc", &directory.join("3.log"))
        .unwrap();
    assert_eq!(fs::read_link(&rotating).unwrap(), directory.join("3.log"));
    symlink("/nowhere/x", logs.links.join("p_n_c-dd.log")).unwrap();
    fs::write(logs.links.join("file.log"), "").unwrap();

    assert_eq!(logs.remove_dead_links(|id| id == "cc").unwrap(), [dead]);
    assert_eq!(sorted(&logs.links).len(), 4);

    logs.remove(&pod.key, &pod.uid).unwrap();
    assert!(logs.remove(&pod.key, "../u").is_err());
    assert!(!logs.of_pod(&pod).unwrap().exists());
    assert_eq!(logs.remove_dead_links(|_| false).unwrap().len(), 2);
}
