//! What bad contents, absences and doubles do to what is in force.

use super::*;

fn running(names: &[&str]) -> Bench {
    let mut bench = Bench::new();
    for name in names {
        bench.rename_in(&format!("{name}.yaml"), &pod(name, "1"));
    }
    bench.pass(Duration::from_secs(1));
    assert!(bench.is_ready());
    bench
}

#[test]
fn a_file_that_stops_parsing_keeps_its_last_good_content() {
    let mut bench = running(&["a", "b"]);
    bench.rename_in("a.yaml", "pod d/a !");
    let changes = bench.pass(ms(30));
    assert_eq!(bench.in_force(), "d/a 1, d/b 1");
    let (status, why) = bench.status("a.yaml");
    assert_eq!(status, Status::Refused);
    assert!(why.contains("no pod"), "{why}");
    assert!(
        matches!(changes.as_slice(), [Change::File(report)] if report.status == Status::Refused)
    );
    // And over any number of rescans.
    assert_eq!(bench.pass(Duration::from_secs(100)), []);
    assert_eq!(bench.in_force(), "d/a 1, d/b 1");
    let report = bench.machine.view().files[0].clone();
    assert_eq!(report.pod.as_deref(), Some("d/a"));
    assert_eq!(report.digest, Some(Digest::of(pod("a", "1").as_bytes())));

    bench.rename_in("a.yaml", &pod("a", "1"));
    let changes = bench.pass(ms(30));
    assert!(matches!(changes.as_slice(), [Change::File(report)] if report.status == Status::Ok));
    assert_eq!(bench.machine.view().files[0].accepted, report.accepted);
    bench.rename_in("a.yaml", &pod("a", "2"));
    bench.pass(ms(30));
    assert_eq!(bench.in_force(), "d/a 2, d/b 1");
}

#[test]
fn an_empty_file_removes_nothing() {
    let mut bench = running(&["a"]);
    bench.rename_in("a.yaml", "");
    bench.pass(Duration::from_secs(60));
    assert_eq!(bench.in_force(), "d/a 1");
    assert_eq!(bench.status("a.yaml").0, Status::Refused);
}

#[test]
fn what_cannot_be_read_or_is_not_allowed_keeps_its_last_good_content() {
    for (entry, expected) in [
        (
            Entry::Unreadable("cannot be read: EIO".into()),
            Status::Unreadable,
        ),
        (Entry::Refused("has mode 0666".into()), Status::Refused),
        (Entry::Other("is a directory"), Status::Refused),
    ] {
        let mut bench = running(&["a"]);
        bench.entries.insert("a.yaml".into(), entry.clone());
        bench.heard(Event::Attributes("a.yaml".into()));
        bench.pass(Duration::from_secs(60));
        assert_eq!(bench.in_force(), "d/a 1", "{entry:?}");
        assert_eq!(bench.status("a.yaml").0, expected, "{entry:?}");
    }
}

#[test]
fn what_was_never_good_is_reported_and_starts_nothing() {
    for (entry, expected) in [
        (
            Entry::Unreadable("cannot be read: EIO".into()),
            Status::Unreadable,
        ),
        (Entry::Refused("has mode 0666".into()), Status::Refused),
        (Entry::Other("is a FIFO"), Status::Ignored),
    ] {
        let mut bench = running(&["b"]);
        bench.entries.insert("a.yaml".into(), entry.clone());
        bench.pass(Duration::from_secs(60));
        assert_eq!(bench.in_force(), "d/b 1", "{entry:?}");
        assert_eq!(bench.status("a.yaml").0, expected, "{entry:?}");
        bench.put("a.yaml", &pod("a", "1"));
        bench.pass(Duration::from_secs(60));
        assert_eq!(bench.in_force(), "d/a 1, d/b 1", "{entry:?}");
        assert_eq!(bench.status("a.yaml").0, Status::Ok, "{entry:?}");
    }
}

#[test]
fn a_file_is_gone_after_an_event_and_a_look() {
    let mut bench = running(&["a", "b"]);
    bench.delete("a.yaml");
    assert_eq!(bench.pass(ms(149)), []);
    assert_eq!(removed(&bench.pass(ms(2))), ["d/a"]);
    assert_eq!(bench.in_force(), "d/b 1");
    assert_eq!(bench.machine.view().files.len(), 1);
}

#[test]
fn without_an_event_a_file_is_gone_at_the_second_look_in_a_row() {
    let mut bench = running(&["a", "b"]);
    bench.entries.remove(OsStr::new("a.yaml"));
    bench.pass(Duration::from_secs(10));
    assert_eq!(bench.in_force(), "d/a 1, d/b 1");
    bench.heard(Event::Directory);
    bench.pass(ms(200));
    assert_eq!(bench.in_force(), "d/a 1, d/b 1");
    assert_eq!(removed(&bench.pass(ms(200))), ["d/a"]);
}

#[test]
fn a_look_that_failed_or_found_the_file_stands_between_two_that_missed_it() {
    let mut bench = running(&["a"]);
    let entries = std::mem::take(&mut bench.entries);
    bench.heard(Event::Directory);
    bench.pass(ms(151));
    bench.away = true;
    bench.pass(ms(200));
    bench.away = false;
    // The first look after it misses the file for the first time again.
    bench.now = bench.machine.next();
    bench.look();
    assert_eq!(bench.in_force(), "d/a 1");
    bench.entries = entries;
    bench.pass(ms(200));
    assert_eq!(bench.in_force(), "d/a 1");
}

#[test]
fn an_editor_that_moves_the_file_away_and_writes_a_new_one_removes_nothing() {
    let mut bench = running(&["a"]);
    let mut changes = Vec::new();
    bench.delete("a.yaml");
    bench.heard(Event::Completed("a.yaml~".into()));
    changes.extend(bench.pass(ms(5)));
    bench.put("a.yaml", "");
    bench.heard(Event::Created("a.yaml".into()));
    changes.extend(bench.pass(ms(100)));
    bench.put("a.yaml", &pod("a", "2"));
    bench.heard(Event::Written("a.yaml".into()));
    bench.heard(Event::Completed("a.yaml".into()));
    changes.extend(bench.pass(Duration::from_secs(1)));
    assert_eq!(removed(&changes), [""; 0]);
    assert_eq!(bench.in_force(), "d/a 2");
}

#[test]
fn of_two_files_with_one_pod_the_first_wins_and_the_other_takes_over_when_it_goes() {
    let mut bench = Bench::new();
    bench.rename_in("b.yaml", &pod("x", "b"));
    bench.pass(Duration::from_secs(1));
    bench.rename_in("c.yaml", &pod("x", "c"));
    bench.pass(ms(30));
    assert_eq!(bench.in_force(), "d/x b");
    let (status, why) = bench.status("c.yaml");
    assert_eq!(status, Status::Duplicate);
    assert!(why.contains("/m/b.yaml"), "{why}");

    bench.rename_in("a.yaml", &pod("x", "a"));
    let changes = bench.pass(ms(30));
    assert_eq!(bench.in_force(), "d/x a");
    assert!(changes.contains(&Change::Replaced {
        pod: "d/x".into(),
        origin: "/m/a.yaml".into()
    }));
    assert_eq!(bench.status("b.yaml").0, Status::Duplicate);

    // The first one breaks: its last good content still comes first.
    bench.rename_in("a.yaml", "broken !");
    bench.pass(ms(30));
    assert_eq!(bench.in_force(), "d/x a");
    bench.delete("a.yaml");
    let changes = bench.pass(ms(200));
    assert_eq!(removed(&changes), [""; 0]);
    assert_eq!(bench.in_force(), "d/x b");
    assert_eq!(bench.status("b.yaml").0, Status::Ok);
    bench.delete("b.yaml");
    bench.delete("c.yaml");
    assert_eq!(removed(&bench.pass(ms(200))), ["d/x"]);
    assert_eq!(bench.in_force(), "");
}

#[test]
fn a_pod_renamed_inside_its_file_is_removed_as_the_new_one_is_added() {
    let mut bench = running(&["a"]);
    bench.rename_in("a.yaml", &pod("z", "1"));
    let changes = bench.pass(ms(30));
    assert_eq!(removed(&changes), ["d/a"]);
    assert!(
        changes
            .iter()
            .any(|change| matches!(change, Change::Added { pod, .. } if pod == "d/z"))
    );
    assert_eq!(bench.in_force(), "d/z 1");
}

#[test]
fn a_file_that_gets_another_name_keeps_its_pod_all_the_time() {
    let mut bench = running(&["a"]);
    bench.delete("a.yaml");
    bench.rename_in("z.yaml", &pod("a", "1"));
    let changes = bench.pass(Duration::from_secs(1));
    assert_eq!(removed(&changes), [""; 0]);
    assert_eq!(bench.in_force(), "d/a 1");
    assert_eq!(
        bench.machine.view().in_force[0].origin,
        Path::new("/m/z.yaml")
    );
}

#[test]
fn a_pod_that_moves_between_two_files_is_never_out_of_force() {
    let mut bench = running(&["a", "b"]);
    bench.rename_in("a.yaml", &pod("b", "1"));
    bench.rename_in("b.yaml", &pod("a", "1"));
    let changes = bench.pass(Duration::from_secs(1));
    assert_eq!(removed(&changes), [""; 0]);
    assert_eq!(bench.in_force(), "d/b 1, d/a 1");
}

#[test]
fn what_should_be_kept_is_given_out_once_and_again_if_it_was_not() {
    let mut bench = running(&["a", "b"]);
    let keep = |bench: &mut Bench| {
        let keeps = bench.machine.take_unkept();
        let shown = keeps.into_iter().map(|keep| {
            let text = keep.manifest.map(|good| good.pod.text.clone());
            (keep.file.into_string().unwrap(), text)
        });
        shown.collect::<Vec<_>>()
    };
    assert_eq!(
        keep(&mut bench),
        [
            ("a.yaml".to_owned(), Some(pod("a", "1"))),
            ("b.yaml".to_owned(), Some(pod("b", "1"))),
        ]
    );
    assert_eq!(keep(&mut bench), []);
    bench.machine.not_kept("a.yaml".into());
    assert_eq!(keep(&mut bench).len(), 1);
    bench.rename_in("a.yaml", "broken !");
    bench.delete("b.yaml");
    bench.pass(Duration::from_secs(1));
    assert_eq!(keep(&mut bench), [("b.yaml".to_owned(), None)]);
}
