//! `Standalone`: a node without an API server.

use pod_rig::{Builder, Node, can_run, pod, shared};
use serde_json::{Value, json};

use super::{node, static_pod_test::until_ready};

fn answers(node: &Node, port: u16, text: &str) -> bool {
    let address = format!("127.0.0.1:{port}");
    node.get(&address, "/").ends_with(text)
}

fn serving(port: u16, text: &str) -> Value {
    let mut web = pod("web", &[&format!("serve=127.0.0.1:{port}={text}"), "hang"]);
    web["spec"]["containers"][0]["ports"] = json!([{"containerPort": port, "hostPort": port}]);
    web
}

/// "the pod should be running", and seen on the read-only port
#[test]
fn the_pod_should_be_running() {
    if !can_run() {
        return;
    }
    let builder = Builder::new(crate::program()).on(&shared()).name("seen");
    let builder = ["--healthz-port", "0", "--read-only-port", "8200"]
        .into_iter()
        .fold(builder, Builder::flag);
    let mut node = builder.build();
    node.start();
    node.put("web", &pod("web", &["hang"]));
    node.until("it is seen to run", |node| {
        let answer = node.get("127.0.0.1:8200", "/pods");
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
        let list: Value = serde_json::from_str(body.unwrap_or_default()).unwrap_or_default();
        let seen = &list["items"][0];
        seen["metadata"]["name"] == "web-seen" && seen["status"]["phase"] == "Running"
    });
}

/// "after restart the pod should be running and kubelet does not panic"
#[test]
fn after_restart_the_pod_should_be_running_and_kubelet_does_not_panic() {
    let Some(mut node) = node("restarts") else {
        return;
    };
    let mut web = pod("web", &["serve=127.0.0.1:8201=well", "hang"]);
    let probe = json!({"httpGet": {"port": 8201}, "periodSeconds": 1});
    web["spec"]["containers"][0]["startupProbe"] = probe.clone();
    web["spec"]["containers"][0]["readinessProbe"] = probe;
    node.put("web", &web);
    let before = node.until_runs("web", "main");
    until_ready(&node, "web");
    node.stop();
    assert_eq!(node.running(), std::slice::from_ref(&before));
    node.start();
    until_ready(&node, "web");
    assert_eq!(node.running(), [before]);
    assert!(!node.lines().iter().any(
        |line| line["pod"] == "default/web-restarts" && line["message"] == "container.started"
    ));
}

/// "the pod with a hostNetwork port can be upgraded when the container name changes"
#[test]
fn hostnetwork_port_pod_can_be_upgraded_when_container_name_changes() {
    let Some(node) = node("renames") else {
        return;
    };
    let mut web = serving(8202, "one");
    node.put("web", &web);
    node.until("it answers", |node| answers(node, 8202, "one"));
    web = serving(8202, "two");
    web["spec"]["containers"][0]["name"] = "other".into();
    node.put("web", &web);
    node.until("the other answers", |node| answers(node, 8202, "two"));
    assert_eq!(node.until_runs("web", "other").restarts, 0);
    assert_eq!(node.running().len(), 1);
}

/// "the pod with the port on host network should be running and can be upgraded when namespace of a
/// Pod changes", which a kubelet fails: upstream's own case is switched off.
#[test]
fn host_port_pod_can_be_upgraded_when_namespace_changes() {
    let Some(node) = node("moves") else {
        return;
    };
    node.put("web", &serving(8203, "one"));
    node.until("it answers", |node| answers(node, 8203, "one"));
    let mut web = serving(8203, "two");
    web["metadata"]["namespace"] = "elsewhere".into();
    node.put("web", &web);
    node.until("the other answers", |node| answers(node, 8203, "two"));
    let running = node.running();
    assert_eq!(running.len(), 1, "{running:?}");
    assert_eq!(running[0].namespace, "elsewhere");
}

/// "EnvFiles": "should be able to consume variables from a file"
#[test]
fn env_files_should_be_consumable_in_environment_variables() {
    let Some(node) = node("envfiles") else {
        return;
    };
    let mut web = pod("web", &["env=WORD", "hang"]);
    let volume = json!([{"name": "vars", "mountPath": "/vars"}]);
    let mut writer = web["spec"]["containers"][0].clone();
    writer["name"] = "writer".into();
    writer["args"] = json!(["write=/vars/words=WORD='hello'\n"]);
    writer["volumeMounts"] = volume;
    web["spec"]["initContainers"] = json!([writer]);
    web["spec"]["volumes"] = json!([{"name": "vars", "emptyDir": {}}]);
    let file = json!({"volumeName": "vars", "path": "words", "key": "WORD"});
    web["spec"]["containers"][0]["env"] =
        json!([{"name": "WORD", "valueFrom": {"fileKeyRef": file}}]);
    node.put("web", &web);
    node.until("it says the word", |node| {
        node.output("web", "main") == ["hello"]
    });
}
