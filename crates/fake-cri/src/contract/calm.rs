//! What holds while nothing goes wrong but what is asked. Every scenario has pods of its own and
//! may run beside the others.

use std::time::Duration;

use cri::{
    Fault,
    v1::{
        ContainerFilter, ContainerState, LinuxContainerResources, PodSandboxFilter,
        PodSandboxState, PodSandboxStateValue, RunPodSandboxRequest,
        UpdateContainerResourcesRequest,
    },
};

use super::ground::{Ground, Pod, container, eventually, refused, sandbox, words};

const GRACE: Duration = Duration::from_secs(30);

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
    let id_of_image = runtime.image_status(&ground.image()).await.expect("images");
    assert!(id_of_image.is_some_and(|image| image.id.starts_with("sha256:")));
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

pub(super) async fn a_program_that_cannot_start_ends_with_128(ground: &dyn Ground) {
    let pod = Pod::run(ground, "unstartable").await;
    let mut config = container(ground, "web", &[]);
    config.command = words(&["/no/such/program"]);
    let id = pod.create(config).await.expect("a container is created");
    let fault = refused(
        ground.runtime().start_container(&id).await,
        "no such program",
    );
    assert!(matches!(fault.fault, Fault::Refused { .. }), "{fault}");
    let status = pod.status(&id).await;
    assert_eq!(status.state(), ContainerState::ContainerExited);
    assert_eq!(
        (status.exit_code, status.reason.as_str()),
        (128, "StartError")
    );
    assert!(
        status.message.contains("/no/such/program"),
        "{}",
        status.message
    );
    assert!(status.finished_at > 0);
    refused(
        ground.runtime().start_container(&id).await,
        "a second start",
    );
    pod.remove().await;
}

pub(super) async fn an_end_has_a_code_a_reason_and_times(ground: &dyn Ground) {
    let pod = Pod::run(ground, "ends").await;
    for (name, script, code, reason) in [
        ("good", &["exit=0"][..], 0, "Completed"),
        ("bad", &["sleep=20", "exit=3"], 3, "Error"),
        ("crash", &["abort"], 139, "Error"),
        ("unknown-word", &["nonsense"], 2, "Error"),
    ] {
        let status = pod.ended(name, script).await;
        assert_eq!(
            (status.exit_code, status.reason.as_str()),
            (code, reason),
            "{name}"
        );
        assert!(status.created_at <= status.started_at, "{name}: {status:?}");
        // A short life can end before containerd has noted its beginning.
        assert!(
            status.created_at <= status.finished_at,
            "{name}: {status:?}"
        );
    }
    let id = pod.start("killed", &["hang"]).await;
    ground.kill_task(&id);
    let status = pod.end_of(&id).await;
    assert_eq!((status.exit_code, status.reason.as_str()), (137, "Error"));
    refused(
        ground.runtime().start_container(&id).await,
        "a second start",
    );
    pod.remove().await;
}

pub(super) async fn too_much_memory_is_said_to_be_the_reason(ground: &dyn Ground) {
    let pod = Pod::run(ground, "hungry").await;
    let mut config = container(ground, "web", &["sleep=100", "eat=200", "hang"]);
    config.linux = Some(cri::v1::LinuxContainerConfig {
        resources: Some(LinuxContainerResources {
            memory_limit_in_bytes: 48 << 20,
            oom_score_adj: 1000,
            ..LinuxContainerResources::default()
        }),
        ..cri::v1::LinuxContainerConfig::default()
    });
    let id = pod.create(config).await.expect("a container is created");
    ground
        .runtime()
        .start_container(&id)
        .await
        .expect("it starts");
    let status = pod.end_of(&id).await;
    assert_eq!(status.exit_code, 137);
    let reason = eventually("the reason is known", async || {
        let reason = pod.status(&id).await.reason;
        (reason == "OOMKilled").then_some(reason)
    });
    assert_eq!(reason.await, "OOMKilled");
    pod.remove().await;
}

pub(super) async fn a_command_inside_has_its_own_outcome(ground: &dyn Ground) {
    let pod = Pod::run(ground, "commands").await;
    let id = pod.start("web", &["hang"]).await;
    let runtime = ground.runtime();
    let second = Duration::from_secs(10);
    let command = words(&["/workload", "out=hello", "err=oh", "exit=7"]);
    let answer = runtime
        .exec_sync(&id, &command, second)
        .await
        .expect("it ran");
    assert_eq!(answer.exit_code, 7);
    assert_eq!(
        (answer.stdout.as_slice(), answer.stderr.as_slice()),
        (&b"hello\n"[..], &b"oh\n"[..])
    );
    let command = words(&["/workload", "env=COLOUR"]);
    let answer = runtime
        .exec_sync(&id, &command, Duration::ZERO)
        .await
        .expect("without a limit");
    assert_eq!(answer.stdout, b"blue\n");
    let command = words(&["/workload", "hang"]);
    let limit = Duration::from_secs(1);
    let fault = refused(
        runtime.exec_sync(&id, &command, limit).await,
        "a command that hangs",
    );
    assert_eq!(fault.fault, Fault::ExecTimeout { after: limit });
    let command = words(&["/no/such/program"]);
    let fault = refused(
        runtime.exec_sync(&id, &command, second).await,
        "no such program",
    );
    assert!(matches!(fault.fault, Fault::Refused { .. }), "{fault}");
    assert_eq!(pod.state(&id).await, ContainerState::ContainerRunning);
    runtime.stop_container(&id, GRACE).await.expect("it stops");
    let fault = refused(
        runtime.exec_sync(&id, &words(&["/workload"]), second).await,
        "ended",
    );
    assert!(matches!(fault.fault, Fault::Refused { .. }), "{fault}");
    let nobody = "0".repeat(64);
    let fault = refused(
        runtime
            .exec_sync(&nobody, &words(&["/workload"]), second)
            .await,
        "gone",
    );
    assert!(fault.is_not_found(), "{fault}");
    pod.remove().await;
}

pub(super) async fn to_stop_is_to_ask_and_then_to_kill(ground: &dyn Ground) {
    let pod = Pod::run(ground, "stops").await;
    let runtime = ground.runtime();
    for (name, script, grace, code, reason) in [
        ("polite", &["out=up", "hang"][..], 30, 0, "Completed"),
        ("own-code", &["term=9", "out=up", "hang"], 30, 9, "Error"),
        ("slow", &["drain=100", "out=up", "hang"], 30, 0, "Completed"),
        (
            "stubborn",
            &["term=ignore", "out=up", "hang"],
            1,
            137,
            "Error",
        ),
        (
            "too-slow",
            &["drain=60000", "out=up", "hang"],
            1,
            137,
            "Error",
        ),
        ("at-once", &["out=up", "hang"], 0, 137, "Error"),
    ] {
        let id = pod.start(name, script).await;
        pod.says(name, "up").await;
        let grace = Duration::from_secs(grace);
        runtime.stop_container(&id, grace).await.expect("it stops");
        let status = pod.status(&id).await;
        assert_eq!(status.state(), ContainerState::ContainerExited, "{name}");
        assert_eq!(
            (status.exit_code, status.reason.as_str()),
            (code, reason),
            "{name}"
        );
        runtime
            .stop_container(&id, grace)
            .await
            .expect("to stop twice is to stop");
    }
    let nobody = "0".repeat(64);
    runtime
        .stop_container(&nobody, GRACE)
        .await
        .expect("what is gone is stopped");
    runtime
        .stop_pod_sandbox(&nobody)
        .await
        .expect("what is gone is stopped");
    pod.remove().await;
}

pub(super) async fn to_remove_is_to_kill_first(ground: &dyn Ground) {
    let pod = Pod::run(ground, "removes").await;
    let runtime = ground.runtime();
    let id = pod.start("web", &["out=up", "hang"]).await;
    pod.says("web", "up").await;
    runtime
        .remove_container(&id)
        .await
        .expect("a running one is removed");
    let fault = refused(
        runtime.container_status(&id, false).await.map(|_| ()),
        "it is gone",
    );
    assert!(fault.is_not_found(), "{fault}");
    assert!(pod.log("web").contains("up"), "its log stays");
    let made = pod
        .create(container(ground, "made", &["hang"]))
        .await
        .expect("created");
    runtime
        .remove_container(&made)
        .await
        .expect("a created one is removed");
    runtime
        .remove_container(&id)
        .await
        .expect("to remove twice is to remove");
    let last = pod.start("last", &["hang"]).await;
    runtime
        .remove_pod_sandbox(&pod.id)
        .await
        .expect("with what runs in it");
    runtime
        .remove_pod_sandbox(&pod.id)
        .await
        .expect("to remove twice is to remove");
    let fault = refused(
        runtime.container_status(&last, false).await.map(|_| ()),
        "it is gone",
    );
    assert!(fault.is_not_found(), "{fault}");
    let fault = refused(
        runtime.pod_sandbox_status(&pod.id, false).await.map(|_| ()),
        "gone",
    );
    assert!(fault.is_not_found(), "{fault}");
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
