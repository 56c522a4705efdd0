//! The agent is killed, at every step, and the machine goes down.

use std::fs;

use cri::v1::{PodSandbox, PodSandboxState};
use pod_rig::{Node, Watch, pod};
use serde_json::json;

use super::case::{Case, Row, untouched, while_it_looks};

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            id: "A1",
            what: "the agent is killed, and another starts",
            pods: "run on, untouched",
            well: "at once",
            run: killed,
        },
        Row {
            id: "A2",
            what: "the agent is killed at each step of the creation and of the removal of a pod, and another starts",
            pods: "the pod runs, once; or goes, with all that it had on the node",
            well: "at once, or when its containers have ended",
            run: killed_at_each_step,
        },
        Row {
            id: "A3",
            what: "manifests are edited and removed while no agent runs",
            pods: "run on until the next agent has read the directory; then they follow it",
            well: "at once",
            run: edited_meanwhile,
        },
        Row {
            id: "A4",
            what: "the machine loses its power, and boots",
            pods: "start again, init containers first; those with `restartPolicy: Never` once in each boot",
            well: "at once",
            run: rebooted,
        },
    ]
}

fn killed(case: &mut Case) {
    let mut node = case.node();
    node.put("web", &pod("web", &["hang"]));
    let before = vec![node.until_runs("web", "main")];
    node.kill();
    node.start();
    case.ends();
    case.is_well(&node, |node| node.running() == before);
    while_it_looks();
    untouched(&node, &before);
    assert!(!node.has("container.started"));
    case.shows("`process.started`, and no `container.started`");
}

/// One instant in the life of a pod, and how to see that it has come.
type Step = (&'static str, fn(&Node) -> bool);

fn two_steps(name: &str) -> serde_json::Value {
    let mut pod = pod(name, &["drain=200", "hang"]);
    let mut first = pod["spec"]["containers"][0].clone();
    first["name"] = "first".into();
    first["args"] = json!(["sleep=150"]);
    pod["spec"]["initContainers"] = json!([first]);
    pod
}

const CREATION: [Step; 6] = [
    ("the manifest is read", |node| node.has("manifest.added")),
    ("its directory is made", |node| {
        !node.names("root/pods").is_empty()
    }),
    ("its sandbox is known", |node| !node.sandboxes().is_empty()),
    ("its sandbox is ready", |node| {
        node.sandbox_of("web").is_some()
    }),
    ("its first container runs", |node| {
        node.runs("web", "first").is_some()
    }),
    ("its second container runs", |node| {
        node.runs("web", "main").is_some()
    }),
];

const REMOVAL: [Step; 6] = [
    ("its manifest is gone", |_| true),
    ("its stop has begun", |node| node.has("container.stopping")),
    ("its container has ended", |node| node.running().is_empty()),
    ("its sandbox has ended", |node| {
        node.sandbox_of("web").is_none()
    }),
    ("its sandbox is gone", |node| node.sandboxes().is_empty()),
    ("its logs are gone", |node| {
        node.names("log/pods").is_empty()
    }),
];

fn killed_at_each_step(case: &mut Case) {
    let mut node = case.builder().build();
    let watch = Watch::begin(node.rig());
    for (creation, removal) in CREATION.into_iter().zip(REMOVAL) {
        node.start();
        node.put("web", &two_steps("web"));
        node.until(creation.0, creation.1);
        node.kill();
        node.start();
        case.ends();
        case.is_well(&node, |node| node.runs("web", "main").is_some());
        let ready = |sandbox: &PodSandbox| sandbox.state() == PodSandboxState::SandboxReady;
        let count = node.sandboxes().into_iter().filter(ready).count();
        assert_eq!(count, 1, "{}", creation.0);
        assert_eq!(node.running().len(), 1, "{}", creation.0);
        node.remove("web");
        node.until(removal.0, removal.1);
        node.kill();
        node.start();
        case.ends();
        let _ = node.until_empty();
        case.is_well(&node, |node| node.instances().is_empty());
        node.kill();
    }
    watch.end();
    case.shows("`process.started`, then what was left to do");
}

fn edited_meanwhile(case: &mut Case) {
    let mut node = case.node();
    for name in ["stays", "edited", "removed"] {
        node.put(name, &pod(name, &["hang"]));
    }
    let stays = node.until_runs("stays", "main");
    let _ = node.until_runs("edited", "main");
    let _ = node.until_runs("removed", "main");
    node.kill();
    node.put("edited", &pod("edited", &["out=new", "hang"]));
    node.remove("removed");
    assert_eq!(node.running().len(), 3);
    node.start();
    case.ends();
    case.is_well(&node, |node| {
        node.output("edited", "main") == ["new"] && node.running().len() == 2
    });
    assert_eq!(node.until_runs("stays", "main"), stays);
    case.sees(&node, "container.stopping", "");
    case.sees(&node, "pod.cleaned", "");
}

fn rebooted(case: &mut Case) {
    let mut node = case.own_node();
    let counted = node.home().join("counted");
    fs::create_dir(&counted).unwrap();
    let mut once = pod("once", &["out=ran"]);
    once["spec"]["restartPolicy"] = "Never".into();
    node.put("once", &once);
    node.put("web", &two_steps("web"));
    let web = node.until_runs("web", "main");
    node.until("it ran", |node| node.output("once", "main") == ["ran"]);
    // Not again in this boot.
    node.kill();
    node.start();
    while_it_looks();
    assert!(!node.has("container.started"), "{:?}", node.lines());
    node.reboot();
    node.start();
    case.ends();
    case.is_well(&node, |node| {
        node.runs("web", "main")
            .is_some_and(|again| again.id != web.id)
    });
    node.until("it ran again", |node| {
        let lines = node.lines();
        let mut started = lines
            .iter()
            .filter(|line| line["message"] == "container.started");
        started.any(|line| line["pod"] == "default/once-a4")
    });
    case.sees(&node, "pod.started", "");
    case.sees(&node, "container.started", "");
    let first = node
        .instances()
        .iter()
        .filter(|one| one.container == "first")
        .count();
    assert!(first >= 1);
}
