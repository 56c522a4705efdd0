use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use super::*;

fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("one/two")).unwrap();
    mode(&home.path().join("one"), 0o755);
    mode(&home.path().join("one/two"), 0o755);
    fs::write(home.path().join("one/two/file"), "content").unwrap();
    home
}

fn refused(path: &Path) -> String {
    match open(path, Want::File, me()) {
        Err(Refusal::Rule(why)) => why,
        Err(Refusal::Io(error)) => panic!("{error}"),
        Ok(_) => panic!("{} was opened", path.display()),
    }
}

#[test]
fn links_are_followed_up_down_and_across_where_every_step_is_trusted() {
    let home = home();
    let at = |name: &str| home.path().join(name);
    symlink("one/two/file", at("down")).unwrap();
    symlink("../one/two/../two/file", at("one/up")).unwrap();
    symlink(at("one/two"), at("absolute")).unwrap();
    symlink("down", at("twice")).unwrap();
    for name in ["one/two/file", "down", "one/up", "absolute/file", "twice"] {
        let found = open(&at(name), Want::File, me());
        let stat = fstat(found.unwrap()).unwrap();
        let file = fstat(fs::File::open(at("one/two/file")).unwrap()).unwrap();
        assert_eq!(identity(&stat), identity(&file), "{name}");
    }
    assert!(open(&at("absolute"), Want::Directory, me()).is_ok());
    assert!(open(Path::new("/"), Want::Directory, me()).is_ok());
    assert!(open(&at("one/two/.."), Want::Directory, me()).is_ok());
}

#[test]
fn a_directory_on_the_way_that_others_can_change_is_not_passed() {
    let home = home();
    let at = |name: &str| home.path().join(name);
    symlink("one/two/file", at("link")).unwrap();
    for wide in ["one", "one/two"] {
        mode(&at(wide), 0o775);
        let why = refused(&at("link"));
        assert!(why.contains("chmod 0755"), "{why}");
        assert!(refused(&at("one/two/file")).contains("is reached through"));
        mode(&at(wide), 0o755);
    }
    // Nobody can rename what is another's in a sticky directory.
    mode(&at("one"), 0o1777);
    assert!(open(&at("link"), Want::File, me()).is_ok());
}

#[test]
fn links_and_directories_of_other_users_are_not_followed() {
    if me() != 0 {
        println!("skipped: only root can give files away");
        return;
    }
    let home = home();
    let at = |name: &str| home.path().join(name);
    symlink("one/two/file", at("link")).unwrap();
    std::os::unix::fs::lchown(at("link"), Some(12345), None).unwrap();
    assert!(refused(&at("link")).contains("symbolic link that belongs to user 12345"));
    std::os::unix::fs::chown(at("one"), Some(12345), None).unwrap();
    assert!(refused(&at("one/two/file")).contains("12345"));
    assert!(open(&at("one/two/file"), Want::File, 12345).is_ok());
}

#[test]
fn circles_and_ends_that_are_not_there_are_told() {
    let home = home();
    let at = |name: &str| home.path().join(name);
    symlink("b", at("a")).unwrap();
    symlink("a", at("b")).unwrap();
    assert!(refused(&at("a")).contains("circle"));
    symlink("nowhere", at("dangling")).unwrap();
    for (name, kind) in [
        ("dangling", io::ErrorKind::NotFound),
        ("one/two/file/more", io::ErrorKind::NotADirectory),
    ] {
        let Err(Refusal::Io(error)) = open(&at(name), Want::File, me()) else {
            panic!("{name} was opened");
        };
        assert_eq!(error.kind(), kind, "{name}");
    }
    symlink("one/two/..", at("parent")).unwrap();
    assert!(refused(&at("parent")).contains("directory"));
    assert!(matches!(
        open(&at("one/two/file"), Want::Directory, me()),
        Err(Refusal::Io(_))
    ));
}
