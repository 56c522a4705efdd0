//! The fake by itself.

use std::{collections::VecDeque, path::PathBuf, sync::Arc, time::Duration};

use cri::{
    Call, Fault, Runtime,
    v1::{
        ContainerConfig, ContainerMetadata, ContainerState, CreateContainerRequest, ImageSpec,
        PodSandboxConfig, PodSandboxMetadata, PodSandboxState, RunPodSandboxRequest,
    },
};
use fake_cri::{
    contract::{CALM, Ground, ROUGH, broken, broken_in_turn},
    fake::{Executed, Fake, FakeImage, Plan, TokioClock, Trouble},
};
use tempfile::TempDir;
use tokio::time::Instant;

const IMAGE: &str = "registry.local/workload:1";

/// The fake, perhaps seen through something else.
pub(crate) struct Memory {
    pub(crate) fake: Fake,
    pub(crate) seen: Arc<dyn Runtime>,
    scratch: TempDir,
}

impl Memory {
    pub(crate) fn new(fake: Fake) -> Self {
        fake.add_image(FakeImage::workload(IMAGE, &["hang"]));
        Self {
            seen: Arc::new(fake.clone()),
            fake,
            scratch: tempfile::tempdir().unwrap(),
        }
    }
}

impl Ground for Memory {
    fn runtime(&self) -> &dyn Runtime {
        &*self.seen
    }

    fn image(&self) -> String {
        IMAGE.to_owned()
    }

    fn scratch(&self) -> PathBuf {
        self.scratch.path().to_owned()
    }

    fn cgroup(&self) -> String {
        "/fake".to_owned()
    }

    fn import(&self, name: &str) -> String {
        self.fake.add_image(FakeImage::workload(name, &["hang"]))
    }

    fn kill_task(&self, id: &str) {
        self.fake.kill_pause(id);
        self.fake.exit(id, 137);
    }

    fn kill_shim(&self, sandbox: &str) {
        self.fake.kill_shim(sandbox);
    }

    fn kill_runtime(&self) {
        self.fake.go_down();
    }

    fn start_runtime(&self) {
        self.fake.come_up();
    }

    fn reboot(&self) {
        self.fake.reboot();
    }

    fn settle(&self) {
        self.fake.settle();
    }
}

pub(crate) fn fake() -> Fake {
    Fake::new(Arc::new(TokioClock::new(1_800_000_000)))
}

#[tokio::test(start_paused = true)]
async fn the_fake_keeps_the_calm_contract() {
    let memory = Memory::new(fake().without_network());
    assert_eq!(broken(CALM, &memory).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_fake_keeps_the_calm_contract_with_events() {
    let memory = Memory::new(fake().without_network().with_events());
    assert_eq!(broken(CALM, &memory).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_fake_keeps_the_rough_contract() {
    let memory = Memory::new(fake().without_network());
    assert_eq!(broken_in_turn(ROUGH, &memory).await, [""; 0]);
}

async fn pod(fake: &Fake, name: &str) -> String {
    let config = PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: name.to_owned(),
            namespace: "n".to_owned(),
            ..PodSandboxMetadata::default()
        }),
        ..PodSandboxConfig::default()
    };
    let request = RunPodSandboxRequest {
        config: Some(config),
        ..RunPodSandboxRequest::default()
    };
    fake.run_pod_sandbox(request).await.unwrap()
}

async fn container(fake: &Fake, sandbox: &str, words: &[&str]) -> String {
    let config = ContainerConfig {
        metadata: Some(ContainerMetadata {
            name: "web".to_owned(),
            attempt: 0,
        }),
        image: Some(ImageSpec {
            image: IMAGE.to_owned(),
            ..ImageSpec::default()
        }),
        args: words.iter().map(|word| (*word).to_owned()).collect(),
        ..ContainerConfig::default()
    };
    let request = CreateContainerRequest {
        pod_sandbox_id: sandbox.to_owned(),
        config: Some(config),
        sandbox_config: None,
    };
    let id = fake.create_container(request).await.unwrap();
    fake.start_container(&id).await.unwrap();
    id
}

fn ready() -> Fake {
    let fake = fake();
    fake.add_image(FakeImage::workload(IMAGE, &["hang"]));
    fake
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_planned_and_does_nothing() {
    let fake = ready();
    let refusal = Fault::Refused {
        code: "UNKNOWN",
        message: "no space left on device".to_owned(),
    };
    let trouble = Trouble::Fail(refusal.clone());
    fake.plan(
        Plan::new(Call::RunPodSandbox, trouble)
            .about("n/a")
            .times(1),
    );
    let other = pod(&fake, "b").await;
    let request = RunPodSandboxRequest {
        config: Some(PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: "a".to_owned(),
                namespace: "n".to_owned(),
                ..PodSandboxMetadata::default()
            }),
            ..PodSandboxConfig::default()
        }),
        ..RunPodSandboxRequest::default()
    };
    let fault = fake.run_pod_sandbox(request).await.unwrap_err();
    assert_eq!(fault.fault, refusal);
    assert_eq!(
        fault.to_string(),
        "RunPodSandbox n/a attempt 0: no space left on device (UNKNOWN)"
    );
    let all = fake.list_pod_sandbox(None).await.unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].id, other);
    pod(&fake, "a").await;
    let called = fake
        .calls()
        .into_iter()
        .filter(|(call, _)| *call == Call::RunPodSandbox);
    let about: Vec<String> = called.map(|(_, subject)| subject).collect();
    assert_eq!(about, ["n/b attempt 0", "n/a attempt 0", "n/a attempt 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_a_thing_done() {
    let fake = ready();
    let sandbox = pod(&fake, "a").await;
    fake.plan(Plan::new(Call::StopPodSandbox, Trouble::Lose).times(1));
    let fault = fake.stop_pod_sandbox(&sandbox).await.unwrap_err();
    assert!(fault.is_uncertain(), "{fault}");
    let status = fake
        .pod_sandbox_status(&sandbox, false)
        .await
        .unwrap()
        .status;
    assert_eq!(status.state(), PodSandboxState::SandboxNotready);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_meets_its_deadline() {
    let fake = ready();
    let sandbox = pod(&fake, "a").await;
    let id = container(&fake, &sandbox, &["hang"]).await;
    fake.plan(Plan::new(Call::StopContainer, Trouble::Hang).times(1));
    let began = Instant::now();
    let grace = Duration::from_secs(30);
    let fault = fake.stop_container(&id, grace).await.unwrap_err();
    let after = Duration::from_secs(150);
    assert_eq!(fault.fault, Fault::Deadline { after });
    assert!(began.elapsed() >= after && began.elapsed() < after + grace);
    let status = fake.container_status(&id, false).await.unwrap().status;
    assert_eq!(status.state(), ContainerState::ContainerRunning);
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_is_done_later_and_a_runtime_that_goes_ends_it() {
    let fake = ready();
    let minute = Duration::from_secs(60);
    fake.plan(Plan::new(Call::Version, Trouble::Slow(minute)));
    let began = Instant::now();
    fake.version().await.unwrap();
    assert!(began.elapsed() >= minute);
    let going = async {
        tokio::time::sleep(minute / 2).await;
        fake.go_down();
    };
    let (outcome, ()) = tokio::join!(fake.version(), going);
    assert!(matches!(
        outcome.unwrap_err().fault,
        Fault::Unavailable { .. }
    ));
    fake.calm();
    assert!(fake.version().await.is_err());
    fake.come_up();
    fake.version().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn ends_are_as_the_hand_wants_them() {
    let fake = ready();
    let sandbox = pod(&fake, "a").await;
    let id = container(&fake, &sandbox, &["hang"]).await;
    assert_eq!(fake.container("a", "web"), Some(id.clone()));
    fake.run_out_of_memory(&id);
    let status = fake.container_status(&id, false).await.unwrap().status;
    assert_eq!(
        (status.exit_code, status.reason.as_str()),
        (137, "OOMKilled")
    );
    let sandbox = pod(&fake, "b").await;
    let id = container(&fake, &sandbox, &["hang"]).await;
    fake.exit(&id, 139);
    let status = fake.container_status(&id, false).await.unwrap().status;
    assert_eq!((status.exit_code, status.reason.as_str()), (139, "Error"));
    fake.exit(&id, 0);
    let again = fake.container_status(&id, false).await.unwrap().status;
    assert_eq!(again, status, "it ends once");
}

#[tokio::test(start_paused = true)]
async fn an_end_is_dated_when_it_was_due() {
    let fake = ready();
    let sandbox = pod(&fake, "a").await;
    let id = container(&fake, &sandbox, &["sleep=1500", "exit=3"]).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let status = fake.container_status(&id, false).await.unwrap().status;
    assert_eq!(status.finished_at - status.started_at, 1_500_000_000);
    assert_eq!(status.exit_code, 3);
}

#[tokio::test(start_paused = true)]
async fn commands_do_what_the_test_says() {
    let fake = ready();
    let sandbox = pod(&fake, "a").await;
    let id = container(&fake, &sandbox, &["hang"]).await;
    fake.on_exec(|container, command| Executed {
        code: i32::from(command == ["fail"]),
        stdout: container.to_owned(),
        takes: Duration::from_secs(3),
        ..Executed::default()
    });
    let limit = Duration::from_secs(5);
    let answer = fake
        .exec_sync(&id, &["ok".to_owned()], limit)
        .await
        .unwrap();
    assert_eq!(
        (answer.exit_code, answer.stdout.as_slice()),
        (0, &b"web"[..])
    );
    let answer = fake
        .exec_sync(&id, &["fail".to_owned()], limit)
        .await
        .unwrap();
    assert_eq!(answer.exit_code, 1);
    let limit = Duration::from_secs(1);
    let fault = fake
        .exec_sync(&id, &["ok".to_owned()], limit)
        .await
        .unwrap_err();
    assert_eq!(fault.fault, Fault::ExecTimeout { after: limit });
}

#[tokio::test(start_paused = true)]
async fn what_is_wiped_is_not_even_remembered() {
    let fake = ready();
    let sandbox = pod(&fake, "a").await;
    fake.wipe();
    assert!(
        fake.pod_sandbox_status(&sandbox, false)
            .await
            .unwrap_err()
            .is_not_found()
    );
    pod(&fake, "a").await;
    assert_eq!(fake.boots(), 1);
    fake.reboot();
    assert_eq!(fake.boots(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_image_comes_from_the_registry_while_that_is_up() {
    let fake = fake();
    let name = "registry.local/later:1";
    let pinned = fake.offer_image(FakeImage::workload(name, &["hang"]));
    fake.set_registry_down(true);
    let fault = fake.pull_image(name, None).await.unwrap_err();
    assert!(
        matches!(
            fault.fault,
            Fault::Refused {
                code: "UNKNOWN",
                ..
            }
        ),
        "{fault}"
    );
    fake.set_registry_down(false);
    let id = fake.pull_image(&pinned, None).await.unwrap();
    assert_eq!(fake.image_status(name).await.unwrap().unwrap().id, id);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_pods_are_no_burden() {
    let fake = ready().without_logs();
    let mut pods = VecDeque::new();
    for number in 0..1000 {
        let sandbox = pod(&fake, &format!("p{number}")).await;
        container(&fake, &sandbox, &["hang"]).await;
        pods.push_back(sandbox);
    }
    let began = std::time::Instant::now();
    for number in 1000..3000 {
        let old = pods.pop_front().unwrap();
        fake.stop_pod_sandbox(&old).await.unwrap();
        fake.remove_pod_sandbox(&old).await.unwrap();
        let sandbox = pod(&fake, &format!("p{number}")).await;
        container(&fake, &sandbox, &["hang"]).await;
        pods.push_back(sandbox);
    }
    // Half a second on a quiet machine; ten times that if every pod looked at every other.
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(fake.list_containers(None).await.unwrap().len(), 1000);
    assert_eq!(fake.list_pod_sandbox(None).await.unwrap().len(), 1000);
}
