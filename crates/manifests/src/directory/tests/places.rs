//! Directories that go, come and change, and what was kept from before.

use super::*;

fn running() -> Bench {
    let mut bench = Bench::new();
    bench.rename_in("a.yaml", &pod("a", "1"));
    bench.rename_in("b.yaml", &pod("b", "1"));
    bench.pass(Duration::from_secs(1));
    bench
}

fn memory(name: &str, text: &str) -> Memory {
    Memory {
        file: format!("{name}.yaml").into(),
        pod: format!("d/{name}"),
        accepted: 77,
        bytes: Arc::from(text.as_bytes()),
    }
}

fn restored(before: Option<Before>, memories: Vec<Memory>) -> Bench {
    let mut bench = Bench::new();
    bench.machine.restore(memories, before, &PlainDecoder);
    bench
}

fn trouble(bench: &Bench) -> String {
    bench.machine.view().trouble.unwrap_or_default()
}

#[test]
fn a_directory_that_is_away_changes_nothing_and_is_looked_for_each_second() {
    let mut bench = running();
    bench.away = true;
    bench.heard(Event::Lost);
    let changes = bench.pass(Duration::from_secs(10));
    assert_eq!(changes.len(), 1, "told once: {changes:?}");
    assert_eq!(bench.in_force(), "d/a 1, d/b 1");
    assert!(bench.is_ready(), "it was read completely once");
    assert!(trouble(&bench).contains("does not exist"));
    bench.away = false;
    let changes = bench.pass(ms(1_100));
    assert_eq!(
        changes,
        [Change::Source {
            trouble: None,
            loud: true
        }]
    );
}

#[test]
fn a_directory_that_was_never_there_is_not_ready() {
    let mut bench = Bench::new();
    bench.away = true;
    bench.pass(Duration::from_secs(100));
    assert!(!bench.is_ready());
    bench.away = false;
    bench.pass(Duration::from_secs(2));
    assert!(bench.is_ready());
}

#[test]
fn events_do_not_make_a_directory_that_is_away_looked_at_without_pause() {
    let mut bench = running();
    bench.away = true;
    bench.heard(Event::Left("a.yaml".into()));
    bench.pass(ms(200));
    let mut looks = 0;
    let end = bench.now + Duration::from_secs(5);
    while bench.machine.next() <= end {
        bench.now = bench.now.max(bench.machine.next());
        bench.look();
        looks += 1;
    }
    assert!(looks <= 30, "{looks}");
    assert_eq!(bench.in_force(), "d/a 1, d/b 1");
}

#[test]
fn an_empty_directory_in_the_place_of_the_one_before_removes_nothing() {
    let mut bench = running();
    let entries = std::mem::take(&mut bench.entries);
    bench.identity = ELSEWHERE;
    bench.heard(Event::Lost);
    bench.pass(Duration::from_secs(100));
    assert_eq!(bench.in_force(), "d/a 1, d/b 1");
    let why = trouble(&bench);
    assert!(
        why.contains("another directory") && why.contains("a.yaml"),
        "{why}"
    );
    // The mount comes back under the same number: nothing ever happened.
    bench.identity = HOME;
    bench.entries = entries;
    bench.pass(Duration::from_secs(2));
    assert_eq!(trouble(&bench), "");
    assert_eq!(bench.in_force(), "d/a 1, d/b 1");
}

#[test]
fn another_directory_with_other_contents_changes_nothing_until_it_agrees_or_is_accepted() {
    let mut bench = running();
    bench.identity = ELSEWHERE;
    bench.put("a.yaml", &pod("a", "of last year"));
    bench.put("c.yaml", &pod("c", "1"));
    bench.pass(Duration::from_secs(100));
    assert_eq!(bench.in_force(), "d/a 1, d/b 1");

    // A mount that comes back under another number has what is in force: it is taken up, and
    // what is new in it is read.
    bench.put("a.yaml", &pod("a", "1"));
    bench.pass(Duration::from_secs(2));
    assert_eq!(bench.in_force(), "d/a 1, d/b 1, d/c 1");
    assert_eq!(bench.machine.identity(), Some(ELSEWHERE));

    bench.identity = HOME;
    bench.entries.clear();
    bench.put("a.yaml", &pod("a", "2"));
    bench.pass(Duration::from_secs(100));
    assert_eq!(bench.in_force(), "d/a 1, d/b 1, d/c 1");
    bench.machine.accept_replacement(bench.now());
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.in_force(), "d/a 2");
}

#[test]
fn what_was_heard_of_the_directory_before_vouches_for_nothing_in_the_next() {
    let mut bench = running();
    bench.identity = ELSEWHERE;
    bench.put("c.yaml", &pod("c", "half"));
    bench.heard(Event::Completed("c.yaml".into()));
    bench.heard(Event::Lost);
    bench.heard(Event::Completed("c.yaml".into()));
    bench.now += ms(200);
    bench.look();
    assert_eq!(bench.machine.identity(), Some(ELSEWHERE));
    assert_eq!(bench.in_force(), "d/a 1, d/b 1");
    bench.pass(ms(200));
    assert_eq!(bench.in_force(), "d/a 1, d/b 1, d/c half");
}

#[test]
fn an_acceptance_holds_for_one_directory_and_not_for_the_next() {
    let mut bench = running();
    bench.machine.accept_replacement(bench.now());
    bench.pass(Duration::from_secs(1));
    bench.identity = ELSEWHERE;
    bench.entries.clear();
    bench.pass(Duration::from_secs(100));
    assert_eq!(bench.in_force(), "d/a 1, d/b 1");
}

#[test]
fn a_deletion_heard_from_a_directory_that_is_replaced_removes_nothing() {
    let mut bench = running();
    bench.delete("a.yaml");
    bench.identity = ELSEWHERE;
    bench.entries.clear();
    bench.pass(Duration::from_secs(100));
    assert_eq!(bench.in_force(), "d/a 1, d/b 1");
}

#[test]
fn what_was_kept_is_in_force_before_anything_was_read() {
    let bench = restored(None, vec![memory("a", &pod("a", "1"))]);
    assert_eq!(bench.in_force(), "d/a 1");
    assert!(!bench.is_ready());
    assert_eq!(bench.status("a.yaml").0, Status::Kept);
    assert_eq!(bench.machine.view().in_force[0].accepted, 77);
}

#[test]
fn what_was_kept_and_is_unchanged_is_known_at_the_first_look() {
    let mut bench = restored(None, vec![memory("a", &pod("a", "1"))]);
    bench.put("a.yaml", &pod("a", "1"));
    bench.look();
    assert!(bench.is_ready());
    assert_eq!(bench.status("a.yaml").0, Status::Ok);
    assert_eq!(bench.machine.view().in_force[0].accepted, 77);
    assert!(bench.machine.take_unkept().is_empty());
}

#[test]
fn a_file_truly_gone_while_the_agent_was_down_removes_its_pod() {
    let mut bench = restored(
        Some(Before {
            identity: HOME,
            same_boot: true,
        }),
        vec![memory("a", &pod("a", "1")), memory("b", &pod("b", "1"))],
    );
    bench.put("b.yaml", &pod("b", "1"));
    bench.look();
    assert_eq!(bench.in_force(), "d/a 1, d/b 1");
    assert!(!bench.is_ready());
    bench.pass(ms(200));
    assert_eq!(bench.in_force(), "d/b 1");
    assert!(bench.is_ready());
    let unkept = bench.machine.take_unkept();
    assert_eq!(unkept.len(), 1);
    assert_eq!(unkept[0].file, "a.yaml");
    assert!(unkept[0].manifest.is_none());
}

#[test]
fn a_source_that_cannot_be_read_after_a_restart_removes_nothing() {
    let mut bench = restored(None, vec![memory("a", &pod("a", "1"))]);
    bench.away = true;
    bench.pass(Duration::from_secs(1_000));
    assert_eq!(bench.in_force(), "d/a 1");
    assert!(!bench.is_ready());
}

#[test]
fn a_mount_lost_while_the_agent_was_down_removes_nothing() {
    let before = |same_boot| {
        Some(Before {
            identity: HOME,
            same_boot,
        })
    };
    for same_boot in [true, false] {
        let mut bench = restored(before(same_boot), vec![memory("a", &pod("a", "1"))]);
        bench.identity = ELSEWHERE;
        bench.pass(Duration::from_secs(100));
        assert_eq!(bench.in_force(), "d/a 1", "{same_boot}");
        assert!(!bench.is_ready());
    }
    // In the same boot the pods run and a directory with other contents is not believed; after
    // a reboot nothing runs, and device numbers may differ for no reason.
    for (same_boot, expected) in [(true, "d/a 1"), (false, "d/c 1")] {
        let mut bench = restored(before(same_boot), vec![memory("a", &pod("a", "1"))]);
        bench.identity = ELSEWHERE;
        bench.put("c.yaml", &pod("c", "1"));
        bench.pass(Duration::from_secs(100));
        assert_eq!(bench.in_force(), expected, "{same_boot}");
    }
    // The same directory, emptied while the machine was down.
    let mut bench = restored(before(false), vec![memory("a", &pod("a", "1"))]);
    bench.pass(Duration::from_secs(100));
    assert_eq!(bench.in_force(), "");
    assert!(bench.is_ready());
}

#[test]
fn a_kept_manifest_that_is_not_understood_any_more_spares_its_pod() {
    let mut bench = restored(None, vec![memory("a", "pod d/a !")]);
    let spared = |bench: &Bench| bench.machine.view().spared;
    assert_eq!(spared(&bench), ["d/a"]);
    assert_eq!(bench.in_force(), "");
    bench.put("a.yaml", "pod d/a !");
    bench.pass(Duration::from_secs(100));
    assert!(bench.is_ready());
    assert_eq!(spared(&bench), ["d/a"]);
    assert_eq!(bench.status("a.yaml").0, Status::Refused);
    bench.rename_in("a.yaml", &pod("a", "mended"));
    bench.pass(ms(100));
    assert_eq!(spared(&bench), [""; 0]);
    assert_eq!(bench.in_force(), "d/a mended");

    let mut bench = restored(None, vec![memory("a", "pod d/a !")]);
    bench.pass(Duration::from_secs(1));
    assert_eq!(spared(&bench), [""; 0]);
    assert_eq!(bench.machine.take_unkept().len(), 1);
}

#[test]
fn a_file_that_cannot_be_read_and_is_not_known_keeps_the_source_from_being_complete() {
    let mut bench = Bench::new();
    let entry = Entry::Unreadable("cannot be read: EIO".into());
    bench.entries.insert("a.yaml".into(), entry);
    bench.pass(Duration::from_secs(100));
    assert!(!bench.is_ready());
    bench.put("a.yaml", "no pod");
    bench.pass(Duration::from_secs(100));
    assert!(bench.is_ready(), "a file that is no pod never ran");
}

#[test]
fn a_single_file_is_followed_whatever_its_ending_and_its_neighbours_do_not_matter() {
    let mut bench = Bench::of(Filter::Only("pod.txt".into()));
    bench.put("pod.txt", &pod("a", "1"));
    bench.put("b.yaml", &pod("b", "1"));
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.in_force(), "d/a 1");
    bench.rename_in("b.yaml", &pod("b", "2"));
    bench.rename_in("pod.txt", "!");
    bench.pass(Duration::from_secs(100));
    assert_eq!(bench.in_force(), "d/a 1");
    bench.delete("pod.txt");
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.in_force(), "");
    assert!(bench.is_ready());
}

#[test]
fn a_look_that_hangs_is_told_and_changes_nothing() {
    let mut bench = running();
    let changes = bench.machine.stalled(Duration::from_secs(10));
    assert!(matches!(
        changes.as_slice(),
        [Change::Source {
            trouble: Some(_),
            loud: true
        }]
    ));
    assert_eq!(bench.machine.stalled(Duration::from_secs(10)), []);
    assert!(trouble(&bench).contains("10 s"));
    assert_eq!(bench.in_force(), "d/a 1, d/b 1");
    bench.heard(Event::Directory);
    bench.pass(ms(200));
    assert_eq!(trouble(&bench), "");
}
