use super::*;
use crate::fixtures::{container as find, node, pod};
use serde_json::{Value, json};

fn start() -> Start {
    Start {
        restart_count: 2,
        image: "sha256:0a".into(),
        ..Start::default()
    }
}

fn made(fields: Value) -> v1::ContainerConfig {
    let mut main = json!({"name": "main", "image": "web:1"});
    if let Value::Object(fields) = fields {
        main.as_object_mut().unwrap().extend(fields);
    }
    let pod = pod(
        "web-n1",
        json!({"terminationGracePeriodSeconds": 30, "containers": [main]}),
    );
    let environment = environment(&pod, &node(), find(&pod, "main"), &[], &|_| Ok(None)).unwrap();
    let start = Start {
        environment,
        ..start()
    };
    container(&pod, &node(), find(&pod, "main"), &start).unwrap()
}

#[test]
fn a_container_is_named_logged_and_imaged_after_its_count() {
    let made = made(json!({}));
    let name = made.metadata.unwrap();
    assert_eq!((name.name.as_str(), name.attempt), ("main", 2));
    assert_eq!(made.log_path, "main/2.log");
    let image = made.image.unwrap();
    assert_eq!(image.image, "sha256:0a");
    assert_eq!(image.user_specified_image, "web:1");
}

#[test]
fn its_labels_are_not_the_pods() {
    let mut pod = pod("web-n1", json!({}));
    pod.api.metadata.labels = Some([("app".to_owned(), "web".to_owned())].into());
    let made = container(&pod, &node(), find(&pod, "main"), &start()).unwrap();
    let labels: Vec<(&str, &str)> = made
        .labels
        .iter()
        .map(|(label, value)| (label.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        labels,
        [
            ("io.kubernetes.container.name", "main"),
            ("io.kubernetes.pod.name", "web-n1"),
            ("io.kubernetes.pod.namespace", "ns"),
            ("io.kubernetes.pod.uid", "u-1"),
        ]
    );
}

#[test]
fn annotations_hold_what_is_needed_to_stop_it_without_its_manifest() {
    let found = made(json!({
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "ports": [{"containerPort": 80, "protocol": "TCP"}],
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "1"]}}},
    }))
    .annotations;
    let expected = json!({
        "io.kubernetes.container.hash": "846e7f3",
        "io.kubernetes.container.ports": "[{\"containerPort\":80,\"protocol\":\"TCP\"}]",
        "io.kubernetes.container.preStopHandler": "{\"exec\":{\"command\":[\"sleep\",\"1\"]}}",
        "io.kubernetes.container.restartCount": "2",
        "io.kubernetes.container.terminationMessagePath": "/dev/termination-log",
        "io.kubernetes.container.terminationMessagePolicy": "File",
        "io.kubernetes.pod.terminationGracePeriod": "30",
    });
    assert_eq!(json!(found), expected);
    let plain = made(json!({"ports": [], "lifecycle": {}})).annotations;
    assert!(!plain.contains_key(marks::PORTS) && !plain.contains_key(marks::PRE_STOP));
    assert!(!plain.contains_key(marks::DELETION_GRACE));
}

#[test]
fn a_requested_grace_is_noted() {
    let mut pod = pod(
        "p",
        json!({
            "containers": [{"name": "main"}],
        }),
    );
    pod.api.metadata.deletion_grace_period_seconds = Some(7);
    let note = |name: &str, annotation: &str| {
        let made = container(&pod, &node(), find(&pod, name), &start()).unwrap();
        made.annotations.get(annotation).cloned()
    };
    assert_eq!(note("main", marks::DELETION_GRACE).as_deref(), Some("7"));
    assert_eq!(note("main", marks::GRACE), None);
}

#[test]
fn variables_keep_their_order_and_commands_know_them() {
    let made = made(json!({
        "env": [
            {"name": "Z", "value": "1"},
            {"name": "A", "value": "$(Z)$(LATER)"},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
            {"name": "LATER", "value": "x"},
        ],
        "command": ["/bin/$(Z)", "$$(Z)"],
        "args": ["$(A)", "$(NONE)", "$(IP)"],
        "workingDir": "/w", "stdin": true, "stdinOnce": true, "tty": true,
    }));
    let variables: Vec<String> = made
        .envs
        .iter()
        .map(|variable| {
            format!(
                "{}={}",
                variable.key,
                String::from_utf8_lossy(&variable.value)
            )
        })
        .collect();
    assert_eq!(variables, ["Z=1", "A=1$(LATER)", "IP=192.0.2.7", "LATER=x"]);
    assert_eq!(made.command, ["/bin/1", "$(Z)"]);
    assert_eq!(made.args, ["1$(LATER)", "$(NONE)", "192.0.2.7"]);
    assert_eq!(made.working_dir, "/w");
    assert!(made.stdin && made.stdin_once && made.tty);
}

#[test]
fn a_container_without_a_command_leaves_it_to_the_image() {
    let made = made(json!({}));
    assert_eq!((made.command.len(), made.args.len()), (0, 0));
    assert_eq!((made.working_dir.as_str(), made.devices.len()), ("", 0));
    assert!(!made.stdin && !made.stdin_once && !made.tty);
}

#[test]
fn a_pod_on_the_nodes_network_has_its_addresses() {
    let ip = |host_network: bool| {
        let pod = pod(
            "p",
            json!({"hostNetwork": host_network, "containers": [{
                "name": "main",
                "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
            }]}),
        );
        let told = ["10.1.0.4".to_owned()];
        environment(&pod, &node(), find(&pod, "main"), &told, &|_| Ok(None)).unwrap()
    };
    assert_eq!(ip(true), [("IP".to_owned(), "192.0.2.7".to_owned())]);
    assert_eq!(ip(false), [("IP".to_owned(), "10.1.0.4".to_owned())]);
}

#[test]
fn a_variable_from_nowhere_is_refused() {
    let pod = pod(
        "p",
        json!({"containers": [{
            "name": "main",
            "env": [{"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        }]}),
    );
    let refused = environment(&pod, &node(), find(&pod, "main"), &[], &|_| Ok(None)).unwrap_err();
    assert_eq!(refused.code(), "CreateContainerConfigError");
}

#[test]
fn the_hash_changes_with_image_and_name_and_with_nothing_else() {
    let of = |name: &str, image: &str, command: &str| {
        hash(&api::Container {
            name: name.into(),
            image: Some(image.into()),
            command: Some(vec![command.into()]),
            ..api::Container::default()
        })
    };
    let first = of("main", "web:1", "a");
    assert_eq!(of("main", "web:1", "b"), first);
    assert_ne!(of("main", "web:2", "a"), first);
    assert_ne!(of("other", "web:1", "a"), first);
}
