use proptest::prelude::*;

use super::*;
use crate::recorded::Tools;

fn counts(rustc: &str, paths: &[(&str, u64)]) -> Counts {
    Counts {
        tools: Tools {
            rustc: rustc.to_owned(),
            valgrind: "3.19.0".to_owned(),
            libc: "2.36".to_owned(),
            cpu: "x86_64 avx2".to_owned(),
        },
        instructions: paths
            .iter()
            .map(|&(name, instructions)| (name.to_owned(), instructions))
            .collect(),
    }
}

const RECORDED: [(&str, u64); 2] = [("encrypt", 100_000), ("status", 1000)];

fn judged(rustc: &str, now: &[(&str, u64)]) -> Verdict {
    judge(
        &counts("1.95.0", &RECORDED),
        &counts(rustc, now),
        &["status", "encrypt", "new"],
    )
}

#[test]
fn small_differences_pass_and_larger_ones_fail_or_ask_to_be_recorded() {
    let table: [(u64, bool, &str); 5] = [
        (1000, false, "no path changed"),
        (1030, false, "no path changed"),
        (1031, true, "dearer"),
        (970, false, "no path changed"),
        (969, false, "cheaper: run `make cost RECORD=1`"),
    ];
    for (instructions, fails, said) in table {
        let verdict = judged("1.95.0", &[RECORDED[0], ("status", instructions)]);
        assert_eq!(verdict.fails, fails, "{instructions}");
        assert!(verdict.advice.contains(said), "{}", verdict.advice);
    }
}

#[test]
fn a_cheaper_path_does_not_hide_a_dearer_one() {
    let verdict = judged("1.95.0", &[("encrypt", 50_000), ("status", 1100)]);
    assert!(verdict.fails);
    let lines: Vec<&str> = verdict.table.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[1].starts_with("status") && lines[1].contains("+10.0"));
    assert!(lines[1].ends_with("WORSE") && lines[2].ends_with("better"));
}

#[test]
fn other_tools_are_named_and_widen_what_counts_as_noise() {
    let fine = judged("1.96.0", &[RECORDED[0], ("status", 1140)]);
    assert!(!fine.fails);
    assert!(fine.advice.starts_with(
        "recorded with rustc 1.95.0, valgrind 3.19.0, libc 2.36, x86_64 avx2; now rustc 1.96.0"
    ));
    assert!(fine.advice.contains("run `make cost RECORD=1`"));
    assert!(judged("1.96.0", &[RECORDED[0], ("status", 1160)]).fails);
}

#[test]
fn a_path_that_is_only_on_one_side_fails() {
    let more = judged("1.95.0", &[RECORDED[0], RECORDED[1], ("new", 10)]);
    assert!(more.fails && more.table.contains("not recorded"));
    assert!(more.advice.contains("not those of the file"));
    assert!(judged("1.95.0", &RECORDED[..1]).fails);
}

proptest! {
    #[test]
    fn more_is_never_better_news(instructions in 1u64..1_000_000, more in 0u64..1_000_000) {
        let now = instructions + more;
        prop_assert_ne!(compare(instructions, now, TOLERANCE), Change::Better);
        prop_assert_ne!(compare(now, instructions, TOLERANCE), Change::Worse);
    }
}

#[test]
fn the_least_of_several_looks_is_what_counts() {
    let looks = [&[("a", 5), ("b", 7)][..], &[("a", 6), ("b", 4), ("c", 1)]];
    let [one, other] = looks.map(|look| counts("1.95.0", look));
    assert_eq!(
        one.least(other),
        counts("1.95.0", &[("a", 5), ("b", 4), ("c", 1)])
    );
}
