use serde_json::json;

use super::*;

fn container(env: &serde_json::Value) -> api::Container {
    serde_json::from_value(json!({
        "name": "main",
        "env": env,
        "resources": {
            "limits": {"cpu": "1500m", "memory": "64Mi"},
            "requests": {"cpu": "250m", "hugepages-2Mi": "4Mi"},
        },
    }))
    .unwrap()
}

fn pod() -> api::Pod {
    serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "web-node1",
            "namespace": "apps",
            "uid": "7e1d",
            "labels": {"app": "web", "example.org/tier": "front"},
            "annotations": {"note": "a \"quoted\"\nline\u{1}\u{85}"},
        },
        "spec": {
            "initContainers": [{"name": "first", "resources": {"limits": {"memory": "1Gi"}}}],
            "containers": [{"name": "side", "resources": {"requests": {"cpu": "2"}}}],
        },
    }))
    .unwrap()
}

fn facts() -> Facts {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Facts {
        node_name: "node1".into(),
        host_ips: texts(&["192.0.2.1", "2001:db8::1"]),
        pod_ips: texts(&["10.0.0.7", "fd00::7"]),
        allocatable: BTreeMap::from([
            ("cpu".to_owned(), Amount::whole(8)),
            ("memory".to_owned(), Amount::whole(1 << 34)),
        ]),
    }
}

fn no_files(_: &api::FileKeySelector) -> Result<Option<String>, String> {
    Err("there is no file".into())
}

fn of(env: &serde_json::Value) -> Result<Vec<(String, String)>, EnvError> {
    environment(&pod(), &container(env), &facts(), &no_files)
}

fn pairs(found: &[(String, String)]) -> Vec<(&str, &str)> {
    let pairs = found
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    pairs.collect()
}

#[test]
fn variables_keep_their_order_and_know_those_before_them() {
    let found = of(&json!([
        {"name": "B", "value": "b"},
        {"name": "A", "value": "$(B)-$(C)-$$(B)"},
        {"name": "C", "value": "c"},
        {"name": "D", "value": "$(C)$(A)"},
        {"name": "EMPTY"},
        {"name": "SELF", "value": "$(SELF)"},
    ]));
    assert_eq!(
        pairs(&found.unwrap()),
        [
            ("B", "b"),
            ("A", "b-$(C)-$(B)"),
            ("C", "c"),
            ("D", "cb-$(C)-$(B)"),
            ("EMPTY", ""),
            ("SELF", "$(SELF)"),
        ]
    );
}

#[test]
fn a_name_that_is_set_again_takes_the_later_value() {
    let found = of(&json!([
        {"name": "PATH", "value": "/bin"},
        {"name": "X", "value": "$(PATH)"},
        {"name": "PATH", "value": "$(PATH):/sbin"},
        {"name": "Y", "value": "$(PATH)"},
    ]));
    assert_eq!(
        pairs(&found.unwrap()),
        [("PATH", "/bin:/sbin"), ("X", "/bin"), ("Y", "/bin:/sbin")]
    );
}

#[test]
fn fields_of_the_pod_are_what_the_node_runs() {
    for (path, value) in [
        ("metadata.name", "web-node1"),
        ("metadata.namespace", "apps"),
        ("metadata.uid", "7e1d"),
        ("metadata.labels['app']", "web"),
        ("metadata.labels['example.org/tier']", "front"),
        ("metadata.labels['none']", ""),
        (
            "metadata.annotations['note']",
            "a \"quoted\"\nline\u{1}\u{85}",
        ),
        ("metadata.labels", "app=\"web\"\nexample.org/tier=\"front\""),
        (
            "metadata.annotations",
            "note=\"a \\\"quoted\\\"\\nline\\x01\\u0085\"",
        ),
        ("spec.nodeName", "node1"),
        ("spec.serviceAccountName", ""),
        ("status.hostIP", "192.0.2.1"),
        ("status.hostIPs", "192.0.2.1,2001:db8::1"),
        ("status.podIP", "10.0.0.7"),
        ("status.podIPs", "10.0.0.7,fd00::7"),
    ] {
        let env = json!([{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": path}}}]);
        assert_eq!(pairs(&of(&env).unwrap()), [("A", value)], "{path}");
    }
    assert_eq!(
        field(&pod(), &Facts::default(), "status.podIP").as_deref(),
        Some("")
    );
    for path in [
        "",
        "spec.hostname",
        "metadata.finalizers",
        "spec.x['a']",
        "metadata.labels['a'",
    ] {
        let env = json!([{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": path}}}]);
        assert_eq!(of(&env), Err(EnvError::Field("A".into())), "{path}");
    }
}

#[test]
fn resources_are_divided_and_rounded_up() {
    for (reference, value) in [
        (json!({"resource": "limits.cpu"}), "2"),
        (json!({"resource": "limits.cpu", "divisor": "1m"}), "1500"),
        (json!({"resource": "limits.cpu", "divisor": "0"}), "2"),
        (json!({"resource": "limits.memory"}), "67108864"),
        (json!({"resource": "limits.memory", "divisor": "1Mi"}), "64"),
        (json!({"resource": "limits.memory", "divisor": "1M"}), "68"),
        (json!({"resource": "requests.cpu"}), "1"),
        (json!({"resource": "requests.memory"}), "0"),
        (
            json!({"resource": "requests.hugepages-2Mi", "divisor": "1Mi"}),
            "4",
        ),
        (json!({"resource": "limits.ephemeral-storage"}), "0"),
        (
            json!({"resource": "limits.cpu", "containerName": "side"}),
            "8",
        ),
        (
            json!({"resource": "requests.cpu", "containerName": "side"}),
            "2",
        ),
        (
            json!({"resource": "limits.memory", "containerName": "first", "divisor": "1Gi"}),
            "1",
        ),
    ] {
        let env = json!([{"name": "A", "valueFrom": {"resourceFieldRef": &reference}}]);
        assert_eq!(pairs(&of(&env).unwrap()), [("A", value)], "{reference}");
    }
    for reference in [
        json!({"resource": "cpu"}),
        json!({"resource": "limits.pods"}),
        json!({"resource": "usage.cpu"}),
        json!({"resource": "limits.cpu", "containerName": "none"}),
        json!({"resource": "limits.cpu", "divisor": "x"}),
    ] {
        let env = json!([{"name": "A", "valueFrom": {"resourceFieldRef": &reference}}]);
        assert_eq!(of(&env), Err(EnvError::Resource("A".into())), "{reference}");
    }
}

#[test]
fn values_from_elsewhere_are_not_expanded_and_can_be_referred_to() {
    let mut pod = pod();
    pod.metadata.labels = Some(BTreeMap::from([("l".into(), "$(B)".into())]));
    let env = json!([
        {"name": "B", "value": "b"},
        {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['l']"}}},
        {"name": "C", "value": "<$(A)>"},
    ]);
    let found = environment(&pod, &container(&env), &facts(), &no_files).unwrap();
    assert_eq!(pairs(&found), [("B", "b"), ("A", "$(B)"), ("C", "<$(B)>")]);
}

#[test]
fn files_give_values_or_reasons() {
    let env = json!([
        {"name": "A", "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": "e", "key": "K"}}},
        {"name": "B", "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": "e", "key": "NONE"}}},
    ]);
    let container = container(&env);
    let found = environment(&pod(), &container, &facts(), &|selector| {
        Ok((selector.key == "K").then(|| format!("{}/{}", selector.volume_name, selector.path)))
    });
    assert_eq!(pairs(&found.unwrap()), [("A", "v/e")]);
    let failed = environment(&pod(), &container, &facts(), &no_files).unwrap_err();
    assert_eq!(
        failed.to_string(),
        "variable A comes from a file: there is no file"
    );
}

#[test]
fn references_to_an_api_server_are_errors_even_when_optional() {
    let env = json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b", "optional": true}}}]);
    assert_eq!(of(&env), Err(EnvError::Reference("A".into())));
    let mut container = container(&json!([]));
    container.env_from = Some(vec![api::EnvFromSource::default()]);
    assert!(environment(&pod(), &container, &facts(), &no_files).is_err());
}

#[test]
fn a_probes_command_knows_only_what_is_written_out() {
    let container = container(&json!([
        {"name": "A", "value": "a"},
        {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "C", "value": "$(A)$(B)"},
    ]));
    assert_eq!(
        pairs(&written_out(&container)),
        [("A", "a"), ("C", "a$(B)")]
    );
}
