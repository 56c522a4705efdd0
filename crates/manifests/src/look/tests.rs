use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    os::unix::net::UnixListener,
    path::PathBuf,
};

use super::*;

fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

struct Home {
    _home: tempfile::TempDir,
    path: PathBuf,
}

impl Home {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("manifests");
        fs::create_dir(&path).unwrap();
        Self { _home: home, path }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn write(&self, name: &str, mode: u32) {
        fs::write(self.at(name), "content").unwrap();
        self.chmod(name, mode);
    }

    fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.at(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn look(&self, scope: Scope) -> Result<Listing, String> {
        look(&self.path, &Filter::Manifests, scope, Duration::ZERO, me()).found
    }

    fn entry(&self, name: &str) -> Option<Entry> {
        let all = self.look(Scope::All).unwrap();
        let one = self.look(Scope::Names([name.into()].into())).unwrap();
        assert_eq!(
            all.entries.get(OsStr::new(name)),
            one.entries.get(OsStr::new(name))
        );
        all.entries.get(OsStr::new(name)).cloned()
    }
}

#[test]
fn regular_files_are_read_whole_and_nothing_else_is_opened_for_good() {
    let home = Home::new();
    home.write("a.yaml", 0o644);
    fs::create_dir(home.at("dir.yaml")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        home.at("fifo.yaml"),
        FileType::Fifo,
        Mode::RUSR,
        0,
    )
    .unwrap();
    let _socket = UnixListener::bind(home.at("socket.yaml")).unwrap();
    symlink("/dev/null", home.at("null.yaml")).unwrap();
    for name in [".hidden.yaml", "notes.txt", "a.yaml~"] {
        home.write(name, 0o644);
    }
    let Some(Entry::Read { bytes, link, stamp }) = home.entry("a.yaml") else {
        panic!("a.yaml is not read");
    };
    assert_eq!((&*bytes, link, stamp.size), (&b"content"[..], false, 7));
    assert_eq!(home.entry("dir.yaml"), Some(Entry::Other("is a directory")));
    assert_eq!(home.entry("fifo.yaml"), Some(Entry::Other("is a FIFO")));
    assert_eq!(
        home.entry("socket.yaml"),
        Some(Entry::Other("is a socket or a device"))
    );
    assert_eq!(home.entry("null.yaml"), Some(Entry::Other("is a device")));
    assert_eq!(home.entry("absent.yaml"), None);
    let all = home.look(Scope::All).unwrap();
    let ignored: Vec<_> = all
        .ignored
        .keys()
        .map(|name| name.to_str().unwrap())
        .collect();
    assert_eq!(ignored, [".hidden.yaml", "a.yaml~", "notes.txt"]);
}

#[test]
fn files_that_others_can_write_are_refused_with_the_reason() {
    let home = Home::new();
    home.write("a.yaml", 0o664);
    let Some(Entry::Refused(why)) = home.entry("a.yaml") else {
        panic!("a.yaml is not refused");
    };
    assert!(why.contains("0664") && why.contains("chmod 0644"), "{why}");
    home.chmod("a.yaml", 0o600);
    assert!(matches!(home.entry("a.yaml"), Some(Entry::Read { .. })));
}

#[test]
fn links_are_followed_where_they_are_trusted_and_their_targets_are_judged() {
    let home = Home::new();
    fs::create_dir(home.at("..one")).unwrap();
    home.write("..one/a", 0o644);
    symlink("..one", home.at("..data")).unwrap();
    symlink("..data/a", home.at("a.yaml")).unwrap();
    assert!(matches!(
        home.entry("a.yaml"),
        Some(Entry::Read { link: true, .. })
    ));
    home.chmod("..one/a", 0o646);
    assert!(matches!(home.entry("a.yaml"), Some(Entry::Refused(_))));
    home.chmod("..one/a", 0o644);
    home.chmod("..one", 0o777);
    assert!(matches!(home.entry("a.yaml"), Some(Entry::Refused(_))));
    symlink("nowhere", home.at("b.yaml")).unwrap();
    assert!(matches!(home.entry("b.yaml"), Some(Entry::Unreadable(_))));
}

#[test]
fn a_file_of_more_than_ten_mebibytes_is_refused() {
    let home = Home::new();
    home.write("a.yaml", 0o644);
    let file = fs::OpenOptions::new()
        .write(true)
        .open(home.at("a.yaml"))
        .unwrap();
    file.set_len(MAX_BYTES).unwrap();
    assert!(matches!(home.entry("a.yaml"), Some(Entry::Read { .. })));
    file.set_len(MAX_BYTES + 1).unwrap();
    assert!(matches!(home.entry("a.yaml"), Some(Entry::Refused(_))));
}

#[test]
fn a_directory_that_is_away_or_not_to_be_trusted_is_no_listing() {
    let home = Home::new();
    home.write("a.yaml", 0o644);
    fs::set_permissions(&home.path, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(home.look(Scope::All).unwrap_err().contains("chmod 0755"));
    fs::set_permissions(&home.path, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(home.look(Scope::All).is_ok());
    fs::remove_dir_all(&home.path).unwrap();
    let why = home.look(Scope::All).unwrap_err();
    assert!(
        why.contains("does not exist") && why.contains("stays as it is"),
        "{why}"
    );
    fs::write(&home.path, "").unwrap();
    assert!(
        home.look(Scope::All)
            .unwrap_err()
            .contains("cannot be opened")
    );
}
