//! `Unknown Pods`.

use pod_rig::pod;

use super::node;

/// "when a static pod becomes unknown": "the static pod should be terminated and cleaned up due to
/// becoming a unknown pod"
#[test]
fn the_static_pod_should_be_terminated_and_cleaned_up_due_to_becoming_a_unknown_pod() {
    let Some(mut node) = node("unknown") else {
        return;
    };
    node.put("web", &pod("web", &["drain=500", "hang"]));
    let _ = node.until_runs("web", "main");
    node.kill();
    node.remove("web");
    assert_eq!(node.running().len(), 1);
    node.start();
    node.until_empty();
}
