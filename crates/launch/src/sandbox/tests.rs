use super::*;
use crate::fixtures::{node, pod};
use serde_json::{Value, json};

fn made(spec: Value) -> v1::PodSandboxConfig {
    sandbox(&pod("web-n1", spec), &node(), 0).unwrap()
}

fn security(spec: Value) -> v1::LinuxSandboxSecurityContext {
    made(spec).linux.unwrap().security_context.unwrap()
}

#[test]
fn a_sandbox_is_named_after_its_pod_and_attempt() {
    let made = sandbox(&pod("web-n1", json!({})), &node(), 3).unwrap();
    let name = made.metadata.unwrap();
    assert_eq!(
        (name.name.as_str(), name.namespace.as_str()),
        ("web-n1", "ns")
    );
    assert_eq!((name.uid.as_str(), name.attempt), ("u-1", 3));
    assert_eq!(made.log_directory, "/var/log/pods/ns_web-n1_u-1");
}

#[test]
fn labels_and_annotations_of_the_pod_are_kept_but_cannot_lie_about_who_it_is() {
    let mut pod = pod("web-n1", json!({}));
    let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let owned = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        owned.collect()
    };
    pod.api.metadata.labels = Some(map(&[("app", "web"), (marks::POD_UID, "other")]));
    pod.api.metadata.annotations = Some(map(&[
        ("kubernetes.io/config.source", "file"),
        (marks::OWNER, "somebody"),
    ]));
    let made = sandbox(&pod, &node(), 0).unwrap();
    assert_eq!(
        made.labels,
        map(&[
            ("app", "web"),
            ("io.kubernetes.pod.name", "web-n1"),
            ("io.kubernetes.pod.namespace", "ns"),
            ("io.kubernetes.pod.uid", "u-1"),
        ])
    );
    assert_eq!(
        made.annotations,
        map(&[("kubernetes.io/config.source", "file")])
    );
}

#[test]
fn a_uid_that_is_a_path_names_no_directory() {
    let long = "a".repeat(129);
    for uid in ["", ".", "..", "../x", "a/b", "a b", ".a", "a\0", "é", &long] {
        let mut pod = pod("web", json!({}));
        pod.uid = uid.to_owned();
        assert_eq!(sandbox(&pod, &node(), 0), Err(Reason::Uid(uid.to_owned())));
    }
    let dashed = check_uid("7c2f5a3e-6d0b-4a7e-9d55-3f2f5d3a1b00");
    assert_eq!((dashed, check_uid("a..b")), (Ok(()), Ok(())));
}

#[test]
fn only_a_network_of_its_own_has_a_host_name() {
    assert_eq!(made(json!({})).hostname, "web-n1");
    assert_eq!(made(json!({"hostname": "front"})).hostname, "front");
    assert_eq!(
        made(json!({"hostname": "front", "hostNetwork": true})).hostname,
        ""
    );
    let long = json!({"subdomain": "s".repeat(63), "setHostnameAsFQDN": true});
    let refused = sandbox(&pod("web", long), &node(), 0).unwrap_err();
    assert_eq!(refused.code(), "FailedCreatePodSandBox");
}

#[test]
fn every_port_of_a_regular_container_is_mapped_once() {
    let ports = json!([
        {"containerPort": 80, "hostPort": 8080, "hostIP": "127.0.0.1", "protocol": "TCP"},
        {"containerPort": 53, "hostPort": 53, "protocol": "UDP"},
        {"name": "again", "containerPort": 53, "hostPort": 53, "protocol": "UDP"},
        {"containerPort": 9, "protocol": "SCTP"},
        {"containerPort": 90},
    ]);
    let made = made(json!({
        "initContainers": [{"name": "i", "restartPolicy": "Always", "ports": [{"containerPort": 1}]}],
        "containers": [{"name": "a", "ports": ports}, {"name": "b", "ports": [{"containerPort": 7}]}],
    }));
    let mapped: Vec<_> = made
        .port_mappings
        .iter()
        .map(|port| {
            (
                port.protocol(),
                port.container_port,
                port.host_port,
                port.host_ip.as_str(),
            )
        })
        .collect();
    use v1::Protocol::{Sctp, Tcp, Udp};
    assert_eq!(
        mapped,
        [
            (Tcp, 80, 8080, "127.0.0.1"),
            (Udp, 53, 53, ""),
            (Sctp, 9, 0, ""),
            (Tcp, 90, 0, ""),
            (Tcp, 7, 0, ""),
        ]
    );
}

#[test]
fn one_privileged_container_of_any_kind_makes_the_sandbox_privileged() {
    let container = |name: &str, privileged: bool| json!({"name": name, "securityContext": {"privileged": privileged}});
    for (init, main, expected) in [
        (false, false, false),
        (true, false, true),
        (false, true, true),
    ] {
        let spec =
            json!({"initContainers": [container("i", init)], "containers": [container("m", main)]});
        assert_eq!(security(spec).privileged, expected, "{init} {main}");
    }
    assert!(!security(json!({})).privileged);
}

#[test]
fn the_sandbox_runs_as_the_pod_says_under_the_runtimes_own_filter() {
    let found = security(json!({"securityContext": {
        "runAsUser": 5, "runAsGroup": 6, "fsGroup": 9, "supplementalGroups": [3],
        "seLinuxOptions": {"level": "s0"}, "seccompProfile": {"type": "Unconfined"},
    }}));
    assert_eq!(found.run_as_user.unwrap().value, 5);
    assert_eq!(found.run_as_group.unwrap().value, 6);
    assert_eq!(found.supplemental_groups, [9, 3]);
    assert_eq!(found.selinux_options.unwrap().level, "s0");
    let seccomp = found.seccomp.unwrap();
    assert_eq!(
        seccomp.profile_type(),
        v1::security_profile::ProfileType::RuntimeDefault
    );
    let group_alone = security(json!({"securityContext": {"runAsGroup": 6}}));
    assert_eq!(
        (group_alone.run_as_user, group_alone.run_as_group),
        (None, None)
    );
}

#[test]
fn sysctls_are_written_with_dots() {
    let sysctls = json!([
        {"name": "net.ipv4.tcp_syncookies", "value": "1"},
        {"name": "net/ipv4/ping_group_range", "value": "0 1"},
    ]);
    let linux = made(json!({"securityContext": {"sysctls": sysctls}}))
        .linux
        .unwrap();
    assert_eq!(
        linux.sysctls.into_iter().collect::<Vec<_>>(),
        [
            ("net.ipv4.ping_group_range", "0 1"),
            ("net.ipv4.tcp_syncookies", "1")
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    for (written, name) in [
        ("net/ipv4/conf/eth0.1/arp", "net.ipv4.conf.eth0/1.arp"),
        ("net.ipv4.conf.eth0/1.arp", "net.ipv4.conf.eth0/1.arp"),
        ("kernel", "kernel"),
    ] {
        assert_eq!(dotted(written), name);
    }
}

#[test]
fn runtime_classes_come_from_the_agents_table() {
    let node = Node {
        handlers: [("vm".to_owned(), "kata".to_owned())].into(),
        ..node()
    };
    let found = |class: Value| handler(&pod("p", json!({"runtimeClassName": class})), &node);
    assert_eq!(found(json!(null)), Ok(String::new()));
    assert_eq!(found(json!("")), Ok(String::new()));
    assert_eq!(found(json!("vm")), Ok("kata".into()));
    assert_eq!(
        found(json!("gvisor")),
        Err(Reason::RuntimeClass("gvisor".into()))
    );
}

#[test]
fn user_namespaces_are_refused_and_not_left_out() {
    let refused = sandbox(&pod("p", json!({"hostUsers": false})), &node(), 0);
    assert_eq!(refused, Err(Reason::UserNamespace));
    assert!(sandbox(&pod("p", json!({"hostUsers": true})), &node(), 0).is_ok());
}
