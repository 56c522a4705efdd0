//! Manifests.

use serde_json::{Value, json};

/// A pod as careful people write them for a control plane: on the node's network, no root, nothing
/// to write to, its image by digest, two directories of the node, and both probes.
pub(crate) fn careful(name: &str, image: &str, port: u16) -> String {
    let probe = json!({
        "httpGet": {"host": "127.0.0.1", "port": port, "path": "/"},
        "periodSeconds": 10,
    });
    let directory = |path: &str| json!({"name": path.trim_start_matches('/'), "hostPath": {"path": path, "type": "Directory"}});
    let mount = |path: &str| json!({"name": path.trim_start_matches('/'), "mountPath": path, "readOnly": true});
    let spec = json!({
        "hostNetwork": true,
        "priorityClassName": "system-node-critical",
        "priority": 2_000_001_000,
        "terminationGracePeriodSeconds": 10,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [{
            "name": "main",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "args": [format!("serve=127.0.0.1:{port}=well"), "hang"],
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            },
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
            "livenessProbe": probe,
            "readinessProbe": probe,
            "volumeMounts": [mount("/etc"), mount("/var")],
        }],
        "volumes": [directory("/etc"), directory("/var")],
    });
    pod(name, &json!({}), &spec)
}

/// A pod for the runtime of memory, with a probe by a command, and a word that edits change.
pub(crate) fn plain(name: &str, image: &str, edit: u32) -> String {
    let spec = json!({
        "hostNetwork": true,
        "terminationGracePeriodSeconds": 1,
        "containers": [{
            "name": "main",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "args": [format!("out={edit}"), "hang"],
            "readinessProbe": {"exec": {"command": ["/check"]}, "periodSeconds": 10},
        }],
    });
    pod(name, &json!({EDIT: edit.to_string()}), &spec)
}

/// The annotation that says which edit a plain pod is of.
pub(crate) const EDIT: &str = "example.org/edit";

fn pod(name: &str, annotations: &Value, spec: &Value) -> String {
    let metadata = json!({"name": name, "namespace": "bench", "annotations": annotations});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
    pod.to_string()
}
