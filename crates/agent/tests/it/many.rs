//! Many pods and many edits: counted, and bounded.

use cri::{Call, Runtime as _};

use crate::rig::{Rig, work};

#[tokio::test(start_paused = true)]
async fn a_thousand_manifests_start_with_one_call_of_each_kind_for_each() {
    let mut rig = Rig::started().await;
    for pod in 0..1000 {
        rig.write(&format!("p{pod}"), &work("hang"));
    }
    rig.tell();
    rig.until("all run", async |rig: &Rig| {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        rig.running().await.len() == 1000
    })
    .await;
    rig.pass(2).await;
    for call in [
        Call::RunPodSandbox,
        Call::CreateContainer,
        Call::StartContainer,
        Call::PodSandboxStatus,
    ] {
        assert_eq!(rig.count(call), 1000, "{call}");
    }
    let lists = rig.count(Call::ListContainers);
    assert!(lists < 400, "{lists} lists");
    let view = rig.handle().view().await.unwrap();
    assert!(view.pods.iter().all(|pod| pod.ready));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_edits_leave_nothing_behind() {
    let mut rig = Rig::started().await;
    let spec = |version: u32| work(&format!("out={version}, drain=5000, hang"));
    let mut versions = Vec::new();
    for edit in 0..100_u32 {
        let pod = format!("p{}", edit % 20);
        rig.write(&pod, &spec(edit / 20));
        versions.push((pod.clone(), rig.written(&pod)));
    }
    rig.tell();
    // Four at a time, as a tool that writes manifests might.
    let edits: Vec<_> = versions.iter().cycle().take(10_000).collect();
    for four in edits.chunks(4) {
        for (pod, loaded) in four {
            rig.replace(pod, loaded.clone());
        }
        rig.tell();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    rig.pass(60).await;
    let made = rig.count(Call::RunPodSandbox);
    assert!((20 * 8..20 * 14).contains(&made), "{made} sandboxes");
    let stops = rig.count(Call::StopContainer);
    assert!(stops <= made - 20, "{stops} stops of {made} sandboxes");
    assert_eq!(rig.running().await.len(), 20);
    // A pod may keep one container that has ended, and its sandbox, for those who ask how.
    let containers = rig.fake.list_containers(None).await.unwrap();
    assert!((20..=40).contains(&containers.len()), "{containers:?}");
    let sandboxes = rig.fake.list_pod_sandbox(None).await.unwrap();
    assert!((20..=40).contains(&sandboxes.len()), "{sandboxes:?}");
    let view = rig.handle().view().await.unwrap();
    assert_eq!(view.pods.len(), 20);
    for pod in &view.pods {
        let spec = pod.pod.as_ref().unwrap().api.spec.clone().unwrap();
        assert_eq!(spec.containers[0].args.as_ref().unwrap()[0], "out=4");
        assert!(pod.ready && !pod.stopping);
    }
    assert_eq!(rig.state_files(), 20);
}
