//! Stories of the field on containerd: pods as people run them, from their first start to their
//! end, through the program as an operator uses it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests end a test by panicking"
)]

use std::{path::Path, process::Command};

use pod_rig::Node;
use serde_json::Value;

mod pipe;
mod programs;
mod site;

mod control_plane;

mod appliance;
mod etcd;
mod provider;
mod url;

/// The program.
fn staticpodd() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_staticpodd"))
}

/// Waits until `get` tells of a pod in this phase, whether it is ready, and so many restarts of
/// its containers.
fn until_told(node: &Node, pod: &str, phase: &str, ready: bool, restarts: &[u64]) {
    node.until(&format!("{pod} is {phase}, ready: {ready}"), |node| {
        let mut get = Command::new(staticpodd());
        get.args(["get", "pod", pod, "-o", "json", "--socket"]);
        let answer = get.arg(node.socket()).output().unwrap().stdout;
        let pod: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let status = &pod["status"];
        let is_ready = |condition: &Value| condition["type"] == "Ready";
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let conditions: Vec<&Value> = conditions.filter(|one| is_ready(one)).collect();
        let containers = status["containerStatuses"].as_array();
        let containers = containers.into_iter().flatten();
        let counts = containers.filter_map(|container| container["restartCount"].as_u64());
        status["phase"] == phase
            && conditions
                .iter()
                .any(|one| (one["status"] == "True") == ready)
            && counts.eq(restarts.iter().copied())
    });
}
