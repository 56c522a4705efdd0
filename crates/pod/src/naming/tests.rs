use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::read;

const MANIFEST: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n  annotations: \
                        {a: b, kubernetes.io/config.source: api}\nspec:\n  containers:\n  - name: web\n    \
                        image: web:1\n";

fn manifest(origin: &Origin, text: &str) -> Manifest {
    let mut reading = read(origin, "web.yaml", text.as_bytes());
    reading.items.remove(0).manifest.unwrap()
}

fn file() -> Origin {
    Origin::File("/m/web.yaml".into())
}

fn node(name: &str, suffix: bool) -> Node {
    Node {
        name: name.into(),
        suffix,
    }
}

fn seen() -> api::Time {
    serde_json::from_str("\"2026-01-02T03:04:05.678901234Z\"").unwrap()
}

fn named(origin: &Origin, suffix: bool) -> Pod {
    name(&manifest(origin, MANIFEST), &node("node1", suffix), &seen()).unwrap()
}

#[test]
fn test_static_pod_name_generate() {
    let pod = named(&file(), true);
    assert_eq!(pod.key.to_string(), "default/web-node1");
    assert_eq!(pod.api.metadata.name.as_deref(), Some("web-node1"));
    assert_eq!(pod.api.metadata.namespace.as_deref(), Some("default"));
    let shouting = name(&manifest(&file(), MANIFEST), &node("NODE1", true), &seen()).unwrap();
    assert_eq!(shouting.key, pod.key);
    assert_eq!(named(&file(), false).key.to_string(), "default/web");
}

#[test]
fn a_static_pod_carries_its_hash_its_source_and_when_it_was_seen() {
    for (origin, source) in [(file(), "file"), (Origin::Url("https://a/".into()), "http")] {
        let pod = named(&origin, true);
        let annotations = pod.api.metadata.annotations.unwrap();
        let expected: BTreeMap<String, String> = [
            ("a", "b"),
            (CONFIG_HASH, &pod.uid),
            (CONFIG_SOURCE, source),
            (CONFIG_SEEN, "2026-01-02T03:04:05.678901234Z"),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
        assert_eq!(annotations, expected);
        assert_eq!(pod.api.metadata.uid.as_deref(), Some(pod.uid.as_str()));
        assert_eq!(pod.api.status.unwrap().phase.as_deref(), Some("Pending"));
        assert_eq!(pod.api.spec.unwrap().node_name.as_deref(), Some("node1"));
    }
}

#[test]
fn only_pods_from_files_tolerate_eviction_and_only_once() {
    let tolerations = |pod: Pod| pod.api.spec.unwrap().tolerations;
    let expected = api::Toleration {
        operator: Some("Exists".into()),
        effect: Some("NoExecute".into()),
        ..api::Toleration::default()
    };
    assert_eq!(
        tolerations(named(&file(), true)),
        Some(vec![expected.clone()])
    );
    assert_eq!(
        tolerations(named(&Origin::Url("https://a/".into()), true)),
        None
    );
    let text = format!(
        "{MANIFEST}  tolerations:\n  - {{key: a, operator: Exists}}\n  - {{operator: Exists, \
         effect: NoExecute, tolerationSeconds: 5}}\n"
    );
    let pod = name(&manifest(&file(), &text), &node("n", true), &seen()).unwrap();
    let found = tolerations(pod).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[1], expected);
}

#[test]
fn a_name_that_becomes_too_long_is_an_error_that_says_what_to_do() {
    let manifest = manifest(&file(), MANIFEST);
    let long = "n".repeat(250);
    let failed = name(&manifest, &node(&long, true), &seen()).unwrap_err();
    assert!(
        failed
            .to_string()
            .starts_with("the name of pod default/web with")
    );
    assert!(name(&manifest, &node(&long, false), &seen()).is_ok());
    let failed = name(&manifest, &node(&long[..249], true), &seen()).unwrap_err();
    assert_eq!(failed, NamingError::LogDirectory(manifest.key.clone()));
    // default, web, a hyphen and 32 digits leave 210.
    assert!(name(&manifest, &node(&long[..211], true), &seen()).is_err());
    assert!(name(&manifest, &node(&long[..210], true), &seen()).is_ok());
}

proptest! {
    #[test]
    fn uid_and_revision_do_not_know_the_node(host in "[a-z0-9]{1,20}", suffix in any::<bool>()) {
        let manifest = manifest(&file(), MANIFEST);
        let pod = name(&manifest, &node(&host, suffix), &seen()).unwrap();
        prop_assert_eq!(pod.uid, manifest.uid);
        prop_assert_eq!(pod.revision, manifest.revision);
    }
}
