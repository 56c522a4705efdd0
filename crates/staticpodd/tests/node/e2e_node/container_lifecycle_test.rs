//! `Containers Lifecycle`: order at the start, at the end, and after a reboot.

use cri::Runtime as _;
use pod_rig::{Builder, Instance, Node, can_run, pod};
use serde_json::{Value, json};

use super::node;

fn container(pod: &Value, name: &str, words: &[&str]) -> Value {
    let mut container = pod["spec"]["containers"][0].clone();
    container["name"] = name.into();
    container["args"] = json!(words);
    container
}

fn sidecar(pod: &Value, name: &str, words: &[&str]) -> Value {
    let mut container = container(pod, name, words);
    container["restartPolicy"] = "Always".into();
    container
}

/// When an instance started and ended, in nanoseconds.
fn times(node: &Node, instance: &Instance) -> (i64, i64) {
    let status = node.ask(async |client| {
        client
            .container_status(&instance.id, false)
            .await
            .unwrap()
            .status
    });
    (status.started_at, status.finished_at)
}

fn newest(node: &Node, name: &str) -> Instance {
    let mut instances = node.instances();
    instances.retain(|one| one.container == name);
    instances.sort_by_key(|one| one.restarts);
    instances.pop().unwrap()
}

/// "should run Init containers to completion before containers and stop at the first one that
/// fails", its first half, and "should run preStop" and postStart around it
#[test]
fn should_run_init_containers_to_completion_before_containers() {
    let Some(node) = node("in-order") else {
        return;
    };
    let mut web = pod("web", &["hang"]);
    web["spec"]["initContainers"] = json!([
        container(&web, "one", &["sleep=300"]),
        container(&web, "two", &["sleep=300"]),
    ]);
    node.put("web", &web);
    let main = node.until_runs("web", "main");
    let (one, two) = (newest(&node, "one"), newest(&node, "two"));
    assert!(times(&node, &one).1 <= times(&node, &two).0);
    assert!(times(&node, &two).1 <= times(&node, &main).0);
    // Not again when somebody removes them, nor when main starts again.
    node.ask(async |client| client.remove_container(&one.id).await.unwrap());
    node.rig().kill_task(&main.id).unwrap();
    node.until("main is restarted", |node| {
        node.runs("web", "main")
            .is_some_and(|again| again.restarts == 1)
    });
    assert!(node.instances().iter().all(|one| one.container != "one"));
    assert_eq!(newest(&node, "two").id, two.id);
}

/// "should not start the containers when an init container fails"
#[test]
fn should_not_start_the_containers_when_an_init_container_fails() {
    let Some(node) = node("fails") else {
        return;
    };
    let mut web = pod("web", &["hang"]);
    web["spec"]["restartPolicy"] = "Never".into();
    web["spec"]["initContainers"] = json!([
        container(&web, "one", &["exit=1"]),
        container(&web, "two", &[]),
    ]);
    node.put("web", &web);
    node.until("it is over", |node| {
        !node.instances().is_empty() && node.sandbox_of("web").is_none()
    });
    let names: Vec<String> = node
        .instances()
        .into_iter()
        .map(|one| one.container)
        .collect();
    assert_eq!(names, ["one"]);
}

/// "should start restartable init containers in order", "should terminate sidecars in reverse
/// order after the containers"
#[test]
fn should_terminate_sidecars_in_reverse_order_after_the_containers() {
    let Some(node) = node("sidecars") else {
        return;
    };
    let mut web = pod("web", &["drain=300", "hang"]);
    web["spec"]["initContainers"] = json!([
        sidecar(&web, "one", &["drain=300", "hang"]),
        sidecar(&web, "two", &["drain=300", "hang"]),
    ]);
    node.put("web", &web);
    let main = node.until_runs("web", "main");
    let (one, two) = (newest(&node, "one"), newest(&node, "two"));
    assert!(times(&node, &one).0 <= times(&node, &two).0);
    assert!(times(&node, &two).0 <= times(&node, &main).0);
    node.remove("web");
    node.until_empty();
    let lines = node.lines();
    let stopped = lines
        .iter()
        .filter(|line| line["message"] == "container.stopped");
    let names: Vec<&str> = stopped
        .filter_map(|line| line["container"].as_str())
        .collect();
    assert_eq!(names, ["main", "two", "one"]);
}

/// "should call the container's postStart hook and wait for it before the next container", and
/// "should call the container's preStop hook and terminate it if its grace period is over"
#[test]
fn should_wait_for_post_start_and_call_pre_stop() {
    let Some(node) = node("hooks") else {
        return;
    };
    let mut web = pod("web", &["term=ignore", "hang"]);
    web["spec"]["terminationGracePeriodSeconds"] = 2.into();
    let scratch = node.home().join("scratch");
    web["spec"]["volumes"] =
        json!([{"name": "s", "hostPath": {"path": scratch, "type": "DirectoryOrCreate"}}]);
    let mount = json!([{"name": "s", "mountPath": "/s"}]);
    web["spec"]["containers"][0]["volumeMounts"] = mount;
    web["spec"]["containers"][0]["lifecycle"] = json!({
        "postStart": {"exec": {"command": ["/workload", "sleep=300", "write=/s/started=yes\n"]}},
        "preStop": {"exec": {"command": ["/workload", "write=/s/stopping=yes"]}},
    });
    let mut other = container(&web, "other", &["cat=/s/started", "hang"]);
    other["lifecycle"] = Value::Null;
    web["spec"]["containers"] = json!([web["spec"]["containers"][0], other]);
    node.put("web", &web);
    node.until("the hook came first", |node| {
        node.output("web", "other").concat() == "yes"
    });
    node.remove("web");
    node.until_empty();
    assert!(scratch.join("stopping").exists());
}

/// "should restart the containers in right order after the node reboot"
#[test]
fn should_restart_the_containers_in_right_order_after_the_node_reboot() {
    if !can_run() {
        return;
    }
    let mut node = Builder::new(crate::program()).name("boots").boots().build();
    node.start();
    let mut web = pod("web", &["hang"]);
    web["spec"]["initContainers"] = json!([
        container(&web, "one", &["sleep=100"]),
        sidecar(&web, "two", &["hang"]),
        container(&web, "three", &["sleep=100"]),
    ]);
    node.put("web", &web);
    let before = node.until_runs("web", "main");
    node.reboot();
    node.start();
    node.until("it runs again", |node| {
        node.runs("web", "main")
            .is_some_and(|again| again.id != before.id)
    });
    let lines = node.lines();
    let started = lines
        .iter()
        .filter(|line| line["message"] == "container.started");
    let names: Vec<&str> = started
        .filter_map(|line| line["container"].as_str())
        .collect();
    assert_eq!(names, ["one", "two", "three", "main"]);
}
