use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::PathBuf,
};

use super::*;

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn what_symlinks_point_to_stays() {
    let place = tempfile::tempdir().unwrap();
    let outside = place.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("kept"), "").unwrap();
    let tree = place.path().join("tree");
    fs::create_dir_all(tree.join("a/b")).unwrap();
    fs::write(tree.join("a/file"), "").unwrap();
    symlink(&outside, tree.join("link")).unwrap();
    symlink("../../outside", tree.join("a/link")).unwrap();
    symlink("nowhere", tree.join("dangling")).unwrap();

    remove(&tree).unwrap();

    assert!(!tree.exists());
    assert!(outside.join("kept").exists());
    remove(&tree).unwrap();
}

#[test]
fn a_symlink_in_place_of_the_tree_is_not_followed() {
    let place = tempfile::tempdir().unwrap();
    let outside = place.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("kept"), "").unwrap();
    let tree = place.path().join("tree");
    symlink(&outside, &tree).unwrap();

    let error = remove(&tree).unwrap_err().to_string();

    assert!(error.starts_with(tree.to_str().unwrap()), "{error}");
    assert!(outside.join("kept").exists());
}

#[test]
fn a_symlink_in_place_of_a_directory_is_not_entered() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("true")).unwrap();
    symlink("true", place.path().join("link")).unwrap();
    let top = openat(CWD, place.path(), INSIDE, Mode::empty()).unwrap();
    assert!(enter(top.as_fd(), &c"true".to_owned()).is_ok());
    assert!(enter(top.as_fd(), &c"link".to_owned()).is_err());
}

#[test]
fn a_tree_deeper_than_any_stack_is_removed() {
    let place = tempfile::tempdir().unwrap();
    let tree = place.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let mut at = openat(CWD, &tree, INSIDE, Mode::empty()).unwrap();
    // A path of this length could not be written down.
    for _ in 0..400 {
        rustix::fs::mkdirat(&at, c"d", Mode::from_raw_mode(0o700)).unwrap();
        at = openat(&at, c"d", INSIDE, Mode::empty()).unwrap();
    }
    remove(&tree).unwrap();
    assert!(!tree.exists());
}

#[test]
fn a_tree_whose_names_are_swapped_meanwhile_never_costs_what_is_outside() {
    let place = tempfile::tempdir().unwrap();
    let outside = place.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("kept"), "").unwrap();
    for round in 0..12 {
        let tree = place.path().join(format!("tree{round}"));
        for name in 0..20 {
            fs::create_dir_all(tree.join(format!("{name}/x/y"))).unwrap();
        }
        std::thread::scope(|scope| {
            let attacker = scope.spawn(|| {
                for name in 0..20 {
                    let inside: PathBuf = tree.join(format!("{name}/x"));
                    let _ = fs::rename(&inside, tree.join(format!("{name}/z")));
                    let _ = symlink(&outside, &inside);
                }
            });
            // It may fail, as when a directory fills up again while it is emptied.
            let _ = remove(&tree);
            attacker.join().unwrap();
        });
        assert!(outside.join("kept").exists());
        remove(&tree).unwrap();
    }
}

#[test]
fn modes_are_given_to_all_but_what_symlinks_point_to() {
    let place = tempfile::tempdir().unwrap();
    let outside = place.path().join("outside");
    fs::write(&outside, "").unwrap();
    fs::set_permissions(&outside, fs::Permissions::from_mode(0o600)).unwrap();
    let tree = place.path().join("tree");
    fs::create_dir_all(tree.join("a/b")).unwrap();
    fs::write(tree.join("a/b/file"), "").unwrap();
    symlink(&outside, tree.join("a/link")).unwrap();
    let group = fs::metadata(place.path()).unwrap().gid();

    give_to_group(&tree, group, &|_, is_directory| {
        if is_directory { 0o2770 } else { 0o640 }
    })
    .unwrap();

    assert_eq!(mode_of(&tree), 0o2770);
    assert_eq!(mode_of(&tree.join("a/b")), 0o2770);
    assert_eq!(mode_of(&tree.join("a/b/file")), 0o640);
    assert_eq!(mode_of(&outside), 0o600);
}
