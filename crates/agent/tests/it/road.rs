//! From a manifest to running containers, and away again.

use std::time::Duration;

use cri::{Call, Fault, Runtime as _};
use fake_cri::fake::{FakeImage, Plan, Trouble};

use crate::rig::{IMAGE, Rig, work};

#[tokio::test(start_paused = true)]
async fn a_manifest_becomes_a_running_pod_within_no_time_of_the_agents_own() {
    let mut rig = Rig::started().await;
    rig.put("web", &work("hang"));
    let took = rig.until_ready("web").await;
    assert!(took < Duration::from_millis(50), "{took:?}");
    assert_eq!(rig.phase("web").await, "Running");
    assert_eq!(
        rig.running().await.keys().collect::<Vec<_>>(),
        ["web-n1/main"]
    );
    let sandboxes = rig.fake.list_pod_sandbox(None).await.unwrap();
    let [sandbox] = &sandboxes[..] else {
        panic!("{sandboxes:?}");
    };
    assert_eq!(sandbox.labels["io.kubernetes.pod.name"], "web-n1");
    assert_eq!(sandbox.annotations["staticpodd/source"], "/m");
    assert_eq!(sandbox.annotations["staticpodd/boot"], "boot1");
    assert_eq!(sandbox.annotations["staticpodd/owner"].len(), 32);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_called_but_lists_while_nothing_happens() {
    let mut rig = Rig::started().await;
    rig.put("web", &work("hang"));
    rig.until_ready("web").await;
    rig.pass(5).await;
    rig.fake.forget_calls();
    rig.pass(60).await;
    assert!(rig.deeds().is_empty());
    let calls = rig.fake.calls().len();
    assert!((150..=190).contains(&calls), "{calls} calls in a minute");
}

#[tokio::test(start_paused = true)]
async fn a_removed_manifest_takes_everything_with_it_and_its_directories() {
    let mut rig = Rig::started().await;
    rig.put("web", &work("hang"));
    rig.until_ready("web").await;
    let uid = rig.pod("web").await.unwrap().pod.unwrap().uid.clone();
    rig.remove("web");
    rig.until("gone", async |rig: &Rig| rig.pod("web").await.is_none())
        .await;
    assert!(rig.fake.list_pod_sandbox(None).await.unwrap().is_empty());
    assert!(rig.fake.list_containers(None).await.unwrap().is_empty());
    assert_eq!(*rig.host.cleaned.lock().unwrap(), [(uid, true)]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_was_not_read_completely_stops_nothing_and_one_that_was_does() {
    let mut rig = Rig::started().await;
    rig.put("web", &work("hang"));
    rig.until_ready("web").await;
    rig.kill().await;
    rig.forget("web");
    rig.say(false);
    rig.start().await;
    rig.pass(60).await;
    assert_eq!(rig.running().await.len(), 1);
    rig.say(true);
    rig.until("gone", async |rig: &Rig| rig.running().await.is_empty())
        .await;
}

#[tokio::test(start_paused = true)]
async fn init_containers_run_in_their_order_and_sidecars_before_what_follows_them() {
    let mut rig = Rig::started().await;
    rig.put(
        "web",
        &format!(
            "initContainers:\n\
             - {{name: one, image: {IMAGE}, args: [sleep=2000]}}\n\
             - {{name: side, image: {IMAGE}, args: [hang], restartPolicy: Always}}\n\
             - {{name: two, image: {IMAGE}, args: [sleep=2000]}}\n{}",
            work("hang")
        ),
    );
    rig.until_ready("web").await;
    let started: Vec<String> = rig
        .deeds()
        .into_iter()
        .filter(|(call, _)| *call == Call::CreateContainer)
        .map(|(_, subject)| subject.split(" container ").nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(
        started,
        [
            "one attempt 0",
            "side attempt 0",
            "two attempt 0",
            "main attempt 0"
        ]
    );
    assert_eq!(
        rig.running().await.keys().collect::<Vec<_>>(),
        ["web-n1/main", "web-n1/side"]
    );
}

#[tokio::test(start_paused = true)]
async fn sidecars_stop_after_the_mains() {
    let mut rig = Rig::started().await;
    rig.put(
        "web",
        &format!(
            "initContainers:\n\
             - {{name: side, image: {IMAGE}, args: [hang], restartPolicy: Always}}\n{}",
            work("drain=5000, hang")
        ),
    );
    rig.until_ready("web").await;
    rig.remove("web");
    rig.pass(3).await;
    assert_eq!(rig.running().await.len(), 2);
    rig.pass(3).await;
    assert!(rig.running().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn images_come_by_policy_and_failed_pulls_wait() {
    let mut rig = Rig::started().await;
    let other = "registry.example/other:1";
    let spec = |policy: &str| {
        format!("containers:\n- {{name: main, image: {other}, imagePullPolicy: {policy}}}\n")
    };
    rig.put("web", &spec("Never"));
    rig.pass(5).await;
    assert_eq!(rig.count(Call::PullImage), 0);
    let waiting = |pod: agent::PodView| {
        let state = pod.status.container_statuses.unwrap()[0].state.clone();
        state.unwrap().waiting.unwrap().reason.unwrap()
    };
    let reason = waiting(rig.pod("web").await.unwrap());
    assert!(reason == "ErrImageNeverPull", "{reason}");
    rig.put("web", &spec("IfNotPresent"));
    rig.pass(5).await;
    assert_eq!(rig.count(Call::PullImage), 1);
    rig.pass(10).await;
    assert_eq!(rig.count(Call::PullImage), 2);
    rig.fake.offer_image(FakeImage::workload(other, &["hang"]));
    let took = rig.until_ready("web").await;
    assert!(took <= Duration::from_secs(20), "{took:?}");
    assert_eq!(rig.count(Call::PullImage), 3);
    // What is there is not fetched again, unless that is asked for.
    rig.fake
        .exit(&rig.fake.container("web-n1", "main").unwrap(), 1);
    rig.pass(30).await;
    assert_eq!(rig.count(Call::PullImage), 3);
    rig.put("web", &spec("Always"));
    rig.pass(5).await;
    assert_eq!(rig.count(Call::PullImage), 4);
}

#[tokio::test(start_paused = true)]
async fn a_gate_holds_a_pod_until_another_is_ready() {
    let mut rig = Rig::started().await;
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: late\n  annotations:\n    \
         staticpodd/after-pods: default/first\nspec:\n  containers:\n  - \
         {{name: main, image: {IMAGE}}}\n"
    );
    let loaded = rig.load("late", &text).unwrap();
    assert_eq!(loaded.wanted.gates.pods[0].to_string(), "default/first-n1");
    rig.add("late", loaded);
    rig.pass(30).await;
    assert!(rig.running().await.is_empty());
    rig.put("first", &work("hang"));
    let took = rig.until_ready("late").await;
    assert!(took < Duration::from_millis(100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn hooks_run_after_the_start_and_before_the_stop() {
    let mut rig = Rig::new();
    let ran = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let notes = std::sync::Arc::clone(&ran);
    rig.fake.on_exec(move |_, command| {
        notes.lock().unwrap().push(command.join(" "));
        fake_cri::fake::Executed {
            takes: Duration::from_secs(2),
            ..Default::default()
        }
    });
    rig.start().await;
    rig.put(
        "web",
        &format!(
            "containers:\n- name: main\n  image: {IMAGE}\n  lifecycle:\n    \
             postStart: {{exec: {{command: [hello]}}}}\n    \
             preStop: {{exec: {{command: [bye]}}}}\n"
        ),
    );
    rig.pass(1).await;
    assert!(!rig.ready("web").await);
    rig.until_ready("web").await;
    assert_eq!(*ran.lock().unwrap(), ["hello"]);
    rig.remove("web");
    rig.pass(1).await;
    assert_eq!(rig.running().await.len(), 1);
    rig.pass(2).await;
    assert!(rig.running().await.is_empty());
    assert_eq!(*ran.lock().unwrap(), ["hello", "bye"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_post_start_hook_restarts_the_container_with_back_off() {
    let mut rig = Rig::new();
    rig.fake.on_exec(|_, _| fake_cri::fake::Executed {
        code: 1,
        ..Default::default()
    });
    rig.start().await;
    rig.put(
        "web",
        &format!(
            "containers:\n- name: main\n  image: {IMAGE}\n  lifecycle:\n    \
             postStart: {{exec: {{command: [hello]}}}}\n"
        ),
    );
    rig.pass(60).await;
    assert!(!rig.ready("web").await);
    assert_eq!(rig.count(Call::StartContainer), 4);
    assert!(
        rig.events
            .lock()
            .unwrap()
            .iter()
            .any(|event| event.contains("PostStartHookError"))
    );
}

#[tokio::test(start_paused = true)]
async fn stop_all_goes_by_priority_and_answers_when_all_is_stopped() {
    let mut rig = Rig::started().await;
    rig.write("low", &format!("priority: 1\n{}", work("drain=3000, hang")));
    rig.write("high", &format!("priority: 9\n{}", work("hang")));
    rig.tell();
    rig.until_ready("low").await;
    rig.until_ready("high").await;
    let handle = rig.handle();
    let all = tokio::spawn(async move { handle.stop_all(None).await });
    rig.pass(2).await;
    assert_eq!(rig.running().await.len(), 2);
    assert!(all.await.unwrap().unwrap());
    assert!(rig.running().await.is_empty());
    let stops = rig
        .deeds()
        .into_iter()
        .filter(|(call, _)| *call == Call::StopContainer);
    assert_eq!(stops.count(), 2);

    // Until told, nothing starts; then everything does.
    rig.pass(30).await;
    assert!(rig.running().await.is_empty());
    assert!(rig.handle().view().await.unwrap().halted);
    assert!(rig.handle().start_all().await.unwrap());
    rig.until_ready("low").await;
    rig.until_ready("high").await;
    assert!(!rig.handle().start_all().await.unwrap());

    // A stop that is taken back halfway is told so.
    let handle = rig.handle();
    let all = tokio::spawn(async move { handle.stop_all(None).await });
    rig.pass(1).await;
    assert!(rig.handle().start_all().await.unwrap());
    assert!(!all.await.unwrap().unwrap());
    rig.until_ready("low").await;
}

#[tokio::test(start_paused = true)]
async fn what_a_crash_left_on_the_host_is_cleaned_and_what_is_in_use_is_not() {
    let mut rig = Rig::new();
    rig.write("web", &work("hang"));
    rig.tell();
    rig.host.leftovers.lock().unwrap().insert("stray".into());
    rig.start().await;
    rig.until_ready("web").await;
    rig.pass(5).await;
    assert_eq!(
        *rig.host.cleaned.lock().unwrap(),
        [("stray".to_owned(), true)]
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_host_lacks_is_tried_again() {
    let mut rig = Rig::started().await;
    rig.host.broken.lock().unwrap().insert("web-n1".into());
    rig.put("web", &work("hang"));
    rig.pass(10).await;
    assert_eq!(rig.count(Call::RunPodSandbox), 0);
    rig.host.broken.lock().unwrap().clear();
    let took = rig.until_ready("web").await;
    assert!(took <= Duration::from_secs(10), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_before_there_is_a_container_is_no_restart() {
    let mut rig = Rig::started().await;
    let refused = Trouble::Fail(Fault::Refused {
        code: "INTERNAL",
        message: "no space left".into(),
    });
    rig.fake
        .plan(Plan::new(Call::CreateContainer, refused).times(3));
    rig.put("web", &work("hang"));
    rig.until_ready("web").await;
    assert_eq!(rig.count(Call::CreateContainer), 4);
    let containers = rig.fake.list_containers(None).await.unwrap();
    assert_eq!(containers[0].metadata.as_ref().unwrap().attempt, 0);
}

#[tokio::test(start_paused = true)]
async fn a_gate_holds_a_pod_until_a_path_exists() {
    let mut rig = Rig::started().await;
    let path = rig.root.path().join("socket");
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: late\n  annotations:\n    \
         staticpodd/after-paths: {}\nspec:\n  containers:\n  - \
         {{name: main, image: {IMAGE}}}\n",
        path.display()
    );
    let loaded = rig.load("late", &text).unwrap();
    rig.add("late", loaded);
    rig.pass(30).await;
    assert!(rig.running().await.is_empty());
    std::fs::write(&path, "").unwrap();
    let took = rig.until_ready("late").await;
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_takes_no_notes_stops_no_pod_and_is_shown() {
    let mut rig = Rig::started().await;
    let (state, aside) = (rig.root.path().join("state"), rig.root.path().join("aside"));
    std::fs::rename(&state, &aside).unwrap();
    rig.put("web", &work("hang"));
    rig.until_ready("web").await;
    let trouble = rig.handle().view().await.unwrap().store_trouble.unwrap();
    assert!(trouble.contains("default/web-n1"), "{trouble}");
    std::fs::rename(&aside, &state).unwrap();
    rig.pass(5).await;
    assert!(rig.handle().view().await.unwrap().store_trouble.is_none());
    assert_eq!(rig.state_files(), 1);
}
