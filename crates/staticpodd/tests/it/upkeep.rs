//! What is done beside the pods, on containerd: logs, last words, variables from files, pages.

use std::{fs, path::Path};

use pod_rig::{Builder, Node, can_run, pod};
use serde_json::{Value, json};

const PAGES: &str = "127.0.0.1:10245";
const PODS: &str = "127.0.0.1:10246";

fn body(node: &Node, address: &str, path: &str) -> String {
    let answer = node.get(address, path);
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    body.to_owned()
}

/// The status of a container as `/pods` has it.
fn status(node: &Node, name: &str) -> Value {
    let list: Value = serde_json::from_str(&body(node, PODS, "/pods")).unwrap_or_default();
    let pods = list["items"].as_array().cloned().unwrap_or_default();
    let mut pods = pods.into_iter();
    let pod = pods.find(|pod| pod["metadata"]["name"] == format!("{name}-n1"));
    pod.map_or(Value::Null, |pod| {
        pod["status"]["containerStatuses"][0].clone()
    })
}

#[test]
fn logs_are_rotated_last_words_are_kept_and_pages_tell_of_it() {
    if !can_run() {
        return;
    }
    let mut node = Builder::new(Path::new(env!("CARGO_BIN_EXE_staticpodd")))
        .flag("--container-log-max-size=2k")
        .flag("--container-log-max-files=3")
        .flag("--read-only-port=10246")
        .build();
    node.put("chatty", &pod("chatty", &["tick=20"]));
    // One leaves a file behind, one only its log, and one takes its variable from a file.
    let mut writes = pod("writes", &["write=/dev/termination-log=written", "exit=3"]);
    writes["spec"]["restartPolicy"] = "Never".into();
    node.put("writes", &writes);
    let mut speaks = pod("speaks", &["out=first", "out=and last", "exit=4"]);
    speaks["spec"]["restartPolicy"] = "Never".into();
    speaks["spec"]["containers"][0]["terminationMessagePolicy"] = "FallbackToLogsOnError".into();
    node.put("speaks", &speaks);
    let mut reads = pod("reads", &["env=WORD", "hang"]);
    reads["spec"]["volumes"] = json!([{"name": "shared", "emptyDir": {}}]);
    reads["spec"]["initContainers"] = json!([{
        "name": "first",
        "image": pod_rig::image(),
        "imagePullPolicy": "Never",
        "args": ["write=/shared/env=WORD='from a file'"],
        "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
    }]);
    reads["spec"]["containers"][0]["env"] = json!([{
        "name": "WORD",
        "valueFrom": {"fileKeyRef": {"volumeName": "shared", "path": "env", "key": "WORD"}},
    }]);
    node.put("reads", &reads);
    node.start();

    node.until("last words from a file", |node| {
        status(node, "writes")["state"]["terminated"]["message"] == "written"
    });
    node.until("last words from a log", |node| {
        status(node, "speaks")["state"]["terminated"]["message"] == "first\nand last\n"
    });
    node.until("a variable from a file", |node| {
        node.output("reads", "main") == ["from a file"]
    });
    let chatty = node.until_runs("chatty", "main");
    node.until("its log is rotated", |node| {
        node.has("container.log_rotated")
    });
    let folder = node.names("log/pods");
    let folder = folder.iter().find(|name| name.contains("_chatty-n1_"));
    let folder = format!("log/pods/{}/main", folder.unwrap());
    let files = node.names(&folder);
    assert!(files.len() >= 2 && files.contains("0.log"), "{files:?}");
    let log = node.home().join(&folder).join("0.log");
    node.until("the new file is written to", |_| {
        fs::metadata(&log).is_ok_and(|found| found.len() > 0)
    });
    assert_eq!(node.until_runs("chatty", "main").id, chatty.id);

    assert_eq!(body(&node, PAGES, "/healthz"), "ok");
    let metrics = body(&node, PAGES, "/metrics");
    for line in [
        "staticpodd_runtime_up 1",
        "staticpodd_pods{phase=\"Running\"} 2",
        "staticpodd_pods{phase=\"Failed\"} 2",
        "staticpodd_log_rotations_total{result=\"failed\"} 0",
    ] {
        assert!(metrics.lines().any(|own| own == line), "{line}\n{metrics}");
    }
    let page = body(&node, PAGES, "/");
    assert!(page.contains("chatty-n1") && page.contains(">healthy<"));
    // Others on this machine read the page: it has no variables, and there are no pods.
    assert!(!page.contains("from a file"));
    assert!(node.get(PAGES, "/pods").contains(" 404 "));
    node.stop();
}
