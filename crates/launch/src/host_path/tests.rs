use std::os::unix::{
    fs::{MetadataExt as _, symlink},
    net::UnixListener,
};

use super::*;

const ALL: [Found; 8] = [
    Found::Absent,
    Found::Dangling,
    Found::Directory,
    Found::File,
    Found::Socket,
    Found::CharDevice,
    Found::BlockDevice,
    Found::Fifo,
];

#[test]
fn each_type_accepts_its_own_kind_alone() {
    for (kind, wanted, made) in [
        (
            "DirectoryOrCreate",
            Found::Directory,
            Some(Verdict::MakeDirectory),
        ),
        ("Directory", Found::Directory, None),
        ("FileOrCreate", Found::File, Some(Verdict::MakeFile)),
        ("File", Found::File, None),
        ("Socket", Found::Socket, None),
        ("CharDevice", Found::CharDevice, None),
        ("BlockDevice", Found::BlockDevice, None),
    ] {
        for found in ALL {
            let verdict = judge("/x", kind, found).ok();
            let expected = match found {
                Found::Absent => made,
                found => (found == wanted).then_some(Verdict::Fine),
            };
            assert_eq!(verdict, expected, "{kind}, {found:?}");
        }
    }
}

#[test]
fn without_a_type_all_that_exists_is_accepted_and_nothing_is_made() {
    for found in ALL {
        let verdict = judge("/x", "", found).ok();
        let exists = !matches!(found, Found::Absent | Found::Dangling);
        assert_eq!(verdict, exists.then_some(Verdict::Fine), "{found:?}");
    }
}

#[test]
fn errors_name_the_path_and_what_to_do() {
    for (kind, found, wanted) in [
        (
            "",
            Found::Absent,
            "/x is missing: make it, or say with the type DirectoryOrCreate or FileOrCreate what \
             is to be made",
        ),
        (
            "Socket",
            Found::Absent,
            "/x is missing: start what makes it, the agent tries again",
        ),
        (
            "Socket",
            Found::Directory,
            "/x is a directory, and the type Socket wants a socket: correct one of them",
        ),
        (
            "File",
            Found::Dangling,
            "/x is a symlink that leads nowhere: make what it points to, or remove it",
        ),
        (
            "Sock",
            Found::File,
            "/x has the unknown type \"Sock\": correct it",
        ),
    ] {
        let error = judge("/x", kind, found).unwrap_err();
        assert_eq!(error.to_string(), wanted);
    }
}

#[test]
fn real_files_are_what_they_are_through_symlinks() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    fs::create_dir(at("directory")).unwrap();
    fs::write(at("file"), "").unwrap();
    let _listener = UnixListener::bind(at("socket")).unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        at("fifo"),
        rustix::fs::Mode::from_raw_mode(0o600),
    )
    .unwrap();
    symlink("absent", at("dangling")).unwrap();
    for (name, found) in [
        ("directory", Found::Directory),
        ("file", Found::File),
        ("socket", Found::Socket),
        ("fifo", Found::Fifo),
        ("dangling", Found::Dangling),
        ("absent", Found::Absent),
    ] {
        assert_eq!(look(&at(name)).unwrap(), found, "{name}");
        if fs::symlink_metadata(at(name)).is_ok() && name != "dangling" {
            let link = at(&format!("link-to-{name}"));
            symlink(at(name), &link).unwrap();
            assert_eq!(look(&link).unwrap(), found, "{name} through a link");
        }
    }
    assert_eq!(look(Path::new("/dev/null")).unwrap(), Found::CharDevice);
    assert!(look(&at("file/below")).is_err());
}

#[test]
fn what_is_to_be_made_is_made_and_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let mode = |path: &str| fs::metadata(path).unwrap().mode() & 0o7777;

    for kind in [
        "",
        "Directory",
        "File",
        "Socket",
        "CharDevice",
        "BlockDevice",
    ] {
        assert!(prepare(&at("absent/x"), kind).is_err(), "{kind}");
    }
    assert!(prepare(&at("absent/x"), "FileOrCreate").is_err());
    assert!(!Path::new(&at("absent")).exists());

    prepare(&at("a/b/c"), "DirectoryOrCreate").unwrap();
    assert_eq!((mode(&at("a")), mode(&at("a/b/c"))), (0o755, 0o755));
    prepare(&at("a/file"), "FileOrCreate").unwrap();
    assert_eq!(mode(&at("a/file")), 0o644);
    // Again: it is there.
    prepare(&at("a/file"), "FileOrCreate").unwrap();
    prepare(&at("a/b/c"), "DirectoryOrCreate").unwrap();
    assert!(prepare(&at("a/file"), "DirectoryOrCreate").is_err());
}

#[test]
fn nothing_is_made_where_a_planted_symlink_leads() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    symlink(at("target"), at("link")).unwrap();
    for kind in ["FileOrCreate", "DirectoryOrCreate", ""] {
        assert!(matches!(
            prepare(&at("link"), kind),
            Err(HostPathError::Dangling { .. })
        ));
    }
    assert!(!Path::new(&at("target")).exists());
}

#[test]
fn a_symlink_planted_between_look_and_act_is_not_followed() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: String| place.path().join(name);
    for round in 0..60 {
        let (path, target) = (at(format!("path{round}")), at(format!("target{round}")));
        std::thread::scope(|scope| {
            let attacker = scope.spawn(|| {
                let _ = symlink(&target, &path);
            });
            let kind = ["FileOrCreate", "DirectoryOrCreate"][round % 2];
            let _ = prepare(path.to_str().unwrap(), kind);
            attacker.join().unwrap();
        });
        assert!(fs::symlink_metadata(&target).is_err(), "{round}");
    }
}

#[test]
fn paths_with_steps_upwards_are_refused() {
    for path in ["relative", "/a/../b", "", ".."] {
        let error = prepare(path, "DirectoryOrCreate").unwrap_err();
        assert!(matches!(error, HostPathError::Path { .. }), "{path}");
    }
}
