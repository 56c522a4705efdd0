use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt as _, symlink},
        net::UnixListener,
    },
};

use rustix::{
    fs::{CWD, FileType, mknodat},
    process::geteuid,
};
use tempfile::TempDir;

use super::*;

const RULES: [FileRule; 5] = [CONFIG, CA, JWT, CREDENTIAL, STATE];

fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    home
}

fn put(path: &Path, content: impl AsRef<[u8]>, mode: u32) {
    // A file without write permission is not written again, whoever runs this.
    let _ = fs::remove_file(path);
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_file_that_keeps_the_rule_is_read_whole() {
    let home = home();
    let path = home.path().join("f");
    put(&path, b"content\n", 0o600);
    for rule in RULES {
        assert_eq!(read(&path, &rule).unwrap(), b"content\n");
    }
    assert_eq!(
        read_secret(&path, &CREDENTIAL).unwrap().expose_secret(),
        "content"
    );
}

#[test]
fn each_forbidden_bit_alone_is_refused_with_the_mode_that_helps() {
    let home = home();
    let path = home.path().join("f");
    let masks = [
        (CONFIG, 0o037),
        (CA, 0o022),
        (JWT, 0o037),
        (CREDENTIAL, 0o037),
        (STATE, 0o137),
    ];
    for (rule, mask) in masks {
        for bit in (0..9).map(|shift| 1 << shift) {
            put(&path, b"x", 0o400 | bit);
            let result = read(&path, &rule);
            if mask & bit == 0 {
                result.unwrap();
                continue;
            }
            let error = result.unwrap_err();
            let FileError::Mode { mode, allowed, .. } = &error else {
                panic!("{error}");
            };
            assert_eq!((*mode, *allowed), (0o400 | bit, 0o400), "{error}");
            assert!(error.to_string().contains("chmod 0400"), "{error}");
        }
    }
}

#[test]
fn sizes_are_limited_to_the_byte() {
    let home = home();
    let path = home.path().join("f");
    let limits = [
        (CONFIG, 1_048_576),
        (CA, 1_048_576),
        (JWT, 65_536),
        (CREDENTIAL, 16_384),
        (STATE, 16_777_216),
    ];
    for (rule, limit) in limits {
        assert_eq!(rule.max_bytes, limit);
        put(&path, b"", 0o600);
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(limit).unwrap();
        assert_eq!(read(&path, &rule).unwrap().len() as u64, limit);
        file.set_len(limit + 1).unwrap();
        let error = read(&path, &rule).unwrap_err();
        assert!(matches!(error, FileError::TooLarge { .. }), "{error}");
    }
}

#[test]
fn what_is_not_a_regular_file_is_refused_without_blocking() {
    let home = home();
    let fifo = home.path().join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let socket = home.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    let cases = [
        (&*fifo, "a FIFO"),
        (home.path(), "a directory"),
        (Path::new("/dev/null"), "a device"),
        (&*socket, "a socket or a device"),
    ];
    for (path, words) in cases {
        let error = read(path, &CA).unwrap_err();
        assert!(matches!(error, FileError::NotRegular { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn missing_and_empty_files_have_their_own_messages() {
    let home = home();
    let path = home.path().join("f");
    let error = read(&path, &JWT).unwrap_err();
    assert!(matches!(error, FileError::Missing { .. }), "{error}");
    put(&path, b"", 0o600);
    let error = read(&path, &JWT).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("is empty, as if its writer was interrupted"),
        "{error}"
    );
    put(&path, b"\n", 0o600);
    let error = read_secret(&path, &JWT).err().unwrap();
    assert!(
        matches!(
            error,
            FileError::Text {
                fault: TextFault::Empty,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_file_that_is_written_while_it_is_read_is_seen() {
    let home = home();
    let path = home.path().join("f");
    type Write = fn(&File);
    let writes: [(&str, Write); 4] = [
        ("nothing", |_| {}),
        ("grows", |file| file.set_len(5).unwrap()),
        ("shrinks", |file| file.set_len(3).unwrap()),
        ("is overwritten", |file| {
            file.set_modified(std::time::SystemTime::UNIX_EPOCH)
                .unwrap();
        }),
    ];
    for (name, write) in writes {
        put(&path, b"four", 0o600);
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        let before = fstat(&file).unwrap();
        write(&file);
        let bytes = read_unchanged(&mut file, &before, 4).unwrap();
        assert_eq!(bytes.is_some(), name == "nothing", "{name}");
    }
}

#[test]
fn secret_files_must_be_text_without_surrounding_space() {
    let home = home();
    let path = home.path().join("f");
    for (content, fault) in [
        (&b"s\xff"[..], TextFault::NotUtf8),
        (b" s", TextFault::SurroundingSpace),
        (b"s\n\n", TextFault::SurroundingSpace),
    ] {
        put(&path, content, 0o600);
        match read_secret(&path, &CREDENTIAL) {
            Err(FileError::Text { fault: found, .. }) => assert_eq!(found, fault),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("{fault}"),
        }
    }
    put(&path, b"s\r\n", 0o600);
    assert_eq!(
        read_secret(&path, &CREDENTIAL).unwrap().expose_secret(),
        "s"
    );
}

#[test]
fn no_error_shows_content() {
    let home = home();
    let path = home.path().join("f");
    for content in [&b"canary\xff"[..], b" canary", b"canary\n\n"] {
        put(&path, content, 0o600);
        let error = read_secret(&path, &CREDENTIAL).err().unwrap();
        assert!(
            !format!("{error} {error:?}").contains("canary"),
            "{error:?}"
        );
    }
}

/// `token -> ..data/token`, `..data -> ..v1`, as kubelet lays out a projected volume.
fn volume() -> TempDir {
    let home = home();
    let version = home.path().join("..v1");
    fs::create_dir(&version).unwrap();
    fs::set_permissions(&version, fs::Permissions::from_mode(0o755)).unwrap();
    put(&version.join("token"), b"jwt", 0o600);
    symlink("..v1", home.path().join("..data")).unwrap();
    symlink("..data/token", home.path().join("token")).unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    home
}

fn us() -> u32 {
    geteuid().as_raw()
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

#[track_caller]
fn assert_refused(path: &Path, root: u32, words: &str) {
    match walk::open(path, root) {
        Err(Refusal::Rule(fault)) => assert!(fault.contains(words), "{fault}"),
        Err(Refusal::Io(error)) => panic!("{error}"),
        Ok(_) => panic!("opened"),
    }
}

#[test]
fn a_projected_volume_is_read_through_its_links() {
    let volume = volume();
    let token = volume.path().join("token");
    let mut text = String::new();
    let file = walk::open(&token, us()).unwrap();
    File::from(file).read_to_string(&mut text).unwrap();
    assert_eq!(text, "jwt");
    // Only root's links count for the rules themselves.
    for rule in [CA, JWT, CREDENTIAL] {
        match read(&token, &rule) {
            Ok(content) => assert_eq!((content, us()), (b"jwt".to_vec(), 0)),
            Err(error) => {
                assert!(matches!(error, FileError::ForeignSymlink { .. }), "{error}");
                assert_ne!(us(), 0);
            }
        }
    }
    for rule in [CONFIG, STATE] {
        let error = read(&token, &rule).unwrap_err();
        assert!(matches!(error, FileError::Symlink { .. }), "{error}");
    }
}

#[test]
fn the_target_of_a_link_must_keep_the_rule_itself() {
    if us() != 0 {
        println!(
            "{}",
            skipped("only root can make links that the rule allows")
        );
        return;
    }
    let volume = volume();
    let target = volume.path().join("..v1/token");
    fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).unwrap();
    let error = read(&volume.path().join("token"), &JWT).unwrap_err();
    assert!(
        matches!(error, FileError::Mode { mode: 0o644, .. }),
        "{error}"
    );
    assert!(read(&volume.path().join("token"), &CA).is_ok());
}

#[test]
fn links_that_leave_their_directory_are_refused() {
    let outside = home();
    put(&outside.path().join("f"), b"x", 0o600);
    let volume = volume();
    let name = outside.path().file_name().unwrap().to_str().unwrap();
    let table = [
        outside.path().join("f").to_str().unwrap().to_owned(),
        format!("../{name}/f"),
        format!("..v1/../../{name}/f"),
        "..".to_owned(),
        "/proc/self/root/etc/passwd".to_owned(),
    ];
    let link = volume.path().join("link");
    for target in table {
        symlink(&target, &link).unwrap();
        assert_refused(&link, us(), "outside");
        fs::remove_file(&link).unwrap();
    }
    symlink(volume.path().join("..v1/token"), &link).unwrap();
    walk::open(&link, us()).unwrap();
}

#[test]
fn what_others_than_root_can_change_is_not_followed() {
    let volume = volume();
    let token = volume.path().join("token");
    assert_refused(&token, us() + 1, "stands in a directory");
    fs::set_permissions(volume.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert_refused(&token, us(), "stands in a directory");
    fs::set_permissions(volume.path(), fs::Permissions::from_mode(0o775)).unwrap();
    assert_refused(&token, us(), "stands in a directory");
    fs::set_permissions(volume.path(), fs::Permissions::from_mode(0o755)).unwrap();
    walk::open(&token, us()).unwrap();
    let version = volume.path().join("..v1");
    fs::set_permissions(&version, fs::Permissions::from_mode(0o775)).unwrap();
    assert_refused(&token, us(), "leads through a directory");
}

#[test]
fn links_and_files_of_other_users_are_not_followed() {
    if us() != 0 {
        println!("{}", skipped("only root can give files away"));
        return;
    }
    use std::os::unix::fs::{chown, lchown};
    let volume = volume();
    let token = volume.path().join("token");
    for link in ["token", "..data"] {
        lchown(volume.path().join(link), Some(1), Some(1)).unwrap();
        assert_refused(&token, 0, "does not belong to root");
        lchown(volume.path().join(link), Some(0), Some(0)).unwrap();
    }
    chown(volume.path().join("..v1/token"), Some(1), Some(1)).unwrap();
    assert_refused(&token, 0, "file of another user");
}

#[test]
fn circles_and_links_to_directories_end() {
    let volume = volume();
    let link = volume.path().join("link");
    symlink("link", &link).unwrap();
    assert_refused(&link, us(), "circle");
    fs::remove_file(&link).unwrap();
    symlink("..v1", &link).unwrap();
    assert_refused(&link, us(), "leads to a directory");
    fs::remove_file(&link).unwrap();
    symlink("gone", &link).unwrap();
    match walk::open(&link, us()) {
        Err(Refusal::Io(error)) => assert_eq!(error.kind(), io::ErrorKind::NotFound),
        other => panic!("{other:?}"),
    }
}
