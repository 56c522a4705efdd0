//! `MirrorPod`.

use std::{thread, time::Duration};

use fake_cri::programs::workload_image;
use pod_rig::pod;

use super::node;

/// "should be updated when static pod updated"
#[test]
fn should_be_updated_when_static_pod_updated() {
    let Some(node) = node("updated") else {
        return;
    };
    let mut web = pod("web", &["hang"]);
    node.put("web", &web);
    let old = node.until_runs("web", "main");
    let name = "registry.local/updated:2";
    let image = workload_image().unwrap().cmd(["out=two", "hang"]);
    node.rig().import(&image.build(name).unwrap()).unwrap();
    web["spec"]["containers"][0]["image"] = name.into();
    web["spec"]["containers"][0]["args"] = serde_json::Value::Null;
    node.put("web", &web);
    node.until("the new image runs", |node| {
        node.output("web", "main") == ["two"]
    });
    let new = node.until_runs("web", "main");
    assert_ne!(new.uid, old.uid);
    node.until("one runs", |node| node.running().len() == 1);
}

/// "should successfully recreate when file is removed and recreated"
#[test]
fn should_successfully_recreate_when_file_is_removed_and_recreated() {
    let Some(node) = node("recreated") else {
        return;
    };
    let web = pod("web", &["drain=1000", "hang"]);
    node.put("web", &web);
    let first = node.until_runs("web", "main");
    node.remove("web");
    node.until("it is stopped", |node| node.has("container.stopping"));
    // While the old one still ends.
    node.put("web", &web);
    node.until("it runs again", |node| {
        node.runs("web", "main")
            .is_some_and(|again| again.id != first.id)
    });
    let second = node.until_runs("web", "main");
    assert_eq!(second.uid, first.uid);
    thread::sleep(Duration::from_secs(3));
    assert_eq!(node.running(), [second]);
}
