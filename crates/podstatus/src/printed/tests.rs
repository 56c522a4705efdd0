use pod::api::{
    Container, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, PodCondition,
};

use super::*;
use crate::times::seconds;

const WALL: i64 = 1_700_000_000;

fn ended(code: i32, reason: &str, ago: i64) -> ContainerStateTerminated {
    ContainerStateTerminated {
        exit_code: code,
        reason: Some(reason.into()).filter(|reason: &String| !reason.is_empty()),
        finished_at: seconds(WALL - ago),
        ..ContainerStateTerminated::default()
    }
}

/// `name:state` with states `run`, `ready`, `started`, `-Reason` (waiting), `code` or
/// `code=Reason` (ended), and `*n` for n restarts, the last of them five minutes ago.
fn container(part: &str) -> ContainerStatus {
    let (name, rest) = part.split_once(':').unwrap();
    let (state, restarts) = rest.split_once('*').unwrap_or((rest, "0"));
    let restarts: i32 = restarts.parse().unwrap();
    let mut found = ContainerState::default();
    if let Some(reason) = state.strip_prefix('-') {
        found.waiting = Some(ContainerStateWaiting {
            reason: Some(reason.into()),
            message: None,
        });
    } else if matches!(state, "run" | "ready" | "started") {
        found.running = Some(ContainerStateRunning::default());
    } else {
        let (code, reason) = state.split_once('=').unwrap_or((state, ""));
        found.terminated = Some(ended(code.parse().unwrap(), reason, 9));
    }
    ContainerStatus {
        name: name.into(),
        state: Some(found),
        ready: state == "ready",
        started: Some(matches!(state, "ready" | "started")),
        restart_count: restarts,
        last_state: (restarts > 0).then(|| ContainerState {
            terminated: Some(ended(1, "Error", 300)),
            ..ContainerState::default()
        }),
        ..ContainerStatus::default()
    }
}

fn columns(phase: &str, init: &str, mains: &str, holding: &[&str], stopping: bool) -> Row {
    let list =
        |text: &str| -> Vec<ContainerStatus> { text.split_whitespace().map(container).collect() };
    let (init, mains) = (list(init), list(mains));
    let named = |statuses: &[ContainerStatus]| -> Vec<Container> {
        let spec = |status: &ContainerStatus| Container {
            name: status.name.clone(),
            restart_policy: status.name.starts_with('s').then(|| "Always".into()),
            ..Container::default()
        };
        statuses.iter().map(spec).collect()
    };
    let spec = PodSpec {
        init_containers: Some(named(&init)),
        containers: named(&mains),
        ..PodSpec::default()
    };
    let conditions = holding.iter().map(|kind| PodCondition {
        type_: (*kind).into(),
        status: "True".into(),
        ..PodCondition::default()
    });
    let status = PodStatus {
        phase: Some(phase.into()),
        conditions: Some(conditions.collect()),
        init_container_statuses: Some(init),
        container_statuses: Some(mains),
        start_time: seconds(WALL - 3600 * 5),
        ..PodStatus::default()
    };
    row(&spec, &status, stopping, WALL)
}

/// Phase, init containers, mains; then READY, STATUS and RESTARTS.
const PRINTED: &str = "
    Running   |                           | a:ready b:ready                      | 2/2 | Running               | 0
    Running   |                           | a:ready*2 b:run                      | 1/2 | Running               | 2 (5m ago)
    Running   |                           | a:-CrashLoopBackOff*3                | 0/1 | CrashLoopBackOff      | 3 (5m ago)
    Pending   |                           | a:-ContainerCreating b:-ErrImagePull | 0/2 | ContainerCreating     | 0
    Succeeded |                           | a:0=Completed b:0=Completed          | 0/2 | Completed             | 0
    Failed    |                           | a:1=Error                            | 0/1 | Error                 | 0
    Failed    |                           | a:3                                  | 0/1 | ExitCode:3            | 0
    Failed    |                           | a:137=OOMKilled b:0=Completed        | 0/2 | OOMKilled             | 0
    Pending   | i:run j:-PodInitializing  | a:-PodInitializing                   | 0/1 | Init:0/2              | 0
    Pending   | i:0=Completed j:run       | a:-PodInitializing                   | 0/1 | Init:1/2              | 0
    Pending   | i:1=Error*1               | a:-PodInitializing                   | 0/1 | Init:Error            | 1 (5m ago)
    Pending   | i:4                       | a:-PodInitializing                   | 0/1 | Init:ExitCode:4       | 0
    Pending   | i:-CrashLoopBackOff*4     | a:-PodInitializing                   | 0/1 | Init:CrashLoopBackOff | 4 (5m ago)
    Pending   | s:run                     | a:-PodInitializing                   | 0/2 | Init:0/1              | 0
    Running   | i:0=Completed*5 s:ready*1 | a:ready                              | 2/2 | Running               | 1 (5m ago)
    Running   | s:started                 | a:ready                              | 1/2 | Running               | 0
";

#[test]
fn a_pod_is_printed_as_kubectl_prints_it() {
    for line in PRINTED.trim().lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [phase, init, mains, ready, status, restarts] = cells[..] else {
            panic!("six cells: {line}");
        };
        let row = columns(phase, init, mains, &["Ready"], false);
        let got = [row.ready.as_str(), &row.status, &row.restarts, &row.age];
        assert_eq!(got, [ready, status, restarts, "5h"], "{line}");
    }
}

#[test]
fn a_pod_of_which_one_container_completed_is_running_or_not_ready() {
    for (holding, expected) in [(&["Ready"][..], "Running"), (&[], "NotReady")] {
        let row = columns("Running", "", "a:0=Completed b:ready", holding, false);
        assert_eq!(row.status, expected);
    }
}

#[test]
fn a_pod_on_its_way_out_is_terminating_unless_it_has_ended() {
    assert_eq!(
        columns("Running", "", "a:ready", &[], true).status,
        "Terminating"
    );
    assert_eq!(
        columns("Succeeded", "", "a:0=Completed", &[], true).status,
        "Completed"
    );
}

#[test]
fn a_sidecar_that_restarts_in_an_initialised_pod_does_not_take_it_back_to_initialising() {
    let row = columns(
        "Running",
        "s:-CrashLoopBackOff*2",
        "a:ready",
        &["Initialized"],
        false,
    );
    assert_eq!(row.status, "Init:CrashLoopBackOff");
    assert_eq!(row.ready, "1/2");
    assert_eq!(row.restarts, "2 (5m ago)");
}

#[test]
fn the_pods_own_reason_goes_before_its_phase() {
    let spec = PodSpec::default();
    let status = PodStatus {
        phase: Some("Pending".into()),
        reason: Some("WaitingForGate".into()),
        ..PodStatus::default()
    };
    let row = row(&spec, &status, false, WALL);
    assert_eq!(
        (row.status.as_str(), row.age.as_str()),
        ("WaitingForGate", "<unknown>")
    );
}
