//! The agent is killed, the runtime goes, calls hang and answers are lost.

use std::time::Duration;

use cri::{Call, Runtime as _};
use fake_cri::fake::{Plan, Trouble};

use crate::rig::{IMAGE, Rig, work};

fn two_step() -> String {
    format!(
        "initContainers:\n- {{name: one, image: {IMAGE}, args: [sleep=300]}}\n{}",
        work("drain=300, hang")
    )
}

#[tokio::test(start_paused = true)]
async fn a_new_agent_adopts_what_runs_without_touching_it() {
    let mut rig = Rig::started().await;
    rig.put("web", &two_step());
    rig.until_ready("web").await;
    let before = rig.running().await;
    rig.kill().await;
    rig.fake.forget_calls();
    rig.start().await;
    rig.until_ready("web").await;
    rig.pass(30).await;
    assert!(rig.deeds().is_empty(), "{:?}", rig.deeds());
    assert_eq!(rig.running().await, before);
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_step_of_creation_an_agent_is_followed_by_one_that_finishes_it() {
    for step in 0..12 {
        let mut rig = Rig::new();
        // Every call takes a while, so that the kill falls into each in turn.
        for call in [
            Call::RunPodSandbox,
            Call::CreateContainer,
            Call::StartContainer,
        ] {
            rig.fake
                .plan(Plan::new(call, Trouble::Slow(Duration::from_millis(200))));
        }
        rig.start().await;
        rig.put("web", &two_step());
        tokio::time::sleep(Duration::from_millis(100 * step + 50)).await;
        rig.kill().await;
        rig.start().await;
        rig.until_ready("web").await;
        rig.pass(5).await;
        assert_eq!(rig.running().await.len(), 1, "step {step}");
        let sandboxes = rig.fake.list_pod_sandbox(None).await.unwrap();
        assert_eq!(sandboxes.len(), 1, "step {step}");
        let containers = rig.fake.list_containers(None).await.unwrap();
        assert_eq!(containers.len(), 2, "step {step}");
    }
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_step_of_deletion_an_agent_is_followed_by_one_that_finishes_it() {
    for step in 0..14 {
        let mut rig = Rig::started().await;
        rig.put("web", &two_step());
        rig.until_ready("web").await;
        for call in [
            Call::StopPodSandbox,
            Call::RemoveContainer,
            Call::RemovePodSandbox,
        ] {
            rig.fake
                .plan(Plan::new(call, Trouble::Slow(Duration::from_millis(200))));
        }
        rig.remove("web");
        tokio::time::sleep(Duration::from_millis(100 * step + 50)).await;
        rig.kill().await;
        rig.start().await;
        rig.until("gone", async |rig: &Rig| {
            rig.fake.list_pod_sandbox(None).await.unwrap().is_empty()
                && !rig.host.cleaned.lock().unwrap().is_empty()
        })
        .await;
        assert!(rig.running().await.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_manifest_removed_while_no_agent_ran_takes_its_pod_away() {
    let mut rig = Rig::started().await;
    rig.put("web", &work("hang"));
    rig.until_ready("web").await;
    rig.kill().await;
    rig.remove("web");
    rig.start().await;
    rig.until("gone", async |rig: &Rig| {
        rig.fake.list_pod_sandbox(None).await.unwrap().is_empty()
    })
    .await;
    assert_eq!(rig.host.cleaned.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_goes_and_comes_back_finds_its_containers_untouched() {
    let mut rig = Rig::started().await;
    rig.put("web", &work("hang"));
    rig.until_ready("web").await;
    let before = rig.running().await;
    rig.fake.go_down();
    rig.pass(30).await;
    let view = rig.handle().view().await.unwrap();
    assert!(view.runtime_down.is_some());
    assert!(rig.ready("web").await);
    rig.put("other", &work("hang"));
    rig.pass(30).await;
    rig.fake.forget_calls();
    rig.fake.come_up();
    rig.until_ready("other").await;
    assert_eq!(rig.running().await["web-n1/main"], before["web-n1/main"]);
    assert_eq!(rig.count(Call::StopContainer), 0);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_goes_in_the_middle_of_a_stop_is_waited_for() {
    let mut rig = Rig::started().await;
    rig.put("web", &work("drain=5000, hang"));
    rig.until_ready("web").await;
    rig.remove("web");
    rig.pass(2).await;
    rig.fake.go_down();
    rig.pass(20).await;
    rig.fake.come_up();
    rig.until("gone", async |rig: &Rig| {
        rig.fake.list_pod_sandbox(None).await.unwrap().is_empty()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_lost_make_nothing_twice() {
    for call in [
        Call::RunPodSandbox,
        Call::CreateContainer,
        Call::StartContainer,
        Call::StopContainer,
        Call::StopPodSandbox,
        Call::RemoveContainer,
        Call::RemovePodSandbox,
    ] {
        let mut rig = Rig::started().await;
        rig.fake.plan(Plan::new(call, Trouble::Lose).times(1));
        rig.put("web", &work("hang"));
        rig.until_ready("web").await;
        rig.pass(5).await;
        assert_eq!(rig.running().await.len(), 1, "{call}");
        rig.remove("web");
        rig.until("gone", async |rig: &Rig| {
            rig.fake.list_pod_sandbox(None).await.unwrap().is_empty()
        })
        .await;
        rig.until("cleaned", async |rig: &Rig| {
            rig.host.cleaned.lock().unwrap().len() == 1
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_for_one_pod_delays_no_other() {
    for call in [
        Call::RunPodSandbox,
        Call::CreateContainer,
        Call::StartContainer,
        Call::ContainerStatus,
        Call::PodSandboxStatus,
    ] {
        let mut rig = Rig::started().await;
        // The first pod's: ids do not tell names.
        rig.fake.plan(Plan::new(call, Trouble::Hang).times(1));
        rig.put("slow", &work("hang"));
        rig.pass(1).await;
        rig.put("web", &work("hang"));
        let took = rig.until_ready("web").await;
        assert!(took < Duration::from_millis(100), "{call}: {took:?}");
        let took = rig.until_ready("slow").await;
        assert!(took < Duration::from_secs(300), "{call}: {took:?}");
        rig.running().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_hangs_for_one_pod_delays_no_other() {
    let mut rig = Rig::started().await;
    for name in ["slow", "web"] {
        rig.put(name, &work("hang"));
        rig.until_ready(name).await;
    }
    rig.fake
        .plan(Plan::new(Call::StopContainer, Trouble::Hang).times(1));
    rig.remove("slow");
    rig.pass(1).await;
    rig.remove("web");
    rig.pass(1).await;
    assert_eq!(
        rig.running().await.keys().collect::<Vec<_>>(),
        ["slow-n1/main"]
    );
    rig.until("all gone", async |rig: &Rig| rig.running().await.is_empty())
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_does_not_list_counts_as_down() {
    let mut rig = Rig::started().await;
    rig.put("web", &work("hang"));
    rig.until_ready("web").await;
    rig.fake
        .plan(Plan::new(Call::ListContainers, Trouble::Hang).times(1));
    rig.pass(12).await;
    assert!(
        rig.events
            .lock()
            .unwrap()
            .iter()
            .any(|event| event.contains("RuntimeDown"))
    );
    rig.pass(5).await;
    assert!(rig.handle().view().await.unwrap().runtime_down.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_second_agent_for_the_same_root_directory_is_refused() {
    let rig = Rig::started().await;
    let error = rig.open().err().unwrap().to_string();
    assert!(error.starts_with("another agent holds "), "{error}");
}

#[tokio::test(start_paused = true)]
async fn pods_of_others_are_left_alone() {
    let mut rig = Rig::started().await;
    let config = cri::v1::PodSandboxConfig {
        metadata: Some(cri::v1::PodSandboxMetadata {
            name: "web-n1".into(),
            namespace: "default".into(),
            uid: "u".into(),
            attempt: 0,
        }),
        annotations: [("kubernetes.io/config.source".to_owned(), "file".to_owned())].into(),
        ..Default::default()
    };
    let request = cri::v1::RunPodSandboxRequest {
        config: Some(config),
        ..Default::default()
    };
    let id = rig.fake.run_pod_sandbox(request).await.unwrap();
    rig.fake.forget_calls();
    rig.put("web", &work("hang"));
    rig.pass(60).await;
    assert!(rig.deeds().is_empty());
    rig.fake.remove_pod_sandbox(&id).await.unwrap();
    let took = rig.until_ready("web").await;
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_died_gives_its_address_back_before_the_next_one_and_before_it_is_removed() {
    let mut rig = Rig::started().await;
    rig.put("web", &work("hang"));
    rig.until_ready("web").await;
    let sandboxes = rig.fake.list_pod_sandbox(None).await.unwrap();
    let old = sandboxes[0].id.clone();
    rig.fake.forget_calls();
    rig.fake.kill_pause(&old);
    rig.until("another runs", async |rig: &Rig| {
        let deeds = rig.deeds();
        deeds.iter().any(|(call, _)| *call == Call::StartContainer)
    })
    .await;
    // Subjects are short.
    let old = old[..13].to_owned();
    let stop = (Call::StopPodSandbox, old.clone());
    let place = |rig: &Rig, of: &dyn Fn(&(Call, String)) -> bool| rig.deeds().iter().position(of);
    let stopped = place(&rig, &|deed| *deed == stop).unwrap();
    let made = place(&rig, &|(call, _)| *call == Call::RunPodSandbox).unwrap();
    assert!(stopped < made, "{:?}", rig.deeds());
    rig.remove("web");
    rig.until("all is gone", async |rig: &Rig| {
        rig.fake.list_pod_sandbox(None).await.unwrap().is_empty()
    })
    .await;
    // Once more: who comes anew does not know of the first time.
    let deeds = rig.deeds();
    let removal = (Call::RemovePodSandbox, old);
    let removed = deeds.iter().position(|deed| *deed == removal).unwrap();
    assert!(
        deeds[..removed]
            .iter()
            .filter(|deed| **deed == stop)
            .count()
            >= 2
    );
}
