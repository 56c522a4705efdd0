//! Sandboxes, their names, and what a container needs of them. Every scenario has pods of its own
//! and may run beside the others.

use cri::{
    Fault,
    v1::{
        ContainerFilter, ContainerState, LinuxContainerResources, PodSandboxFilter,
        PodSandboxState, PodSandboxStateValue, RunPodSandboxRequest,
        UpdateContainerResourcesRequest,
    },
};

use super::ground::{Ground, Pod, container, refused, sandbox};

pub(super) async fn a_runtime_says_what_it_is(ground: &dyn Ground) {
    let runtime = ground.runtime();
    let version = runtime.version().await.expect("a version");
    assert_eq!(version.runtime_api_version, "v1");
    assert!(!version.runtime_name.is_empty() && !version.runtime_version.is_empty());
    let status = runtime.status(true).await.expect("a status");
    let conditions = status.status.unwrap_or_default().conditions;
    let ready = |kind: &str| {
        conditions
            .iter()
            .find(|one| one.r#type == kind)
            .map(|one| one.status)
    };
    assert_eq!(ready("RuntimeReady"), Some(true));
    assert_eq!(
        ready("NetworkReady"),
        Some(false),
        "there is no CNI configuration"
    );
    assert!(!status.info.is_empty(), "verbose");
    let quiet = runtime.status(false).await.expect("a status");
    assert!(quiet.info.is_empty());
    let filesystems = runtime.image_fs_info().await.expect("where images are");
    assert!(!filesystems.is_empty());
}

pub(super) async fn a_pod_runs_and_is_found_by_its_labels(ground: &dyn Ground) {
    let pod = Pod::run(ground, "found").await;
    let other = Pod::run(ground, "other").await;
    let id = pod.start("web", &["hang"]).await;
    let runtime = ground.runtime();
    let by_uid = |uid: &str| [("io.kubernetes.pod.uid".to_owned(), uid.to_owned())].into();
    let filter = PodSandboxFilter {
        label_selector: by_uid(&pod.uid()),
        ..PodSandboxFilter::default()
    };
    let found = runtime
        .list_pod_sandbox(Some(filter.clone()))
        .await
        .expect("a list");
    let [only] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(only.id, pod.id);
    assert_eq!(only.metadata, pod.config.metadata);
    assert_eq!(only.labels, pod.config.labels);
    assert_eq!(only.annotations, pod.config.annotations);
    assert_eq!(only.state(), PodSandboxState::SandboxReady);
    assert!(only.created_at > 0);
    let stopped = PodSandboxFilter {
        state: Some(PodSandboxStateValue {
            state: PodSandboxState::SandboxNotready.into(),
        }),
        ..filter
    };
    assert_eq!(
        runtime
            .list_pod_sandbox(Some(stopped))
            .await
            .expect("a list"),
        []
    );
    let all = runtime.list_pod_sandbox(None).await.expect("a list");
    assert!(all.iter().any(|one| one.id == other.id) && all.iter().any(|one| one.id == pod.id));
    let status = runtime
        .pod_sandbox_status(&pod.id, false)
        .await
        .expect("a status")
        .status;
    assert_eq!(
        status.network.unwrap_or_default().ip,
        "",
        "the network is the node's"
    );
    assert_eq!(status.annotations, pod.config.annotations);

    let filter = ContainerFilter {
        pod_sandbox_id: pod.id.clone(),
        ..ContainerFilter::default()
    };
    let found = runtime.list_containers(Some(filter)).await.expect("a list");
    let [only] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(only.id, id);
    assert_eq!(only.pod_sandbox_id, pod.id);
    assert_eq!(only.metadata.clone().unwrap_or_default().name, "web");
    assert_eq!(only.state(), ContainerState::ContainerRunning);
    assert_eq!(only.annotations.len(), 1);
    let named = ContainerFilter {
        label_selector: [(
            "io.kubernetes.container.name".to_owned(),
            "nobody".to_owned(),
        )]
        .into(),
        ..ContainerFilter::default()
    };
    assert_eq!(
        runtime.list_containers(Some(named)).await.expect("a list"),
        []
    );
    let status = pod.status(&id).await;
    assert!(status.created_at <= status.started_at && status.started_at > 0);
    assert_eq!(status.finished_at, 0);
    assert!(status.log_path.ends_with("/web.log") && status.log_path.starts_with('/'));
    assert_eq!(status.image.unwrap_or_default().image, ground.image());
    let image = runtime.image_status(&ground.image()).await.expect("images");
    let image = image.expect("it is there");
    assert!(image.id.starts_with("sha256:"));
    assert_eq!(only.image_ref, image.id, "a list names the image by its id");
    assert_eq!(
        image.repo_digests,
        [status.image_ref],
        "a status by its digest"
    );
    pod.remove().await;
    other.remove().await;
}

pub(super) async fn a_name_is_taken_until_its_owner_is_removed(ground: &dyn Ground) {
    let pod = Pod::run(ground, "taken").await;
    let runtime = ground.runtime();
    let again = || RunPodSandboxRequest {
        config: Some(pod.config.clone()),
        runtime_handler: String::new(),
    };
    let fault = refused(runtime.run_pod_sandbox(again()).await, "a second sandbox");
    assert!(
        matches!(&fault.fault, Fault::AlreadyReserved { holder: Some(holder), .. } if *holder == pod.id),
        "{fault}"
    );
    runtime.stop_pod_sandbox(&pod.id).await.expect("it stops");
    assert_eq!(pod.sandbox_state().await, PodSandboxState::SandboxNotready);
    let fault = refused(
        runtime.run_pod_sandbox(again()).await,
        "while it is stopped",
    );
    assert!(
        matches!(fault.fault, Fault::AlreadyReserved { .. }),
        "{fault}"
    );
    let mut next = again();
    if let Some(name) = next
        .config
        .as_mut()
        .and_then(|config| config.metadata.as_mut())
    {
        name.attempt = 1;
    }
    let second = runtime
        .run_pod_sandbox(next)
        .await
        .expect("the next attempt is free");
    runtime
        .remove_pod_sandbox(&pod.id)
        .await
        .expect("it is removed");
    let third = runtime
        .run_pod_sandbox(again())
        .await
        .expect("the name is free");

    let pod = Pod { id: third, ..pod };
    let id = pod.start("web", &["exit=0"]).await;
    pod.end_of(&id).await;
    let config = || container(ground, "web", &["exit=0"]);
    let fault = refused(pod.create(config()).await, "a second container");
    assert!(
        matches!(&fault.fault, Fault::AlreadyReserved { holder: Some(holder), .. } if *holder == id),
        "{fault}"
    );
    let mut next = config();
    if let Some(name) = next.metadata.as_mut() {
        name.attempt = 1;
    }
    pod.create(next).await.expect("the next attempt is free");
    runtime.remove_container(&id).await.expect("it is removed");
    pod.create(config()).await.expect("the name is free");
    pod.remove().await;
    runtime.stop_pod_sandbox(&second).await.expect("it stops");
    runtime
        .remove_pod_sandbox(&second)
        .await
        .expect("it is removed");
}

pub(super) async fn a_container_needs_an_image_and_a_sandbox_that_is_ready(ground: &dyn Ground) {
    let pod = Pod::run(ground, "needs").await;
    let mut config = container(ground, "web", &["hang"]);
    config.image = Some(cri::v1::ImageSpec {
        image: "registry.local/nobody:1".to_owned(),
        ..cri::v1::ImageSpec::default()
    });
    let fault = refused(pod.create(config).await, "an unknown image");
    assert!(fault.is_not_found(), "{fault}");
    let id = pod
        .create(container(ground, "web", &["hang"]))
        .await
        .expect("the name is still free");
    assert_eq!(pod.state(&id).await, ContainerState::ContainerCreated);
    let status = pod.status(&id).await;
    assert!(status.created_at > 0 && status.started_at == 0);
    let runtime = ground.runtime();
    runtime.stop_pod_sandbox(&pod.id).await.expect("it stops");
    refused(
        runtime.start_container(&id).await,
        "a start in a stopped sandbox",
    );
    let stopped = refused(
        pod.create(container(ground, "late", &["hang"])).await,
        "too late",
    );
    assert!(stopped.is_not_found(), "{stopped}");
    let uid = pod.uid();
    let config = pod.config.clone();
    pod.remove().await;
    let gone = Pod {
        ground,
        config,
        id: "0".repeat(64),
    };
    let fault = refused(gone.create(container(ground, "web", &["hang"])).await, &uid);
    assert!(fault.is_not_found(), "{fault}");
}

pub(super) async fn a_privileged_container_needs_a_privileged_sandbox(ground: &dyn Ground) {
    let pod = Pod::run(ground, "plain").await;
    let mut config = container(ground, "web", &["hang"]);
    let linux = config
        .linux
        .as_mut()
        .and_then(|linux| linux.security_context.as_mut());
    if let Some(security) = linux {
        security.privileged = true;
    }
    let fault = refused(pod.create(config).await, "privileged in a plain sandbox");
    assert!(matches!(fault.fault, Fault::Refused { .. }), "{fault}");
    let id = pod.start("web", &["hang"]).await;
    assert_eq!(
        pod.state(&id).await,
        ContainerState::ContainerRunning,
        "the name is free"
    );
    pod.remove().await;
}

pub(super) async fn a_sandbox_takes_its_containers_along(ground: &dyn Ground) {
    let pod = Pod::run(ground, "along").await;
    let id = pod.start("web", &["term=ignore", "hang"]).await;
    let made = pod
        .create(container(ground, "made", &["hang"]))
        .await
        .expect("created");
    let runtime = ground.runtime();
    runtime.stop_pod_sandbox(&pod.id).await.expect("it stops");
    runtime
        .stop_pod_sandbox(&pod.id)
        .await
        .expect("to stop twice is to stop");
    assert_eq!(pod.sandbox_state().await, PodSandboxState::SandboxNotready);
    let status = pod.status(&id).await;
    assert_eq!(status.state(), ContainerState::ContainerExited);
    assert_eq!((status.exit_code, status.reason.as_str()), (137, "Error"));
    assert_eq!(pod.state(&made).await, ContainerState::ContainerCreated);
    pod.remove().await;
}

pub(super) async fn limits_can_be_changed_while_it_runs(ground: &dyn Ground) {
    let pod = Pod::run(ground, "limits").await;
    let id = pod.start("web", &["hang"]).await;
    let request = |id: &str| UpdateContainerResourcesRequest {
        container_id: id.to_owned(),
        linux: Some(LinuxContainerResources {
            cpu_shares: 512,
            ..LinuxContainerResources::default()
        }),
    };
    let runtime = ground.runtime();
    runtime
        .update_container_resources(request(&id))
        .await
        .expect("limits are set");
    let nobody = "0".repeat(64);
    let fault = refused(
        runtime.update_container_resources(request(&nobody)).await,
        "nobody",
    );
    assert!(fault.is_not_found(), "{fault}");
    pod.remove().await;
}

pub(super) async fn events_come_or_are_not_known(ground: &dyn Ground) {
    let runtime = ground.runtime();
    match runtime.container_events().await {
        Err(fault) => assert!(
            matches!(fault.fault, Fault::Unimplemented { .. }),
            "{fault}"
        ),
        Ok(mut events) => {
            use futures_util::StreamExt as _;
            let pod = Pod::run(ground, "events").await;
            let id = pod.start("web", &["exit=0"]).await;
            pod.end_of(&id).await;
            let mut seen = Vec::new();
            while seen.len() < 3 {
                let event = events
                    .next()
                    .await
                    .expect("events go on")
                    .expect("an event");
                if event.container_id == id {
                    seen.push(event.container_event_type());
                }
            }
            use cri::v1::ContainerEventType as Kind;
            let expected = [
                Kind::ContainerCreatedEvent,
                Kind::ContainerStartedEvent,
                Kind::ContainerStoppedEvent,
            ];
            assert_eq!(seen, expected);
            pod.remove().await;
        }
    }
}

pub(super) async fn a_sandbox_without_a_name_is_refused(ground: &dyn Ground) {
    let mut config = sandbox(ground, "nameless");
    config.metadata = None;
    let request = RunPodSandboxRequest {
        config: Some(config),
        runtime_handler: String::new(),
    };
    refused(
        ground.runtime().run_pod_sandbox(request).await,
        "no metadata",
    );
    let request = RunPodSandboxRequest {
        config: Some(sandbox(ground, "handled")),
        runtime_handler: "nobody".to_owned(),
    };
    refused(
        ground.runtime().run_pod_sandbox(request).await,
        "an unknown handler",
    );
}
