//! Beside a kubelet and after it, on containerd.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use cri::{
    Runtime as _,
    v1::{
        ContainerConfig, ContainerMetadata, CreateContainerRequest, ImageSpec,
        LinuxPodSandboxConfig, LinuxSandboxSecurityContext, NamespaceMode, NamespaceOption,
        PodSandboxConfig, PodSandboxMetadata, RunPodSandboxRequest,
    },
};
use pod_rig::{Node, can_run, image, pod};

/// A pod as a kubelet makes it, whose container runs.
fn kubelets(node: &Node, name: &str, source: &str, words: &[&str]) {
    let mut options = NamespaceOption::default();
    options.set_network(NamespaceMode::Node);
    let config = PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: format!("{name}-n1"),
            uid: format!("kubelet-{name}"),
            namespace: "default".into(),
            attempt: 0,
        }),
        annotations: [("kubernetes.io/config.source".into(), source.into())].into(),
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: format!("{}/pod{name}", node.rig().cgroup()),
            security_context: Some(LinuxSandboxSecurityContext {
                namespace_options: Some(options),
                ..LinuxSandboxSecurityContext::default()
            }),
            ..LinuxPodSandboxConfig::default()
        }),
        ..PodSandboxConfig::default()
    };
    let label = |label: &str, value: &str| (format!("io.kubernetes.{label}"), value.to_owned());
    let mut request = CreateContainerRequest {
        pod_sandbox_id: String::new(),
        sandbox_config: Some(config.clone()),
        config: Some(ContainerConfig {
            metadata: Some(ContainerMetadata {
                name: "main".into(),
                attempt: 0,
            }),
            image: Some(ImageSpec {
                image: image().into(),
                ..ImageSpec::default()
            }),
            args: words.iter().map(|word| (*word).to_owned()).collect(),
            labels: [
                label("pod.name", &format!("{name}-n1")),
                label("pod.namespace", "default"),
                label("container.name", "main"),
            ]
            .into(),
            ..ContainerConfig::default()
        }),
    };
    node.ask(async |client| {
        let config = RunPodSandboxRequest {
            config: Some(config),
            ..RunPodSandboxRequest::default()
        };
        request.pod_sandbox_id = client.run_pod_sandbox(config).await.unwrap();
        let container = client.create_container(request).await.unwrap();
        client.start_container(&container).await.unwrap();
    });
}

/// A process that looks like a kubelet.
struct Kubelet(Child);

impl Kubelet {
    fn start(arguments: &[String]) -> Self {
        // The shell reads its input for ever, and calls its arguments its own.
        let started = Command::new("sh")
            .arg0("kubelet")
            .args(["-c", "read line", "kubelet"])
            .args(arguments)
            .stdin(Stdio::piped())
            .spawn();
        Self(started.unwrap())
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Pods of which something runs, by the names of their manifests, with the agent's mark or not.
fn running(node: &Node) -> Vec<(String, bool)> {
    let sandboxes = node.sandboxes();
    let mut found: Vec<_> = node
        .running()
        .into_iter()
        .map(|instance| {
            let mut sandboxes = sandboxes.iter();
            let sandbox = sandboxes.find(|sandbox| sandbox.id == instance.sandbox);
            let ours = sandbox
                .unwrap()
                .annotations
                .contains_key("staticpodd/owner");
            (instance.pod.trim_end_matches("-n1").to_owned(), ours)
        })
        .collect();
    found.sort();
    found
}

#[test]
fn an_agent_refuses_to_start_beside_a_kubelet_and_takes_over_after_it() {
    if !can_run() {
        return;
    }
    let mut node = Node::new(Path::new(env!("CARGO_BIN_EXE_staticpodd")));
    let serve = ["serve=127.0.0.1:8080=theirs", "hang"];
    kubelets(&node, "web", "file", &serve);
    kubelets(&node, "old", "http", &["hang"]);
    kubelets(&node, "proxy", "api", &["hang"]);
    node.until("its web server answers", |node| {
        node.get("127.0.0.1:8080", "/").contains("theirs")
    });
    node.put("web", &pod("web", &["serve=127.0.0.1:8080=ours", "hang"]));

    // Its pods run, so nothing starts; nor while it lives, whatever the flag says.
    let why = node.refused();
    assert!(why.contains("(default/old-n1, default/web-n1)"), "{why}");
    node.flag("--take-over");
    let endpoint = node.rig().endpoint().to_string();
    let config = node.home().join("kubelet.yaml");
    fs::write(&config, format!("containerRuntimeEndpoint: {endpoint}\n")).unwrap();
    let kubelet = Kubelet::start(&["--config".into(), config.display().to_string()]);
    let why = node.refused();
    let pid = kubelet.0.id();
    assert!(why.contains(&format!("runs as process {pid} ")), "{why}");
    drop(kubelet);
    let stranger = Kubelet::start(&["--container-runtime-endpoint=unix:///run/none.sock".into()]);

    node.start();
    node.until("the web server is ours", |node| {
        node.get("127.0.0.1:8080", "/").contains("ours")
    });
    let expected = [("proxy", false), ("web", true)].map(|(name, ours)| (name.to_owned(), ours));
    node.until("nothing else runs", |node| running(node) == expected);
    drop(stranger);

    // The next start needs no flag: what is left of the kubelet's pods does not run.
    node.stop();
    node.unflag("--take-over");
    node.start();
    assert_eq!(running(&node), expected);

    // Another directory in the place of the first changes nothing until it is accepted.
    let (folder, away) = (node.manifests(), node.home().join("away"));
    fs::rename(&folder, away).unwrap();
    fs::create_dir(&folder).unwrap();
    node.until("it is noticed", |node| {
        node.said("source.unreadable", "another directory than before")
    });
    assert_eq!(running(&node), expected);
    node.hang_up();
    node.until("the pod is gone", |node| running(node) == expected[..1]);
    node.stop();

    // A kubelet that would read the same manifests.
    let flag = format!("--pod-manifest-path={}", folder.display());
    let _kubelet = Kubelet::start(&[
        flag,
        "--container-runtime-endpoint=unix:///run/none.sock".into(),
    ]);
    let why = node.refused();
    assert!(
        why.contains("is also the manifest directory of the kubelet that runs"),
        "{why}"
    );
}
