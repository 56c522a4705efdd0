use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;
use crate::testing::{Plain, PlainDecoder};

const PERIOD: Duration = Duration::from_secs(20);

struct Bench {
    machine: Remote<Plain>,
    now: Duration,
}

impl Bench {
    fn new() -> Self {
        Self {
            machine: Remote::new("https://x/pods".into(), PERIOD),
            now: Duration::from_secs(1),
        }
    }

    fn fetched(&mut self, outcome: Result<Answer, String>) -> Vec<Change> {
        let now = Now {
            wall: 1_000,
            mono: self.now,
        };
        self.machine.fetched(outcome, now, &PlainDecoder)
    }

    fn body(&mut self, text: &str) -> Vec<Change> {
        self.tagged(text, None)
    }

    fn tagged(&mut self, text: &str, tag: Option<&str>) -> Vec<Change> {
        self.fetched(Ok(Answer::Body {
            bytes: Arc::from(text.as_bytes()),
            tag: tag.map(|tag| tag.as_bytes().to_vec()),
        }))
    }

    fn in_force(&self) -> Vec<String> {
        let view = self.machine.view();
        view.in_force
            .iter()
            .map(|pod| pod.pod.text.clone())
            .collect()
    }

    fn report(&self) -> Report {
        (*self.machine.view().files[0]).clone()
    }
}

fn loud(changes: &[Change]) -> Option<bool> {
    changes.iter().find_map(|change| match change {
        Change::Source { loud, .. } => Some(*loud),
        _ => None,
    })
}

#[test]
fn a_pod_and_a_list_are_taken_as_a_whole() {
    let mut bench = Bench::new();
    assert!(bench.body("pod d/a 1").contains(&Change::Ready));
    assert_eq!(bench.in_force(), ["pod d/a 1"]);
    let changes = bench.body("pod d/b 1\npod d/c 1");
    assert_eq!(bench.in_force(), ["pod d/b 1", "pod d/c 1"]);
    assert!(matches!(&changes[0], Change::Removed { pod, .. } if pod == "d/a"));
    assert_eq!(changes.len(), 3);
}

#[test]
fn one_bad_item_refuses_the_list_and_keeps_what_runs() {
    let mut bench = Bench::new();
    bench.body("pod d/a 1");
    bench.body("pod d/a 2\npod d/b !");
    assert_eq!(bench.in_force(), ["pod d/a 1"]);
    assert!(bench.report().error.unwrap().contains("no pod"));
    assert_eq!(bench.report().status, Status::Refused);
}

#[test]
fn nothing_but_an_explicit_empty_list_removes_pods() {
    let mut bench = Bench::new();
    bench.body("pod d/a 1");
    for outcome in [
        Err("x did not answer within 10 s".to_owned()),
        Ok(Answer::Unchanged),
        Ok(Answer::Body {
            bytes: Arc::from([]),
            tag: None,
        }),
        Ok(Answer::Body {
            bytes: Arc::from(*b" \n\n"),
            tag: None,
        }),
        Ok(Answer::Body {
            bytes: Arc::from(*b"<html>"),
            tag: None,
        }),
    ] {
        bench.fetched(outcome.clone());
        assert_eq!(bench.in_force(), ["pod d/a 1"], "{outcome:?}");
        assert!(bench.machine.view().ready);
    }
    bench.body("items: []");
    assert_eq!(bench.in_force(), [""; 0]);
    assert_eq!(bench.report().status, Status::Ok);
}

#[test]
fn a_bad_body_is_told_each_time_and_a_good_one_that_comes_back_counts() {
    let mut bench = Bench::new();
    bench.body("pod d/a 1");
    for _ in 0..2 {
        assert_eq!(loud(&bench.body("broken !")), Some(true));
    }
    // The same body as before the bad one.
    let changes = bench.body("pod d/a 1");
    assert_eq!(
        changes,
        [Change::Source {
            trouble: None,
            loud: true
        }]
    );
    assert_eq!(bench.report().error, None);
}

#[test]
fn an_unchanged_body_changes_nothing_and_renews_the_tag() {
    let mut bench = Bench::new();
    assert_eq!(bench.machine.tag(), None);
    bench.tagged("pod d/a 1", Some("\"1\""));
    assert_eq!(bench.machine.tag(), Some(&b"\"1\""[..]));
    assert_eq!(bench.fetched(Ok(Answer::Unchanged)), []);
    assert_eq!(bench.tagged("pod d/a 1", Some("\"2\"")), []);
    assert_eq!(bench.machine.tag(), Some(&b"\"2\""[..]));
    bench.tagged("broken !", Some("\"3\""));
    assert_eq!(
        bench.machine.tag(),
        Some(&b"\"2\""[..]),
        "of what was accepted"
    );
}

#[test]
fn an_answer_of_unchanged_to_no_question_is_a_failure() {
    let mut bench = Bench::new();
    bench.fetched(Ok(Answer::Unchanged));
    assert!(!bench.machine.view().ready);
    assert!(bench.report().error.unwrap().contains("304"));
}

#[test]
fn the_period_counts_from_the_end_of_a_fetch() {
    let mut bench = Bench::new();
    assert_eq!(bench.machine.next(), Duration::ZERO);
    bench.now = Duration::from_secs(9);
    let _ = bench.fetched(Err("away".into()));
    assert_eq!(bench.machine.next(), Duration::from_secs(29));
}

#[test]
fn three_failures_in_a_row_are_told_the_fourth_says_so_and_the_recovery_is_told_once() {
    let mut bench = Bench::new();
    bench.body("pod d/a 1");
    let told: Vec<_> = (0..6)
        .map(|_| loud(&bench.fetched(Err("away".into()))).unwrap())
        .collect();
    assert_eq!(told, [true, true, true, true, false, false]);
    assert_eq!(loud(&bench.fetched(Ok(Answer::Unchanged))), Some(true));
    assert_eq!(loud(&bench.fetched(Ok(Answer::Unchanged))), None);
    assert_eq!(loud(&bench.fetched(Err("away".into()))), Some(true));
}

#[test]
fn without_a_good_answer_the_source_is_not_ready() {
    let mut bench = Bench::new();
    bench.fetched(Err("away".into()));
    bench.body("");
    bench.body("broken !");
    assert!(!bench.machine.view().ready);
    bench.body("items: []");
    assert!(bench.machine.view().ready);
}

#[test]
fn of_two_items_with_one_name_the_first_is_used_and_the_other_is_named() {
    let mut bench = Bench::new();
    bench.body("pod d/a 1\npod d/b 1\npod d/a 2");
    assert_eq!(bench.in_force(), ["pod d/a 1", "pod d/b 1"]);
    assert_eq!(bench.report().status, Status::Duplicate);
    assert!(bench.report().error.unwrap().contains("d/a"));
}

#[test]
fn a_kept_body_is_in_force_until_the_server_says_otherwise() {
    let mut bench = Bench::new();
    bench.body("pod d/a 1\npod d/b 1");
    let kept = bench.machine.take_unkept().unwrap();
    assert_eq!(kept.pods, ["d/a", "d/b"]);
    assert!(bench.machine.take_unkept().is_none());
    bench.machine.not_kept();
    assert!(bench.machine.take_unkept().is_some());

    let mut bench = Bench::new();
    bench.machine.restore(kept.clone(), &PlainDecoder);
    assert_eq!(bench.in_force().len(), 2);
    assert_eq!(bench.report().status, Status::Kept);
    assert!(!bench.machine.view().ready);
    bench.fetched(Err("away".into()));
    assert_eq!(bench.in_force().len(), 2);
    bench.body("pod d/a 1\npod d/b 1");
    assert!(bench.machine.view().ready);
    assert_eq!(bench.report().accepted, Some(1_000));
    assert!(bench.machine.take_unkept().is_none());

    let mut bench = Bench::new();
    let bytes = Arc::from(*b"broken !");
    bench
        .machine
        .restore(KeptBody { bytes, ..kept }, &PlainDecoder);
    assert_eq!(bench.machine.view().spared, ["d/a", "d/b"]);
    bench.body("pod d/a 1");
    assert_eq!(bench.machine.view().spared, [""; 0]);
}

fn answers() -> impl Strategy<Value = Result<Answer, String>> {
    let body = |text: String| {
        Ok(Answer::Body {
            bytes: Arc::from(text.as_bytes()),
            tag: None,
        })
    };
    prop_oneof![
        2 => Just(Err("away".to_owned())),
        1 => Just(Ok(Answer::Unchanged)),
        1 => Just(body(String::new())),
        1 => Just(body("items: []".into())),
        4 => (0..4_u8, any::<bool>()).prop_map(move |(pods, broken)| {
            let pods = (0..=pods).map(|pod| format!("pod d/{pod} {pods}\n"));
            let tail = if broken { "broken !" } else { "" };
            body(pods.collect::<String>() + tail)
        }),
    ]
}

proptest! {
    #[test]
    fn what_is_in_force_is_the_last_good_body_whatever_the_server_does(
        answers in proptest::collection::vec(answers(), 1..40),
    ) {
        let mut bench = Bench::new();
        let mut good = None;
        for answer in answers {
            if let Ok(Answer::Body { bytes, .. }) = &answer
                && !bytes.is_empty()
                && let Ok(list) = PlainDecoder.list("", bytes)
            {
                good = Some(list);
            }
            let changes = bench.fetched(answer);
            let view = bench.machine.view();
            prop_assert_eq!(view.ready, good.is_some());
            let texts = good.iter().flatten().map(|pod| pod.text.clone());
            prop_assert!(bench.in_force().into_iter().eq(texts));
            let told = changes.iter().any(|change| matches!(change, Change::Removed { .. }));
            prop_assert!(!told || view.trouble.is_none());
        }
    }
}
