use super::*;
use crate::fixtures::{container, node, pod};
use serde_json::{Value, json};

fn volume(path: &str) -> Volume {
    Volume {
        path: path.into(),
        ..Volume::default()
    }
}

fn mounted(node: &Node, mounts: &Value, volumes: Vec<Volume>) -> Result<Vec<v1::Mount>, Reason> {
    let spec = json!({"containers": [{
        "name": "main", "image": "web:1",
        "terminationMessagePath": "/dev/termination-log", "volumeMounts": mounts,
    }]});
    let prepared = Prepared {
        volumes,
        hosts: Some("/own/etc-hosts".into()),
        termination_log: Some("/own/log".into()),
    };
    of(node, container(&pod("p", spec), "main"), &prepared)
}

#[test]
fn mounts_keep_the_order_of_the_manifest_before_the_agents_own() {
    let mounts = json!([
        {"name": "b", "mountPath": "/b/c"},
        {"name": "a", "mountPath": "relative"},
    ]);
    let mounts = mounted(&node(), &mounts, vec![volume("/one"), volume("/two")]).unwrap();
    let paths: Vec<(&str, &str)> = mounts
        .iter()
        .map(|mount| (mount.container_path.as_str(), mount.host_path.as_str()))
        .collect();
    assert_eq!(
        paths,
        [
            ("/b/c", "/one"),
            ("/relative", "/two"),
            ("/etc/hosts", "/own/etc-hosts"),
            ("/dev/termination-log", "/own/log"),
        ]
    );
    assert!(
        mounts
            .iter()
            .all(|mount| !mount.readonly && !mount.selinux_relabel)
    );
}

#[test]
fn a_mount_is_as_open_as_both_the_volume_and_the_manifest_let_it_be() {
    use v1::MountPropagation::{
        PropagationBidirectional, PropagationHostToContainer, PropagationPrivate,
    };
    for (mount, read_only, expected) in [
        (json!({}), false, (false, PropagationPrivate)),
        (json!({"readOnly": true}), false, (true, PropagationPrivate)),
        (json!({}), true, (true, PropagationPrivate)),
        (
            json!({"mountPropagation": "None"}),
            false,
            (false, PropagationPrivate),
        ),
        (
            json!({"mountPropagation": "HostToContainer"}),
            false,
            (false, PropagationHostToContainer),
        ),
        (
            json!({"mountPropagation": "Bidirectional"}),
            false,
            (false, PropagationBidirectional),
        ),
    ] {
        let mut written = mount;
        written["name"] = "v".into();
        written["mountPath"] = "/v".into();
        let prepared = Volume {
            read_only,
            ..volume("/x")
        };
        let mounts = mounted(&node(), &json!([written]), vec![prepared]).unwrap();
        let first = mounts.first().unwrap();
        assert_eq!((first.readonly, first.propagation()), expected, "{written}");
    }
}

#[test]
fn what_lies_below_is_read_only_where_the_runtime_can() {
    for (wish, able, below) in [
        ("Enabled", true, true),
        ("IfPossible", true, true),
        ("IfPossible", false, false),
        ("Disabled", true, false),
    ] {
        let node = Node {
            recursive_read_only: able,
            ..node()
        };
        let mount =
            json!([{"name": "v", "mountPath": "/v", "readOnly": true, "recursiveReadOnly": wish}]);
        let mounts = mounted(&node, &mount, vec![volume("/x")]).unwrap();
        assert_eq!(
            mounts.first().unwrap().recursive_read_only,
            below,
            "{wish} {able}"
        );
    }
}

#[test]
fn only_what_the_agent_made_is_labelled_and_only_under_selinux() {
    let mount = || json!([{"name": "a", "mountPath": "/a"}, {"name": "b", "mountPath": "/b"}]);
    let own = Volume {
        own: true,
        ..volume("/own/volume")
    };
    for (selinux, expected) in [(true, [true, false, true, true]), (false, [false; 4])] {
        let node = Node { selinux, ..node() };
        let volumes = vec![own.clone(), volume("/host")];
        let mounts = mounted(&node, &mount(), volumes).unwrap();
        let labelled: Vec<bool> = mounts.iter().map(|mount| mount.selinux_relabel).collect();
        assert_eq!(labelled, expected);
    }
}

#[test]
fn a_mount_that_nobody_prepared_is_refused() {
    let mounts = || json!([{"name": "a", "mountPath": "/a"}, {"name": "b", "mountPath": "/b"}]);
    for volumes in [
        vec![],
        vec![volume("/x")],
        vec![volume("/x"), volume("")],
        vec![volume("/x"), volume("relative")],
    ] {
        let refused = mounted(&node(), &mounts(), volumes).unwrap_err();
        assert_eq!(refused.code(), "CreateContainerConfigError");
        assert!(matches!(refused, Reason::Mount { .. }), "{refused}");
    }
}

#[test]
fn the_agents_file_of_hosts_gives_way_to_the_manifests() {
    let mount = json!([{"name": "v", "mountPath": "/etc/hosts"}]);
    let mounts = mounted(&node(), &mount, vec![volume("/mine")]).unwrap();
    let hosts: Vec<&str> = mounts
        .iter()
        .filter(|mount| mount.container_path == HOSTS)
        .map(|mount| mount.host_path.as_str())
        .collect();
    assert_eq!(hosts, ["/mine"]);
}
