//! Edits, removals, re-adding, strangers: at most one version of a name lives.

use std::{collections::BTreeMap, sync::Arc};

use plan::{Action, Outcome, Owner, Planner, RestartPolicy, Runtime, Seen, SeenSandbox, Stop, Why};

use crate::{
    build::{dead, exited, key, of, pod, running, sandbox, seconds, seen},
    situation::{Situation, done, planner, words},
};
use RestartPolicy::Always;

const NOTHING: [&str; 0] = [];

fn running_pod() -> SeenSandbox {
    sandbox("s", 0, vec![seen("a0", "a", 0, running())])
}

/// The old version's sandbox on its way out, step by step; what is done at each step.
fn steps(situation: &mut Situation) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for step in 0..4 {
        all.push(situation.acts());
        situation.landed();
        let sandboxes = &mut situation.seen.sandboxes;
        match step {
            0 => sandboxes[0].containers[0].state = exited(0),
            1 => sandboxes[0].ready = false,
            2 => sandboxes[0].containers.clear(),
            _ => sandboxes.clear(),
        }
    }
    all.push(situation.acts());
    all
}

#[test]
fn an_edited_pod_stops_completely_before_the_new_one_starts_and_starts_in_the_same_breath() {
    let mut wanted = pod(Always, &["a"]);
    wanted.uid = "u2".into();
    wanted.revision = "r2".into();
    let mut situation = Situation::of(wanted).sees(vec![running_pod()]);
    assert_eq!(
        steps(&mut situation),
        [
            vec!["kill a0 30 Edited"],
            vec!["stop s Edited"],
            vec!["remove a0", "create u2 0"],
            vec!["remove s", "create u2 0"],
            vec!["clean u1 logs", "create u2 0"],
        ]
    );
}

#[test]
fn an_edited_pod_that_keeps_its_uid_waits_until_the_old_one_is_cleaned_away() {
    let mut wanted = pod(Always, &["a"]);
    wanted.revision = "r2".into();
    let mut situation = Situation::of(wanted).sees(vec![running_pod()]);
    assert_eq!(
        steps(&mut situation),
        [
            vec!["kill a0 30 Edited"],
            vec!["stop s Edited"],
            vec!["remove a0"],
            vec!["remove s"],
            vec!["clean u1"],
        ]
    );
}

#[test]
fn a_removed_pod_leaves_nothing_behind() {
    let mut situation = Situation::of(pod(Always, &["a"])).sees(vec![running_pod()]);
    assert_eq!(situation.acts(), NOTHING);
    situation.wanted = None;
    situation.gone = true;
    assert_eq!(
        steps(&mut situation),
        [
            vec!["kill a0 30 Removed"],
            vec!["stop s Removed"],
            vec!["remove a0"],
            vec!["remove s"],
            vec!["clean u1 logs"],
        ]
    );
}

#[test]
fn a_pod_removed_and_re_added_while_it_stops_comes_back_with_one_restart() {
    let wanted = pod(Always, &["a"]);
    let mut situation = Situation::of(wanted.clone()).sees(vec![running_pod()]);
    situation.wanted = None;
    situation.gone = true;
    assert_eq!(situation.acts(), ["kill a0 30 Removed"]);
    situation.wanted = Some(wanted);
    assert_eq!(
        situation.acts(),
        NOTHING,
        "there is no way back, and no second kill"
    );
    situation.landed();
    situation.seen.sandboxes[0].containers[0].state = exited(0);
    assert_eq!(situation.acts(), ["stop s Removed"]);
    situation.landed();
    situation.seen.sandboxes[0].ready = false;
    assert_eq!(situation.acts(), ["clean u1"], "new volumes, the same logs");
}

#[test]
fn nothing_is_an_orphan_before_its_source_was_read_completely() {
    let mut situation = Situation::of(pod(Always, &["a"])).sees(vec![running_pod()]);
    situation.wanted = None;
    assert_eq!(situation.acts(), NOTHING);
    assert_eq!(situation.decide().waits[0].why, Why::SourceIncomplete);
    situation.gone = true;
    assert_eq!(situation.acts(), ["kill a0 30 Removed"]);
}

#[test]
fn the_source_of_a_pod_decides_and_not_another_one() {
    let from = |source: &str| {
        let mut sandbox = running_pod();
        sandbox.source = source.into();
        sandbox
    };
    let mut planner = planner(false);
    planner.source("url", false);
    let all = [
        (key("by-file"), from("file")),
        (key("by-url"), from("url")),
        (key("by-nobody"), from("an older URL")),
    ];
    let all: BTreeMap<_, _> = all
        .into_iter()
        .map(|(key, sandbox)| {
            let sandboxes = vec![sandbox];
            (
                key,
                Seen {
                    sandboxes,
                    ..Seen::default()
                },
            )
        })
        .collect();
    planner.see_all(planner.ticket(), all);
    let stopped = |planner: &mut Planner| -> Vec<String> {
        let orders = planner.plan(seconds(1)).orders;
        orders
            .iter()
            .map(|order| order.key.as_ref().unwrap().name.clone())
            .collect()
    };
    assert_eq!(stopped(&mut planner), ["by-file"]);
    planner.source("url", true);
    assert_eq!(stopped(&mut planner), ["by-nobody", "by-url"]);
}

#[test]
fn adoption_touches_nothing() {
    let mut situation = Situation::of(pod(Always, &["i1", "a"])).sees(vec![sandbox(
        "s",
        3,
        vec![seen("a7", "a", 7, running())],
    )]);
    for _ in 0..2 {
        assert_eq!(situation.acts(), NOTHING);
        assert!(situation.decide().ready);
        situation.agent_restarts();
    }
}

#[test]
fn readiness_survives_a_restart_of_the_agent() {
    let mut wanted = pod(Always, &["a"]);
    wanted.mains[0].has.readiness_probe = true;
    let mut situation = Situation::of(wanted).sees(vec![running_pod()]);
    assert!(!situation.decide().ready, "nobody has said so");
    let ready = plan::Verdict {
        ready: true,
        ..plan::Verdict::default()
    };
    situation = situation.verdict("a0", ready);
    assert!(situation.decide().ready);
    situation.agent_restarts();
    assert!(situation.decide().ready);
}

#[test]
fn an_order_under_way_for_an_old_version_is_cancelled_and_waited_for() {
    let mut situation = Situation::of(pod(Always, &["a"])).sees(vec![sandbox("s", 0, vec![])]);
    assert_eq!(situation.acts(), ["start a 0"]);
    let edited = situation.wanted.as_mut().unwrap();
    edited.uid = "u2".into();
    edited.revision = "r2".into();
    assert_eq!(situation.acts(), ["cancel 1"]);
    assert_eq!(
        situation.acts(),
        NOTHING,
        "the sandbox stays until the start is over"
    );
    situation.landed();
    assert_eq!(situation.acts(), ["stop s Edited"]);
}

#[test]
fn strangers_of_the_same_name_are_waited_for_and_never_touched() {
    for alive in [true, false] {
        let mut stranger = running_pod();
        stranger.owner = Owner::Foreign("another agent".into());
        stranger.ready = alive;
        if !alive {
            stranger.containers[0].state = exited(0);
        }
        for take_over in [true, false] {
            let mut situation = Situation::of(pod(Always, &["a"])).sees(vec![stranger.clone()]);
            situation.take_over = take_over;
            let expected: &[&str] = if alive { &[] } else { &["create u1 0"] };
            assert_eq!(situation.acts(), expected);
        }
    }
}

#[test]
fn a_kubelets_pod_is_stopped_only_where_we_take_over() {
    let mut theirs = of(running_pod(), "kubelet-uid", "");
    theirs.owner = Owner::Kubelet;
    let mut situation = Situation::of(pod(Always, &["a"])).sees(vec![theirs.clone()]);
    assert_eq!(situation.acts(), NOTHING);
    situation.take_over = true;
    assert_eq!(situation.acts(), ["kill a0 30 TakenOver"]);
    situation.landed();
    situation.seen.sandboxes[0].containers[0].state = exited(0);
    assert_eq!(situation.acts(), ["stop s TakenOver"]);
    situation.landed();
    situation.seen.sandboxes[0].ready = false;
    assert_eq!(
        situation.acts(),
        ["create u1 0"],
        "stopped, and left to be found"
    );
}

#[test]
fn a_kubelets_pod_that_no_manifest_names_goes_when_all_were_read_and_we_take_over() {
    let mut theirs = of(running_pod(), "kubelet-uid", "");
    theirs.owner = Owner::Kubelet;
    for (take_over, complete, goes) in [
        (true, true, true),
        (true, false, false),
        (false, true, false),
    ] {
        let mut planner = planner(take_over);
        planner.source("/m", complete);
        let ticket = planner.ticket();
        let seen = Seen {
            sandboxes: vec![theirs.clone()],
            ..Seen::default()
        };
        planner.see(ticket, &key("web"), seen);
        let plan = planner.plan(seconds(1));
        assert_eq!(plan.orders.len(), usize::from(goes), "{:?}", plan.orders);
        if !goes {
            continue;
        }
        done(&mut planner, &plan.orders, seconds(2));
        let mut dead = theirs.clone();
        dead.ready = false;
        dead.containers[0].state = exited(0);
        let ticket = planner.ticket();
        let seen = Seen {
            sandboxes: vec![dead],
            ..Seen::default()
        };
        planner.see(ticket, &key("web"), seen);
        assert_eq!(planner.plan(seconds(2)).orders, [], "left to be found");
        assert_eq!(planner.views().count(), 0, "and nobody's business");
    }
}

#[test]
fn while_the_runtime_is_down_nothing_is_ordered_and_nothing_is_forgotten() {
    let mut situation = Situation::of(pod(Always, &["a"])).sees(vec![running_pod()]);
    assert!(situation.decide().ready);
    situation.runtime = Runtime::Down;
    situation
        .seen
        .sandboxes
        .push(of(dead(sandbox("x", 0, vec![])), "u0", "r0"));
    assert_eq!(situation.acts(), NOTHING);
    assert!(situation.decide().ready);
    assert_eq!(situation.decide().waits[0].why, Why::RuntimeDown);
}

#[test]
fn of_many_edits_during_a_slow_stop_only_the_last_one_ever_starts() {
    let mut planner = planner(false);
    let version = |revision: u32| {
        let mut wanted = pod(Always, &["a"]);
        wanted.revision = format!("r{revision}");
        wanted.uid = format!("u{revision}");
        Arc::new(wanted)
    };
    planner.want(version(1));
    let see = |planner: &mut Planner, sandboxes: Vec<SeenSandbox>| {
        let seen = Seen {
            sandboxes,
            ..Seen::default()
        };
        let ticket = planner.ticket();
        planner.see(ticket, &key("web"), seen);
    };
    see(&mut planner, vec![running_pod()]);
    assert_eq!(planner.plan(seconds(1)).orders, []);
    let mut orders = Vec::new();
    for revision in 2..=300 {
        planner.want(version(revision));
        orders.extend(planner.plan(seconds(1)).orders);
    }
    assert_eq!(orders.len(), 1, "one kill, once");
    done(&mut planner, &orders, seconds(20));
    let plan = planner.plan(seconds(20));
    assert_eq!(plan.orders, [], "nothing is decided on an old list");
    assert_eq!(plan.look, [key("web")].into());
    let mut stopped = running_pod();
    stopped.containers[0].state = exited(0);
    see(&mut planner, vec![stopped.clone()]);
    let orders = planner.plan(seconds(20)).orders;
    assert!(matches!(orders[0].action, Action::StopSandbox { .. }));
    done(&mut planner, &orders, seconds(20));
    see(&mut planner, vec![dead(stopped)]);
    let plan = planner.plan(seconds(20));
    let created: Vec<String> = plan
        .orders
        .iter()
        .map(|order| words(&order.action))
        .collect();
    assert_eq!(created, ["remove a0", "create u300 0"]);
}

#[test]
fn a_list_that_is_older_than_an_outcome_is_not_believed() {
    let mut planner = planner(false);
    planner.want(Arc::new(pod(Always, &["a"])));
    let early = planner.ticket();
    planner.see(early, &key("web"), Seen::default());
    let orders = planner.plan(seconds(1)).orders;
    assert_eq!(words(&orders[0].action), "create u1 0");
    let late = planner.ticket();
    planner.report(orders[0].id, &Outcome::Done, seconds(2));
    planner.see(late, &key("web"), Seen::default());
    assert_eq!(planner.plan(seconds(2)).orders, []);
    planner.see(planner.ticket(), &key("web"), Seen::default());
    assert_eq!(planner.plan(seconds(2)).orders.len(), 1);
}

#[test]
fn directories_that_no_pod_knows_are_removed_once_everything_is_known() {
    let mut planner = planner(false);
    planner.source("url", false);
    planner.want(Arc::new(pod(Always, &["a"])));
    planner.leftovers(["u1".into(), "stray".into()].into());
    planner.see_all(planner.ticket(), BTreeMap::new());
    let cleans = |planner: &mut Planner, now| -> Vec<(u64, String)> {
        let orders = planner.plan(seconds(now)).orders;
        let strays = orders.iter().filter(|order| order.key.is_none());
        strays
            .map(|order| (order.id, words(&order.action)))
            .collect()
    };
    assert_eq!(cleans(&mut planner, 1), []);
    planner.source("url", true);
    let given = cleans(&mut planner, 2);
    assert_eq!(given[0].1, "clean stray logs");
    assert_eq!(cleans(&mut planner, 3), []);
    planner.report(given[0].0, &Outcome::Lost, seconds(4));
    assert_eq!(cleans(&mut planner, 4), []);
    let again = cleans(&mut planner, 6);
    assert_eq!(again.len(), 1);
    planner.report(again[0].0, &Outcome::Done, seconds(7));
    assert_eq!(cleans(&mut planner, 60), []);
}

#[test]
fn verdicts_are_to_be_written_down_like_decisions_also_while_the_runtime_is_down() {
    let mut planner = planner(false);
    planner.want(Arc::new(pod(Always, &["a"])));
    let see = |planner: &mut Planner, sandboxes: Vec<SeenSandbox>| {
        let seen = Seen {
            sandboxes,
            ..Seen::default()
        };
        planner.see(planner.ticket(), &key("web"), seen);
    };
    see(&mut planner, vec![running_pod()]);
    assert!(!planner.plan(seconds(1)).changed.is_empty());
    assert!(planner.plan(seconds(2)).changed.is_empty());
    let ready = plan::Verdict {
        ready: true,
        ..plan::Verdict::default()
    };
    planner.runtime(Runtime::Down);
    planner.verdict(&key("web"), "a0", ready);
    assert_eq!(planner.plan(seconds(3)).changed, [key("web")].into());
}

#[test]
fn a_name_of_which_nothing_is_left_is_forgotten_also_on_disk() {
    let mut planner = planner(false);
    planner.want(Arc::new(pod(Always, &["a"])));
    planner.see_all(planner.ticket(), BTreeMap::new());
    let orders = planner.plan(seconds(1)).orders;
    planner.unwant(&key("web"));
    let cancelled = planner.plan(seconds(1)).orders;
    assert_eq!(words(&cancelled[0].action), "cancel 1");
    planner.report(orders[0].id, &Outcome::Lost, seconds(2));
    planner.see_all(planner.ticket(), BTreeMap::new());
    let orders = planner.plan(seconds(2)).orders;
    assert_eq!(
        words(&orders[0].action),
        "clean u1 logs",
        "a try leaves directories"
    );
    done(&mut planner, &orders, seconds(2));
    planner.see_all(planner.ticket(), BTreeMap::new());
    let plan = planner.plan(seconds(2));
    assert!(plan.changed.contains(&key("web")));
    assert_eq!(planner.to_keep(&key("web"), seconds(2)), None);
    assert_eq!(planner.views().count(), 0);
}

#[test]
fn during_a_stop_of_everything_nothing_starts() {
    for stop in [Stop::Hold, Stop::Now { grace: None }] {
        let mut situation = Situation::of(pod(Always, &["a"]));
        situation.stop = stop;
        assert_eq!(situation.acts(), NOTHING);
    }
}
