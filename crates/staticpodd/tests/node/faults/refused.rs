//! What is dangerous to accept is refused, with the reason.

use std::fs;

use cri::{
    Runtime as _,
    v1::{
        LinuxPodSandboxConfig, LinuxSandboxSecurityContext, NamespaceMode, NamespaceOption,
        PodSandboxConfig, PodSandboxMetadata, RunPodSandboxRequest,
    },
};
use pod_rig::{Builder, pod};
use serde_json::json;

use super::case::{Case, Row, mode, untouched, while_it_looks};

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            id: "S1",
            what: "others can write to a manifest",
            pods: "nothing of it is used: its pod, if it runs, runs on as it was; the others run on",
            well: "at once, when the file has another mode",
            run: writable_file,
        },
        Row {
            id: "S2",
            what: "others can write to the directory of manifests",
            pods: "run on; nothing in the directory is used",
            well: "within a second, when the directory has another mode",
            run: writable_directory,
        },
        Row {
            id: "S3",
            what: "a manifest refers to Secrets, ConfigMaps or other objects of an API server",
            pods: "nothing of it is used; the others run on",
            well: "with the next edit",
            run: api_objects,
        },
        Row {
            id: "S4",
            what: "a URL of another host is plain http, without `--insecure-manifest-url`",
            pods: "run on; the agent does not start",
            well: "with the next start",
            run: plain_http,
        },
        Row {
            id: "S5",
            what: "a kubelet's static pods are on the runtime",
            pods: "run on; the agent does not start",
            well: "with the next start",
            run: pods_of_a_kubelet,
        },
        Row {
            id: "S6",
            what: "a second agent is started for a root directory",
            pods: "run on under the first one",
            well: "",
            run: second_agent,
        },
    ]
}

fn writable_file(case: &mut Case) {
    let node = case.node();
    node.put("web", &pod("web", &["hang"]));
    let before = vec![node.until_runs("web", "main")];
    let bad = node.manifests().join("bad.yaml");
    fs::write(
        node.manifests().join(".bad"),
        pod("bad", &["hang"]).to_string(),
    )
    .unwrap();
    mode(&node.manifests().join(".bad"), 0o666);
    fs::rename(node.manifests().join(".bad"), &bad).unwrap();
    case.sees(&node, "manifest.refused", "has mode 0666");
    while_it_looks();
    untouched(&node, &before);
    mode(&bad, 0o644);
    case.ends();
    case.is_well(&node, |node| node.runs("bad", "main").is_some());
}

fn writable_directory(case: &mut Case) {
    let node = case.node();
    node.put("web", &pod("web", &["hang"]));
    let before = vec![node.until_runs("web", "main")];
    mode(&node.manifests(), 0o777);
    node.put("bad", &pod("bad", &["hang"]));
    case.sees(&node, "source.unreadable", "has mode 0777");
    while_it_looks();
    untouched(&node, &before);
    node.remove("web");
    while_it_looks();
    untouched(&node, &before);
    node.put("web", &pod("web", &["hang"]));
    mode(&node.manifests(), 0o755);
    case.ends();
    case.is_well(&node, |node| node.runs("bad", "main").is_some());
    assert_eq!(node.until_runs("web", "main"), before[0]);
}

fn api_objects(case: &mut Case) {
    let node = case.node();
    node.put("web", &pod("web", &["hang"]));
    let before = vec![node.until_runs("web", "main")];
    let mut bad = pod("bad", &["hang"]);
    bad["spec"]["volumes"] = json!([{"name": "s", "secret": {"secretName": "token"}}]);
    node.put("bad", &bad);
    case.sees(&node, "manifest.refused", "spec.volumes[0].secret");
    let mut worse = pod("worse", &["hang"]);
    worse["spec"]["serviceAccountName"] = "default".into();
    node.put("worse", &worse);
    case.sees(&node, "manifest.refused", "spec.serviceAccountName");
    while_it_looks();
    untouched(&node, &before);
    node.put("bad", &pod("bad", &["hang"]));
    case.ends();
    case.is_well(&node, |node| node.runs("bad", "main").is_some());
}

fn plain_http(case: &mut Case) {
    let node = case.builder().build();
    node.flag("--manifest-url");
    node.flag("http://node.example/pods.yaml");
    let refused = node.command().output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("--insecure-manifest-url"), "{said}");
    case.shows("exit code 2, and a sentence that names the flag");
}

fn pods_of_a_kubelet(case: &mut Case) {
    let node = Builder::new(crate::program()).name("s5").build();
    let mut options = NamespaceOption::default();
    options.set_network(NamespaceMode::Node);
    let config = PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: "etcd-n1".into(),
            uid: "u".into(),
            namespace: "kube-system".into(),
            attempt: 0,
        }),
        annotations: [("kubernetes.io/config.source".into(), "file".into())].into(),
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: format!("{}/podu", node.rig().cgroup()),
            security_context: Some(LinuxSandboxSecurityContext {
                namespace_options: Some(options),
                ..LinuxSandboxSecurityContext::default()
            }),
            ..LinuxPodSandboxConfig::default()
        }),
        ..PodSandboxConfig::default()
    };
    node.ask(async |client| {
        let request = RunPodSandboxRequest {
            config: Some(config),
            ..RunPodSandboxRequest::default()
        };
        client.run_pod_sandbox(request).await.unwrap()
    });
    let said = node.refused();
    assert!(said.contains("kube-system/etcd-n1"), "{said}");
    case.shows("`process.failed` names the pods, exit code 3");
}

fn second_agent(case: &mut Case) {
    let node = case.node();
    node.put("web", &pod("web", &["hang"]));
    let before = vec![node.until_runs("web", "main")];
    let said = node.refused();
    assert!(said.contains("another agent holds"), "{said}");
    untouched(&node, &before);
    case.shows("`process.failed`: `another agent holds`, exit code 3");
}
