//! The file itself, and the files that it names.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use super::{VALID, with};
use crate::config::{Config, ConfigError, Overrides, load};

fn put(path: &Path, content: &[u8], mode: u32) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn message(error: &ConfigError) -> String {
    crate::causes::chain(error)
}

#[test]
fn a_file_that_is_not_safe_or_not_whole_is_refused_with_its_own_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    let refused = |part: &str| {
        let message = message(&load(&path, &Overrides::default()).unwrap_err());
        assert!(message.contains(part), "no '{part}' in {message}");
        assert!(message.contains("config.yaml"), "{message}");
    };
    refused("does not exist");
    for mode in [0o644, 0o604, 0o660, 0o650, 0o641] {
        put(&path, VALID.as_bytes(), mode);
        refused("too open");
    }
    put(&path, &vec![b'#'; (1 << 20) + 1], 0o600);
    refused("larger than 1048576 bytes");
    put(&path, b"", 0o600);
    refused("empty");
    put(&path, b"# being written", 0o600);
    refused("half-written");
    put(&path, b"configVersion: \xff\xfe\n", 0o600);
    refused("byte 15 is no UTF-8");
    put(&path, &VALID.as_bytes()[..400], 0o600);
    refused("may have been cut off");
    fs::remove_file(&path).unwrap();
    put(&folder.path().join("real.yaml"), VALID.as_bytes(), 0o600);
    symlink("real.yaml", &path).unwrap();
    refused("symbolic link");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused("not a regular file");
}

#[test]
fn a_file_of_exactly_one_mebibyte_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    let mut text = VALID.to_owned();
    while text.len() < 1 << 20 {
        text.push('#');
    }
    put(&path, text.as_bytes(), 0o640);
    load(&path, &Overrides::default()).unwrap();
}

/// A configuration whose CA bundle and JWT lie in `folder`.
fn with_files(folder: &Path, group: &str) -> Config {
    let text = with(
        "openbao.caCertFile",
        folder.join("ca.crt").to_str().unwrap(),
    )
    .0;
    let text = text
        .replace(
            "/run/identity/token",
            folder.join("token").to_str().unwrap(),
        )
        .replace("\"65532\"", group);
    let path = folder.join("config.yaml");
    put(&path, text.as_bytes(), 0o600);
    load(&path, &Overrides::default()).unwrap()
}

#[test]
fn safe_files_and_a_known_group_pass() {
    let folder = tempfile::tempdir().unwrap();
    put(&folder.path().join("ca.crt"), b"pem", 0o644);
    put(&folder.path().join("token"), b"jwt", 0o640);
    let config = with_files(folder.path(), "root");
    assert_eq!(config.check_host().unwrap().socket_gid, 0);
    assert_eq!(
        with_files(folder.path(), "4242")
            .check_host()
            .unwrap()
            .socket_gid,
        4242
    );
}

#[test]
fn unsafe_files_and_an_unknown_group_are_reported_together_with_positions() {
    let folder = tempfile::tempdir().unwrap();
    put(&folder.path().join("ca.crt"), b"pem", 0o666);
    put(&folder.path().join("token"), b"jwt", 0o644);
    let config = with_files(folder.path(), "no-such-group");
    let message = message(&config.check_host().unwrap_err());
    for part in [
        "config.yaml:5:16: server.socketGroup: is no group of this host",
        "config.yaml:17:15: openbao.caCertFile: names a file that cannot be used",
        "config.yaml:30:14: auth.jwt.jwtFile: names a file that cannot be used",
        "3 problems",
    ] {
        assert!(message.contains(part), "no '{part}' in {message}");
    }
}

#[test]
fn a_jwt_that_may_still_come_is_left_to_the_login_and_a_missing_ca_bundle_is_not() {
    let folder = tempfile::tempdir().unwrap();
    put(&folder.path().join("ca.crt"), b"pem", 0o644);
    let config = with_files(folder.path(), "0");
    config.check_host().unwrap();
    put(&folder.path().join("token"), b"", 0o640);
    config.check_host().unwrap();
    fs::remove_file(folder.path().join("ca.crt")).unwrap();
    let message = message(&config.check_host().unwrap_err());
    assert!(
        message.contains("openbao.caCertFile") && message.contains("does not exist"),
        "{message}"
    );
}
