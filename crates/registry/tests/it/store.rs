//! The state pair on the real disk: what opens, what is refused, and what is written.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
};

use registry::{
    pair::CheckpointStatus,
    store::{Notice, Store, StoreError, Written},
};
use tempfile::TempDir;

use crate::{
    documents::{after, first, scope},
    state,
};

/// A state directory as it should be, and the path of the state file in it.
fn home() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    set_mode(home.path(), 0o750);
    let path = home.path().join("key-registry.json");
    (home, path)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

fn put(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    set_mode(path, 0o640);
}

/// Writes two generations and lets go of the lock.
fn filled() -> (TempDir, PathBuf) {
    let (home, path) = home();
    let mut store = Store::open(&path, &scope()).unwrap();
    assert!(matches!(store.write(&first()), Ok(Written::Both)));
    assert!(matches!(
        store.write(&after(&first(), 0)),
        Ok(Written::Both)
    ));
    (home, path)
}

#[track_caller]
/// The refusal and what caused it, as it is logged.
fn told(path: &Path) -> String {
    let error = refusal(path);
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    format!("{error}: {}", cause.unwrap_or_default())
}

fn refusal(path: &Path) -> StoreError {
    let peeked = Store::peek(path, &scope()).unwrap_err().to_string();
    let error = Store::open(path, &scope()).unwrap_err();
    assert_eq!(error.to_string(), peeked);
    error
}

#[test]
fn what_was_written_is_there_at_the_next_start() {
    let (_home, path) = home();
    let mut store = Store::open(&path, &scope()).unwrap();
    assert!(store.document().is_none());
    let mut document = first();
    for attempt in 0..3 {
        assert!(matches!(store.write(&document), Ok(Written::Both)));
        assert_eq!(store.document(), Some(&document));
        document = after(&document, attempt);
    }
    drop(store);
    let store = Store::open(&path, &scope()).unwrap();
    assert_eq!(
        store.document().map(|document| document.generation()),
        Some(3)
    );
    assert!(store.notices().is_empty());
    assert_eq!(fs::read(&path).unwrap(), store.document().unwrap().render());
}

#[test]
fn every_golden_pair_gets_its_verdict_from_files_too() {
    for vector in state::vectors() {
        let (_home, path) = home();
        for (path, content) in [
            (path.clone(), &vector.state),
            (beside(&path, ".checkpoint"), &vector.checkpoint),
        ] {
            if let Some(content) = content {
                put(&path, content.as_bytes());
            }
        }
        let scope = vector.scope.scope();
        let peeked = Store::peek(&path, &scope);
        match (peeked, Store::open(&path, &scope)) {
            (Ok(pair), Ok(store)) => {
                assert!(vector.expect.loads, "{}", vector.name);
                assert_eq!(
                    Some(pair.checkpoint.as_str()),
                    vector.expect.checkpoint.as_deref()
                );
                assert_eq!(pair.document.as_ref(), store.document());
                let pair = Store::peek(&path, &scope).unwrap();
                assert_eq!(
                    pair.checkpoint,
                    CheckpointStatus::Current,
                    "{}",
                    vector.name
                );
                assert_eq!(fs::read(&path).unwrap(), vector.state.unwrap().into_bytes());
            }
            (Err(StoreError::Load { fault, .. }), Err(error)) => {
                assert_eq!(Some(fault.word()), vector.expect.reason.as_deref());
                assert!(
                    error.to_string().starts_with(path.to_str().unwrap()),
                    "{error}"
                );
            }
            (peeked, opened) => panic!("{}: {peeked:?} {opened:?}", vector.name),
        }
    }
}

#[test]
fn a_second_holder_is_refused_and_a_report_is_not() {
    let (_home, path) = home();
    let mut store = Store::open(&path, &scope()).unwrap();
    let _ = store.write(&first()).unwrap();
    let error = Store::open(&path, &scope()).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("stop the other bao-kms-provider"),
        "{error}"
    );
    assert_eq!(
        Store::peek(&path, &scope()).unwrap().document,
        Some(first())
    );
    drop(store);
    Store::open(&path, &scope()).unwrap();
}

#[test]
fn all_files_have_mode_0640_and_the_lock_stays() {
    let (_home, path) = filled();
    for suffix in ["", ".checkpoint", ".lock"] {
        assert_eq!(mode(&beside(&path, suffix)), 0o640, "{suffix}");
    }
    let lock = beside(&path, ".lock");
    let inode = fs::metadata(&lock).unwrap().ino();
    set_mode(&lock, 0o600);
    drop(Store::open(&path, &scope()).unwrap());
    assert_eq!(
        (fs::metadata(&lock).unwrap().ino(), mode(&lock)),
        (inode, 0o640)
    );
}

/// The note of a test that cannot run here. In CI everything must run, so it fails there.
#[track_caller]
fn skipped(reason: &str) -> String {
    assert!(
        std::env::var_os("CI").is_none(),
        "cannot run in CI: {reason}"
    );
    format!("skipped: {reason}")
}

#[test]
fn files_that_root_writes_belong_to_the_owner_of_the_directory() {
    if !rustix::process::geteuid().is_root() {
        println!("{}", skipped("only root can write for somebody else"));
        return;
    }
    let (home, path) = home();
    chown(home.path(), Some(1234), Some(4321)).unwrap();
    let mut store = Store::open(&path, &scope()).unwrap();
    let _ = store.write(&first()).unwrap();
    for suffix in ["", ".checkpoint", ".lock"] {
        let metadata = fs::metadata(beside(&path, suffix)).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (1234, 4321), "{suffix}");
    }
}

#[test]
fn each_forbidden_bit_of_a_file_is_refused() {
    for suffix in ["", ".checkpoint"] {
        let (_home, path) = filled();
        let file = beside(&path, suffix);
        for bit in (0..9)
            .map(|shift| 1 << shift)
            .filter(|bit| bit & 0o137 != 0)
        {
            set_mode(&file, 0o640 | bit);
            let text = told(&path);
            assert!(text.contains(file.to_str().unwrap()), "{text}");
            assert!(text.contains("docs/recovery.md"), "{text}");
            assert!(text.contains("chmod 0640"), "{text}");
        }
        set_mode(&file, 0o640);
        Store::open(&path, &scope()).unwrap();
    }
}

#[test]
fn a_file_that_is_a_symlink_or_a_directory_is_refused() {
    for suffix in ["", ".checkpoint"] {
        let (home, path) = filled();
        let file = beside(&path, suffix);
        let elsewhere = home.path().join("elsewhere");
        fs::rename(&file, &elsewhere).unwrap();
        symlink(&elsewhere, &file).unwrap();
        assert!(told(&path).contains("is a symbolic link"));
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(told(&path).contains("is a directory"));
    }
    let (home, path) = home();
    symlink(home.path().join("elsewhere"), beside(&path, ".lock")).unwrap();
    let error = Store::open(&path, &scope()).unwrap_err();
    assert!(matches!(error, StoreError::Lock { .. }), "{error}");
}

#[test]
fn a_directory_that_is_missing_shared_or_a_symlink_is_refused() {
    let (home, path) = filled();
    for bit in [0o020, 0o002] {
        set_mode(home.path(), 0o750 | bit);
        assert!(refusal(&path).to_string().contains("run chmod 0750"));
    }
    set_mode(home.path(), 0o755);
    Store::open(&path, &scope()).unwrap();
    let link = home.path().join("link");
    symlink(home.path(), &link).unwrap();
    let text = refusal(&link.join("key-registry.json")).to_string();
    assert!(text.contains("is a symbolic link"), "{text}");
    let text = refusal(&home.path().join("gone/key-registry.json")).to_string();
    assert!(text.contains("does not exist"), "{text}");
    assert!(
        refusal(Path::new("/"))
            .to_string()
            .contains("must name a file")
    );
}

#[test]
fn an_oversized_state_file_is_refused_unread() {
    let (_home, path) = filled();
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len((16 << 20) + 1)
        .unwrap();
    assert!(told(&path).contains("is larger than 16777216 bytes"));
}

#[test]
fn every_verdict_says_what_to_do() {
    let (_home, path) = filled();
    let good = fs::read(&path).unwrap();
    put(&path, &good[..good.len() / 2]);
    let text = told(&path);
    assert!(text.contains("its writer was interrupted"), "{text}");
    assert!(
        text.contains("restore both files of the pair from one backup"),
        "{text}"
    );
    put(&path, b"");
    assert!(
        refusal(&path)
            .to_string()
            .contains("the state file is corrupt: it is empty")
    );
    put(&path, &first().render());
    let text = refusal(&path).to_string();
    assert!(text.contains("put the newer state file back"), "{text}");
    fs::remove_file(&path).unwrap();
    let text = refusal(&path).to_string();
    assert!(
        text.contains("copy both files from a healthy node"),
        "{text}"
    );
    put(&path, &good);
    let mut other = scope();
    other.cluster_id = "another".into();
    let text = Store::open(&path, &other).unwrap_err().to_string();
    assert!(text.contains("clusterId of version 1"), "{text}");
    assert!(!text.contains("another\""), "{text}");
}

#[test]
fn a_missing_checkpoint_is_noticed_and_written() {
    let (_home, path) = filled();
    let checkpoint = beside(&path, ".checkpoint");
    let good = fs::read(&checkpoint).unwrap();
    fs::remove_file(&checkpoint).unwrap();
    let pair = Store::peek(&path, &scope()).unwrap();
    assert_eq!(pair.checkpoint, CheckpointStatus::Missing);
    assert!(!checkpoint.exists(), "a report writes nothing");
    let store = Store::open(&path, &scope()).unwrap();
    assert!(
        matches!(store.notices(), [Notice::CheckpointMissing(_)]),
        "{:?}",
        store.notices()
    );
    assert_eq!(fs::read(&checkpoint).unwrap(), good);
}

#[test]
fn a_checkpoint_is_known_again_and_no_other_is_taken_for_it() {
    let (_home, path) = home();
    let mut store = Store::open(&path, &scope()).unwrap();
    assert!(!store.has_its_checkpoint());
    let _ = store.write(&first()).unwrap();
    let checkpoint = beside(&path, ".checkpoint");
    let older = fs::read(&checkpoint).unwrap();
    let _ = store.write(&after(&first(), 0)).unwrap();
    let own = fs::read(&checkpoint).unwrap();
    assert!(store.has_its_checkpoint());
    let fork = after(&first(), 1).checkpoint().render();
    for other in [&older[..], &fork, b"{}"] {
        put(&checkpoint, other);
        assert!(!store.has_its_checkpoint());
    }
    put(&checkpoint, &own);
    assert!(store.has_its_checkpoint());
    fs::remove_file(&checkpoint).unwrap();
    assert!(!store.has_its_checkpoint());
}

#[test]
fn leftovers_of_interrupted_writes_are_removed_under_the_lock_only() {
    let (home, path) = filled();
    let leftovers = [
        ".key-registry.json.tmp-0011",
        ".key-registry.json.checkpoint.tmp-0011",
    ];
    for name in leftovers {
        fs::write(home.path().join(name), "half").unwrap();
    }
    Store::peek(&path, &scope()).unwrap();
    assert!(home.path().join(leftovers[0]).exists());
    let store = Store::open(&path, &scope()).unwrap();
    assert!(
        leftovers
            .iter()
            .all(|name| !home.path().join(name).exists())
    );
    assert_eq!(store.notices().len(), 2);
    assert!(
        store.notices()[0]
            .to_string()
            .contains("left behind by an interrupted write")
    );
}

#[test]
fn only_the_next_generation_is_written() {
    let (_home, path) = home();
    let mut store = Store::open(&path, &scope()).unwrap();
    let second = after(&first(), 0);
    let third = after(&second, 0);
    let fork = after(&first(), 1);
    assert!(matches!(
        store.write(&second),
        Err(StoreError::NotNext { in_force: 0, .. })
    ));
    let _ = store.write(&first()).unwrap();
    let _ = store.write(&second).unwrap();
    let before = fs::read(&path).unwrap();
    for wrong in [
        &second,
        &fork,
        &first(),
        &after(&third, 0),
        &after(&fork, 0),
    ] {
        let error = store.write(wrong).unwrap_err();
        assert!(
            matches!(error, StoreError::NotNext { in_force: 2, .. }),
            "{error}"
        );
    }
    assert_eq!(fs::read(&path).unwrap(), before);
    let _ = store.write(&third).unwrap();
}

#[test]
fn after_the_directory_was_replaced_the_lock_that_is_there_now_is_taken_or_refused() {
    let (_home, path) = filled();
    let mut store = Store::open(&path, &scope()).unwrap();
    store.keep_lock().unwrap();
    let directory = path.parent().unwrap();
    let away = directory.join("away");
    let lock = beside(&path, ".lock");
    fs::create_dir(&away).unwrap();
    fs::rename(&lock, away.join("lock")).unwrap();
    let other = Store::open(&path, &scope()).unwrap();
    assert!(matches!(store.keep_lock(), Err(StoreError::Locked { .. })));
    drop(other);
    store.keep_lock().unwrap();
    assert!(matches!(refused_lock(&path), StoreError::Locked { .. }));
    fs::remove_file(&lock).unwrap();
    store.keep_lock().unwrap();
    assert_eq!(mode(&lock), 0o640);
    assert!(matches!(refused_lock(&path), StoreError::Locked { .. }));
    set_mode(directory, 0o770);
    let error = store.keep_lock().unwrap_err();
    assert!(matches!(error, StoreError::Directory { .. }), "{error}");
}

fn refused_lock(path: &Path) -> StoreError {
    Store::open(path, &scope()).unwrap_err()
}
