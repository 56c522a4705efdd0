//! Each piece of advice: what calls for it, and what does not.

use std::path::Path;

use serde_json::{Value, json};

use super::{Found, check, check_host};
use crate::{api, places::Places, report::Report};

/// Nothing to advise.
fn careful() -> Value {
    json!({
        "metadata": {"name": "a"},
        "spec": {
            "hostNetwork": true, "priorityClassName": "system-node-critical", "priority": 2_000_001_000,
            "volumes": [{"name": "v", "hostPath": {"path": "/run/kms", "type": "Directory"}}, {"name": "e", "emptyDir": {}}],
            "initContainers": [],
            "containers": [{
                "name": "a", "image": "registry.example:5000/a:1@sha256:00", "imagePullPolicy": "IfNotPresent",
                "securityContext": {"runAsUser": 65532, "readOnlyRootFilesystem": true},
                "livenessProbe": {"httpGet": {"host": "127.0.0.1", "port": 1}},
                "readinessProbe": {"tcpSocket": {"host": "127.0.0.1", "port": 1}},
                "startupProbe": {"exec": {"command": ["true"]}}
            }]
        }
    })
}

/// Rules and fields of what is advised.
fn advice(pod: Value, ask: impl FnOnce(&api::Pod, &mut Report<'_>)) -> Vec<(&'static str, String)> {
    let pod: api::Pod = serde_json::from_value(pod).unwrap();
    let places = Places::default();
    let mut report = Report::new(&places);
    ask(&pod, &mut report);
    let (errors, warnings) = report.finish();
    assert_eq!(errors, [], "advice refuses nothing");
    let pairs = warnings
        .into_iter()
        .map(|warning| (warning.rule, warning.fault.field));
    pairs.collect()
}

#[test]
fn a_careful_pod_gets_no_advice() {
    assert_eq!(advice(careful(), check), []);
}

/// What is set in the spec, to what; the rule and the field that speak of it.
type Row = (&'static str, Value, &'static str, &'static str);

fn unwise() -> Vec<Row> {
    const SECURITY: &str = "containers/0/securityContext";
    const HOST: &str = "volumes/0/hostPath";
    const IMAGE: &str = "containers/0/image";
    vec![
        (
            "priority",
            Value::Null,
            "priority-number",
            ".priorityClassName",
        ),
        (
            IMAGE,
            json!("r.example:5000/a"),
            "image-latest",
            ".containers[0].image",
        ),
        (
            IMAGE,
            json!("a:latest"),
            "image-latest",
            ".containers[0].image",
        ),
        (IMAGE, json!("a:1"), "image-digest", ".containers[0].image"),
        (
            "containers/0/imagePullPolicy",
            json!("Always"),
            "pull-always",
            ".containers[0].image",
        ),
        ("hostPID", json!(true), "host-namespace", ".hostPID"),
        ("hostIPC", json!(true), "host-namespace", ".hostIPC"),
        (
            SECURITY,
            json!({"runAsUser": 1, "readOnlyRootFilesystem": true, "privileged": true}),
            "privileged",
            ".containers[0].securityContext.privileged",
        ),
        (
            "containers/0/resources",
            json!({"limits": {"memory": "64m", "cpu": "100m"}}),
            "fraction-of-a-byte",
            ".containers[0].resources.limits[memory]",
        ),
        (
            SECURITY,
            json!({"runAsUser": 1}),
            "writable-root",
            ".containers[0]",
        ),
        (
            SECURITY,
            json!({"runAsUser": 0, "readOnlyRootFilesystem": true}),
            "root-user",
            ".containers[0]",
        ),
        (
            SECURITY,
            json!({"readOnlyRootFilesystem": true}),
            "root-user",
            ".containers[0]",
        ),
        (
            "containers/0/livenessProbe",
            json!({"httpGet": {"port": 1}}),
            "probe-host",
            ".containers[0].livenessProbe.httpGet",
        ),
        (
            "containers/0/readinessProbe",
            json!({"tcpSocket": {"port": 1}}),
            "probe-host",
            ".containers[0].readinessProbe.tcpSocket",
        ),
        (
            HOST,
            json!({"path": "/etc/resolv.conf", "type": "File"}),
            "file-replaced",
            ".volumes[0].hostPath.path",
        ),
        (
            HOST,
            json!({"path": "/etc/ca.crt", "type": "FileOrCreate"}),
            "file-replaced",
            ".volumes[0].hostPath.path",
        ),
        (
            HOST,
            json!({"path": "/run/a.sock", "type": "Socket"}),
            "socket-replaced",
            ".volumes[0].hostPath.path",
        ),
        (
            HOST,
            json!({"path": "/run/a"}),
            "host-path-untyped",
            ".volumes[0].hostPath.path",
        ),
    ]
}

#[test]
fn each_unwise_field_gets_its_advice_and_nothing_else_does() {
    for (at, value, rule, field) in unwise() {
        let mut pod = careful();
        let pointer = format!("/spec/{at}");
        let (around, name) = pointer.rsplit_once('/').unwrap();
        pod.pointer_mut(around).unwrap()[name] = value;
        assert_eq!(advice(pod, check), [(rule, format!("spec{field}"))], "{at}");
    }
}

#[test]
fn a_pod_that_must_not_be_root_needs_no_number() {
    let mut pod = careful();
    pod["spec"]["containers"][0]["securityContext"] = json!({"readOnlyRootFilesystem": true});
    pod["spec"]["securityContext"] = json!({"runAsNonRoot": true});
    assert_eq!(advice(pod, check), []);
}

#[test]
fn init_containers_are_looked_at_too() {
    let mut pod = careful();
    let container = pod["spec"]["containers"][0].clone();
    pod["spec"]["initContainers"] = json!([container]);
    pod["spec"]["initContainers"][0]["image"] = json!("a:1");
    assert_eq!(
        advice(pod, check),
        [("image-digest", "spec.initContainers[0].image".to_owned())]
    );
}

#[test]
fn host_paths_are_compared_with_what_is_there() {
    for (kind, found, parent, rule) in [
        ("", Some(Found::Other), true, None),
        ("", None, true, Some("host-path-missing")),
        ("Directory", Some(Found::Directory), true, None),
        ("Directory", None, true, Some("host-path-missing")),
        ("Directory", Some(Found::File), true, Some("host-path-type")),
        ("DirectoryOrCreate", None, false, None),
        (
            "DirectoryOrCreate",
            Some(Found::Socket),
            true,
            Some("host-path-type"),
        ),
        ("File", Some(Found::File), true, None),
        ("File", Some(Found::Other), true, Some("host-path-type")),
        ("FileOrCreate", None, true, None),
        ("FileOrCreate", None, false, Some("host-path-missing")),
        (
            "FileOrCreate",
            Some(Found::Directory),
            true,
            Some("host-path-type"),
        ),
        ("Socket", Some(Found::Socket), true, None),
        (
            "Socket",
            Some(Found::Directory),
            true,
            Some("host-path-type"),
        ),
        (
            "CharDevice",
            Some(Found::BlockDevice),
            true,
            Some("host-path-type"),
        ),
        ("BlockDevice", Some(Found::BlockDevice), true, None),
    ] {
        let mut pod = careful();
        pod["spec"]["volumes"][0]["hostPath"] = json!({"path": "/a/b", "type": kind});
        let look = |path: &Path| match path.to_str() {
            Some("/a/b") => found,
            Some("/a") if parent => Some(Found::Directory),
            _ => None,
        };
        let given = advice(pod, |pod, report| check_host(pod, look, report));
        let expected: Vec<_> = rule
            .map(|rule| (rule, "spec.volumes[0].hostPath.path".to_owned()))
            .into_iter()
            .collect();
        assert_eq!(given, expected, "{kind} {found:?}");
    }
}
