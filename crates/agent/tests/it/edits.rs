//! Other content under the same name.

use std::time::Duration;

use cri::{Call, Runtime as _};

use crate::rig::{Rig, work};

fn position(rig: &Rig, call: Call) -> usize {
    let deeds = rig.deeds();
    deeds.iter().position(|(of, _)| *of == call).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_edit_stops_the_old_pod_completely_and_starts_the_new_one_at_once() {
    let mut rig = Rig::started().await;
    rig.put(
        "web",
        &format!("hostNetwork: true\n{}", work("drain=3000, hang")),
    );
    rig.until_ready("web").await;
    let old = rig.pod("web").await.unwrap().pod.unwrap().uid.clone();
    rig.fake.forget_calls();
    rig.put(
        "web",
        &format!("hostNetwork: true\n{}", work("out=new, hang")),
    );
    // The drain, and nothing that anybody polls for.
    tokio::time::sleep(Duration::from_millis(3030)).await;
    let pod = rig.pod("web").await.unwrap();
    assert!(pod.ready);
    assert_ne!(pod.pod.unwrap().uid, old);
    assert!(position(&rig, Call::StopContainer) < position(&rig, Call::StopPodSandbox));
    assert!(position(&rig, Call::StopPodSandbox) < position(&rig, Call::RunPodSandbox));
    assert_eq!(rig.running().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn of_many_edits_during_a_termination_only_the_last_one_runs() {
    let mut rig = Rig::started().await;
    rig.put("web", &work("drain=20000, hang"));
    rig.until_ready("web").await;
    rig.fake.forget_calls();
    for edit in 0..150 {
        rig.put("web", &work(&format!("out={edit}, hang")));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    rig.pass(10).await;
    assert_eq!(rig.count(Call::RunPodSandbox), 1);
    assert_eq!(rig.count(Call::StopContainer), 1);
    let pod = rig.pod("web").await.unwrap();
    assert!(pod.ready);
    let spec = pod.pod.unwrap().api.spec.clone().unwrap();
    assert_eq!(spec.containers[0].args.as_ref().unwrap()[0], "out=149");
}

#[tokio::test(start_paused = true)]
async fn the_same_manifest_told_again_changes_nothing() {
    let mut rig = Rig::started().await;
    rig.put("web", &work("hang"));
    rig.until_ready("web").await;
    rig.fake.forget_calls();
    for _ in 0..20 {
        rig.put("web", &work("hang"));
        rig.pass(1).await;
    }
    assert!(rig.deeds().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_manifest_that_is_removed_and_put_back_runs_again() {
    let mut rig = Rig::started().await;
    rig.put("web", &work("drain=2000, hang"));
    rig.until_ready("web").await;
    rig.remove("web");
    rig.pass(1).await;
    rig.put("web", &work("drain=2000, hang"));
    rig.pass(10).await;
    assert!(rig.ready("web").await);
    assert_eq!(rig.running().await.len(), 1);
    assert_eq!(rig.count(Call::RunPodSandbox), 2);
}

#[tokio::test(start_paused = true)]
async fn images_are_fetched_side_by_side_unless_they_are_to_take_turns() {
    for (pulls, begun) in [(None, 3), (Some(2), 2), (Some(1), 1)] {
        let mut rig = Rig::new();
        rig.pulls = pulls;
        rig.start().await;
        let plan = fake_cri::fake::Plan::new(Call::PullImage, fake_cri::fake::Trouble::Hang);
        rig.fake.plan(plan.times(3));
        for name in ["a", "b", "c"] {
            rig.put(
                name,
                "containers:\n- {name: main, image: registry.example/never:1}\n",
            );
        }
        rig.pass(30).await;
        assert_eq!(rig.count(Call::PullImage), begun, "{pulls:?}");
        // Who waits for a turn gives it up with its manifest, and holds up nobody else.
        rig.put("c", &work("hang"));
        rig.until_ready("c").await;
        rig.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_edit_gives_up_a_start_that_hangs() {
    let mut rig = Rig::started().await;
    let plan = fake_cri::fake::Plan::new(Call::PullImage, fake_cri::fake::Trouble::Hang);
    rig.fake.plan(plan);
    rig.put(
        "web",
        "containers:\n- {name: main, image: registry.example/never:1}\n",
    );
    rig.pass(100).await;
    assert_eq!(rig.count(Call::PullImage), 1);
    rig.put("web", &work("hang"));
    let took = rig.until_ready("web").await;
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn content_that_comes_back_while_it_ends_leaves_no_dead_sandbox_of_its_first_life() {
    let mut rig = Rig::started().await;
    rig.put("web", &work("drain=3000, hang"));
    rig.until_ready("web").await;
    rig.put("web", &work("out=other, hang"));
    rig.pass(1).await;
    rig.put("web", &work("drain=3000, hang"));
    rig.pass(10).await;
    assert!(rig.ready("web").await);
    let sandboxes = rig.fake.list_pod_sandbox(None).await.unwrap();
    assert_eq!(sandboxes.len(), 1, "{sandboxes:?}");
    assert_eq!(rig.running().await.len(), 1);
}
