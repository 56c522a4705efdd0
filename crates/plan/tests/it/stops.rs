//! How pods are stopped, and what they wait for before they start.

use std::sync::Arc;

use plan::{Action, AtLimit, ContainerState, Outcome, RestartPolicy, Runtime, Seen, Stop, Why};

use crate::{
    build::{dead, exited, key, pod, running, sandbox, seconds, seen},
    situation::{One, Situation, in_words, planner},
};
use RestartPolicy::Always;

const NOTHING: [&str; 0] = [];

#[test]
fn mains_stop_together_then_sidecars_in_reverse_with_what_is_left() {
    let mut situation = Situation::of(pod(Always, &["s1", "s2", "a", "b"]));
    let mut containers = vec![
        seen("x1", "s1", 0, running()),
        seen("x2", "s2", 0, running()),
        seen("a0", "a", 0, running()),
        seen("b0", "b", 0, running()),
    ];
    containers[1].sidecar = Some(1);
    containers[0].pre_stop = true;
    containers[2].pre_stop = true;
    situation.seen.sandboxes = vec![sandbox("s", 0, containers)];
    situation.wanted = None;
    situation.gone = true;
    assert_eq!(
        situation.acts(),
        [
            "kill a0 30 Removed hook",
            "kill b0 30 Removed",
            "hook s1 30"
        ]
    );
    let end = |situation: &mut Situation, nth: usize, after: u64| {
        situation.landed();
        situation.now = seconds(1000 + after);
        situation.seen.sandboxes[0].containers[nth].state = exited(0);
        situation.acts()
    };
    assert_eq!(end(&mut situation, 3, 4), ["kill a0 26 Removed hook"]);
    assert_eq!(end(&mut situation, 2, 12), ["kill x2 18 Removed"]);
    assert_eq!(
        end(&mut situation, 1, 29),
        ["kill x1 2 Removed"],
        "never less than two"
    );
    assert_eq!(end(&mut situation, 0, 31), ["stop s Removed"]);
}

#[test]
fn a_sidecars_signal_waits_for_its_hook_while_there_is_time() {
    let mut situation = Situation::of(pod(Always, &["s1", "a"]));
    let mut sidecar = seen("x1", "s1", 0, running());
    sidecar.pre_stop = true;
    let containers = vec![sidecar, seen("a0", "a", 0, running())];
    situation.seen.sandboxes = vec![sandbox("s", 0, containers)];
    situation.stop = Stop::Now { grace: None };
    assert_eq!(situation.acts(), ["kill a0 30 StopAll", "hook s1 30"]);
    situation.flights.remove(0);
    situation.seen.sandboxes[0].containers[1].state = exited(0);
    situation.now += seconds(3);
    assert_eq!(situation.acts(), NOTHING);
    assert_eq!(situation.decide().next(), Some(seconds(1028)));
    situation.now = seconds(1028);
    assert_eq!(situation.acts(), ["kill x1 2 StopAll"]);
}

#[test]
fn grace_only_shrinks() {
    let mut situation = Situation::of(pod(Always, &["a"])).sees(vec![sandbox(
        "s",
        0,
        vec![seen("a0", "a", 0, running())],
    )]);
    situation.stop = Stop::Now { grace: None };
    assert_eq!(situation.acts(), ["kill a0 30 StopAll"]);
    situation.now += seconds(5);
    situation.stop = Stop::Now {
        grace: Some(seconds(10)),
    };
    assert_eq!(situation.acts(), ["kill a0 10 StopAll"]);
    situation.now += seconds(1);
    situation.stop = Stop::Now {
        grace: Some(seconds(60)),
    };
    assert_eq!(situation.acts(), NOTHING);
    situation.agent_restarts();
    assert_eq!(
        situation.acts(),
        ["kill a0 9 StopAll"],
        "nor does a restart give any back"
    );
}

#[test]
fn a_stop_that_fails_is_tried_again_with_what_is_left() {
    let mut one = One::new(pod(Always, &["a"]));
    let alive = || vec![sandbox("s", 0, vec![seen("a0", "a", 0, running())])];
    assert_eq!(one.sees(alive()), []);
    one.planner.unwant(&key("web"));
    let orders = one.sees(alive());
    one.report(&orders[0], &Outcome::Lost);
    assert_eq!(one.sees(alive()), []);
    one.planner.runtime(Runtime::Down);
    one.now += 20;
    assert_eq!(one.sees(alive()), []);
    one.planner.runtime(Runtime::Up { network: true });
    assert_eq!(in_words(&one.sees(alive())), ["kill a0 10 Removed"]);
}

#[test]
fn a_shut_gate_is_waited_for_and_its_limit_starts_or_fails_the_pod() {
    for (at_limit, expected) in [
        (AtLimit::Start, vec!["create u1 0"]),
        (AtLimit::Fail, vec![]),
    ] {
        let mut wanted = pod(Always, &["a"]);
        wanted.gates.limit = Some(seconds(300));
        wanted.gates.at_limit = at_limit;
        let mut situation = Situation::of(wanted);
        situation.shut = vec!["path /run/x to exist".into()];
        assert_eq!(situation.acts(), NOTHING);
        let wait = situation.decide().waits.remove(0);
        assert_eq!(wait.why, Why::Gate(situation.shut.clone()));
        assert_eq!(wait.until, Some(seconds(1300)));
        situation.now = seconds(1300);
        assert_eq!(situation.acts(), expected);
        let reason = situation.memory.terminal().map(|end| end.reason.as_str());
        assert_eq!(reason, (at_limit == AtLimit::Fail).then_some("GateTimeout"));
    }
    let mut open = Situation::of(pod(Always, &["a"]));
    open.shut = vec!["path /run/x to exist".into()];
    assert_eq!(open.acts(), NOTHING);
    open.shut.clear();
    assert_eq!(open.acts(), ["create u1 0"]);
}

#[test]
fn a_pod_starts_in_the_plan_that_finds_the_one_it_waits_for_ready() {
    let mut planner = planner(false);
    let mut first = pod(Always, &["a"]);
    first.key = key("first");
    first.mains[0].has.readiness_probe = true;
    planner.want(Arc::new(first));
    let mut second = pod(Always, &["a"]);
    second.gates.pods = vec![key("first")];
    second.gates.paths = vec!["/run/kms.sock".into()];
    planner.want(Arc::new(second));
    let seen_first = Seen {
        sandboxes: vec![sandbox("s", 0, vec![seen("a0", "a", 0, running())])],
        ..Seen::default()
    };
    planner.see_all(planner.ticket(), [(key("first"), seen_first)].into());
    assert_eq!(planner.plan(seconds(1)).orders, []);
    assert_eq!(planner.awaited_paths(), ["/run/kms.sock"].into());
    planner.paths(["/run/kms.sock".to_owned()].into());
    assert_eq!(planner.plan(seconds(1)).orders, []);
    let ready = plan::Verdict {
        ready: true,
        ..plan::Verdict::default()
    };
    planner.verdict(&key("first"), "a0", ready);
    assert_eq!(in_words(&planner.plan(seconds(1)).orders), ["create u1 0"]);
    assert!(planner.awaited_paths().is_empty());
}

#[test]
fn only_a_pod_with_a_network_of_its_own_waits_for_the_network() {
    for (host_network, expected) in [(true, vec!["create u1 0"]), (false, vec![])] {
        let mut wanted = pod(Always, &["a"]);
        wanted.host_network = host_network;
        let mut situation = Situation::of(wanted);
        situation.runtime = Runtime::Up { network: false };
        assert_eq!(situation.acts(), expected);
    }
}

#[test]
fn stop_all_goes_by_priority_and_waits_for_each_group() {
    let mut planner = planner(false);
    let priorities = [("web", 0), ("log", 0), ("etcd", 2_000_001_000)];
    let of = |name: &str, state: ContainerState, ready: bool| {
        let containers = vec![seen(&format!("{name}-c"), "a", 0, state)];
        let mut made = sandbox(name, 0, containers);
        made.uid = name.into();
        made.ready = ready;
        Seen {
            sandboxes: vec![made],
            ..Seen::default()
        }
    };
    for (name, priority) in priorities {
        let mut wanted = pod(Always, &["a"]);
        wanted.key = key(name);
        wanted.uid = name.into();
        wanted.priority = priority;
        planner.want(Arc::new(wanted));
        planner.see(planner.ticket(), &key(name), of(name, running(), true));
    }
    assert_eq!(planner.plan(seconds(1)).orders, []);
    planner.stop_all(Some(seconds(20)));
    let mut said = Vec::new();
    let mut orders = planner.plan(seconds(1)).orders;
    while !orders.is_empty() {
        said.push(in_words(&orders));
        for order in &orders {
            planner.report(order.id, &Outcome::Done, seconds(1));
            let name = &order.key.as_ref().unwrap().name;
            let ready = matches!(order.action, Action::KillContainer { .. });
            planner.see(planner.ticket(), &key(name), of(name, exited(0), ready));
        }
        assert!(!planner.stopped() || planner.plan(seconds(1)).orders.is_empty());
        orders = planner.plan(seconds(1)).orders;
    }
    assert_eq!(
        said,
        [
            vec!["kill log-c 20 StopAll", "kill web-c 20 StopAll"],
            vec!["stop log StopAll", "stop web StopAll"],
            vec!["kill etcd-c 20 StopAll"],
            vec!["stop etcd StopAll"],
        ]
    );
    assert!(planner.stopped());
}

#[test]
fn directories_that_cannot_be_removed_yet_hold_the_same_uid_up_until_they_can() {
    let mut wanted = pod(Always, &["a"]);
    wanted.revision = "r2".into();
    let mut one = One::new(wanted);
    let old = dead(sandbox("s", 0, vec![]));
    let mut old = vec![old];
    old[0].revision = "r1".into();
    let orders = one.sees(old);
    assert_eq!(in_words(&orders), ["remove s"]);
    one.report(&orders[0], &Outcome::Done);
    for wait in [1, 2, 4] {
        let orders = one.sees(vec![]);
        assert_eq!(in_words(&orders), ["clean u1"]);
        one.report(&orders[0], &Outcome::Lost);
        assert_eq!(one.sees(vec![]), [], "still mounted");
        one.now += wait;
    }
    let orders = one.sees(vec![]);
    one.report(&orders[0], &Outcome::Done);
    assert_eq!(in_words(&one.sees(vec![])), ["create u1 0"]);
}
