//! Probes on the way from the runtime to the planner.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

use cri::Call;
use fake_cri::fake::Executed;

use crate::rig::{IMAGE, Rig};

/// Probes are commands that exit with this code.
fn codes(rig: &Rig) -> Arc<AtomicI32> {
    let code = Arc::new(AtomicI32::new(0));
    let now = Arc::clone(&code);
    rig.fake.on_exec(move |_, _| Executed {
        code: now.load(Ordering::SeqCst),
        ..Executed::default()
    });
    code
}

fn probed(probes: &str) -> String {
    format!("containers:\n- name: main\n  image: {IMAGE}\n  args: [hang]\n{probes}")
}

#[tokio::test(start_paused = true)]
async fn readiness_follows_its_probe_and_restarts_nothing() {
    let mut rig = Rig::new();
    let code = codes(&rig);
    code.store(1, Ordering::SeqCst);
    rig.start().await;
    rig.put(
        "web",
        &probed("  readinessProbe: {exec: {command: [x]}, periodSeconds: 2}\n"),
    );
    rig.pass(20).await;
    assert!(!rig.ready("web").await);
    code.store(0, Ordering::SeqCst);
    let took = rig.until_ready("web").await;
    assert!(took <= Duration::from_secs(3), "{took:?}");
    code.store(1, Ordering::SeqCst);
    rig.pass(8).await;
    assert!(!rig.ready("web").await);
    assert_eq!(rig.count(Call::StopContainer), 0);
}

#[tokio::test(start_paused = true)]
async fn a_failed_liveness_probe_restarts_the_container() {
    let mut rig = Rig::new();
    let code = codes(&rig);
    rig.start().await;
    rig.put(
        "web",
        &probed("  livenessProbe: {exec: {command: [x]}, periodSeconds: 2}\n"),
    );
    rig.until_ready("web").await;
    rig.pass(20).await;
    assert_eq!(rig.count(Call::StartContainer), 1);
    code.store(1, Ordering::SeqCst);
    rig.pass(7).await;
    code.store(0, Ordering::SeqCst);
    rig.pass(10).await;
    assert_eq!(rig.count(Call::StopContainer), 1);
    assert_eq!(rig.count(Call::StartContainer), 2);
    assert!(rig.ready("web").await);
}

#[tokio::test(start_paused = true)]
async fn nothing_else_is_probed_before_the_startup_probe_has_passed() {
    let mut rig = Rig::new();
    let code = codes(&rig);
    code.store(1, Ordering::SeqCst);
    rig.start().await;
    let probe = "{exec: {command: [x]}, periodSeconds: 1, failureThreshold: 100}";
    let quick = "{exec: {command: [x]}, periodSeconds: 1, failureThreshold: 1}";
    rig.put(
        "web",
        &probed(&format!(
            "  startupProbe: {probe}\n  livenessProbe: {quick}\n"
        )),
    );
    rig.pass(30).await;
    assert!(!rig.ready("web").await);
    assert_eq!(rig.count(Call::StopContainer), 0);
    code.store(0, Ordering::SeqCst);
    rig.until_ready("web").await;
    code.store(1, Ordering::SeqCst);
    rig.pass(4).await;
    assert_eq!(rig.count(Call::StopContainer), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_agent_leaves_ready_what_is_ready_and_asks_at_once() {
    let mut rig = Rig::new();
    let code = codes(&rig);
    rig.start().await;
    rig.put(
        "web",
        &probed("  readinessProbe: {exec: {command: [x]}, periodSeconds: 60}\n"),
    );
    rig.until_ready("web").await;
    rig.pass(5).await;
    rig.kill().await;
    rig.fake.forget_calls();
    rig.start().await;
    let took = rig.until_ready("web").await;
    assert!(took < Duration::from_millis(50), "{took:?}");
    rig.pass(1).await;
    assert_eq!(rig.count(Call::ExecSync), 1);
    rig.kill().await;
    code.store(1, Ordering::SeqCst);
    rig.start().await;
    rig.pass(1).await;
    assert!(!rig.ready("web").await);
}
