//! When a content is believed.

use super::*;

#[test]
fn without_an_event_a_content_is_believed_when_two_looks_agree() {
    let mut bench = Bench::new();
    bench.put("a.yaml", &pod("a", "1"));
    bench.look();
    assert_eq!(bench.in_force(), "");
    assert_eq!(bench.status("a.yaml").0, Status::HalfWritten);
    assert!(!bench.is_ready());
    assert!(bench.machine.wanted(bench.now()).is_none());
    let changes = bench.pass(ms(150));
    assert_eq!(bench.in_force(), "d/a 1");
    assert_eq!(bench.status("a.yaml"), (Status::Ok, String::new()));
    assert!(bench.is_ready());
    assert!(changes.contains(&Change::Ready));
    assert!(changes.contains(&Change::Added {
        pod: "d/a".into(),
        origin: "/m/a.yaml".into()
    }));
}

#[test]
fn two_looks_that_differ_in_bytes_or_in_the_file_do_not_agree() {
    let mut bench = Bench::new();
    for text in ["1", "12", "12", "123"] {
        // The third has the same bytes and another stamp.
        bench.put("a.yaml", &pod("a", text));
        bench.pass(ms(100));
        assert_eq!(bench.in_force(), "");
    }
    bench.pass(ms(300));
    assert_eq!(bench.in_force(), "d/a 123");
}

#[test]
fn a_file_that_was_closed_or_renamed_into_place_is_believed_at_the_first_look() {
    let mut bench = Bench::new();
    bench.pass(ms(500));
    bench.rename_in("a.yaml", &pod("a", "1"));
    bench.pass(ms(9));
    assert_eq!(bench.in_force(), "");
    bench.pass(ms(2));
    assert_eq!(bench.in_force(), "d/a 1");
}

#[test]
fn what_its_writer_has_open_starts_nothing_however_long_it_stands_still() {
    let mut bench = Bench::new();
    bench.pass(ms(500));
    bench.put("a.yaml", &pod("a", "half"));
    bench.heard(Event::Created("a.yaml".into()));
    bench.heard(Event::Written("a.yaml".into()));
    bench.pass(Duration::from_secs(50));
    assert_eq!(bench.in_force(), "");
    let (status, why) = bench.status("a.yaml");
    assert_eq!(status, Status::HalfWritten);
    assert!(why.contains("still has it open"), "{why}");
    bench.rename_in("a.yaml", &pod("a", "half and half"));
    bench.pass(ms(21));
    assert_eq!(bench.in_force(), "d/a half and half");
}

#[test]
fn what_is_being_written_as_the_agent_starts_or_as_events_are_lost_is_waited_for() {
    for lost in [false, true] {
        let mut bench = Bench::new();
        bench.put("a.yaml", &pod("a", "half"));
        bench.heard(Event::Written("a.yaml".into()));
        if lost {
            bench.heard(Event::Lost);
        }
        bench.pass(Duration::from_secs(50));
        assert_eq!(bench.in_force(), "");
    }
}

#[test]
fn a_writer_that_never_closes_is_waited_for_a_minute() {
    let mut bench = Bench::new();
    bench.pass(ms(500));
    bench.put("a.yaml", &pod("a", "1"));
    bench.heard(Event::Written("a.yaml".into()));
    bench.pass(Duration::from_secs(59));
    assert_eq!(bench.in_force(), "");
    bench.pass(Duration::from_secs(2));
    assert_eq!(bench.in_force(), "d/a 1");
}

#[test]
fn a_file_that_is_half_rewritten_keeps_what_it_said_before() {
    let mut bench = Bench::new();
    bench.rename_in("a.yaml", &pod("a", "old"));
    bench.pass(ms(500));
    bench.put("a.yaml", "");
    bench.heard(Event::Written("a.yaml".into()));
    bench.pass(ms(400));
    bench.put("a.yaml", &pod("a", "ne"));
    bench.heard(Event::Written("a.yaml".into()));
    bench.pass(ms(400));
    assert_eq!(bench.in_force(), "d/a old");
    bench.rename_in("a.yaml", &pod("a", "new"));
    bench.pass(ms(400));
    assert_eq!(bench.in_force(), "d/a new");
}

#[test]
fn what_a_look_saw_before_an_event_is_looked_at_again() {
    let mut bench = Bench::new();
    bench.pass(ms(500));
    bench.rename_in("a.yaml", &pod("a", "1"));
    bench.now += ms(20);
    let scope = bench.machine.wanted(bench.now()).unwrap();
    bench.put("a.yaml", &pod("a", "2 h"));
    let look = bench.take(scope);
    bench.now += ms(1);
    bench.heard(Event::Written("a.yaml".into()));
    bench.machine.observe(&look, bench.now(), &PlainDecoder);
    assert_eq!(bench.in_force(), "");
    bench.rename_in("a.yaml", &pod("a", "2 halves"));
    bench.pass(ms(30));
    assert_eq!(bench.in_force(), "d/a 2 halves");
}

#[test]
fn a_close_heard_after_a_look_began_does_not_vouch_for_what_it_saw() {
    let mut bench = Bench::new();
    bench.pass(ms(500));
    bench.heard(Event::Attributes("a.yaml".into()));
    bench.now += ms(20);
    let scope = bench.machine.wanted(bench.now()).unwrap();
    bench.put("a.yaml", &pod("a", "half"));
    let look = bench.take(scope);
    bench.now += ms(1);
    bench.heard(Event::Written("a.yaml".into()));
    bench.rename_in("a.yaml", &pod("a", "half and half"));
    bench.machine.observe(&look, bench.now(), &PlainDecoder);
    assert_eq!(bench.in_force(), "");
    bench.pass(ms(30));
    assert_eq!(bench.in_force(), "d/a half and half");
}

#[test]
fn a_file_torn_by_its_reading_is_read_again() {
    let mut bench = Bench::new();
    bench.entries.insert("a.yaml".into(), Entry::Torn);
    bench.look();
    assert_eq!(bench.status("a.yaml").0, Status::HalfWritten);
    bench.put("a.yaml", &pod("a", "1"));
    bench.pass(ms(400));
    assert_eq!(bench.in_force(), "d/a 1");
}

#[test]
fn a_renamed_link_says_nothing_about_its_target() {
    let mut bench = Bench::new();
    bench.pass(ms(500));
    let link = bench.entry(&pod("a", "1"), true);
    bench.entries.insert("a.yaml".into(), link);
    bench.heard(Event::Completed("a.yaml".into()));
    bench.pass(ms(100));
    assert_eq!(bench.in_force(), "");
    bench.pass(ms(100));
    assert_eq!(bench.in_force(), "d/a 1");
    // `..data` is swapped: nothing was heard of the link itself.
    let link = bench.entry(&pod("a", "2"), true);
    bench.entries.insert("a.yaml".into(), link);
    bench.heard(Event::Completed("..data".into()));
    bench.pass(ms(400));
    assert_eq!(bench.in_force(), "d/a 2");
}

#[test]
fn litter_beside_plain_files_causes_no_look() {
    let mut bench = Bench::new();
    bench.rename_in("a.yaml", &pod("a", "1"));
    bench.pass(Duration::from_secs(1));
    for name in [".a.yaml.swp", "4913", "a.yaml~", "sedXyz", "#a.yaml#"] {
        bench.put(name, &pod("a", "litter"));
        bench.heard(Event::Completed(name.into()));
    }
    bench.now += Duration::from_secs(5);
    assert_eq!(bench.machine.wanted(bench.now()), None);
    bench.pass(Duration::from_secs(20));
    assert_eq!(bench.in_force(), "d/a 1");
    let (status, why) = bench.status("a.yaml~");
    assert_eq!(status, Status::Ignored);
    assert!(why.contains(".yaml"), "{why}");
}

#[test]
fn a_change_of_mode_or_times_alone_changes_nothing() {
    let mut bench = Bench::new();
    bench.rename_in("a.yaml", &pod("a", "1"));
    bench.pass(ms(500));
    bench.put("a.yaml", &pod("a", "1"));
    bench.heard(Event::Attributes("a.yaml".into()));
    assert_eq!(bench.pass(Duration::from_secs(1)), []);
}

#[test]
fn lost_events_take_back_what_was_concluded_from_events() {
    let mut bench = Bench::new();
    bench.pass(ms(500));
    bench.rename_in("a.yaml", &pod("a", "1"));
    bench.heard(Event::Lost);
    bench.pass(ms(30));
    assert_eq!(bench.in_force(), "");
    bench.pass(ms(400));
    assert_eq!(bench.in_force(), "d/a 1");
}

#[test]
fn three_hundred_edits_in_a_row_are_followed_and_the_last_one_wins() {
    let mut bench = Bench::new();
    bench.pass(ms(500));
    let mut seen = 0;
    for edit in 0..300 {
        bench.rename_in("a.yaml", &pod("a", &edit.to_string()));
        seen += usize::from(!bench.pass(ms(100)).is_empty());
    }
    assert_eq!(bench.in_force(), "d/a 299");
    assert_eq!(seen, 300);
}
