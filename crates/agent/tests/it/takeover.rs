//! What a kubelet has left on the runtime, where it is taken over.

use std::time::Duration;

use cri::{
    Call, Runtime as _,
    v1::{
        ContainerConfig, ContainerMetadata, CreateContainerRequest, ImageSpec,
        LinuxPodSandboxConfig, LinuxSandboxSecurityContext, NamespaceMode, NamespaceOption,
        PodSandboxConfig, PodSandboxMetadata, RunPodSandboxRequest,
    },
};

use crate::rig::{IMAGE, Rig, work};

/// A pod as a kubelet makes it, with one container that runs and takes so long to stop.
async fn kubelets(rig: &Rig, name: &str, source: &str, drain: u32) {
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
            security_context: Some(LinuxSandboxSecurityContext {
                namespace_options: Some(options),
                ..LinuxSandboxSecurityContext::default()
            }),
            ..LinuxPodSandboxConfig::default()
        }),
        ..PodSandboxConfig::default()
    };
    let request = RunPodSandboxRequest {
        config: Some(config.clone()),
        ..RunPodSandboxRequest::default()
    };
    let sandbox = rig.fake.run_pod_sandbox(request).await.unwrap();
    let grace = ("io.kubernetes.pod.terminationGracePeriod", "7");
    let request = CreateContainerRequest {
        pod_sandbox_id: sandbox,
        sandbox_config: Some(config),
        config: Some(ContainerConfig {
            metadata: Some(ContainerMetadata {
                name: "main".into(),
                attempt: 4,
            }),
            image: Some(ImageSpec {
                image: IMAGE.into(),
                ..ImageSpec::default()
            }),
            args: vec![format!("drain={drain}"), "hang".into()],
            annotations: [(grace.0.into(), grace.1.into())].into(),
            ..ContainerConfig::default()
        }),
    };
    let container = rig.fake.create_container(request).await.unwrap();
    rig.fake.start_container(&container).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_kubelets_pods_make_room_one_by_one_and_those_of_an_api_server_stay() {
    let mut rig = Rig::new();
    rig.take_over = true;
    kubelets(&rig, "web", "file", 5_000).await;
    kubelets(&rig, "old", "http", 0).await;
    kubelets(&rig, "proxy", "api", 0).await;
    rig.write("web", &work("hang"));
    rig.write("proxy", &work("hang"));
    rig.say(false);
    rig.fake.forget_calls();
    rig.start().await;

    let took = rig.until_ready("web").await;
    let drained = Duration::from_secs(5)..Duration::from_secs(7);
    assert!(drained.contains(&took), "{took:?}");
    let running = rig.running().await;
    assert!(running.contains_key("old-n1/main"), "not all was read");

    // Everything was read: what no manifest names goes.
    rig.tell();
    rig.until("old is gone", async |rig: &Rig| {
        !rig.running().await.contains_key("old-n1/main")
    })
    .await;
    rig.pass(30).await;
    let running: Vec<String> = rig.running().await.into_keys().collect();
    assert_eq!(running, ["proxy-n1/main", "web-n1/main"]);
    assert!(!rig.ready("proxy").await, "the API server's holds the name");
    assert!(rig.pod("old").await.is_none());
    assert_eq!(rig.count(Call::StopContainer), 2);
    assert_eq!(rig.count(Call::RunPodSandbox), 1);
    assert_eq!(rig.count(Call::RemovePodSandbox), 0, "left to be found");
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_kubelets_is_touched_by_an_agent_that_does_not_take_over() {
    let mut rig = Rig::new();
    kubelets(&rig, "web", "file", 0).await;
    kubelets(&rig, "old", "file", 0).await;
    rig.write("web", &work("hang"));
    rig.tell();
    rig.fake.forget_calls();
    rig.start().await;
    rig.pass(60).await;
    assert!(rig.deeds().is_empty(), "{:?}", rig.deeds());
}
