//! Each rule with what breaks it, and a pod that keeps them all.

use serde_json::{Value, json};

use super::check;
use crate::{api, places::Places, report::Report};

/// Has one of everything that rules speak about.
fn sound() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "namespace": "kube-system", "labels": {"app": "web"}, "annotations": {"example.org/a": "b c"}},
        "spec": {
            "restartPolicy": "Always", "dnsPolicy": "None", "hostname": "web", "terminationGracePeriodSeconds": 30,
            "dnsConfig": {"nameservers": ["10.0.0.1", "fd00::1"], "searches": ["example.org.", "a.b"], "options": [{"name": "ndots", "value": "2"}]},
            "hostAliases": [{"ip": "10.0.0.2", "hostnames": ["a", "b.c"]}],
            "tolerations": [{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}],
            "securityContext": {"runAsUser": 1000, "fsGroup": 1000, "supplementalGroups": [1, 2], "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
                "seccompProfile": {"type": "RuntimeDefault"}, "appArmorProfile": {"type": "Localhost", "localhostProfile": "p"}},
            "volumes": [
                {"name": "host", "hostPath": {"path": "/run/x", "type": "Socket"}},
                {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
                {"name": "info", "downwardAPI": {"defaultMode": 288, "items": [
                    {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
                    {"path": "a/cpu", "resourceFieldRef": {"containerName": "main", "resource": "limits.cpu"}}]}},
                {"name": "both", "projected": {"sources": [{"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}}]}}
            ],
            "initContainers": [
                {"name": "once", "image": "i"},
                {"name": "side", "image": "i", "restartPolicy": "Always", "startupProbe": {"exec": {"command": ["true"]}}}
            ],
            "containers": [{
                "name": "main", "resources": {"limits": {"cpu": "1", "memory": "64Mi", "hugepages-2Mi": "2Mi"}, "requests": {"cpu": "1000m", "hugepages-2Mi": "2048Ki"}}, "image": "registry.example/web@sha256:00", "imagePullPolicy": "IfNotPresent",
                "ports": [{"name": "http", "containerPort": 80, "hostPort": 8080, "hostIP": "127.0.0.1", "protocol": "TCP"}],
                "env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['example.org/a']"}}},
                    {"name": "C", "valueFrom": {"resourceFieldRef": {"resource": "requests.hugepages-2Mi"}}}],
                "volumeMounts": [{"name": "host", "mountPath": "/x", "readOnly": true, "recursiveReadOnly": "IfPossible"}, {"name": "tmp", "mountPath": "/tmp", "subPath": "a/b"}],
                "livenessProbe": {"httpGet": {"port": "http", "path": "/", "scheme": "HTTPS", "httpHeaders": [{"name": "Host", "value": "a"}]}, "terminationGracePeriodSeconds": 1},
                "readinessProbe": {"tcpSocket": {"port": 80}, "successThreshold": 2},
                "startupProbe": {"grpc": {"port": 80}},
                "lifecycle": {"postStart": {"exec": {"command": ["true"]}}, "preStop": {"sleep": {"seconds": 30}}},
                "securityContext": {"privileged": true, "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}, "procMount": "Default", "seccompProfile": {"type": "Localhost", "localhostProfile": "a.json"}}
            }]
        }
    })
}

/// The fields that are complained about, with the words.
fn complaints(pod: Value) -> Vec<(String, String)> {
    let pod: api::Pod = serde_json::from_value(pod).unwrap();
    let places = Places::default();
    let mut report = Report::new(&places);
    check(&pod, &mut report);
    let (errors, _) = report.finish();
    for fault in &errors {
        let proper = |text: &str| {
            !text.is_empty() && !text.ends_with('.') && !text.starts_with(char::is_uppercase)
        };
        assert!(proper(&fault.message) && proper(&fault.advice), "{fault:?}");
    }
    errors
        .into_iter()
        .map(|fault| (fault.field, fault.message))
        .collect()
}

/// Sets what a JSON pointer names; a `-` appends to a list, and `null` removes.
fn set(pod: &mut Value, pointer: &str, value: Value) {
    let (around, name) = pointer.rsplit_once('/').unwrap();
    match pod.pointer_mut(around).unwrap() {
        Value::Array(list) if name == "-" => list.push(value),
        Value::Array(list) => list[name.parse::<usize>().unwrap()] = value,
        Value::Object(fields) if value.is_null() => {
            fields.remove(name);
        }
        Value::Object(fields) => {
            fields.insert(name.to_owned(), value);
        }
        _ => panic!("{pointer}"),
    }
}

#[test]
fn a_pod_that_keeps_all_rules_is_not_complained_about() {
    assert_eq!(complaints(sound()), []);
}

#[test]
fn each_rule_names_the_field_that_breaks_it() {
    for row in include_str!("rules.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let cells: Vec<&str> = row.split(" | ").collect();
        let field = cells
            .get(3)
            .map_or_else(|| path(cells[0]), |field| (*field).to_owned());
        let mut pod = sound();
        set(&mut pod, cells[0], serde_json::from_str(cells[1]).unwrap());
        let found = complaints(pod);
        assert!(
            found
                .iter()
                .any(|(at, message)| *at == field && message.contains(cells[2])),
            "{row}: {field} is not among {found:?}"
        );
    }
}

/// The API's way to write a JSON pointer.
fn path(pointer: &str) -> String {
    pointer
        .split('/')
        .filter(|part| !part.is_empty())
        .fold(String::new(), |path, part| {
            if part.parse::<usize>().is_ok() {
                format!("{path}[{part}]")
            } else if path.is_empty() {
                part.to_owned()
            } else {
                format!("{path}.{part}")
            }
        })
}

#[test]
fn annotations_are_bounded_together() {
    let mut pod = sound();
    set(
        &mut pod,
        "/metadata/annotations/big",
        json!("x".repeat(256 * 1024)),
    );
    assert_eq!(complaints(pod)[0].0, "metadata.annotations");
}

#[test]
fn fields_that_contradict_each_other_are_named() {
    for (changes, field) in [
        (
            vec![
                ("/spec/hostUsers", json!(false)),
                ("/spec/hostPID", json!(true)),
            ],
            "spec.hostPID",
        ),
        (
            vec![
                ("/spec/hostUsers", json!(false)),
                ("/spec/hostIPC", json!(true)),
            ],
            "spec.hostIPC",
        ),
        (
            vec![
                ("/spec/hostPID", json!(true)),
                ("/spec/shareProcessNamespace", json!(true)),
            ],
            "spec.shareProcessNamespace",
        ),
        (
            vec![("/spec/hostNetwork", json!(true))],
            "spec.containers[0].ports[0].hostPort",
        ),
        (
            vec![("/spec/hostNetwork", json!(true))],
            "spec.securityContext.sysctls[0].name",
        ),
        (
            vec![
                ("/spec/hostnameOverride", json!("a")),
                ("/spec/hostNetwork", json!(true)),
            ],
            "spec.hostnameOverride",
        ),
        (
            vec![
                ("/spec/hostnameOverride", json!("a")),
                ("/spec/setHostnameAsFQDN", json!(true)),
            ],
            "spec.hostnameOverride",
        ),
        (
            vec![
                ("/spec/containers/0/securityContext", json!({})),
                (
                    "/spec/containers/0/volumeMounts/0/mountPropagation",
                    json!("Bidirectional"),
                ),
            ],
            "spec.containers[0].volumeMounts[0].mountPropagation",
        ),
        (
            vec![(
                "/spec/containers/0/securityContext",
                json!({"allowPrivilegeEscalation": false, "capabilities": {"add": ["SYS_ADMIN"]}}),
            )],
            "spec.containers[0].securityContext.allowPrivilegeEscalation",
        ),
    ] {
        let mut pod = sound();
        for (pointer, value) in &changes {
            set(&mut pod, pointer, value.clone());
        }
        let found = complaints(pod);
        assert!(
            found.iter().any(|(at, _)| at == field),
            "{changes:?}: {found:?}"
        );
    }
}
