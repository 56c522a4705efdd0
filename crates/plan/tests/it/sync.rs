//! What one look at a pod leads to, case by case as the kubelet's tables have them.

use plan::{ContainerState, RestartPolicy, SeenSandbox, Verdict};

use crate::{
    build::{container_started, dead, exited, pod, running, sandbox, seconds, seen},
    situation::Situation,
};
use RestartPolicy::{Always, Never, OnFailure};

/// One case: its name, policy, containers of the manifest, sandboxes, and what is done.
type Case = (
    &'static str,
    RestartPolicy,
    &'static [&'static str],
    Vec<SeenSandbox>,
    &'static [&'static str],
);

fn check(cases: Vec<Case>) {
    for (name, restart, containers, sandboxes, expected) in cases {
        let mut situation = Situation::of(pod(restart, containers)).sees(sandboxes);
        assert_eq!(situation.acts(), expected, "{name}");
    }
}

/// Mains `a` and `b` in these states.
fn two(a: ContainerState, b: ContainerState) -> SeenSandbox {
    sandbox("s", 0, vec![seen("a0", "a", 0, a), seen("b0", "b", 0, b)])
}

#[test]
fn mains_as_in_the_tables_of_compute_pod_actions() {
    let all: &[&str] = &["a", "b"];
    check(vec![
        (
            "all runs: nothing",
            Always,
            all,
            vec![two(running(), running())],
            &[],
        ),
        (
            "a new pod gets a sandbox first",
            Always,
            all,
            vec![],
            &["create u1 0"],
        ),
        (
            "an empty sandbox gets its first container",
            Always,
            all,
            vec![sandbox("s", 0, vec![])],
            &["start a 0"],
        ),
        (
            "the second follows when the first runs",
            Always,
            all,
            vec![sandbox("s", 0, vec![seen("a0", "a", 0, running())])],
            &["start b 0"],
        ),
        (
            "Always restarts what succeeded",
            Always,
            all,
            vec![two(exited(0), running())],
            &["start a 1"],
        ),
        (
            "OnFailure restarts what failed and not what succeeded",
            OnFailure,
            all,
            vec![two(exited(0), exited(1))],
            &["start b 1"],
        ),
        (
            "Never restarts nothing and ends the pod",
            Never,
            all,
            vec![two(exited(0), exited(1))],
            &["stop s Finished"],
        ),
        (
            "Never lets the other one run",
            Never,
            all,
            vec![two(exited(1), running())],
            &[],
        ),
        (
            "a container in an unknown state is stopped",
            Always,
            all,
            vec![two(ContainerState::Unknown, running())],
            &["kill a0 30 StateUnknown"],
        ),
        (
            "a container that was made and never started is removed",
            OnFailure,
            all,
            vec![two(ContainerState::Created, running())],
            &["remove a0"],
        ),
        (
            "a container that the manifest does not name is stopped",
            Always,
            &["a"],
            vec![two(running(), running())],
            &["kill b0 30 Unlisted"],
        ),
    ]);
}

#[test]
fn a_dead_sandbox_is_followed_by_another_where_the_policy_has_a_use_for_it() {
    let all: &[&str] = &["a", "b"];
    check(vec![
        (
            "a dead sandbox: what lives in it is killed first",
            Always,
            all,
            vec![dead(two(running(), running()))],
            &["kill a0 30 SandboxChanged", "kill b0 30 SandboxChanged"],
        ),
        (
            "a dead sandbox with nothing in it is followed by the next",
            Always,
            all,
            vec![dead(two(exited(0), exited(2)))],
            &["create u1 1"],
        ),
        (
            "OnFailure: a dead sandbox with one failure is followed by the next",
            OnFailure,
            all,
            vec![dead(two(exited(0), exited(2)))],
            &["create u1 1"],
        ),
        (
            "OnFailure: a dead sandbox in which all succeeded is the end",
            OnFailure,
            all,
            vec![dead(two(exited(0), exited(0)))],
            &[],
        ),
        (
            "Never: a dead sandbox in which something ran is the end",
            Never,
            all,
            vec![dead(two(exited(0), exited(2)))],
            &[],
        ),
        (
            "Never: a dead sandbox in which nothing ever ran is followed by the next",
            Never,
            all,
            vec![dead(sandbox("s", 0, vec![]))],
            &["create u1 1"],
        ),
    ]);
}

#[test]
fn init_containers_as_in_the_tables_of_compute_pod_actions() {
    let all: &[&str] = &["i1", "i2", "a"];
    let with = |containers| vec![sandbox("s", 0, containers)];
    let i1 = |state| seen("i1-0", "i1", 0, state);
    let i2 = |state| seen("i2-0", "i2", 0, state);
    check(vec![
        (
            "the first one starts first",
            Always,
            all,
            with(vec![]),
            &["start i1 0"],
        ),
        (
            "it runs: nothing else does",
            Always,
            all,
            with(vec![i1(running())]),
            &[],
        ),
        (
            "the second follows its success",
            Always,
            all,
            with(vec![i1(exited(0))]),
            &["start i2 0"],
        ),
        (
            "all succeeded: the mains",
            Always,
            all,
            with(vec![i1(exited(0)), i2(exited(0))]),
            &["start a 0"],
        ),
        (
            "Always: a failure is tried again",
            Always,
            all,
            with(vec![i1(exited(0)), i2(exited(1))]),
            &["start i2 1"],
        ),
        (
            "OnFailure: a failure is tried again",
            OnFailure,
            all,
            with(vec![i1(exited(0)), i2(exited(1))]),
            &["start i2 1"],
        ),
        (
            "Never: a failure ends the pod",
            Never,
            all,
            with(vec![i1(exited(0)), i2(exited(1))]),
            &["stop s Finished"],
        ),
        (
            "an unknown state is stopped and not passed",
            Always,
            all,
            with(vec![i1(ContainerState::Unknown)]),
            &["kill i1-0 30 StateUnknown"],
        ),
        (
            "made and never started: removed, and not passed",
            Always,
            all,
            with(vec![i1(ContainerState::Created)]),
            &["remove i1-0"],
        ),
        (
            "a main that runs proves that all is initialised",
            Always,
            all,
            with(vec![seen("a0", "a", 0, running())]),
            &[],
        ),
    ]);
}

#[test]
fn init_containers_begin_again_in_a_new_sandbox_and_only_there() {
    let all: &[&str] = &["i1", "i2", "a"];
    let i1 = |state| seen("i1-0", "i1", 0, state);
    let i2 = |state| seen("i2-0", "i2", 0, state);
    check(vec![
        (
            "a dead sandbox: from the first one again, in a new sandbox",
            Always,
            all,
            vec![
                dead(sandbox("s", 0, vec![i1(exited(0)), i2(exited(0))])),
                sandbox("t", 1, vec![]),
            ],
            &["start i1 1"],
        ),
        (
            "Never: a dead sandbox after a failed init container is the end",
            Never,
            all,
            vec![dead(sandbox("s", 0, vec![i1(exited(1))]))],
            &[],
        ),
        (
            "OnFailure: a dead sandbox after a failed init container is followed by the next",
            OnFailure,
            all,
            vec![dead(sandbox("s", 0, vec![i1(exited(1))]))],
            &["create u1 1"],
        ),
        (
            "a main left over in the last sandbox proves nothing about this one",
            Always,
            all,
            vec![
                dead(sandbox(
                    "s",
                    0,
                    vec![seen("a0", "a", 0, ContainerState::Created)],
                )),
                sandbox("t", 1, vec![]),
            ],
            &["start i1 0", "remove a0"],
        ),
    ]);
}

#[test]
fn sidecars_start_in_order_and_gate_until_they_have_started() {
    let all: &[&str] = &["s1", "i1", "a"];
    let with = |containers| vec![sandbox("s", 0, containers)];
    let s1 = |state| seen("s1-0", "s1", 0, state);
    let i1 = |state| seen("i1-0", "i1", 0, state);
    let a = |state| seen("a0", "a", 0, state);
    check(vec![
        (
            "the sidecar first",
            Always,
            all,
            with(vec![]),
            &["start s1 0"],
        ),
        (
            "then the init container",
            Always,
            all,
            with(vec![s1(running())]),
            &["start i1 0"],
        ),
        (
            "a sidecar that died before it passed is started again first",
            Always,
            all,
            with(vec![s1(exited(1))]),
            &["start s1 1"],
        ),
        (
            "a sidecar restarts beside the mains, though the pod never restarts",
            Never,
            all,
            with(vec![s1(exited(0)), i1(exited(0)), a(running())]),
            &["start s1 1"],
        ),
        (
            "the pod ends with its mains, and the sidecar with the pod",
            OnFailure,
            all,
            with(vec![s1(running()), i1(exited(0)), a(exited(0))]),
            &["kill s1-0 30 Finished"],
        ),
        (
            "a sidecar whose record somebody removed starts again beside the mains",
            Always,
            all,
            with(vec![i1(exited(0)), a(running())]),
            &["start s1 0"],
        ),
        (
            "no sidecar is started again when the mains are over",
            OnFailure,
            all,
            with(vec![s1(exited(1)), i1(exited(0)), a(exited(0))]),
            &["stop s Finished"],
        ),
    ]);
}

#[test]
fn a_sidecar_with_a_startup_probe_gates_until_that_has_passed() {
    let mut wanted = pod(Always, &["s1", "a"]);
    wanted.init[0].has.startup_probe = true;
    let sees = || vec![sandbox("s", 0, vec![seen("s1-0", "s1", 0, running())])];
    let mut waiting = Situation::of(wanted.clone()).sees(sees());
    assert_eq!(waiting.acts(), [""; 0]);
    let mut passed = Situation::of(wanted.clone())
        .sees(sees())
        .verdict("s1-0", container_started(true));
    assert_eq!(passed.acts(), ["start a 0"]);
    wanted.init[0].startup_grace = Some(seconds(5));
    let mut failed = Situation::of(wanted)
        .sees(sees())
        .verdict("s1-0", container_started(false));
    assert_eq!(failed.acts(), ["kill s1-0 5 Startup"]);
}

#[test]
fn a_failed_liveness_probe_kills_and_the_policy_decides_what_follows() {
    for (restart, then) in [(Always, vec!["start a 1"]), (Never, vec![])] {
        let mut wanted = pod(restart, &["a", "b"]);
        wanted.mains[0].liveness_grace = Some(seconds(7));
        let verdict = Verdict {
            live: false,
            ..Verdict::default()
        };
        let mut situation = Situation::of(wanted)
            .sees(vec![two(running(), running())])
            .verdict("a0", verdict);
        assert_eq!(situation.acts(), ["kill a0 7 Liveness"]);
        situation.landed();
        situation.seen.sandboxes = vec![two(exited(137), running())];
        assert_eq!(situation.acts(), then, "{restart:?}");
    }
}

#[test]
fn a_sandbox_that_does_not_fit_is_replaced() {
    let ready = || two(running(), exited(0));
    let mut other_network = ready();
    other_network.host_network = true;
    let mut no_address = ready();
    no_address.ips = Some(vec![]);
    for sandbox in [other_network, no_address] {
        let mut situation = Situation::of(pod(Always, &["a", "b"])).sees(vec![sandbox]);
        assert_eq!(situation.acts(), ["kill a0 30 SandboxChanged"]);
        situation.landed();
        situation.seen.sandboxes[0].containers[0].state = exited(137);
        assert_eq!(situation.acts(), ["stop s SandboxChanged"]);
        situation.landed();
        situation.seen.sandboxes[0].ready = false;
        assert_eq!(situation.acts(), ["create u1 1"]);
    }
    let mut unasked = ready();
    unasked.ips = None;
    let mut situation = Situation::of(pod(Never, &["a", "b"])).sees(vec![unasked]);
    assert_eq!(
        situation.acts(),
        [""; 0],
        "nobody asked for the address yet"
    );
}

#[test]
fn of_two_standing_sandboxes_the_older_goes_before_anything_starts() {
    let mut situation = Situation::of(pod(Always, &["a"])).sees(vec![
        sandbox("t", 1, vec![]),
        sandbox("s", 0, vec![seen("a0", "a", 0, running())]),
    ]);
    assert_eq!(situation.acts(), ["kill a0 30 Superseded"]);
    situation.landed();
    situation.seen.sandboxes[1].containers[0].state = exited(0);
    assert_eq!(situation.acts(), ["stop s Superseded"]);
    situation.landed();
    situation.seen.sandboxes[1].ready = false;
    assert_eq!(situation.acts(), ["start a 1"]);
}

#[test]
fn one_dead_instance_of_each_name_is_kept_and_empty_old_sandboxes_go() {
    let mut situation = Situation::of(pod(Always, &["a"])).sees(vec![
        dead(sandbox("r", 0, vec![])),
        dead(sandbox("s", 1, vec![seen("a1", "a", 1, exited(1))])),
        sandbox(
            "t",
            2,
            vec![
                seen("a3", "a", 3, exited(1)),
                seen("a2", "a", 2, exited(1)),
                seen("a4", "a", 4, running()),
            ],
        ),
    ]);
    assert_eq!(situation.acts(), ["remove a2", "remove a1", "remove r"]);
}
