use std::os::unix::fs::{MetadataExt as _, symlink};

use proptest::prelude::*;

use super::*;
use crate::host::Root;

fn ended<'a>(file: &'a Path, log: &'a Path) -> Ended<'a> {
    Ended {
        file: Some(file),
        log: Some(log),
        falls_back: true,
        has_failed: true,
    }
}

#[test]
fn each_instance_has_a_file_that_anybody_may_write() {
    let place = tempfile::tempdir().unwrap();
    let directory = Root::open(place.path()).unwrap().pod("u").unwrap();
    let first = create(&directory, "c").unwrap();
    let second = create(&directory, "c").unwrap();
    assert_ne!(first, second);
    assert_eq!(fs::metadata(&first).unwrap().mode() & 0o7777, 0o666);
    let name = first.file_name().unwrap().to_str().unwrap();
    assert!(name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(
        first.parent().unwrap(),
        directory.path().join("containers/c")
    );
    assert!(create(&directory, "../c").is_err());
}

#[test]
fn the_file_speaks_first_and_the_log_only_of_failures_and_when_asked() {
    let place = tempfile::tempdir().unwrap();
    let (file, log) = (place.path().join("file"), place.path().join("0.log"));
    fs::write(&log, "2026-01-01T00:00:00Z stderr F boom\n").unwrap();
    let all = ended(&file, &log);
    // Neither file nor words in it: the log.
    assert_eq!(message(&all).unwrap(), "boom\n");
    fs::write(&file, "").unwrap();
    assert_eq!(message(&all).unwrap(), "boom\n");
    for silent in [
        Ended {
            falls_back: false,
            ..all
        },
        Ended {
            has_failed: false,
            ..all
        },
        Ended { log: None, ..all },
        Ended {
            log: Some(Path::new("/nowhere/0.log")),
            ..all
        },
    ] {
        assert_eq!(message(&silent).unwrap(), "");
    }
    fs::write(&file, b"said \xff").unwrap();
    assert_eq!(message(&all).unwrap(), "said \u{fffd}");
    assert_eq!(message(&Ended { file: None, ..all }).unwrap(), "boom\n");
}

#[test]
fn of_a_long_file_the_end_is_read() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(
        &file,
        format!("{}{}", "a".repeat(10_000), "z".repeat(4_000)),
    )
    .unwrap();
    let words = message(&ended(&file, &place.path().join("none"))).unwrap();
    assert_eq!(words, format!("{}{}", "a".repeat(96), "z".repeat(4_000)));
}

#[test]
fn what_is_no_regular_file_is_neither_read_nor_waited_for() {
    let place = tempfile::tempdir().unwrap();
    let secret = place.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let link = place.path().join("link");
    symlink(&secret, &link).unwrap();
    let fifo = place.path().join("fifo");
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
    )
    .unwrap();
    for path in [&link, &fifo, &place.path().to_owned()] {
        let error = message(&ended(path, &secret)).unwrap_err().to_string();
        assert!(error.starts_with(path.to_str().unwrap()), "{error}");
    }
}

#[test]
fn lines_of_a_log_are_read_without_what_the_runtime_wrote_before_them() {
    let log = b"t stdout P one \nt stderr F two\n\nt stdout\nt stdout F \nt stdout F a b  c\nt stdout P end";
    assert_eq!(last_words(log, false), "one two\n\na b  c\nend");
    assert_eq!(last_words(b"F x\nt stdout F y\n", true), "y\n");
    assert_eq!(last_words(b"", true), "");
}

#[test]
fn no_more_than_eighty_lines_and_2048_bytes_are_taken() {
    let lines: String = (0..100).map(|n| format!("t stdout F {n}\n")).collect();
    let words = last_words(lines.as_bytes(), false);
    assert_eq!(
        (words.lines().next(), words.lines().count()),
        (Some("20"), 80)
    );
    let long = format!("t stdout F {}\n", "x".repeat(5_000));
    assert_eq!(last_words(long.as_bytes(), false).len(), 2048);
}

#[test]
fn containers_share_what_a_pod_may_say() {
    let long = "é".repeat(10_000);
    assert_eq!(share(&long, 1).len(), 12 * 1024);
    assert_eq!(share(&long, 5).len(), 2456);
    assert_eq!(share("short", 0), "short");
}

proptest! {
    #[test]
    fn no_log_breaks_the_reader(log in prop::collection::vec(any::<u8>(), 0..200), cut: bool) {
        let _ = last_words(&log, cut);
    }
}
