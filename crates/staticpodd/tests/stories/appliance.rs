//! The pods of an appliance: what elsewhere an init system does.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
};

use cri::Runtime as _;
use pod_rig::{Builder, Node, can_run, image, pod};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use crate::until_told;

/// Ordered one-shot tasks with the power to change the node, then a mirror of a daemon's log and
/// a program that is told something after its start.
fn node_pod(host: &Path) -> Value {
    let state = json!({"name": "state", "mountPath": "/state", "subPath": "tasks"});
    let task = |name: &str, words: &[&str]| {
        json!({
            "name": name,
            "image": image(),
            "imagePullPolicy": "Never",
            "args": words,
            "securityContext": {"privileged": true},
            "volumeMounts": [state, {"name": "null", "mountPath": "/host-null"}],
        })
    };
    let mut pod = pod(
        "node",
        &["wait=/state/triggered", "cat=/state/triggered", "hang"],
    );
    pod["spec"]["initContainers"] = json!([
        task(
            "modules",
            &[
                "sleep=300",
                "write=/state/one=first\n",
                "cat=/proc/self/status"
            ]
        ),
        task(
            "disk",
            &["cat=/state/one", "sleep=200", "write=/state/two=second\n"]
        ),
        task("network", &["cat=/state/two", "write=/host-null=x"]),
    ]);
    let main = &mut pod["spec"]["containers"][0];
    main["name"] = "udev".into();
    main["volumeMounts"] = json!([state]);
    main["lifecycle"] = json!({"postStart": {"exec": {
        "command": ["/workload", "write=/state/triggered=coldplug\n"],
    }}});
    let mirror = json!({
        "name": "dhcpcd-log",
        "image": image(),
        "imagePullPolicy": "Never",
        "args": ["cat=/proc/self/status", "fifo=/log"],
        "volumeMounts": [{"name": "log", "mountPath": "/log", "readOnly": true}],
    });
    let containers = pod["spec"]["containers"].as_array_mut().unwrap();
    containers.push(mirror);
    pod["spec"]["volumes"] = json!([
        {"name": "state", "emptyDir": {"medium": "Memory"}},
        {"name": "null", "hostPath": {"path": "/dev/null", "type": "CharDevice"}},
        {"name": "log", "hostPath": {"path": host.join("dhcpcd.fifo")}},
    ]);
    pod
}

/// Grows a file system, which is right once after each start of the machine.
fn grow_pod(host: &Path) -> Value {
    let mut pod = pod("grow", &["out=growing", "write=/host/grown=yes"]);
    pod["spec"]["restartPolicy"] = "Never".into();
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "host", "mountPath": "/host"}]);
    pod["spec"]["volumes"] = json!([
        {"name": "host", "hostPath": {"path": host, "type": "Directory"}},
    ]);
    pod
}

/// The agent has looked at everything: it has run a pod that came later.
fn settled(node: &Node, marker: &str) {
    node.put(marker, &pod(marker, &["hang"]));
    let _ = node.until_runs(marker, "main");
}

fn has_module_power(status: &[String]) -> bool {
    let line = status.iter().find_map(|line| line.strip_prefix("CapEff:"));
    let line = line.unwrap_or_else(|| panic!("no capabilities in {status:?}"));
    let bits = u64::from_str_radix(line.trim(), 16).unwrap();
    bits & (1 << 16) != 0
}

/// One start of the machine: tasks in order, and then the rest.
fn boots(node: &Node, fifo: &Path, line: &str) {
    let _ = node.until_runs("node", "dhcpcd-log");
    node.until("udev is told after its start", |node| {
        node.output("node", "udev") == ["coldplug"]
    });
    // Each task saw what the one before had done.
    assert_eq!(node.output("node", "disk"), ["first"]);
    assert_eq!(node.output("node", "network"), ["second"]);
    assert!(has_module_power(&node.output("node", "modules")));
    node.until("the mirror has told what it may do", |node| {
        let output = node.output("node", "dhcpcd-log");
        output.iter().any(|line| line.starts_with("CapEff:"))
    });
    assert!(!has_module_power(&node.output("node", "dhcpcd-log")));
    // A daemon of the host writes; nobody but the pod keeps its log. Opened for both, it never waits.
    let mut daemon = File::options().read(true).write(true).open(fifo).unwrap();
    writeln!(daemon, "{line}").unwrap();
    node.until("the line is mirrored", |node| {
        let output = node.output("node", "dhcpcd-log");
        output.last().is_some_and(|last| last == line)
    });
}

#[test]
fn an_appliance_comes_up_in_order_and_does_once_what_a_boot_does_once() {
    if !can_run() {
        return;
    }
    let mut node = Builder::new(crate::staticpodd()).boots().build();
    let host = node.home().join("host");
    let fifo = host.join("dhcpcd.fifo");
    fs::create_dir(&host).unwrap();
    mknodat(CWD, &fifo, FileType::Fifo, Mode::from(0o600), 0).unwrap();
    let grown = host.join("grown");
    node.start();
    node.put("node", &node_pod(&host));
    node.put("grow", &grow_pod(&host));
    boots(&node, &fifo, "offered 10.0.0.7");
    node.until("it has grown", |_| grown.exists());
    let (udev, uid) = {
        let udev = node.runs("node", "udev").unwrap();
        (udev.id, udev.uid)
    };

    until_told(&node, "grow", "Succeeded", false, &[0]);
    until_told(&node, "node", "Running", true, &[0, 0]);

    // Another agent in the same boot: nothing is done again, even where all trace is gone.
    fs::remove_file(&grown).unwrap();
    node.kill();
    for sandbox in node.sandboxes() {
        if sandbox
            .metadata
            .is_some_and(|name| name.name.starts_with("grow-"))
        {
            node.ask(async |client| {
                client.stop_pod_sandbox(&sandbox.id).await.unwrap();
                client.remove_pod_sandbox(&sandbox.id).await.unwrap();
            });
        }
    }
    node.start();
    settled(&node, "later");
    assert!(!grown.exists() && node.sandbox_of("grow").is_none());
    until_told(&node, "grow", "Succeeded", false, &[0]);
    assert_eq!(node.runs("node", "udev").unwrap().id, udev);

    // The next boot: everything again, under the same uid, from the first task on.
    node.reboot();
    node.start();
    node.until("it grows again", |_| grown.exists());
    boots(&node, &fifo, "offered 10.0.0.8");
    assert_eq!(node.runs("node", "udev").unwrap().uid, uid);
    node.stop();
}
