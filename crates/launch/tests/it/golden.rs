//! Manifests as they are seen in the field, and all that a runtime is asked for them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{fs, path::Path};

use launch::{
    Node, Start, container, environment, hostname, hosts,
    mounts::{Prepared, Volume},
    node::{Cgroups, Dns, Driver},
    sandbox,
    security::ImageUser,
};
use pod::{Origin, Pod, api, quantity::Amount};
use serde_json::{Value, json};

use crate::json;

/// A node of a small cluster with cgroups of version 2.
fn node() -> Node {
    let masked = |cpu: u32| format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle");
    Node {
        name: "n1".into(),
        ips: vec!["192.0.2.7".into()],
        dns: Dns {
            resolv_conf: "nameserver 192.0.2.53\nsearch example.org\noptions rotate\n".into(),
            cluster: vec!["10.96.0.10".into()],
            domain: "cluster.local".into(),
        },
        memory: 4 << 30,
        allocatable: [
            ("cpu".to_owned(), Amount::whole(4)),
            ("memory".to_owned(), Amount::whole(4 << 30)),
        ]
        .into(),
        cgroups: Cgroups {
            driver: Some(Driver::Systemd),
            unified: true,
            swap: true,
        },
        huge_pages: vec!["2MB".into(), "1GB".into()],
        masked_paths: vec![masked(0), masked(1)],
        root: "/var/lib/staticpodd".into(),
        logs: "/var/log/pods".into(),
        ..Node::default()
    }
}

fn named(file: &str, text: &str) -> Pod {
    let origin = Origin::File(format!("/etc/kubernetes/manifests/{file}.yaml"));
    let reading = pod::read(&origin, file, text.as_bytes());
    assert!(reading.is_sound(), "{:?}", reading.errors());
    let manifest = reading.items.first().unwrap().manifest.as_ref().unwrap();
    let on = pod::Node {
        name: "n1".into(),
        suffix: true,
    };
    let seen = api::Time("2026-01-02T03:04:05Z".parse().unwrap());
    pod::name(manifest, &on, &seen).unwrap()
}

/// What the other half would have put on the host.
fn prepared(pod: &Pod, container: &api::Container) -> Prepared {
    let spec = pod.api.spec.as_ref().unwrap();
    let own = format!("/var/lib/staticpodd/pods/{}", pod.uid);
    let volume = |mount: &api::VolumeMount| {
        let volumes = spec.volumes.as_deref().unwrap_or_default();
        let volume = volumes.iter().find(|volume| volume.name == mount.name);
        match &volume.unwrap().host_path {
            Some(host) => Volume {
                path: host.path.clone(),
                ..Volume::default()
            },
            None => Volume {
                path: format!("{own}/volumes/{}", mount.name),
                own: true,
                ..Volume::default()
            },
        }
    };
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    Prepared {
        volumes: mounts.iter().map(volume).collect(),
        hosts: Some(format!("{own}/etc-hosts")),
        termination_log: Some(format!("{own}/containers/{}/0a1b2c3d", container.name)),
    }
}

fn asked(pod: &Pod) -> Value {
    let node = node();
    let spec = pod.api.spec.as_ref().unwrap();
    let ips = ["10.1.0.4".to_owned()];
    let host = hostname::of(pod, &node.dns).unwrap();
    let text = if spec.host_network == Some(true) {
        hosts::on_host(pod, "127.0.0.1\tlocalhost\n")
    } else {
        hosts::of_pod(pod, &host, &ips)
    };
    let init = spec.init_containers.iter().flatten();
    let containers: Vec<Value> = init
        .chain(&spec.containers)
        .map(|wanted| {
            let start = Start {
                restart_count: 1,
                image: "sha256:1111".into(),
                user: ImageUser::Root,
                environment: environment(pod, &node, wanted, &ips, &|_| Ok(None)).unwrap(),
                prepared: prepared(pod, wanted),
            };
            json::container(&container(pod, &node, wanted, &start).unwrap())
        })
        .collect();
    let lines: Vec<&str> = text.lines().collect();
    json!({
        "sandbox": json::sandbox(&sandbox(pod, &node, 2).unwrap()),
        "hosts": lines,
        "containers": containers,
    })
}

/// Compares with the file beside the manifest. Where they differ, what was made is written to the
/// directory of temporary files, to be looked at and, when it is right, copied.
fn check(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let text = fs::read_to_string(folder.join(format!("{name}.yaml"))).unwrap();
    let made = serde_json::to_string_pretty(&asked(&named(name, &text))).unwrap() + "\n";
    let golden = fs::read_to_string(folder.join(format!("{name}.json"))).unwrap_or_default();
    if made != golden {
        let actual = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.json"));
        fs::write(&actual, &made).unwrap();
        panic!("{name}.json is not what was made: see {}", actual.display());
    }
}

#[test]
fn a_kms_plugin_gets_its_sockets_directory_and_nothing_it_could_break_out_with() {
    check("kms");
}

#[test]
fn etcd_gets_its_data_and_is_killed_last() {
    check("etcd");
}

#[test]
fn an_api_server_gets_its_user_its_groups_and_the_nodes_network() {
    check("apiserver");
}

#[test]
fn an_appliance_gets_privileged_tasks_in_a_privileged_sandbox_and_a_sidecar() {
    check("appliance");
}
