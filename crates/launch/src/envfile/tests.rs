use std::{fs, os::unix::fs::symlink, path::PathBuf};

use serde_json::json;

use super::*;
use crate::{fixtures, host::Root};

#[test]
fn values_are_what_stands_between_single_quotes() {
    let text = "\n# said 'before'\n  A = 'one'  \nB='two = 2 # \"\\\n\nthree'\n\tC=''\nA='last'";
    for (key, value) in [
        ("A", Some("last")),
        ("B", Some("two = 2 # \"\\\n\nthree")),
        ("C", Some("")),
        ("D", None),
        ("a", None),
    ] {
        assert_eq!(find(text, key), Ok(value.map(str::to_owned)), "{key}");
    }
    assert_eq!(find("", "A"), Ok(None));
    assert_eq!(
        find("A='x'\r\nB='y'\r\n", "A"),
        Ok(Some("x".to_owned())),
        "lines of another system"
    );
}

#[test]
fn the_line_that_is_wrong_is_named_also_for_other_variables() {
    for (text, line, fault) in [
        ("A='1'\nB", 2, Fault::NoVariable),
        ("='1'", 1, Fault::Name),
        ("A B='1'", 1, Fault::Name),
        ("A=1", 1, Fault::Unquoted),
        ("A=\"1\"", 1, Fault::Unquoted),
        ("A='1'\n\nB='\n\n", 3, Fault::Open),
        ("A='1' B='2'", 1, Fault::Trailing),
        ("A='\n\n'\nB=1", 4, Fault::Unquoted),
    ] {
        assert_eq!(find(text, "A"), Err((line, fault)), "{text:?}");
    }
}

struct Stage {
    _root: tempfile::TempDir,
    pod: Pod,
    directory: PodDir,
    volume: PathBuf,
}

impl Stage {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let volumes = json!([
            {"name": "v", "emptyDir": {}},
            {"name": "h", "hostPath": {"path": "/etc"}},
        ]);
        let pod = fixtures::pod("p", json!({ "volumes": volumes }));
        let directory = Root::open(root.path()).unwrap().pod("u1").unwrap();
        let volume = volumes::place_of_empty_dir(&directory, "v").unwrap();
        fs::create_dir_all(&volume).unwrap();
        Self {
            _root: root,
            pod,
            directory,
            volume,
        }
    }

    fn value(
        &self,
        volume: &str,
        path: &str,
        key: &str,
        optional: bool,
    ) -> Result<Option<String>, String> {
        let wanted = api::FileKeySelector {
            volume_name: volume.to_owned(),
            path: path.to_owned(),
            key: key.to_owned(),
            optional: Some(optional),
        };
        value(&self.pod, &self.directory, &wanted).map_err(|error| error.to_string())
    }
}

#[test]
fn a_file_of_an_empty_dir_gives_variables_and_only_optional_ones_may_be_missing() {
    let stage = Stage::new();
    fs::create_dir(stage.volume.join("deep")).unwrap();
    fs::write(stage.volume.join("deep/env"), "A='one'\n").unwrap();
    assert_eq!(
        stage.value("v", "deep/env", "A", false),
        Ok(Some("one".to_owned()))
    );
    assert_eq!(stage.value("v", "deep/env", "B", true), Ok(None));
    assert_eq!(stage.value("v", "other", "A", true), Ok(None));
    let missing = stage.value("v", "deep/env", "B", false).unwrap_err();
    assert!(missing.contains("no variable B"), "{missing}");
    let missing = stage.value("v", "other", "A", false).unwrap_err();
    assert!(missing.contains("other is not in volume v"), "{missing}");
}

#[test]
fn nothing_outside_of_the_volume_and_no_other_kind_of_file_is_read() {
    let stage = Stage::new();
    symlink("/etc/hostname", stage.volume.join("out")).unwrap();
    symlink("inside", stage.volume.join("in")).unwrap();
    fs::write(stage.volume.join("inside"), "A='secret'\nB=secret").unwrap();
    fs::write(stage.volume.join("big"), vec![b'\n'; 64 * 1024 + 1]).unwrap();
    fs::write(stage.volume.join("bytes"), [0xff]).unwrap();
    for (volume, path, words) in [
        ("v", "../../x", "leads out"),
        ("v", "out", "a symlink in it leads out"),
        ("v", ".", "is no regular file"),
        ("v", "big", "at most 64 KiB"),
        ("v", "bytes", "UTF-8"),
        ("h", "hostname", "no emptyDir volume h"),
        ("none", "x", "no emptyDir volume none"),
        ("v", "in", "line 2 of the file in of volume v"),
    ] {
        let error = stage.value(volume, path, "A", true).unwrap_err();
        assert!(error.contains(words), "{path}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}
