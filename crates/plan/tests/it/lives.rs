//! Restarts, back-off, ends, boots, gates and stops.

use plan::{ExitAction, ExitRule, Failure, FailureClass, Outcome, PodKey, RestartPolicy, Why};

use crate::{
    build::{dead, exited, key, pod, running, sandbox, seconds, seen},
    situation::{One, Situation, in_words},
};
use RestartPolicy::{Always, Never, OnFailure};

const NOTHING: [&str; 0] = [];

#[test]
fn a_crashing_container_waits_longer_each_time_and_a_calm_one_starts_again_at_once() {
    let mut one = One::new(pod(Always, &["a"]));
    let mut waits = Vec::new();
    for (round, ran) in [1, 1, 1, 1, 1, 1, 1, 1, 600, 1].into_iter().enumerate() {
        let round = u32::try_from(round).unwrap();
        let id = format!("a{round}");
        let with = |state| vec![sandbox("s", 0, vec![seen(&id, "a", round, state)])];
        assert_eq!(one.sees(with(running())), []);
        one.now += ran;
        let mut orders = one.sees(with(exited(1)));
        if orders.is_empty() {
            let wait = one.wait();
            waits.push(wait);
            one.now += wait - 1;
            assert_eq!(one.sees(with(exited(1))), [], "one second early");
            one.now += 1;
            orders = one.planner.plan(seconds(one.now)).orders;
        } else {
            waits.push(0);
        }
        assert_eq!(in_words(&orders), [format!("start a {}", round + 1)]);
        one.report(&orders[0], &Outcome::Done);
    }
    assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300, 0, 10]);
}

#[test]
fn one_container_in_back_off_does_not_hold_the_others() {
    let mut situation = Situation::of(pod(Always, &["a", "b"]));
    let both = |n: u32| {
        let ids = [format!("a{n}"), format!("b{n}")];
        vec![sandbox(
            "s",
            0,
            vec![
                seen(&ids[0], "a", n, exited(1)),
                seen(&ids[1], "b", 0, running()),
            ],
        )]
    };
    situation.seen.sandboxes = both(0);
    assert_eq!(situation.acts(), ["start a 1"]);
    situation.landed();
    situation.seen.sandboxes = both(1);
    situation.seen.sandboxes[0].containers.pop();
    assert_eq!(situation.acts(), ["start b 0"]);
    situation.landed();
    let wait = &situation.decide().waits[0];
    assert_eq!(wait.why, Why::CrashBackoff(seconds(10)));
    assert_eq!(wait.until, Some(seconds(1010)));
}

#[test]
fn failures_wait_by_their_class() {
    let fail = |class| {
        Outcome::Failed(Failure {
            class,
            reason: "ErrSomething".into(),
            message: "something".into(),
        })
    };
    let cases = [
        (fail(FailureClass::Pull), [10, 20, 40], 0),
        (fail(FailureClass::Other), [1, 2, 4], 0),
        (Outcome::Lost, [1, 2, 4], 0),
        (fail(FailureClass::NameReserved), [1, 2, 4], 3),
    ];
    for (outcome, waits, attempt) in cases {
        let mut one = One::new(pod(Always, &["a"]));
        for wait in waits {
            let orders = one.sees(vec![sandbox("s", 0, vec![])]);
            one.report(&orders[0], &outcome);
            assert_eq!(one.sees(vec![sandbox("s", 0, vec![])]), []);
            assert_eq!(one.wait(), wait, "{outcome:?}");
            one.now += wait;
        }
        let orders = one.sees(vec![sandbox("s", 0, vec![])]);
        assert_eq!(in_words(&orders), [format!("start a {attempt}")]);
        let view = one.planner.view(&key("web")).unwrap();
        let failed = view.remembered().failure("a").map(|f| f.reason.as_str());
        assert_eq!(failed, (outcome != Outcome::Lost).then_some("ErrSomething"));
    }
}

#[test]
fn a_reserved_sandbox_name_takes_the_next_attempt() {
    let mut one = One::new(pod(Always, &["a"]));
    let orders = one.sees(vec![]);
    assert_eq!(in_words(&orders), ["create u1 0"]);
    let outcome = Outcome::Failed(Failure {
        class: FailureClass::NameReserved,
        reason: "FailedCreatePodSandBox".into(),
        message: "name is reserved".into(),
    });
    one.report(&orders[0], &outcome);
    one.now += 1;
    assert_eq!(in_words(&one.sees(vec![])), ["create u1 1"]);
}

#[test]
fn a_failed_post_start_hook_kills_the_container() {
    let mut one = One::new(pod(Always, &["a"]));
    let orders = one.sees(vec![sandbox("s", 0, vec![])]);
    let class = FailureClass::PostStart {
        container: "a0".into(),
    };
    let failure = Failure {
        class,
        reason: "PostStartHookError".into(),
        message: String::new(),
    };
    one.report(&orders[0], &Outcome::Failed(failure));
    let orders = one.sees(vec![sandbox("s", 0, vec![seen("a0", "a", 0, running())])]);
    assert_eq!(in_words(&orders), ["kill a0 30 PostStart"]);
}

#[test]
fn the_count_goes_on_from_the_log_files_when_the_runtime_has_forgotten() {
    let mut situation = Situation::of(pod(Always, &["a"])).sees(vec![sandbox("s", 4, vec![])]);
    situation.seen.logged.insert("a".into(), 6);
    assert_eq!(situation.acts(), ["start a 7"]);
}

#[test]
fn a_pod_that_never_restarts_runs_once_per_boot_and_is_remembered() {
    let mut situation = Situation::of(pod(Never, &["a"]));
    situation.seen.sandboxes = vec![sandbox("s", 0, vec![seen("a0", "a", 0, exited(0))])];
    assert_eq!(situation.acts(), ["stop s Finished"]);
    situation.landed();
    situation.seen.sandboxes.clear();
    for _ in 0..2 {
        assert_eq!(situation.acts(), NOTHING, "also when the records are gone");
        assert!(situation.memory.terminal().unwrap().succeeded);
        assert!(situation.decide().ready, "an end in success opens gates");
        situation.agent_restarts();
    }
    situation.boot = "next boot";
    assert_eq!(situation.acts(), ["create u1 0"]);
}

#[test]
fn after_a_reboot_a_dead_sandbox_is_no_reason_not_to_run_a_never_pod() {
    let rebooted = |boot: Option<&str>| {
        let mut sandbox = dead(sandbox("s", 0, vec![seen("a0", "a", 0, exited(255))]));
        sandbox.boot = boot.map(str::to_owned);
        Situation::of(pod(Never, &["a"])).sees(vec![sandbox])
    };
    assert_eq!(rebooted(Some("an earlier boot")).acts(), ["create u1 1"]);
    assert_eq!(rebooted(Some("boot")).acts(), NOTHING);
    assert_eq!(
        rebooted(None).acts(),
        NOTHING,
        "rather too seldom than too often"
    );
}

#[test]
fn what_succeeded_stays_done_over_reboots_unless_each_boot_is_asked_for() {
    for (each_boot, expected) in [(false, vec![]), (true, vec!["create u1 1"])] {
        let mut wanted = pod(OnFailure, &["a"]);
        wanted.once_per_boot = each_boot;
        let mut situation = Situation::of(wanted);
        situation.seen.sandboxes = vec![sandbox("s", 0, vec![seen("a0", "a", 0, exited(0))])];
        assert_eq!(situation.acts(), ["stop s Finished"]);
        situation.agent_restarts();
        situation.boot = "next boot";
        situation.seen.sandboxes[0].ready = false;
        assert_eq!(situation.acts(), expected);
    }
}

#[test]
fn a_reboot_begins_anew_with_the_first_init_container_and_keeps_the_counts() {
    let mut situation = Situation::of(pod(Always, &["i1", "a"]));
    let old = dead(sandbox(
        "s",
        0,
        vec![
            seen("i1-0", "i1", 0, exited(0)),
            seen("a2", "a", 2, exited(255)),
        ],
    ));
    situation.seen.sandboxes = vec![old];
    situation.boot = "next boot";
    assert_eq!(situation.acts(), ["create u1 1"]);
    situation.landed();
    situation.seen.sandboxes.push(sandbox("t", 1, vec![]));
    assert_eq!(situation.acts(), ["start i1 1"]);
    situation.landed();
    let init = seen("i1-1", "i1", 1, exited(0));
    situation.seen.sandboxes[1].containers.push(init);
    assert_eq!(situation.acts(), ["start a 3", "remove i1-0"]);
}

#[test]
fn no_init_container_runs_again_because_somebody_removed_its_record() {
    let mut situation = Situation::of(pod(Always, &["i1", "a"]));
    situation.seen.sandboxes = vec![sandbox("s", 0, vec![seen("i1-0", "i1", 0, exited(0))])];
    assert_eq!(situation.acts(), ["start a 0"]);
    situation.agent_restarts();
    situation.seen.sandboxes[0].containers.clear();
    assert_eq!(situation.acts(), ["start a 0"]);
}

#[test]
fn a_pod_fails_when_its_time_is_over_whatever_its_policy() {
    let mut wanted = pod(Always, &["a"]);
    wanted.active_deadline = Some(seconds(60));
    let mut situation =
        Situation::of(wanted).sees(vec![sandbox("s", 0, vec![seen("a0", "a", 0, running())])]);
    assert_eq!(situation.acts(), NOTHING);
    assert_eq!(situation.decide().next(), Some(seconds(1060)));
    situation.now += seconds(50);
    situation.agent_restarts();
    situation.now = seconds(1);
    assert_eq!(situation.acts(), NOTHING);
    assert_eq!(
        situation.decide().next(),
        Some(seconds(11)),
        "fifty of sixty are used up"
    );
    situation.now = seconds(11);
    assert_eq!(situation.acts(), ["kill a0 30 DeadlineExceeded"]);
    let end = situation.memory.terminal().unwrap();
    assert_eq!(
        (end.succeeded, end.reason.as_str()),
        (false, "DeadlineExceeded")
    );
}

#[test]
fn a_restart_by_request_makes_a_new_sandbox_also_of_a_pod_that_has_ended() {
    let mut one = One::new(pod(Never, &["a"]));
    let orders = one.sees(vec![sandbox("s", 0, vec![seen("a0", "a", 0, exited(1))])]);
    one.report(&orders[0], &Outcome::Done);
    let over = || vec![dead(sandbox("s", 0, vec![seen("a0", "a", 0, exited(1))]))];
    assert_eq!(one.sees(over()), []);
    assert!(one.planner.restart(&key("web"), None));
    assert_eq!(in_words(&one.sees(over())), ["create u1 1"]);
    assert!(!one.planner.restart(&PodKey::new("default", "nobody"), None));
}

#[test]
fn one_container_restarts_by_request_and_by_its_policy() {
    let mut one = One::new(pod(Always, &["a", "b"]));
    let two = vec![seen("a0", "a", 0, running()), seen("b0", "b", 0, running())];
    assert_eq!(one.sees(vec![sandbox("s", 0, two)]), []);
    assert!(!one.planner.restart(&key("web"), Some("c")));
    assert!(one.planner.restart(&key("web"), Some("b")));
    let orders = one.planner.plan(seconds(1000)).orders;
    assert_eq!(in_words(&orders), ["kill b0 30 RestartRequested"]);
}

#[test]
fn an_exit_code_can_restart_all_containers_in_their_order_in_the_same_sandbox() {
    let mut wanted = pod(Never, &["i1", "s1", "a"]);
    wanted.mains[0].rules = vec![ExitRule {
        codes: vec![42],
        listed: true,
        then: ExitAction::RestartAll,
    }];
    let mut situation = Situation::of(wanted);
    let containers = vec![
        seen("i1-0", "i1", 0, exited(0)),
        seen("s1-0", "s1", 0, running()),
        seen("a0", "a", 0, exited(42)),
    ];
    situation.seen.sandboxes = vec![sandbox("s", 0, containers)];
    assert_eq!(situation.acts(), ["kill s1-0 30 RestartAll"]);
    situation.landed();
    situation.seen.sandboxes[0].containers[1].state = exited(0);
    assert_eq!(
        situation.acts(),
        ["remove i1-0", "remove s1-0", "remove a0"]
    );
    situation.landed();
    situation.seen.sandboxes[0].containers.clear();
    assert_eq!(
        situation.decide().next(),
        Some(situation.now),
        "looks again at once"
    );
    assert_eq!(situation.acts(), ["start i1 1"]);
    situation.landed();
    let containers = &mut situation.seen.sandboxes[0].containers;
    containers.push(seen("i1-1", "i1", 1, exited(0)));
    containers.push(seen("s1-1", "s1", 1, running()));
    containers.push(seen("a1", "a", 1, exited(7)));
    assert_eq!(
        situation.acts(),
        ["kill s1-1 30 Finished"],
        "other codes: the policy"
    );
}

#[test]
fn rules_of_single_exit_codes_go_before_the_policy() {
    let mut wanted = pod(Never, &["a"]);
    wanted.mains[0].rules = vec![ExitRule {
        codes: vec![0, 1],
        listed: false,
        then: ExitAction::Restart,
    }];
    for (code, expected) in [
        (2, "start a 1"),
        (1, "stop s Finished"),
        (0, "stop s Finished"),
    ] {
        let mut situation = Situation::of(wanted.clone());
        let containers = vec![seen("a0", "a", 0, exited(code))];
        situation.seen.sandboxes = vec![sandbox("s", 0, containers)];
        assert_eq!(situation.acts(), [expected], "{code}");
    }
}

#[test]
fn steps_of_the_wall_clock_decide_nothing() {
    for created in [i64::MIN, 0, i64::MAX] {
        let mut old = dead(sandbox("s", 0, vec![seen("a9", "a", 0, exited(1))]));
        old.created = created;
        let mut new = sandbox("t", 1, vec![seen("a1", "a", 1, running())]);
        new.created = -created.max(-i64::MAX);
        let mut situation = Situation::of(pod(Always, &["a"])).sees(vec![old, new]);
        assert_eq!(situation.acts(), NOTHING, "{created}");
    }
}
