//! The kubelet's own cases for static pods, under their names, with pauses of seconds instead of
//! half minutes. What they ask of mirror pods is left out: there is no API server here.

mod container_lifecycle_test;
mod mirror_pod_grace_period_test;
mod mirror_pod_test;
mod standalone_test;
mod static_pod_test;
mod unknown_pods_test;

use pod_rig::{Builder, Node, can_run, shared};

/// A node on the shared containerd, with an agent.
fn node(name: &str) -> Option<Node> {
    let make = || crate::quiet(Builder::new(crate::program()).on(&shared()).name(name));
    let mut node = can_run().then(make)?.build();
    node.start();
    Some(node)
}
