use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn memory(file: &str, pod: &str, text: &str) -> Memory {
    Memory {
        file: file.into(),
        pod: pod.to_owned(),
        accepted: 1_700_000_000,
        bytes: Arc::from(text.as_bytes()),
    }
}

fn open(root: &Path, boot: &str) -> (Kept, Remembered) {
    Kept::open(root, "/etc/manifests", boot.to_owned()).unwrap()
}

fn files(root: &Path) -> Vec<PathBuf> {
    let store = fs::read_dir(root.join("manifests"))
        .unwrap()
        .next()
        .unwrap();
    let store = store.unwrap().path();
    let mut files: Vec<_> = fs::read_dir(store)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn what_was_put_is_remembered_and_what_was_removed_is_not() {
    let root = tempfile::tempdir().unwrap();
    let (kept, empty) = open(root.path(), "one");
    assert!(empty.files.is_empty() && empty.before.is_none() && empty.body.is_none());
    let (a, b) = (
        memory("a.yaml", "d/a", "one\n\nend"),
        memory("b.yaml", "d/b", ""),
    );
    kept.put(&memory("a.yaml", "d/a", "older")).unwrap();
    kept.put(&b).unwrap();
    kept.put(&a).unwrap();
    kept.put(&memory("c.yaml", "d/c", "x")).unwrap();
    kept.remove(OsStr::new("c.yaml")).unwrap();
    kept.remove(OsStr::new("never.yaml")).unwrap();
    let (_, remembered) = open(root.path(), "one");
    assert_eq!(remembered.files, [a, b]);
    assert!(remembered.damaged.is_empty());
}

#[test]
fn sources_have_stores_of_their_own_that_only_their_owner_can_read() {
    let root = tempfile::tempdir().unwrap();
    let (kept, _) = open(root.path(), "one");
    kept.put(&memory("a.yaml", "d/a", "x")).unwrap();
    let other = Kept::open(root.path(), "https://x/", "one".into()).unwrap();
    assert!(other.1.files.is_empty());
    for path in [root.path().join("manifests"), kept.directory.clone()] {
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
    let mode = fs::metadata(kept.directory.join(name_of("a.yaml"))).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_place_is_remembered_with_the_boot_it_was_seen_in() {
    let root = tempfile::tempdir().unwrap();
    let identity = Identity {
        device: 3,
        inode: u64::MAX,
    };
    open(root.path(), "one").0.put_place(identity).unwrap();
    for (boot, same_boot) in [("one", true), ("two", false), ("", false)] {
        let (_, remembered) = open(root.path(), boot);
        let before = Before {
            identity,
            same_boot,
        };
        assert_eq!(remembered.before, Some(before), "{boot}");
    }
}

#[test]
fn a_body_is_remembered_with_the_names_of_its_pods() {
    let root = tempfile::tempdir().unwrap();
    let body = KeptBody {
        accepted: 9,
        pods: vec!["d/a".into(), "d/b".into()],
        bytes: Arc::from(*b"a\nb"),
    };
    open(root.path(), "one").0.put_body(&body).unwrap();
    assert_eq!(open(root.path(), "one").1.body, Some(body));
}

#[test]
fn damage_of_any_byte_is_told_and_the_rest_is_used() {
    let root = tempfile::tempdir().unwrap();
    let (kept, _) = open(root.path(), "one");
    kept.put(&memory("a.yaml", "d/a", "content")).unwrap();
    kept.put(&memory("b.yaml", "d/b", "content")).unwrap();
    let victim = kept.directory.join(name_of("a.yaml"));
    let whole = fs::read(&victim).unwrap();
    let damage = |bytes: &[u8]| {
        fs::write(&victim, bytes).unwrap();
        let (_, remembered) = open(root.path(), "one");
        assert_eq!(remembered.files.len(), 1);
        assert_eq!(remembered.files[0].file, "b.yaml");
        assert_eq!(remembered.damaged.len(), 1);
        remembered.damaged[0].to_string()
    };
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        damage(&bytes);
        if at > 0 {
            damage(&whole[..at]);
        }
    }
    damage(b"");
    fs::copy(kept.directory.join(name_of("b.yaml")), &victim).unwrap();
    let copied = fs::read(&victim).unwrap();
    assert!(damage(&copied).contains("another one"));
    fs::write(&victim, &whole).unwrap();
    assert_eq!(open(root.path(), "one").1.files.len(), 2);
}

#[test]
fn what_an_interrupted_write_left_is_removed() {
    let root = tempfile::tempdir().unwrap();
    let (kept, _) = open(root.path(), "one");
    kept.put(&memory("a.yaml", "d/a", "x")).unwrap();
    fs::write(kept.directory.join(".x.kept.tmp-1"), "half").unwrap();
    open(root.path(), "one");
    assert_eq!(files(root.path()).len(), 1);
}

#[test]
fn a_store_that_cannot_be_written_says_so_and_keeps_what_it_has() {
    let root = tempfile::tempdir().unwrap();
    let (kept, _) = open(root.path(), "one");
    fs::remove_dir_all(&kept.directory).unwrap();
    let error = kept.put(&memory("a.yaml", "d/a", "x")).unwrap_err();
    assert!(matches!(error, KeptError::Write(_)), "{error}");
    fs::write(root.path().join("file"), "").unwrap();
    let refused = Kept::open(&root.path().join("file"), "/m", String::new());
    assert!(matches!(refused, Err(KeptError::Directory { .. })));
}
