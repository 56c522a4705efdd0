//! Pods and a node for tests.

use pod::{Origin, Pod, PodKey, api};
use serde_json::{Value, json};

use crate::node::{Dns, Node};

/// A named pod of namespace `ns` with uid `u-1`. A specification without containers gets one.
pub(crate) fn pod(name: &str, mut spec: Value) -> Pod {
    if let Value::Object(fields) = &mut spec {
        let _ = fields
            .entry("containers")
            .or_insert_with(|| json!([{"name": "main", "image": "web:1"}]));
    }
    let api: api::Pod = serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "ns", "uid": "u-1"},
        "spec": spec,
    }))
    .unwrap();
    Pod {
        origin: Origin::File("/manifests/pod.yaml".into()),
        key: PodKey {
            namespace: "ns".into(),
            name: name.into(),
        },
        uid: "u-1".into(),
        revision: "r-1".into(),
        api,
    }
}

/// A node with 4 GB, outside of a cluster.
pub(crate) fn node() -> Node {
    Node {
        name: "n1".into(),
        ips: vec!["192.0.2.7".into()],
        dns: Dns {
            resolv_conf: "nameserver 192.0.2.53\nsearch example.org\n".into(),
            ..Dns::default()
        },
        memory: 4_000_000_000,
        root: "/var/lib/staticpodd".into(),
        logs: "/var/log/pods".into(),
        ..Node::default()
    }
}

/// The container of a name, of any kind.
pub(crate) fn container<'a>(pod: &'a Pod, name: &str) -> &'a api::Container {
    let spec = pod.api.spec.as_ref().unwrap();
    let init = spec.init_containers.iter().flatten();
    init.chain(&spec.containers)
        .find(|container| container.name == name)
        .unwrap()
}
