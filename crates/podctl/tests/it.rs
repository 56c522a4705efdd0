//! What people see of an agent, against what they should see.

#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]

use std::{fs, path::Path};

use podctl::{
    Fault,
    choice::{container, pod},
    describe::describe,
    document::State,
    rows::{PodTable, Shape, manifests},
};

fn state() -> State {
    serde_json::from_str(include_str!("state.json")).unwrap()
}

fn table(state: &State, namespaces: bool, wide: bool) -> String {
    PodTable::new(Shape { namespaces, wide }).show(&state.pods, state)
}

#[track_caller]
fn same(found: &str, golden: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let expected = fs::read_to_string(folder.join(format!("{golden}.txt"))).unwrap();
    assert!(found == expected, "{golden} is now:\n{found}");
}

#[test]
fn pods_are_listed_as_kubectl_lists_them() {
    let state = state();
    same(&table(&state, false, false), "pods");
    same(&table(&state, true, true), "pods-wide");
}

#[test]
fn a_watched_table_grows_by_what_changed() {
    let mut state = state();
    let mut table = PodTable::new(Shape {
        namespaces: false,
        wide: false,
    });
    assert_eq!(table.show(&state.pods, &state).lines().count(), 5);
    // Time alone is no news.
    state.time = serde_json::from_str("\"2026-11-21T22:11:00Z\"").unwrap();
    assert_eq!(table.show(&state.pods, &state), "");
    let status = state.pods[0].pod.status.as_mut().unwrap();
    let statuses = status.container_statuses.as_mut().unwrap();
    statuses[1].restart_count = 5;
    let row = table.show(&state.pods, &state);
    assert_eq!(
        row,
        "web-n1    1/2     CrashLoopBackOff   5 (2m ago)    11m\n"
    );
}

#[test]
fn files_are_listed_with_what_is_wrong_with_them() {
    same(&manifests(&state()), "manifests");
}

#[test]
fn pods_are_described_as_kubectl_describes_them() {
    let state = state();
    for (pod, golden) in [(0, "web"), (1, "etcd"), (2, "old")] {
        same(&describe(&state.pods[pod], &state), golden);
    }
}

#[test]
fn pods_are_found_by_the_names_that_people_use() {
    let state = state();
    let found = |namespace, name| match pod(&state, namespace, name) {
        Ok(pod) => format!("{}/{}", pod.namespace(), pod.name()),
        Err(fault) => fault.to_string(),
    };
    for name in [
        "etcd",
        "etcd-n1",
        "pod/etcd",
        "kube-system/etcd",
        "po/etcd-n1",
    ] {
        assert_eq!(found(None, name), "kube-system/etcd-n1", "{name}");
    }
    assert_eq!(found(Some("other"), "web"), "other/web-n1");
    assert_eq!(
        found(None, "web"),
        "web may be any of default/web-n1, other/web-n1: say which with -n"
    );
    assert_eq!(
        found(None, "etdc"),
        "pod etdc not found: did you mean kube-system/etcd-n1?"
    );
    assert_eq!(
        found(Some("default"), "etcd"),
        "pod etcd not found in namespace default: did you mean kube-system/etcd-n1?"
    );
    assert_eq!(
        found(None, "zebra"),
        "pod zebra not found: there are default/web-n1, kube-system/etcd-n1, default/old-n1, other/web-n1"
    );
    let mut empty = state.clone();
    empty.pods.clear();
    let fault = pod(&empty, None, "a").unwrap_err().to_string();
    assert!(fault.contains("there are no pods"), "{fault}");
}

#[test]
fn containers_are_chosen_and_missed_as_in_kubectl() {
    let mut state = state();
    let chosen = |name, state: &State| container(&state.pods[0], name);
    let (name, note) = chosen(None, &state).unwrap();
    assert_eq!(name, "web");
    let expected = "Defaulted container \"web\" out of: web, log, prepare (init)";
    assert_eq!(note.as_deref(), Some(expected));
    assert_eq!(
        chosen(Some("prepare"), &state).unwrap(),
        ("prepare".to_owned(), None)
    );
    assert_eq!(
        chosen(Some("wbe"), &state).unwrap_err().to_string(),
        "container wbe not found in pod web-n1, which has: web, log, prepare (init)"
    );
    assert_eq!(
        container(&state.pods[1], None).unwrap(),
        ("etcd".to_owned(), None)
    );
    assert!(matches!(
        container(&state.pods[2], None),
        Err(Fault::Going(_))
    ));
    let annotations = state.pods[0].pod.metadata.annotations.as_mut().unwrap();
    let usual = "kubectl.kubernetes.io/default-container".to_owned();
    let _ = annotations.insert(usual, "log".to_owned());
    assert_eq!(chosen(None, &state).unwrap(), ("log".to_owned(), None));
}

#[test]
fn a_document_is_written_as_it_is_read() {
    let text = include_str!("state.json");
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_value(state()).unwrap(), value);
}
