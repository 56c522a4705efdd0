//! What holds when something dies. One after the other: they shake the whole runtime.

use std::time::Duration;

use cri::{
    Fault,
    v1::{ContainerState, NamespaceMode, NamespaceOption, PodSandboxState, RunPodSandboxRequest},
};

use super::ground::{Ground, Pod, container, eventually, refused, words};

pub(super) async fn a_sandbox_whose_pause_is_killed_is_not_ready(ground: &dyn Ground) {
    let pod = Pod::run(ground, "pauseless").await;
    let id = pod.start("web", &["hang"]).await;
    let mut sharing = container(ground, "sharing", &["hang"]);
    let linux = sharing
        .linux
        .as_mut()
        .and_then(|linux| linux.security_context.as_mut());
    if let Some(security) = linux {
        security.namespace_options = Some(NamespaceOption {
            network: NamespaceMode::Node.into(),
            pid: NamespaceMode::Pod.into(),
            ..NamespaceOption::default()
        });
    }
    let sharing = pod.create(sharing).await.expect("created");
    pod.runtime()
        .start_container(&sharing)
        .await
        .expect("started");
    ground.kill_task(&pod.id);
    eventually("the sandbox is not ready", async || {
        (pod.sandbox_state().await == PodSandboxState::SandboxNotready).then_some(())
    })
    .await;
    assert_eq!(
        pod.end_of(&sharing).await.exit_code,
        137,
        "its processes are the sandbox'"
    );
    assert_eq!(
        pod.state(&id).await,
        ContainerState::ContainerRunning,
        "nobody told it"
    );
    let fault = refused(
        pod.create(container(ground, "late", &["hang"])).await,
        "too late",
    );
    assert!(fault.is_not_found(), "{fault}");
    pod.runtime()
        .stop_pod_sandbox(&pod.id)
        .await
        .expect("it stops");
    assert_eq!(pod.end_of(&id).await.exit_code, 137);
    pod.remove().await;
}

pub(super) async fn a_shim_takes_its_pod_along(ground: &dyn Ground) {
    let pod = Pod::run(ground, "shimless").await;
    let id = pod.start("web", &["hang"]).await;
    ground.kill_shim(&pod.id);
    let status = pod.end_of(&id).await;
    // Which code depends on who notices first.
    assert!(matches!(status.exit_code, 137 | 255), "{status:?}");
    assert_eq!(status.reason, "Error");
    eventually("the sandbox is not ready", async || {
        (pod.sandbox_state().await == PodSandboxState::SandboxNotready).then_some(())
    })
    .await;
    pod.remove().await;
}

pub(super) async fn containers_outlive_the_runtime(ground: &dyn Ground) {
    let pod = Pod::run(ground, "outlives").await;
    let id = pod.start("web", &["tick=20"]).await;
    let dies = pod.start("dies", &["hang"]).await;
    pod.says("web", "F 1\n").await;
    let before = pod.status(&id).await;
    let runtime = ground.runtime();
    ground.kill_runtime();
    let fault = refused(runtime.version().await, "nobody is there");
    assert!(matches!(fault.fault, Fault::Unavailable { .. }), "{fault}");
    let fault = refused(
        runtime.container_status(&id, false).await.map(|_| ()),
        "nobody is there",
    );
    assert!(matches!(fault.fault, Fault::Unavailable { .. }), "{fault}");
    ground.kill_task(&dies);
    ground.start_runtime();
    pod.answered().await;
    let after = pod.status(&id).await;
    assert_eq!(after, before, "nothing happened to it");
    assert_eq!(pod.sandbox_state().await, PodSandboxState::SandboxReady);
    let ended = pod.end_of(&dies).await;
    assert_eq!((ended.exit_code, ended.reason.as_str()), (137, "Error"));
    let seen = pod.log("web").len();
    eventually("the log goes on", async || {
        (pod.log("web").len() > seen).then_some(())
    })
    .await;
    let answer = runtime
        .exec_sync(
            &id,
            &words(&["/workload", "exit=4"]),
            Duration::from_secs(10),
        )
        .await
        .expect("commands run");
    assert_eq!(answer.exit_code, 4);
    runtime
        .stop_container(&id, Duration::from_secs(30))
        .await
        .expect("it stops");
    assert_eq!(pod.status(&id).await.exit_code, 0);
    pod.remove().await;
}

pub(super) async fn a_reboot_leaves_the_dead_on_record(ground: &dyn Ground) {
    let pod = Pod::run(ground, "reboots").await;
    let id = pod.start("web", &["out=up", "hang"]).await;
    let done = pod.ended("done", &["exit=0"]).await;
    let made = pod
        .create(container(ground, "made", &["hang"]))
        .await
        .expect("created");
    ground.reboot();
    pod.answered().await;
    assert_eq!(pod.sandbox_state().await, PodSandboxState::SandboxNotready);
    let status = pod.status(&id).await;
    assert_eq!(status.state(), ContainerState::ContainerExited);
    assert_eq!((status.exit_code, status.reason.as_str()), (255, "Unknown"));
    assert_eq!(
        pod.status(&done.id).await,
        done,
        "what had ended has ended as it did"
    );
    assert_eq!(pod.state(&made).await, ContainerState::ContainerCreated);
    refused(
        ground.runtime().start_container(&made).await,
        "its sandbox is gone",
    );
    let mut next = pod.config.clone();
    if let Some(name) = next.metadata.as_mut() {
        name.attempt = 1;
    }
    let request = RunPodSandboxRequest {
        config: Some(next.clone()),
        runtime_handler: String::new(),
    };
    let runtime = ground.runtime();
    let second = runtime
        .run_pod_sandbox(request)
        .await
        .expect("the next attempt runs");
    let second = Pod {
        ground,
        config: next,
        id: second,
    };
    let mut config = container(ground, "web", &["out=again", "hang"]);
    if let Some(name) = config.metadata.as_mut() {
        name.attempt = 1;
    }
    config.log_path = "web/1.log".to_owned();
    std::fs::create_dir_all(format!("{}/web", second.config.log_directory)).expect("a folder");
    let id = second.create(config).await.expect("created");
    runtime.start_container(&id).await.expect("started");
    assert_eq!(second.state(&id).await, ContainerState::ContainerRunning);
    pod.remove().await;
    second.remove().await;
}
