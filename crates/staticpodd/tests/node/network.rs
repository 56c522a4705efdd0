//! Pods with a network of their own: addresses, ports, names.

use pod_rig::{Builder, Network, Node, can_run, pod};
use serde_json::json;

const PORT: u16 = 8080;
const HOST_PORT: u16 = 18_080;
/// Of the bridge.
const GATEWAY: &str = "10.56.0.1";

fn word(node: &Node, line: usize) -> String {
    node.output("web", "main")
        .get(line)
        .cloned()
        .unwrap_or_default()
}

fn answers(node: &Node, host: &str, port: u16, text: &str) -> bool {
    node.get(&format!("{host}:{port}"), "/").ends_with(text)
}

#[test]
fn a_pod_has_an_address_a_port_of_the_host_and_names() {
    if !can_run() {
        return;
    }
    let mut node = Builder::new(crate::program())
        .name("cni")
        .network(Network::Bridge)
        .build();
    node.start();
    let serve = format!("serve=0.0.0.0:{PORT}=$IP");
    let mut web = pod(
        "web",
        &[
            "env=IP",
            "env=NODE",
            &serve,
            "cat=/etc/hosts",
            "cat=/etc/resolv.conf",
            "hang",
        ],
    );
    let spec = &mut web["spec"];
    spec["hostNetwork"] = false.into();
    spec["hostname"] = "www".into();
    spec["hostAliases"] = json!([{"ip": "192.0.2.7", "hostnames": ["far.example"]}]);
    spec["dnsPolicy"] = "None".into();
    spec["dnsConfig"] = json!({"nameservers": ["192.0.2.53"], "searches": ["pods.example"]});
    let main = &mut spec["containers"][0];
    main["env"] = json!([
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
    ]);
    main["ports"] = json!([{"name": "http", "containerPort": PORT, "hostPort": HOST_PORT}]);
    main["readinessProbe"] = json!({"httpGet": {"port": "http"}, "periodSeconds": 1});
    node.put("web", &web);
    let first = node.until_runs("web", "main");
    node.until("it says its address", |node| {
        word(node, 0).starts_with("10.56.0.")
    });
    let address = word(&node, 0);
    node.until("it says its node", |node| word(node, 1) == "cni");

    // By its address, and by the node's port.
    node.until("it answers", |node| answers(node, &address, PORT, &address));
    node.until("its host port answers", |node| {
        answers(node, GATEWAY, HOST_PORT, &address)
    });
    let text = node.output("web", "main").join("\n");
    let hosts = format!("{address}\twww");
    for line in [
        hosts.as_str(),
        "192.0.2.7\tfar.example",
        "nameserver 192.0.2.53",
        "search pods.example",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }

    // Its probe reaches it: who waits for its readiness starts.
    let mut after = pod("after", &["hang"]);
    after["metadata"]["annotations"] = json!({"staticpodd/after-pods": "default/web"});
    node.put("after", &after);
    let _ = node.until_runs("after", "main");

    // A new sandbox has another address, and the new container knows it.
    node.rig().kill_task(&first.sandbox).unwrap();
    node.until("it runs in another sandbox", |node| {
        node.runs("web", "main")
            .is_some_and(|again| again.sandbox != first.sandbox)
    });
    node.until("it says its new address", |node| {
        let now = word(node, 0);
        now.starts_with("10.56.0.") && answers(node, GATEWAY, HOST_PORT, &now)
    });
    let hosts = format!("{}\twww", word(&node, 0));
    assert!(node.output("web", "main").join("\n").contains(&hosts));

    // The port goes with the pod.
    node.remove("web");
    node.remove("after");
    node.until_empty();
    assert_eq!(node.get(&format!("{GATEWAY}:{HOST_PORT}"), "/"), "");
}
