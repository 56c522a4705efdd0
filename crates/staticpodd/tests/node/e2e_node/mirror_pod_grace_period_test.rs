//! `MirrorPodWithGracePeriod`: a preStop hook that takes its time, within the grace of the pod.

use std::{
    thread,
    time::{Duration, Instant},
};

use pod_rig::{Builder, Node, can_run, pod};
use serde_json::{Value, json};

use super::node;

const HOOK: Duration = Duration::from_secs(4);

fn graceful(words: &[&str]) -> Value {
    let mut web = pod("web", words);
    let hook = format!("sleep={}", HOOK.as_millis());
    web["spec"]["containers"][0]["lifecycle"] =
        json!({"preStop": {"exec": {"command": ["/workload", hook]}}});
    web
}

/// From the edit, until the old container has ended: never sooner than its hook.
fn until_ended(node: &Node, id: &str, since: Instant) {
    node.until("the old one has ended", |node| {
        node.running().iter().all(|one| one.id != id)
    });
    assert!(since.elapsed() >= HOOK, "{:?}", since.elapsed());
}

/// "mirror pod termination should satisfy grace period when static pod is deleted"
#[test]
fn mirror_pod_termination_should_satisfy_grace_period_when_static_pod_is_deleted() {
    let Some(node) = node("deleted") else {
        return;
    };
    node.put("web", &graceful(&["hang"]));
    let old = node.until_runs("web", "main");
    let began = Instant::now();
    node.remove("web");
    until_ended(&node, &old.id, began);
    node.until_empty();
}

/// "mirror pod termination should satisfy grace period when static pod is updated"
#[test]
fn mirror_pod_termination_should_satisfy_grace_period_when_static_pod_is_updated() {
    let Some(node) = node("graceful") else {
        return;
    };
    node.put("web", &graceful(&["hang"]));
    let old = node.until_runs("web", "main");
    let began = Instant::now();
    node.put("web", &graceful(&["out=two", "hang"]));
    until_ended(&node, &old.id, began);
    node.until("the new one runs", |node| {
        node.output("web", "main") == ["two"]
    });
}

/// "should update a static pod when the static pod is updated multiple times during the graceful
/// termination period"
#[test]
fn should_update_a_static_pod_when_the_static_pod_is_updated_multiple_times_during_the_graceful_termination_period()
 {
    let Some(node) = node("restless") else {
        return;
    };
    node.put("web", &graceful(&["hang"]));
    let old = node.until_runs("web", "main");
    let began = Instant::now();
    for edit in 0..100 {
        node.put("web", &graceful(&[&format!("out={edit}"), "hang"]));
        thread::sleep(Duration::from_millis(20));
    }
    until_ended(&node, &old.id, began);
    node.until("the last one runs", |node| {
        node.output("web", "main") == ["99"]
    });
    let lines = node.lines();
    let started = lines
        .iter()
        .filter(|line| line["message"] == "container.started");
    assert_eq!(started.count(), 2, "only the first and the last");
}

/// "and the container runtime is temporarily down during pod termination": "the mirror pod should
/// terminate successfully"
#[test]
fn the_container_runtime_is_temporarily_down_during_pod_termination() {
    if !can_run() {
        return;
    }
    let mut node = Builder::new(crate::program()).name("down").build();
    node.start();
    node.put("web", &graceful(&["hang"]));
    let _ = node.until_runs("web", "main");
    node.remove("web");
    node.until("it is stopped", |node| node.has("container.stopping"));
    node.rig().kill_containerd();
    node.until("the agent sees it", |node| node.has("runtime.down"));
    node.rig().start_containerd().unwrap();
    node.until_empty();
}
