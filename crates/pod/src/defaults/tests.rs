use serde_json::{Value, json};

use super::*;

fn defaulted(spec: &Value) -> Value {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec});
    let mut pod: api::Pod = serde_json::from_value(pod).unwrap();
    apply(&mut pod);
    let once = pod.clone();
    apply(&mut pod);
    assert_eq!(pod, once, "defaults of defaults");
    serde_json::to_value(&pod).unwrap()["spec"].take()
}

fn container(container: &Value) -> Value {
    defaulted(&json!({"containers": [container]}))["containers"][0].take()
}

#[test]
fn a_bare_pod_gets_what_the_api_gives() {
    assert_eq!(
        defaulted(&json!({"containers": [{"name": "a", "image": "web:1"}]})),
        json!({
            "containers": [{
                "name": "a",
                "image": "web:1",
                "imagePullPolicy": "IfNotPresent",
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }],
            "dnsPolicy": "ClusterFirst",
            "enableServiceLinks": true,
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "securityContext": {},
            "terminationGracePeriodSeconds": 30,
        })
    );
}

#[test]
fn what_is_set_stays() {
    let spec = json!({
        "containers": [{
            "name": "a",
            "image": "web",
            "imagePullPolicy": "Never",
            "terminationMessagePath": "/t",
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "ports": [{"containerPort": 80, "hostPort": 81, "protocol": "UDP"}],
            "livenessProbe": {
                "failureThreshold": 9, "periodSeconds": 8, "successThreshold": 1, "timeoutSeconds": 7,
                "httpGet": {"path": "/live", "port": "web", "scheme": "HTTPS"},
            },
        }],
        "dnsPolicy": "None",
        "enableServiceLinks": false,
        "restartPolicy": "Never",
        "schedulerName": "mine",
        "securityContext": {"runAsUser": 1},
        "terminationGracePeriodSeconds": 0,
        "volumes": [
            {"name": "h", "hostPath": {"path": "/h", "type": "Socket"}},
            {"name": "d", "downwardAPI": {"defaultMode": 256}},
        ],
    });
    assert_eq!(defaulted(&spec), spec);
}

#[test]
fn the_tag_decides_when_an_image_is_pulled() {
    let digest = format!("sha256:{}", "0".repeat(64));
    for (image, policy) in [
        ("web", "Always"),
        ("web:latest", "Always"),
        ("registry:5000/web", "Always"),
        ("web:1", "IfNotPresent"),
        (&format!("web@{digest}"), "IfNotPresent"),
        (&format!("web:latest@{digest}"), "IfNotPresent"),
        ("No Image", "IfNotPresent"),
    ] {
        let found = container(&json!({"name": "a", "image": image}));
        assert_eq!(found["imagePullPolicy"], policy, "{image}");
    }
}

#[test]
fn requests_are_the_limits_where_there_are_none() {
    let resources = |resources: Value| {
        container(&json!({"name": "a", "image": "web:1", "resources": resources}))["resources"]
            .take()
    };
    assert_eq!(
        resources(json!({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1"}})),
        json!({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}})
    );
    assert_eq!(
        resources(json!({"limits": {"cpu": "2"}})),
        json!({"limits": {"cpu": "2"}, "requests": {"cpu": "2"}})
    );
    let only = json!({"requests": {"cpu": "1"}});
    assert_eq!(resources(only.clone()), only);
}

#[test]
fn ports_of_the_hosts_network_are_host_ports() {
    let spec = |host: bool| {
        defaulted(&json!({
            "hostNetwork": host,
            "initContainers": [{"name": "i", "ports": [{"containerPort": 1}]}],
            "containers": [{"name": "a", "ports": [{"containerPort": 2}, {"containerPort": 3, "hostPort": 3}]}],
        }))
    };
    let host = spec(true);
    assert_eq!(
        host["initContainers"][0]["ports"],
        json!([{"containerPort": 1, "hostPort": 1, "protocol": "TCP"}])
    );
    assert_eq!(host["containers"][0]["ports"][0]["hostPort"], 2);
    assert_eq!(
        spec(false)["containers"][0]["ports"][0].get("hostPort"),
        None
    );
}

#[test]
fn probes_and_hooks_get_their_numbers_and_paths() {
    let found = container(&json!({
        "name": "a",
        "livenessProbe": {"httpGet": {"port": 80}},
        "readinessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 5},
        "startupProbe": {"grpc": {"port": 80}},
        "lifecycle": {
            "postStart": {"httpGet": {"port": 1, "path": "/up"}},
            "preStop": {"httpGet": {"port": 1}},
        },
    }));
    assert_eq!(
        found["livenessProbe"],
        json!({
            "failureThreshold": 3, "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1,
            "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
        })
    );
    assert_eq!(found["readinessProbe"]["periodSeconds"], 5);
    assert_eq!(found["readinessProbe"]["failureThreshold"], 3);
    assert_eq!(
        found["startupProbe"]["grpc"],
        json!({"port": 80, "service": ""})
    );
    assert_eq!(found["lifecycle"]["postStart"]["httpGet"]["path"], "/up");
    assert_eq!(
        found["lifecycle"]["preStop"]["httpGet"],
        json!({"path": "/", "port": 1, "scheme": "HTTP"})
    );
}

#[test]
fn volumes_and_their_files_get_theirs() {
    let item = json!({"path": "p", "fieldRef": {"fieldPath": "metadata.name"}});
    let found = defaulted(&json!({
        "containers": [{
            "name": "a",
            "securityContext": {"privileged": false},
            "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        }],
        "volumes": [
            {"name": "e"},
            {"name": "h", "hostPath": {"path": "/h"}},
            {"name": "d", "downwardAPI": {"items": [item]}},
            {"name": "p", "projected": {"sources": [{"downwardAPI": {"items": [item]}}]}},
        ],
    }));
    let item = json!({"path": "p", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}});
    assert_eq!(
        found["volumes"],
        json!([
            {"name": "e", "emptyDir": {}},
            {"name": "h", "hostPath": {"path": "/h", "type": ""}},
            {"name": "d", "downwardAPI": {"defaultMode": 420, "items": [item]}},
            {"name": "p", "projected": {"defaultMode": 420, "sources": [{"downwardAPI": {"items": [item]}}]}},
        ])
    );
    let container = &found["containers"][0];
    assert_eq!(container["securityContext"]["procMount"], "Default");
    assert_eq!(
        container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"],
        "v1"
    );
}
