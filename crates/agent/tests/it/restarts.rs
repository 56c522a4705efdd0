//! Containers that end.

use std::time::Duration;

use cri::Call;
use plan::PodKey;

use crate::rig::{IMAGE, Rig, work};

#[tokio::test(start_paused = true)]
async fn a_crash_is_followed_by_a_start_at_once_and_then_by_longer_and_longer_waits() {
    let mut rig = Rig::started().await;
    rig.put("web", &work("exit=1"));
    let mut starts = Vec::new();
    for second in 0..400_u64 {
        while starts.len() < rig.count(Call::StartContainer) {
            starts.push(second);
        }
        rig.pass(1).await;
    }
    let waits: Vec<u64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits.len(), 6, "{starts:?}");
    for (wait, expected) in waits.iter().zip([0, 10, 20, 40, 80, 160]) {
        assert!(wait.abs_diff(expected) <= 2, "{waits:?}");
    }
    let pod = rig.pod("web").await.unwrap();
    let status = &pod.status.container_statuses.unwrap()[0];
    let waiting = status.state.clone().unwrap().waiting.unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("CrashLoopBackOff"));
    assert_eq!(status.restart_count, 6);
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_the_agent_keeps_the_count_of_restarts() {
    let mut rig = Rig::started().await;
    rig.put("web", &work("hang"));
    rig.until_ready("web").await;
    rig.fake
        .exit(&rig.fake.container("web-n1", "main").unwrap(), 1);
    rig.pass(3).await;
    rig.kill().await;
    rig.start().await;
    rig.until_ready("web").await;
    let status = rig.pod("web").await.unwrap().status;
    assert_eq!(status.container_statuses.unwrap()[0].restart_count, 1);
}

#[tokio::test(start_paused = true)]
async fn what_ended_well_or_for_good_stays_ended() {
    for (policy, words, phase, starts) in [
        ("OnFailure", "sleep=1000, exit=0", "Succeeded", 1),
        ("Never", "sleep=1000, exit=0", "Succeeded", 1),
        ("Never", "sleep=1000, exit=3", "Failed", 1),
        ("OnFailure", "sleep=1000, exit=3", "Running", 2),
    ] {
        let mut rig = Rig::started().await;
        rig.put("job", &format!("restartPolicy: {policy}\n{}", work(words)));
        rig.pass(9).await;
        assert_eq!(rig.phase("job").await, phase, "{policy} {words}");
        assert_eq!(rig.count(Call::StartContainer), starts, "{policy} {words}");
        if phase != "Running" {
            rig.kill().await;
            rig.start().await;
            rig.pass(30).await;
            assert_eq!(rig.phase("job").await, phase, "{policy} {words}");
            assert_eq!(rig.count(Call::StartContainer), starts, "{policy} {words}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_never_restarts_runs_once_in_each_boot() {
    let mut rig = Rig::started().await;
    rig.put(
        "job",
        &format!("restartPolicy: Never\n{}", work("sleep=1000")),
    );
    rig.pass(10).await;
    assert_eq!(rig.count(Call::StartContainer), 1);
    // Also when everything that could tell is gone.
    rig.kill().await;
    rig.fake.wipe();
    rig.start().await;
    rig.pass(30).await;
    assert_eq!(rig.count(Call::StartContainer), 1);
    rig.kill().await;
    rig.fake.reboot();
    rig.start().await;
    rig.pass(30).await;
    assert_eq!(rig.count(Call::StartContainer), 2);
    assert_eq!(rig.phase("job").await, "Succeeded");
}

#[tokio::test(start_paused = true)]
async fn everything_comes_back_after_a_reboot_from_the_first_init_container_on() {
    let mut rig = Rig::started().await;
    let init = format!("initContainers:\n- {{name: one, image: {IMAGE}, args: [sleep=1000]}}\n");
    rig.put("web", &format!("{init}{}", work("hang")));
    rig.until_ready("web").await;
    rig.kill().await;
    rig.fake.reboot();
    rig.fake.forget_calls();
    rig.start().await;
    rig.until("ready again", async |rig: &Rig| {
        rig.ready("web").await && rig.running().await.len() == 1
    })
    .await;
    assert_eq!(rig.count(Call::RunPodSandbox), 1);
    assert_eq!(rig.count(Call::StartContainer), 2);
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_is_killed_is_followed_by_another() {
    let mut rig = Rig::started().await;
    rig.put("web", &work("hang"));
    rig.until_ready("web").await;
    let sandbox = rig.deeds();
    assert_eq!(sandbox.len(), 3);
    use cri::Runtime as _;
    let id = rig.fake.list_pod_sandbox(None).await.unwrap()[0].id.clone();
    rig.fake.kill_shim(&id);
    rig.pass(10).await;
    assert!(rig.ready("web").await);
    assert_eq!(rig.count(Call::RunPodSandbox), 2);
    assert_eq!(rig.running().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_restart_by_request_makes_a_new_sandbox_or_only_a_new_container() {
    let mut rig = Rig::started().await;
    rig.put("web", &work("hang"));
    rig.until_ready("web").await;
    let key = PodKey::new("default", "web-n1");
    let handle = rig.handle();
    assert!(
        !handle
            .restart(key.clone(), Some("other".into()))
            .await
            .unwrap()
    );
    assert!(
        handle
            .restart(key.clone(), Some("main".into()))
            .await
            .unwrap()
    );
    rig.pass(5).await;
    assert_eq!(rig.count(Call::StartContainer), 2);
    assert_eq!(rig.count(Call::RunPodSandbox), 1);
    assert!(handle.restart(key, None).await.unwrap());
    rig.pass(5).await;
    assert_eq!(rig.count(Call::RunPodSandbox), 2);
    assert!(rig.ready("web").await);
}

#[tokio::test(start_paused = true)]
async fn events_of_the_runtime_make_a_restart_quicker_than_the_poll() {
    let mut rig = Rig::new();
    rig.fake = rig.fake.clone().with_events();
    rig.start().await;
    rig.put("web", &work("hang"));
    rig.until_ready("web").await;
    for _ in 0..3 {
        rig.pass(700).await;
        let before = rig.count(Call::StartContainer);
        rig.fake
            .exit(&rig.fake.container("web-n1", "main").unwrap(), 1);
        let took = rig
            .until("restarted", async |rig: &Rig| {
                rig.count(Call::StartContainer) > before
            })
            .await;
        assert!(took < Duration::from_millis(150), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn last_words_and_the_start_of_a_pod_are_the_same_after_a_restart_of_the_agent() {
    let mut rig = Rig::started().await;
    rig.write("job", &format!("restartPolicy: Never\n{}", work("exit=3")));
    let mut loaded = rig.written("job");
    loaded.since = Some(1_600_000_000);
    rig.add("job", loaded);
    let ended = async |rig: &Rig| rig.phase("job").await == "Failed";
    rig.until("it ended", ended).await;
    let known = |pod: agent::PodView| {
        let all = pod.status.container_statuses.unwrap();
        let end = all[0].state.clone().unwrap().terminated.unwrap();
        (end.message, pod.status.start_time.unwrap().0.as_second())
    };
    let before = known(rig.pod("job").await.unwrap());
    let words = "main said this, one of 1".to_owned();
    assert_eq!(before, (Some(words), 1_600_000_000));
    rig.kill().await;
    rig.start().await;
    rig.until("it is known again", ended).await;
    assert_eq!(known(rig.pod("job").await.unwrap()), before);
}

#[tokio::test(start_paused = true)]
async fn that_the_runtime_answers_is_told_from_the_first_time_on() {
    let rig = Rig::started().await;
    let told = |rig: &Rig| {
        rig.events
            .lock()
            .unwrap()
            .iter()
            .filter(|e| *e == "RuntimeUp")
            .count()
    };
    rig.until("it answers", async |rig: &Rig| told(rig) == 1)
        .await;
    rig.fake.go_down();
    rig.pass(20).await;
    rig.fake.come_up();
    rig.until("it answers again", async |rig: &Rig| told(rig) == 2)
        .await;
}
