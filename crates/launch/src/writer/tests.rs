use proptest::prelude::*;

use super::*;

fn files(list: &[(&str, &str)]) -> Files {
    list.iter()
        .map(|(path, text)| {
            let content = Content {
                bytes: text.as_bytes().to_vec(),
                mode: 0o644,
            };
            (PathBuf::from(path), content)
        })
        .collect()
}

/// What a container reads, through the visible names.
fn seen(directory: &Path) -> Files {
    fn gather(top: &Path, directory: &Path, files: &mut Files) {
        for name in names(directory).unwrap() {
            let path = directory.join(&name);
            if name.as_encoded_bytes().starts_with(b"..") {
                continue;
            }
            let Ok(found) = fs::metadata(&path) else {
                continue;
            };
            if found.is_dir() {
                gather(top, &path, files);
                continue;
            }
            let content = Content {
                bytes: fs::read(&path).unwrap(),
                mode: found.mode() & 0o7777,
            };
            let _ = files.insert(path.strip_prefix(top).unwrap().to_owned(), content);
        }
    }
    let mut files = Files::new();
    gather(directory, directory, &mut files);
    files
}

#[test]
fn files_are_there_by_their_names_and_only_they() {
    let place = tempfile::tempdir().unwrap();
    let first = files(&[("labels", "a"), ("deep/er/uid", "b"), ("deep/name", "c")]);
    write(place.path(), &first, None, "t1").unwrap();
    assert_eq!(seen(place.path()), first);
    assert_eq!(
        fs::read_link(place.path().join("labels")).unwrap(),
        Path::new("..data/labels")
    );

    let second = files(&[("deep", "now a file"), ("other", "d")]);
    write(place.path(), &second, None, "t2").unwrap();
    assert_eq!(seen(place.path()), second);
    // deep, other, ..data and one version.
    assert_eq!(names(place.path()).unwrap().len(), 4);
}

#[test]
fn what_is_right_is_not_written_again() {
    let place = tempfile::tempdir().unwrap();
    let wanted = files(&[("a", "1"), ("b/c", "2")]);
    write(place.path(), &wanted, None, "t1").unwrap();
    let before = fs::read_link(place.path().join(DATA)).unwrap();
    write(place.path(), &wanted, None, "t2").unwrap();
    assert_eq!(fs::read_link(place.path().join(DATA)).unwrap(), before);

    let mut stricter = wanted;
    stricter.get_mut(Path::new("a")).unwrap().mode = 0o400;
    write(place.path(), &stricter, None, "t3").unwrap();
    assert_ne!(fs::read_link(place.path().join(DATA)).unwrap(), before);
    assert_eq!(seen(place.path()), stricter);
}

#[test]
fn the_group_gets_files_before_anybody_sees_them() {
    let place = tempfile::tempdir().unwrap();
    let group = Group {
        id: fs::metadata(place.path()).unwrap().gid(),
        only_on_mismatch: true,
        is_read_only: true,
    };
    let mut wanted = files(&[("a", "1")]);
    wanted.get_mut(Path::new("a")).unwrap().mode = 0o400;
    write(place.path(), &wanted, Some(group), "t1").unwrap();
    let before = fs::read_link(place.path().join(DATA)).unwrap();
    assert_eq!(seen(place.path())[Path::new("a")].mode, 0o440);
    write(place.path(), &wanted, Some(group), "t2").unwrap();
    assert_eq!(fs::read_link(place.path().join(DATA)).unwrap(), before);
}

#[test]
fn paths_that_lead_out_or_are_the_writers_own_are_refused() {
    let place = tempfile::tempdir().unwrap();
    for path in ["/etc/x", "../x", "a/../../x", "..data", "..x/y", ""] {
        let error = write(place.path(), &files(&[(path, "")]), None, "t").unwrap_err();
        assert!(matches!(error, HostError::Name { .. }), "{path}");
    }
    assert!(names(place.path()).unwrap().is_empty());
}

#[test]
fn a_data_link_that_leads_elsewhere_is_replaced() {
    let place = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("a"), "theirs").unwrap();
    symlink(outside.path(), place.path().join(DATA)).unwrap();
    symlink(outside.path().join("a"), place.path().join("a")).unwrap();
    let wanted = files(&[("a", "ours")]);
    write(place.path(), &wanted, None, "t").unwrap();
    assert_eq!(seen(place.path()), wanted);
    assert_eq!(fs::read(outside.path().join("a")).unwrap(), b"theirs");
}

fn any_files() -> impl Strategy<Value = Files> {
    // No name is also a directory, as validation sees to it.
    let path = prop_oneof![
        Just("a"),
        Just("b"),
        Just("c/d"),
        Just("c/e/f"),
        Just("g/h")
    ];
    let content =
        ("[xy]{0,3}", prop_oneof![Just(0o644), Just(0o400)]).prop_map(|(text, mode)| Content {
            bytes: text.into_bytes(),
            mode,
        });
    prop::collection::btree_map(path.prop_map(PathBuf::from), content, 0..5)
}

/// Where an agent died.
#[derive(Debug, Clone, Copy)]
enum Death {
    None,
    Staged,
    HalfSwapped,
    Swapped,
    Linked,
}

fn any_death() -> impl Strategy<Value = Death> {
    prop_oneof![
        Just(Death::None),
        Just(Death::Staged),
        Just(Death::HalfSwapped),
        Just(Death::Swapped),
        Just(Death::Linked)
    ]
}

fn die_writing(directory: &Path, files: &Files, death: Death) {
    let staged = stage(directory, files, None, "dead").unwrap();
    match death {
        Death::None | Death::Staged => {}
        Death::HalfSwapped => {
            let _ = fs::remove_file(directory.join(DATA_NEW));
            symlink(&staged, directory.join(DATA_NEW)).unwrap();
        }
        Death::Swapped => swap(directory, &staged).unwrap(),
        Death::Linked => {
            swap(directory, &staged).unwrap();
            link(directory, files).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn after_any_history_of_writes_and_deaths_one_write_sets_all_right(
        history in prop::collection::vec((any_files(), any_death()), 1..5),
        last in any_files(),
    ) {
        let place = tempfile::tempdir().unwrap();
        let mut before = Files::new();
        for (files, death) in history {
            if matches!(death, Death::None) {
                write(place.path(), &files, None, "t").unwrap();
                prop_assert_eq!(seen(place.path()), files.clone());
                before = files;
                continue;
            }
            die_writing(place.path(), &files, death);
            // Each name shows the old content or the new one; never a mixture, never a part.
            let seen = seen(place.path());
            for version in [&before, &files] {
                let is_this = seen.iter().all(|(path, content)| version.get(path) == Some(content));
                if is_this {
                    break;
                }
                prop_assert!(std::ptr::eq(version, &before), "{seen:?}");
            }
            before = if matches!(death, Death::Swapped | Death::Linked) { files } else { before };
        }
        write(place.path(), &last, None, "t").unwrap();
        prop_assert_eq!(seen(place.path()), last.clone());
        let versions = names(place.path()).unwrap();
        let versions = versions.iter().filter(|name| is_version(name)).count();
        prop_assert_eq!(versions, 1);
    }
}
