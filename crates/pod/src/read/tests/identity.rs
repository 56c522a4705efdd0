//! Who a pod is depends on what its manifest says and on nothing else.

use super::*;
use serde_json::json;

/// A manifest as JSON, its keys in the order in which they are written.
fn pod() -> impl Strategy<Value = Value> {
    let word = "[a-z]{1,8}";
    let map = proptest::collection::btree_map(word, "[a-zé\"'#:{ ]{0,8}", 0..4);
    let env = proptest::collection::vec(("[A-Z]{1,5}", "[ -~é]{0,12}"), 0..4);
    (
        word,
        map.clone(),
        map,
        env,
        1_i64..60,
        1_u16..60_000,
        any::<bool>(),
    )
        .prop_map(|(name, labels, annotations, env, grace, port, host)| {
            let env: Vec<Value> = env
                .iter()
                .map(|(name, value)| json!({"name": name, "value": value}))
                .collect();
            json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "labels": labels, "annotations": annotations},
                "spec": {
                    "hostNetwork": host,
                    "terminationGracePeriodSeconds": grace,
                    "containers": [{
                        "name": "main", "image": "web:1", "env": env,
                        "ports": [{"containerPort": port}],
                        "resources": {"limits": {"cpu": grace, "memory": "64Mi"}},
                    }],
                },
            })
        })
}

/// The same value with the keys of every mapping turned around.
fn reversed(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .rev()
            .map(|(key, value)| (key.clone(), reversed(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(reversed).collect(),
        scalar => scalar.clone(),
    }
}

/// Block YAML with a comment wherever one may stand.
fn yaml(value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let pairs = fields.iter().map(|(key, value)| {
                let key = Value::from(key.as_str());
                format!(
                    "\n{indent}# about {depth}\n{indent}{key}: {}",
                    yaml(value, depth + 1)
                )
            });
            pairs.collect()
        }
        Value::Array(items) if !items.is_empty() => {
            let items = items
                .iter()
                .map(|item| format!("\n{indent}- {}", yaml(item, depth + 1)));
            items.collect()
        }
        scalar => format!("{scalar} # why"),
    }
}

/// Every path to a scalar.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                leaves(value, &format!("{path}/{key}"), found);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                leaves(value, &format!("{path}/{at}"), found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

/// The hashes alone: what a rule says of a random pod does not matter here.
fn hashes(text: &str, origin: &Origin) -> (String, String) {
    let source = Source::new("m", text);
    let mut faults = Vec::new();
    let root = read_manifest(&source, &mut faults).unwrap_or_else(|| panic!("{text}\n{faults:?}"));
    let walked = walk(&root);
    assert_eq!(walked.faults, [], "{text}");
    let form = canonical::form(&walked.content);
    (canonical::uid(&form, origin), canonical::revision(&form))
}

proptest! {
    #[test]
    fn uid_and_revision_survive_order_comments_and_notation(pod in pod()) {
        let plain = hashes(&pod.to_string(), &file());
        prop_assert_eq!(&plain, &hashes(&reversed(&pod).to_string(), &file()));
        prop_assert_eq!(&plain, &hashes(&yaml(&pod, 0), &file()));
        prop_assert_eq!(&plain, &hashes(&yaml(&reversed(&pod), 0), &file()));
        prop_assert_eq!(&plain, &hashes(&format!("{pod:#}"), &file()));
    }

    #[test]
    fn any_change_of_content_changes_uid_and_revision(
        pod in pod(),
        at in any::<proptest::sample::Index>(),
    ) {
        let mut paths = Vec::new();
        leaves(&pod, "", &mut paths);
        // Kind and version have one value each.
        paths.retain(|path| !matches!(path.as_str(), "/kind" | "/apiVersion"));
        let path = &paths[at.index(paths.len())];
        let mut changed = pod.clone();
        let leaf = changed.pointer_mut(path).unwrap();
        *leaf = match &*leaf {
            Value::Bool(value) => json!(!value),
            Value::Number(value) => json!(value.as_i64().unwrap() + 1),
            Value::String(text) if text == "64Mi" => json!("65Mi"),
            Value::String(text) => json!(format!("{text}x")),
            // An empty list or mapping is content, too.
            _ => Value::Null,
        };
        let before = hashes(&pod.to_string(), &file());
        let after = hashes(&changed.to_string(), &file());
        prop_assert_ne!(before.0, after.0);
        prop_assert_ne!(before.1, after.1);
    }

    #[test]
    fn the_source_changes_the_uid_and_not_the_revision(pod in pod(), path in "/[a-z]{1,9}") {
        let text = pod.to_string();
        let here = hashes(&text, &file());
        for other in [Origin::File(path.clone()), Origin::Url(path)] {
            let there = hashes(&text, &other);
            prop_assert_ne!(&here.0, &there.0);
            prop_assert_eq!(&here.1, &there.1);
        }
    }
}

#[test]
fn a_uid_that_is_written_out_is_taken_and_the_revision_still_tells_versions_apart() {
    let text = web("").replace("name: web\nspec", "name: web\n  uid: 7e1d\nspec");
    let first = manifest(&text);
    let second = manifest(&text.replace("web:1", "web:2"));
    assert_eq!(first.uid, "7e1d");
    assert_eq!(second.uid, "7e1d");
    assert_ne!(first.revision, second.revision);
}

#[test]
fn notations_of_one_number_are_one_content() {
    let with = |cpu: &str| {
        manifest(&web(&format!(
            "    resources: {{limits: {{cpu: {cpu}}}}}\n"
        )))
        .revision
    };
    assert_eq!(with("1"), with("\"1\""));
    assert_eq!(with("1"), with("0x1"));
    assert_ne!(with("1"), with("2"));
}

#[test]
fn uid_and_revision_are_thirty_two_lower_case_hexadecimal_digits() {
    let manifest = manifest(&web(""));
    for hash in [manifest.uid, manifest.revision] {
        assert_eq!(hash.len(), 32);
        assert!(
            hash.bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        );
    }
}

#[test]
fn test_pod_update_annotations_and_labels() {
    let plain = web("");
    let with =
        |field: &str| plain.replace("name: web\nspec", &format!("name: web\n  {field}\nspec"));
    let mut revisions: Vec<String> = [
        plain.clone(),
        with("labels: {key: value}"),
        with("labels: {key: other}"),
        with("annotations: {key: value}"),
        with("annotations: {key: other}"),
    ]
    .iter()
    .map(|text| manifest(text).revision)
    .collect();
    revisions.sort();
    revisions.dedup();
    assert_eq!(revisions.len(), 5);
}
