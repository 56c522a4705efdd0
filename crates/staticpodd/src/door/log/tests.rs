//! Logs on a disk: rotated, packed, continued.

use std::{fs, io::Write as _, path::Path};

use flate2::{Compression, write::GzEncoder};

use super::*;

fn lines(words: &[&str]) -> String {
    let line = |word: &&str| format!("2026-11-21T22:00:00.000000001Z stdout F {word}\n");
    words.iter().map(line).collect()
}

fn put(home: &Path, name: &str, words: &[&str]) {
    fs::write(home.join(name), lines(words)).unwrap();
}

fn add(home: &Path, name: &str, words: &[&str]) {
    let mut file = fs::OpenOptions::new();
    let file = file.append(true).open(home.join(name));
    file.unwrap().write_all(lines(words).as_bytes()).unwrap();
}

fn pack(home: &Path, name: &str, words: &[&str]) {
    let file = fs::File::create(home.join(name)).unwrap();
    let mut packed = GzEncoder::new(file, Compression::default());
    packed.write_all(lines(words).as_bytes()).unwrap();
    let _ = packed.finish().unwrap();
}

fn wish(home: &Path, attempt: u32) -> Wish {
    Wish {
        directory: home.to_owned(),
        attempt,
        tail: None,
        since: None,
        timestamps: false,
        follow: true,
    }
}

fn all(reader: &mut Reader) -> String {
    let mut text = Vec::new();
    while let Step::Some(piece) = reader.step().unwrap() {
        text.extend(piece);
    }
    String::from_utf8(text).unwrap().replace('\n', " ")
}

#[test]
fn what_was_rotated_away_is_part_of_the_log() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    put(home, "0.log", &["e", "f"]);
    put(home, "0.log.20261121-220002", &["c", "d"]);
    pack(home, "0.log.20261121-220001.gz", &["a", "b"]);
    put(home, "0.log.20261121-220001.gz.tmp", &["x"]);
    put(home, "1.log", &["other"]);
    let read = |tail| {
        let wish = Wish {
            tail,
            follow: false,
            ..wish(home, 0)
        };
        all(&mut Reader::new(wish).unwrap())
    };
    assert_eq!(read(None), "a b c d e f ");
    for (tail, expected) in [
        (0, ""),
        (1, "f "),
        (2, "e f "),
        (3, "d e f "),
        (5, "b c d e f "),
        (9, "a b c d e f "),
    ] {
        assert_eq!(read(Some(tail)), expected, "{tail}");
    }
    assert_eq!(attempts(home), [0, 1].into());
}

#[test]
fn a_log_is_followed_through_rotations() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    put(home, "0.log", &["a"]);
    let mut reader = Reader::new(wish(home, 0)).unwrap();
    assert_eq!(all(&mut reader), "a ");
    add(home, "0.log", &["b"]);
    assert_eq!(all(&mut reader), "b ");

    // In the middle of a rotation, and after it.
    add(home, "0.log", &["c"]);
    fs::rename(home.join("0.log"), home.join("0.log.20261121-220001")).unwrap();
    assert_eq!(all(&mut reader), "c ");
    add(home, "0.log.20261121-220001", &["d"]);
    put(home, "0.log", &["e"]);
    assert_eq!(all(&mut reader), "d e ");

    // Twice between two looks; the first of them is packed by then.
    add(home, "0.log", &["f"]);
    assert_eq!(all(&mut reader), "f ");
    pack(home, "0.log.20261121-220002.gz", &["e", "f"]);
    put(home, "0.log.20261121-220003", &["g"]);
    fs::remove_file(home.join("0.log")).unwrap();
    put(home, "0.log.new", &["h"]);
    fs::rename(home.join("0.log.new"), home.join("0.log")).unwrap();
    assert_eq!(all(&mut reader), "g h ");
}

#[test]
fn a_log_is_followed_into_the_next_instance() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    put(home, "0.log", &["a"]);
    let mut reader = Reader::new(wish(home, 0)).unwrap();
    assert_eq!(all(&mut reader), "a ");
    add(home, "0.log", &["b"]);
    put(home, "1.log", &["c"]);
    assert_eq!(all(&mut reader), "b c ");
    let once = Wish {
        follow: false,
        ..wish(home, 0)
    };
    assert_eq!(all(&mut Reader::new(once).unwrap()), "a b ");
}

#[test]
fn half_a_line_waits_for_its_end() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let whole = lines(&["abc"]);
    let (begin, end) = whole.split_at(40);
    fs::write(home.join("0.log"), begin).unwrap();
    let mut reader = Reader::new(wish(home, 0)).unwrap();
    assert_eq!(all(&mut reader), "");
    let mut file = fs::OpenOptions::new();
    let file = file.append(true).open(home.join("0.log"));
    file.unwrap().write_all(end.as_bytes()).unwrap();
    assert_eq!(all(&mut reader), "abc ");
}
