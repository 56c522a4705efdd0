//! The runtime, its shims, sandboxes, containers and images.

use std::{thread, time::Duration};

use cri::v1::PodSandboxState;
use fake_cri::programs::workload_image;
use pod_rig::{Node, pod};

use super::case::{Case, Row, untouched, while_it_looks};

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            id: "R1",
            what: "the runtime is killed, and starts again after 2 s",
            pods: "run on, untouched; what is edited meanwhile waits",
            well: "as soon as the runtime answers",
            run: runtime_killed,
        },
        Row {
            id: "R2",
            what: "the shim of a pod is killed",
            pods: "that pod starts anew, when all of the old one is gone; the others run on",
            well: "at once",
            run: shim_killed,
        },
        Row {
            id: "R3",
            what: "the first process of a sandbox (pause) is killed",
            pods: "its containers are stopped with their grace, and the pod starts anew; the others run on",
            well: "when the old containers have ended",
            run: pause_killed,
        },
        Row {
            id: "R4",
            what: "a container is killed, and soon once more",
            pods: "the container starts again in its sandbox: at once, then 10 s after its end, then 20 s, up to 5 min",
            well: "with the restart",
            run: container_killed,
        },
        Row {
            id: "R5",
            what: "an image is not there, and must not be pulled (`Never`)",
            pods: "that container waits; the others run on",
            well: "within the pause between two tries, 1 s to 30 s, once the image was imported",
            run: image_absent,
        },
        Row {
            id: "R6",
            what: "an image is not there, and its registry refuses connections",
            pods: "that container waits; the others run on",
            well: "at once with a manifest that names another image; otherwise with the next try, 10 s to 5 min apart",
            run: registry_down,
        },
    ]
}

fn serving(name: &str, port: u16) -> serde_json::Value {
    let serve = format!("serve=127.0.0.1:{port}=well");
    pod(name, &["drain=300", &serve, "hang"])
}

fn answers(node: &Node, port: u16) -> bool {
    let address = format!("127.0.0.1:{port}");
    node.get(&address, "/").ends_with("well")
}

fn runtime_killed(case: &mut Case) {
    let node = case.own_node();
    node.put("web", &serving("web", 8101));
    node.until("it answers", |node| answers(node, 8101));
    let before = node.running();
    node.rig().kill_containerd();
    case.sees(&node, "runtime.down", "");
    node.put("other", &pod("other", &["hang"]));
    thread::sleep(Duration::from_secs(2));
    assert!(answers(&node, 8101));
    node.rig().start_containerd().unwrap();
    case.ends();
    case.sees(&node, "runtime.up", "");
    case.is_well(&node, |node| node.runs("other", "main").is_some());
    assert!(before.iter().all(|one| node.running().contains(one)));
    assert!(!node.has("container.stopping"));
}

fn shim_killed(case: &mut Case) {
    let node = case.node();
    node.put("web", &serving("web", 8102));
    node.put("other", &pod("other", &["hang"]));
    node.until("it answers", |node| answers(node, 8102));
    let other = node.until_runs("other", "main");
    let web = node.until_runs("web", "main");
    node.rig().kill_shim(&web.sandbox).unwrap();
    case.ends();
    case.is_well(&node, |node| {
        let new = node.runs("web", "main");
        new.is_some_and(|new| new.id != web.id) && answers(node, 8102)
    });
    case.shows("`pod.started` with another `attempt`");
    assert_ne!(node.until_runs("web", "main").sandbox, web.sandbox);
    assert_eq!(node.until_runs("other", "main"), other);
}

fn pause_killed(case: &mut Case) {
    let node = case.node();
    node.put("web", &serving("web", 8103));
    node.put("other", &pod("other", &["hang"]));
    node.until("it answers", |node| answers(node, 8103));
    let other = node.until_runs("other", "main");
    let web = node.until_runs("web", "main");
    node.rig().kill_task(&web.sandbox).unwrap();
    case.ends();
    node.until("it is stopped", |node| node.has("container.stopping"));
    case.shows("`container.stopping` with the cause `SandboxChanged`");
    case.is_well(&node, |node| {
        let new = node.runs("web", "main");
        new.is_some_and(|new| new.sandbox != web.sandbox) && answers(node, 8103)
    });
    case.shows("`pod.started` with another `attempt`");
    assert_eq!(node.until_runs("other", "main"), other);
    node.until("one sandbox is ready", |node| {
        let ready = PodSandboxState::SandboxReady;
        let sandboxes = node.sandboxes();
        sandboxes.iter().filter(|one| one.state() == ready).count() == 2
    });
}

fn container_killed(case: &mut Case) {
    let node = case.node();
    node.put("web", &pod("web", &["hang"]));
    let first = node.until_runs("web", "main");
    node.rig().kill_task(&first.id).unwrap();
    node.until("it runs again", |node| {
        let again = node.runs("web", "main");
        again.is_some_and(|again| again.restarts == 1)
    });
    let second = node.until_runs("web", "main");
    assert_eq!(second.sandbox, first.sandbox);
    node.rig().kill_task(&second.id).unwrap();
    case.ends();
    case.status(&node, "web", "CrashLoopBackOff");
    case.is_well(&node, |node| {
        let third = node.runs("web", "main");
        third.is_some_and(|third| third.restarts == 2)
    });
    case.shows("`container.started` with `restart_count`");
    assert!(
        case.well.unwrap() > Duration::from_secs(8),
        "{:?}",
        case.well
    );
}

fn image_absent(case: &mut Case) {
    let node = case.node();
    node.put("web", &pod("web", &["hang"]));
    let before = vec![node.until_runs("web", "main")];
    let name = "registry.local/late:1";
    let mut late = pod("late", &["hang"]);
    late["spec"]["containers"][0]["image"] = name.into();
    node.put("late", &late);
    case.sees(&node, "container.not_started", "ErrImageNeverPull");
    case.status(&node, "late", "ErrImageNeverPull");
    while_it_looks();
    untouched(&node, &before);
    let image = workload_image().unwrap().build(name).unwrap();
    node.rig().import(&image).unwrap();
    case.ends();
    case.is_well(&node, |node| node.runs("late", "main").is_some());
}

fn registry_down(case: &mut Case) {
    let node = case.node();
    node.put("web", &pod("web", &["hang"]));
    let before = vec![node.until_runs("web", "main")];
    let mut far = pod("far", &["hang"]);
    let image = far["spec"]["containers"][0]["image"].take();
    far["spec"]["containers"][0]["image"] = "127.0.0.1:9/far:1".into();
    far["spec"]["containers"][0]["imagePullPolicy"] = "IfNotPresent".into();
    node.put("far", &far);
    case.sees(&node, "container.not_started", "ErrImagePull");
    case.sees(&node, "container.not_started", "connection refused");
    case.status(&node, "far", "ImagePullBackOff");
    untouched(&node, &before);
    far["spec"]["containers"][0]["image"] = image;
    node.put("far", &far);
    case.ends();
    case.is_well(&node, |node| node.runs("far", "main").is_some());
}
