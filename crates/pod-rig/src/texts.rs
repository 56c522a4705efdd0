//! Manifests.

use fake_cri::programs::stock;
use serde_json::{Value, json};

/// The name of the image whose program does what its arguments say, see `fake_cri::script`.
#[must_use]
pub fn image() -> &'static str {
    &stock().expect("the images of tests").workload.name
}

/// A pod on the node's network with one container, `main`, that does `words`, ready to be changed:
/// `pod["spec"]["restartPolicy"] = "Never".into()`. Its text is JSON, which is YAML.
#[must_use]
pub fn pod(name: &str, words: &[&str]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "hostNetwork": true,
            "terminationGracePeriodSeconds": 20,
            "containers": [{
                "name": "main",
                "image": image(),
                "imagePullPolicy": "Never",
                "args": words,
            }],
        },
    })
}
