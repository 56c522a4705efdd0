//! How containers end, by themselves and when they are asked to. Every scenario has pods of its own
//! and may run beside the others.

use std::time::Duration;

use cri::{
    Fault,
    v1::{ContainerState, ExecRequest, LinuxContainerResources},
};

use tokio::time::timeout;

use super::ground::{Ground, Pod, container, eventually, refused, words};

/// Longer than anything polite takes.
const GRACE: Duration = Duration::from_secs(30);

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
    let streamed = ExecRequest {
        container_id: id.clone(),
        cmd: words(&["/workload"]),
        stdout: true,
        ..ExecRequest::default()
    };
    let url = runtime
        .exec(streamed.clone())
        .await
        .expect("a place for streams");
    assert!(url.starts_with("http://"), "{url}");
    runtime.stop_container(&id, GRACE).await.expect("it stops");
    let fault = refused(runtime.exec(streamed).await, "streams of what has ended");
    assert!(matches!(fault.fault, Fault::Refused { .. }), "{fault}");
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
        ("in-eternity", &["out=up", "hang"], u64::MAX, 0, "Completed"),
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

pub(super) async fn less_patience_kills_sooner_and_who_gives_up_kills_nobody(ground: &dyn Ground) {
    let pod = Pod::run(ground, "patience").await;
    let runtime = ground.runtime();
    let id = pod.start("web", &["term=ignore", "out=up", "hang"]).await;
    pod.says("web", "up").await;
    let given_up = timeout(
        Duration::from_millis(300),
        runtime.stop_container(&id, GRACE),
    )
    .await;
    assert!(given_up.is_err(), "it ignores the signal");
    assert_eq!(pod.state(&id).await, ContainerState::ContainerRunning);
    let patient = runtime.stop_container(&id, GRACE * 4);
    let hasty = runtime.stop_container(&id, Duration::from_secs(1));
    let (patient, hasty) = tokio::join!(patient, hasty);
    patient.expect("it has ended");
    hasty.expect("it was killed");
    assert_eq!(pod.status(&id).await.exit_code, 137);
    assert_eq!(
        pod.log("web").matches("ignored").count(),
        1,
        "the signal is sent once"
    );
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
