//! `StaticPod`: containers that somebody removes behind the agent's back.

use cri::Runtime as _;
use pod_rig::{Node, pod};
use serde_json::json;

use super::node;

fn removed_behind_the_back(node: &Node, id: &str) {
    node.ask(async |client| client.remove_container(id).await.unwrap());
}

/// "static pod with init container should be ready when init container is removed and kubelet
/// restarts"
#[test]
fn should_be_ready_when_init_container_is_removed_and_kubelet_restarts() {
    let Some(mut node) = node("init-gone") else {
        return;
    };
    let mut web = pod("web", &["hang"]);
    web["spec"]["initContainers"] = json!([web["spec"]["containers"][0].clone()]);
    web["spec"]["initContainers"][0]["name"] = "first".into();
    web["spec"]["initContainers"][0]["args"] = json!(["out=once"]);
    node.put("web", &web);
    let main = node.until_runs("web", "main");
    node.kill();
    let instances = node.instances();
    let first = instances.iter().find(|one| one.container == "first");
    removed_behind_the_back(&node, &first.unwrap().id);
    node.start();
    until_ready(&node, "web");
    assert_eq!(node.running(), [main]);
    let lines = node.lines();
    let mut stopped = lines
        .iter()
        .filter(|line| line["message"] == "container.stopping");
    assert!(stopped.all(|line| line["pod"] == "default/after-init-gone"));
}

/// Another pod that waits for it starts.
pub(super) fn until_ready(node: &Node, name: &str) {
    let mut after = pod("after", &["hang"]);
    after["metadata"]["annotations"] = json!({"staticpodd/after-pods": format!("default/{name}")});
    node.put("after", &after);
    let _ = node.until_runs("after", "main");
    node.remove("after");
    node.until("it is gone", |node| {
        let sandboxes = node.sandboxes();
        let names = sandboxes.iter().filter_map(|one| one.metadata.as_ref());
        names.filter(|name| name.name.starts_with("after-")).count() == 0
    });
}

/// "static pod with restartable init container should restart the sidecar when it is removed and
/// kubelet restarts"
#[test]
fn should_restart_the_sidecar_when_it_is_removed_and_kubelet_restarts() {
    let Some(mut node) = node("sidecar-gone") else {
        return;
    };
    let mut web = pod("web", &["hang"]);
    web["spec"]["initContainers"] = json!([web["spec"]["containers"][0].clone()]);
    web["spec"]["initContainers"][0]["name"] = "side".into();
    web["spec"]["initContainers"][0]["restartPolicy"] = "Always".into();
    node.put("web", &web);
    let main = node.until_runs("web", "main");
    let side = node.until_runs("web", "side");
    node.kill();
    removed_behind_the_back(&node, &side.id);
    node.start();
    assert_ne!(node.until_runs("web", "side").id, side.id);
    until_ready(&node, "web");
    assert_eq!(node.until_runs("web", "main"), main);
}
