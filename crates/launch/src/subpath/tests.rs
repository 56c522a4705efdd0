use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// Where a descriptor leads.
fn place_of(file: &OwnedFd) -> (u64, u64) {
    let found = fstat(file).unwrap();
    (found.st_dev, found.st_ino)
}

fn place_of_path(path: &Path) -> (u64, u64) {
    let found = fs::metadata(path).unwrap();
    (found.dev(), found.ino())
}

fn mount(sub_path: Option<&str>, expression: Option<&str>) -> api::VolumeMount {
    api::VolumeMount {
        sub_path: sub_path.map(str::to_owned),
        sub_path_expr: expression.map(str::to_owned),
        ..Default::default()
    }
}

#[test]
fn a_sub_path_is_what_is_written_or_what_its_variables_say() {
    let environment = [
        ("POD".to_owned(), "web".to_owned()),
        ("UP".to_owned(), "../..".to_owned()),
        ("TOP".to_owned(), "/etc".to_owned()),
        ("NONE".to_owned(), String::new()),
    ];
    let of = |path, expression| chosen(&mount(path, expression), &environment);
    assert_eq!(of(None, None).unwrap(), None);
    assert_eq!(of(Some(""), Some("")).unwrap(), None);
    assert_eq!(of(Some("a/$(POD)"), None).unwrap().unwrap(), "a/$(POD)");
    assert_eq!(of(None, Some("a/$(POD)")).unwrap().unwrap(), "a/web");
    assert_eq!(of(None, Some("$(NONE)")).unwrap(), None);
    assert!(matches!(
        of(None, Some("a/$(NO)")),
        Err(SubPathError::Variable { name, .. }) if name == "NO"
    ));
    for (path, expression) in [
        (None, Some("$(UP)/etc")),
        (None, Some("$(TOP)")),
        (Some("a/../../b"), None),
        (Some("/etc"), None),
        (Some(".."), None),
    ] {
        assert!(matches!(
            of(path, expression),
            Err(SubPathError::Path { .. })
        ));
    }
}

#[test]
fn what_is_missing_is_made_with_the_mode_of_the_volume() {
    for mode in [0o777, 0o2770, 0o700] {
        let volume = tempfile::tempdir().unwrap();
        fs::set_permissions(volume.path(), fs::Permissions::from_mode(mode)).unwrap();
        let opened = open(volume.path(), "a/./b//c").unwrap();
        let made = volume.path().join("a/b/c");
        assert_eq!(place_of(&opened), place_of_path(&made));
        for made in ["a", "a/b", "a/b/c"] {
            assert_eq!(mode_of(&volume.path().join(made)), mode, "{made}");
        }
    }
}

#[test]
fn what_is_there_is_taken_as_it_is() {
    let volume = tempfile::tempdir().unwrap();
    fs::create_dir(volume.path().join("a")).unwrap();
    fs::set_permissions(volume.path().join("a"), fs::Permissions::from_mode(0o711)).unwrap();
    fs::write(volume.path().join("a/file"), "").unwrap();
    let opened = open(volume.path(), "a/file").unwrap();
    assert_eq!(
        place_of(&opened),
        place_of_path(&volume.path().join("a/file"))
    );
    let _ = open(volume.path(), "a/new").unwrap();
    assert_eq!(mode_of(&volume.path().join("a")), 0o711);
    assert!(matches!(
        open(volume.path(), "a/file/below"),
        Err(SubPathError::Volume { .. })
    ));
}

#[test]
fn symlinks_are_followed_within_the_volume_and_never_out_of_it() {
    let place = tempfile::tempdir().unwrap();
    let outside = place.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "").unwrap();
    let volume = place.path().join("volume");
    fs::create_dir_all(volume.join("..data_1/deep")).unwrap();
    symlink("..data_1", volume.join("inside")).unwrap();
    symlink("inside/deep", volume.join("twice")).unwrap();
    symlink(&outside, volume.join("absolute")).unwrap();
    symlink("../outside", volume.join("relative")).unwrap();
    symlink("/proc/self/root", volume.join("magic")).unwrap();
    symlink("loop", volume.join("loop")).unwrap();
    symlink("nowhere", volume.join("dangling")).unwrap();
    symlink("../outside/made", volume.join("dangling-out")).unwrap();

    let deep = place_of_path(&volume.join("..data_1/deep"));
    assert_eq!(place_of(&open(&volume, "inside/deep").unwrap()), deep);
    assert_eq!(place_of(&open(&volume, "twice").unwrap()), deep);

    for path in [
        "absolute",
        "relative",
        "relative/secret",
        "relative/made",
        "absolute/made/deep",
        "magic",
        "magic/etc",
        "loop",
        "dangling",
        "dangling/made",
        "dangling-out",
        "dangling-out/made",
    ] {
        assert!(open(&volume, path).is_err(), "{path}");
    }
    let error = open(&volume, "relative").unwrap_err().to_string();
    assert!(error.contains("a symlink in it leads out"), "{error}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn without_help_of_the_kernel_no_symlink_is_followed_at_all() {
    let place = tempfile::tempdir().unwrap();
    let volume = place.path().join("volume");
    fs::create_dir_all(volume.join("a/b")).unwrap();
    symlink("a", volume.join("link")).unwrap();
    symlink(place.path(), volume.join("out")).unwrap();
    let top = openat(CWD, &volume, REFERENCE, Mode::empty()).unwrap();
    let found = resolve_plainly(&top, Path::new("a/b")).unwrap();
    assert_eq!(place_of(&found), place_of_path(&volume.join("a/b")));
    for path in ["link", "link/b", "out", "out/volume"] {
        let error = resolve_plainly(&top, Path::new(path)).unwrap_err();
        assert!(matches!(error, Errno::LOOP | Errno::NOTDIR), "{path}");
    }
    let error = resolve_plainly(&top, Path::new("absent")).unwrap_err();
    assert_eq!(error, Errno::NOENT);
}

#[test]
fn symlinks_that_are_swapped_in_meanwhile_lead_nowhere() {
    let place = tempfile::tempdir().unwrap();
    let outside = place.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let volume = place.path().join("volume");
    fs::create_dir_all(volume.join("a/b")).unwrap();
    let outer = place_of_path(&outside);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let attacker = scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = fs::rename(volume.join("a"), volume.join("kept"));
                let _ = symlink(&outside, volume.join("a"));
                let _ = fs::remove_file(volume.join("a"));
                let _ = fs::rename(volume.join("kept"), volume.join("a"));
            }
        });
        let mut escaped = 0;
        for round in 0..150 {
            for path in ["a/b", "a", &format!("a/new{round}")] {
                let opened = open(&volume, path);
                escaped += usize::from(opened.is_ok_and(|opened| place_of(&opened) == outer));
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        attacker.join().unwrap();
        assert_eq!(escaped, 0);
    });
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn a_place_for_a_mount_becomes_what_is_to_be_mounted_there() {
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("v/c/0");
    for is_directory in [true, false, false, true] {
        make_target(&target, is_directory).unwrap();
        assert_eq!(target.is_dir(), is_directory);
    }
    fs::remove_dir(&target).unwrap();
    symlink("/etc", &target).unwrap();
    make_target(&target, true).unwrap();
    assert!(!fs::symlink_metadata(&target).unwrap().is_symlink());
}
