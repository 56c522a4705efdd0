//! Whole statuses, from a planner that is told what runs.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::{net::IpAddr, sync::Arc, time::Duration};

use plan::{
    ContainerState, Exit, Failure, FailureClass, Features, Gates, Kind, Outcome, Owner, Planner,
    PodKey, RestartPolicy, Runtime, Seen, SeenContainer, SeenSandbox, Settings, Verdict, Wanted,
    WantedContainer,
};
use pod::api::{
    Container, ContainerStatus, ObjectMeta, Pod, PodReadinessGate, PodSpec, PodStatus, Probe,
};
use podstatus::{Place, status};

const WALL: i64 = 1_700_000_000;
const NANOS: i64 = 1_000_000_000;

fn key() -> PodKey {
    PodKey::new("default", "web")
}

/// A planner with one pod, and the pod. Names: `i...` init containers, `s...` sidecars.
struct Stage {
    planner: Planner,
    pod: Pod,
    now: u64,
    since: Option<i64>,
}

impl Stage {
    fn new(policy: &str, names: &[&str]) -> Self {
        Self::with(policy, names, |_, _| {})
    }

    fn with(policy: &str, names: &[&str], change: impl Fn(&mut Wanted, &mut PodSpec)) -> Self {
        let restart = match policy {
            "Never" => RestartPolicy::Never,
            "OnFailure" => RestartPolicy::OnFailure,
            _ => RestartPolicy::Always,
        };
        let mut spec = PodSpec {
            restart_policy: Some(policy.into()),
            ..PodSpec::default()
        };
        let mut wanted = Wanted {
            key: key(),
            uid: "u1".into(),
            revision: "r1".into(),
            source: "file".into(),
            restart,
            host_network: false,
            host_ports: Vec::new(),
            grace: Duration::from_secs(30),
            priority: 0,
            active_deadline: None,
            once_per_boot: false,
            init: Vec::new(),
            mains: Vec::new(),
            gates: Gates::default(),
        };
        for name in names {
            let (kind, own) = match name.as_bytes()[0] {
                b'i' => (Kind::Init, None),
                b's' => (Kind::Sidecar, Some("Always".to_owned())),
                _ => (Kind::Main, None),
            };
            let container = Container {
                name: (*name).into(),
                image: Some(format!("registry/{name}:1")),
                restart_policy: own,
                ..Container::default()
            };
            let same = WantedContainer {
                name: (*name).into(),
                kind,
                restart: if kind == Kind::Sidecar {
                    RestartPolicy::Always
                } else {
                    restart
                },
                rules: Vec::new(),
                has: Features::default(),
                liveness_grace: None,
                startup_grace: None,
            };
            if kind == Kind::Main {
                spec.containers.push(container);
                wanted.mains.push(same);
            } else {
                spec.init_containers.get_or_insert_default().push(container);
                wanted.init.push(same);
            }
        }
        change(&mut wanted, &mut spec);
        let settings = Settings {
            boot: "boot".into(),
            take_over: false,
        };
        let mut planner = Planner::new(settings, std::collections::BTreeMap::new());
        planner.runtime(Runtime::Up { network: true });
        planner.source("file", true);
        planner.want(Arc::new(wanted));
        let metadata = ObjectMeta {
            name: Some("web".into()),
            namespace: Some("default".into()),
            ..ObjectMeta::default()
        };
        let pod = Pod {
            metadata,
            spec: Some(spec),
            ..Pod::default()
        };
        Self {
            planner,
            pod,
            now: 1000,
            since: None,
        }
    }

    fn sees(&mut self, sandboxes: Vec<SeenSandbox>) -> Vec<plan::Order> {
        let seen = Seen {
            sandboxes,
            ..Seen::default()
        };
        self.planner.see(self.planner.ticket(), &key(), seen);
        self.planner.plan(Duration::from_secs(self.now)).orders
    }

    fn report(&mut self, order: &plan::Order, outcome: &Outcome) {
        self.planner
            .report(order.id, outcome, Duration::from_secs(self.now));
    }

    fn status(&self, before: Option<&PodStatus>) -> PodStatus {
        self.status_at(before, WALL, &[])
    }

    fn status_at(&self, before: Option<&PodStatus>, wall: i64, host_ips: &[IpAddr]) -> PodStatus {
        let place = Place {
            host_ips,
            runtime: "containerd",
            since: self.since,
        };
        let view = self.planner.view(&key()).unwrap();
        status(&self.pod, view, before, place, wall)
    }
}

fn sandbox(id: &str, attempt: u32, ready: bool, containers: Vec<SeenContainer>) -> SeenSandbox {
    SeenSandbox {
        id: id.into(),
        owner: Owner::Us,
        uid: "u1".into(),
        revision: "r1".into(),
        source: "file".into(),
        boot: None,
        attempt,
        ready,
        created: (WALL - 60) * NANOS,
        host_network: false,
        ips: Some(vec![
            "10.0.0.7".parse().unwrap(),
            "fd00::7".parse().unwrap(),
        ]),
        grace: None,
        containers,
    }
}

fn seen(id: &str, name: &str, attempt: u32, state: ContainerState) -> SeenContainer {
    SeenContainer {
        id: id.into(),
        name: name.into(),
        attempt,
        state,
        pre_stop: false,
        sidecar: None,
        created: WALL * NANOS,
        image: format!("runtime/{name}:1"),
        image_id: format!("sha256:{name}"),
    }
}

fn running() -> ContainerState {
    ContainerState::Running {
        started: (WALL - 50) * NANOS,
    }
}

fn exited(code: i32) -> ContainerState {
    ContainerState::Exited(Exit {
        code,
        reason: String::new(),
        message: "last words".into(),
        started: (WALL - 50) * NANOS,
        finished: (WALL - 40) * NANOS,
    })
}

fn main_status(status: &PodStatus, nth: usize) -> ContainerStatus {
    status.container_statuses.as_ref().unwrap()[nth].clone()
}

/// The status's conditions as `Type=True` or `Type=False(Reason: message)`.
fn conditions(status: &PodStatus) -> Vec<String> {
    let all = status.conditions.iter().flatten();
    all.map(|condition| {
        let reason = condition.reason.as_deref().unwrap_or_default();
        let message = condition.message.as_deref().unwrap_or_default();
        match (reason, message) {
            ("", _) => format!("{}={}", condition.type_, condition.status),
            (_, "") => format!("{}={}({reason})", condition.type_, condition.status),
            _ => format!(
                "{}={}({reason}: {message})",
                condition.type_, condition.status
            ),
        }
    })
    .collect()
}

fn waiting(status: &ContainerStatus) -> (String, String) {
    let waiting = status.state.as_ref().unwrap().waiting.as_ref().unwrap();
    (
        waiting.reason.clone().unwrap(),
        waiting.message.clone().unwrap_or_default(),
    )
}

#[test]
fn a_running_pod() {
    let mut stage = Stage::new("Always", &["a"]);
    stage.sees(vec![sandbox(
        "s",
        0,
        true,
        vec![seen("a1", "a", 1, running()), seen("a0", "a", 0, exited(3))],
    )]);
    let status = stage.status_at(None, WALL, &["192.0.2.1".parse().unwrap()]);
    assert_eq!(status.phase.as_deref(), Some("Running"));
    assert_eq!(status.pod_ip.as_deref(), Some("10.0.0.7"));
    assert_eq!(status.pod_ips.as_ref().unwrap()[1].ip, "fd00::7");
    assert_eq!(status.host_ip.as_deref(), Some("192.0.2.1"));
    assert_eq!(status.qos_class.as_deref(), Some("BestEffort"));
    assert_eq!(status.start_time.as_ref().unwrap().0.as_second(), WALL - 60);
    assert_eq!(
        conditions(&status),
        [
            "PodReadyToStartContainers=True",
            "Initialized=True",
            "Ready=True",
            "ContainersReady=True",
            "PodScheduled=True",
        ]
    );
    let a = main_status(&status, 0);
    assert!(a.ready && a.started == Some(true));
    assert_eq!(a.restart_count, 1);
    assert_eq!(a.image, "runtime/a:1");
    assert_eq!(a.image_id, "sha256:a");
    assert_eq!(a.container_id.as_deref(), Some("containerd://a1"));
    let started = a.state.unwrap().running.unwrap().started_at.unwrap();
    assert_eq!(started.0.as_second(), WALL - 50);
    let last = a.last_state.unwrap().terminated.unwrap();
    assert_eq!(last.exit_code, 3);
    assert_eq!(last.reason.as_deref(), Some("Error"));
    assert_eq!(last.message.as_deref(), Some("last words"));
    assert_eq!(last.container_id.as_deref(), Some("containerd://a0"));
    assert_eq!(last.finished_at.unwrap().0.as_second(), WALL - 40);
}

#[test]
fn a_pod_that_has_not_begun() {
    for (names, reason, incomplete) in [
        (&["a"][..], "ContainerCreating", None),
        (&["i", "s", "a"], "PodInitializing", Some("[i s]")),
    ] {
        let mut stage = Stage::new("Always", names);
        stage.sees(vec![]);
        let status = stage.status(None);
        assert_eq!(status.phase.as_deref(), Some("Pending"));
        assert_eq!(waiting(&main_status(&status, 0)).0, reason);
        let said = conditions(&status);
        assert_eq!(said[0], "PodReadyToStartContainers=False");
        let expected = incomplete.map_or("Initialized=True".to_owned(), |names| {
            format!("Initialized=False(ContainersNotInitialized: containers with incomplete status: {names})")
        });
        assert_eq!(said[1], expected);
        assert!(
            said[2].starts_with("Ready=False(ContainersNotReady: "),
            "{said:?}"
        );
        let image = main_status(&status, 0).image;
        assert_eq!(image, "registry/a:1", "what the manifest says");
    }
}

#[test]
fn a_crashing_container_waits_in_back_off_with_its_last_end() {
    let mut stage = Stage::new("Always", &["a"]);
    let orders = stage.sees(vec![sandbox(
        "s",
        0,
        true,
        vec![seen("a0", "a", 0, exited(1))],
    )]);
    let status = stage.status(None);
    let end = main_status(&status, 0).state.unwrap().terminated.unwrap();
    assert_eq!(end.exit_code, 1, "while it is started again");
    stage.report(&orders[0], &Outcome::Done);
    stage.now += 1;
    stage.sees(vec![sandbox(
        "s",
        0,
        true,
        vec![seen("a1", "a", 1, exited(2)), seen("a0", "a", 0, exited(1))],
    )]);
    let status = stage.status(None);
    assert_eq!(status.phase.as_deref(), Some("Running"));
    let a = main_status(&status, 0);
    let (reason, message) = waiting(&a);
    assert_eq!(reason, "CrashLoopBackOff");
    assert_eq!(
        message,
        "back-off 10s restarting failed container=a pod=web_default(u1)"
    );
    assert_eq!(a.last_state.unwrap().terminated.unwrap().exit_code, 2);
    assert_eq!(a.restart_count, 1);
}

#[test]
fn failures_of_a_start_are_the_reason_it_waits() {
    for (class, reason, expected) in [
        (FailureClass::Pull, "ErrImagePull", "ImagePullBackOff"),
        (FailureClass::Pull, "ErrImageNeverPull", "ErrImageNeverPull"),
        (
            FailureClass::Other,
            "CreateContainerConfigError",
            "CreateContainerConfigError",
        ),
        (
            FailureClass::Other,
            "RunContainerError",
            "RunContainerError",
        ),
    ] {
        let mut stage = Stage::new("Always", &["a"]);
        let empty = || vec![sandbox("s", 0, true, vec![])];
        let orders = stage.sees(empty());
        let failure = Failure {
            class,
            reason: reason.into(),
            message: "no such thing".into(),
        };
        stage.report(&orders[0], &Outcome::Failed(failure));
        stage.sees(empty());
        let (said, message) = waiting(&main_status(&stage.status(None), 0));
        assert_eq!(said, expected);
        assert!(message.ends_with("no such thing"), "{message}");
        stage.now += 300;
        let again = stage.sees(empty());
        let again = if again.is_empty() {
            stage.planner.plan(Duration::from_secs(stage.now)).orders
        } else {
            again
        };
        assert_eq!(again.len(), 1);
        let (said, _) = waiting(&main_status(&stage.status(None), 0));
        assert_eq!(said, reason, "while it is tried again");
    }
}

#[test]
fn an_init_container_whose_record_is_gone_counts_as_completed() {
    let mut stage = Stage::new("Always", &["i", "a"]);
    stage.sees(vec![sandbox(
        "s",
        0,
        true,
        vec![seen("a0", "a", 0, running())],
    )]);
    let status = stage.status(None);
    let init = status.init_container_statuses.as_ref().unwrap()[0].clone();
    let end = init.state.unwrap().terminated.unwrap();
    assert_eq!(
        (end.exit_code, end.reason.as_deref()),
        (0, Some("Completed"))
    );
    assert!(end.message.is_some());
    assert!(init.ready);
    assert!(conditions(&status).contains(&"Ready=True".to_owned()));
}

#[test]
fn a_pod_that_ended_is_terminal_once_nothing_runs() {
    for (code, phase, reason) in [(0, "Succeeded", "PodCompleted"), (1, "Failed", "PodFailed")] {
        let mut stage = Stage::new("Never", &["s", "a"]);
        let with = |state| {
            let mut sidecar = seen("s0", "s", 0, state);
            sidecar.sidecar = Some(0);
            vec![sandbox(
                "box",
                0,
                true,
                vec![sidecar, seen("a0", "a", 0, exited(code))],
            )]
        };
        let orders = stage.sees(with(running()));
        assert_eq!(stage.status(None).phase.as_deref(), Some("Running"));
        stage.report(&orders[0], &Outcome::Done);
        stage.sees(with(exited(0)));
        let status = stage.status(None);
        assert_eq!(status.phase.as_deref(), Some(phase));
        assert_eq!(conditions(&status)[2], format!("Ready=False({reason})"));
    }
}

#[test]
fn a_deadline_is_named() {
    let mut stage = Stage::with("Always", &["a"], |wanted, _| {
        wanted.active_deadline = Some(Duration::from_secs(5));
    });
    stage.sees(vec![sandbox(
        "s",
        0,
        true,
        vec![seen("a0", "a", 0, running())],
    )]);
    stage.now += 5;
    let orders = stage.planner.plan(Duration::from_secs(stage.now)).orders;
    stage.report(&orders[0], &Outcome::Done);
    stage.sees(vec![sandbox(
        "s",
        0,
        true,
        vec![seen("a0", "a", 0, exited(137))],
    )]);
    let status = stage.status(None);
    assert_eq!(status.phase.as_deref(), Some("Failed"));
    assert_eq!(status.reason.as_deref(), Some("DeadlineExceeded"));
}

#[test]
fn probes_make_started_and_ready() {
    for (verdict, started, ready) in [
        (None, false, false),
        (
            Some(Verdict {
                started: Some(true),
                live: true,
                ready: false,
            }),
            true,
            false,
        ),
        (
            Some(Verdict {
                started: Some(true),
                live: true,
                ready: true,
            }),
            true,
            true,
        ),
    ] {
        let mut stage = Stage::with("Always", &["a"], |wanted, spec| {
            wanted.mains[0].has.startup_probe = true;
            wanted.mains[0].has.readiness_probe = true;
            spec.containers[0].startup_probe = Some(Probe::default());
            spec.containers[0].readiness_probe = Some(Probe::default());
        });
        stage.sees(vec![sandbox(
            "s",
            0,
            true,
            vec![seen("a0", "a", 0, running())],
        )]);
        if let Some(verdict) = verdict {
            stage.planner.verdict(&key(), "a0", verdict);
        }
        let status = stage.status(None);
        let a = main_status(&status, 0);
        assert_eq!((a.started, a.ready), (Some(started), ready));
        let expected = if ready {
            "ContainersReady=True"
        } else {
            "ContainersReady=False(ContainersNotReady: containers with unready status: [a])"
        };
        assert_eq!(conditions(&status)[3], expected);
    }
}

#[test]
fn a_condition_keeps_its_time_until_its_status_changes() {
    let mut stage = Stage::new("Always", &["a"]);
    stage.sees(vec![]);
    let first = stage.status_at(None, WALL, &[]);
    stage.sees(vec![sandbox(
        "s",
        0,
        true,
        vec![seen("a0", "a", 0, running())],
    )]);
    let second = stage.status_at(Some(&first), WALL + 100, &[]);
    let third = stage.status_at(Some(&second), WALL + 200, &[]);
    let times = |status: &PodStatus| -> Vec<i64> {
        let all = status.conditions.iter().flatten();
        all.map(|c| c.last_transition_time.as_ref().unwrap().0.as_second() - WALL)
            .collect()
    };
    assert_eq!(times(&first), [0, 0, 0, 0, 0]);
    assert_eq!(times(&second), [100, 0, 100, 100, 0]);
    assert_eq!(times(&third), times(&second));
    assert_eq!(third.start_time, first.start_time);
}

#[test]
fn gates_that_only_an_api_server_opens_keep_a_pod_unready() {
    let mut stage = Stage::with("Always", &["a"], |_, spec| {
        spec.readiness_gates = Some(vec![PodReadinessGate {
            condition_type: "x/y".into(),
        }]);
    });
    stage.sees(vec![sandbox(
        "s",
        0,
        true,
        vec![seen("a0", "a", 0, running())],
    )]);
    let said = conditions(&stage.status(None));
    assert!(
        said[2].starts_with("Ready=False(ReadinessGatesNotReady"),
        "{said:?}"
    );
    assert_eq!(said[3], "ContainersReady=True");
}

#[test]
fn a_pod_on_the_nodes_network_has_the_nodes_addresses() {
    let mut stage = Stage::with("Always", &["a"], |wanted, spec| {
        wanted.host_network = true;
        spec.host_network = Some(true);
    });
    let mut host = sandbox("s", 0, true, vec![seen("a0", "a", 0, running())]);
    host.host_network = true;
    host.ips = Some(vec![]);
    stage.sees(vec![host]);
    let status = stage.status_at(None, WALL, &["192.0.2.1".parse().unwrap()]);
    assert_eq!(status.pod_ip.as_deref(), Some("192.0.2.1"));
    assert_eq!(conditions(&status)[0], "PodReadyToStartContainers=True");
}

#[test]
fn what_keeps_a_pod_from_beginning_is_said() {
    let mut stage = Stage::with("Always", &["a"], |wanted, _| {
        wanted.gates.paths = vec!["/run/kms.sock".into()];
    });
    stage.sees(vec![]);
    let status = stage.status(None);
    assert_eq!(status.reason.as_deref(), Some("WaitingForGate"));
    assert_eq!(
        status.message.as_deref(),
        Some("waiting for path /run/kms.sock to exist")
    );
}

#[test]
fn a_pod_in_a_new_sandbox_shows_its_last_life_and_counts_on() {
    let mut stage = Stage::new("Always", &["a"]);
    let old = || sandbox("s", 0, false, vec![seen("a4", "a", 4, exited(255))]);
    stage.sees(vec![old(), sandbox("t", 1, true, vec![])]);
    let status = stage.status(None);
    let a = main_status(&status, 0);
    assert_eq!(waiting(&a).0, "ContainerCreating");
    assert_eq!(a.last_state.unwrap().terminated.unwrap().exit_code, 255);
    assert_eq!(a.restart_count, 4);
}

#[test]
fn a_pod_whose_manifest_is_gone_still_shows_what_runs() {
    let mut stage = Stage::new("Always", &["a"]);
    stage.sees(vec![sandbox(
        "s",
        0,
        true,
        vec![seen("a0", "a", 0, running())],
    )]);
    stage.planner.unwant(&key());
    let orders = stage.planner.plan(Duration::from_secs(stage.now)).orders;
    assert_eq!(orders.len(), 1);
    let status = stage.status(None);
    assert_eq!(status.phase.as_deref(), Some("Running"));
    assert!(main_status(&status, 0).ready);
    assert!(stage.planner.view(&key()).unwrap().ending().is_some());
}

#[test]
fn a_pod_is_as_old_as_its_manifest_whoever_asks_and_its_sandbox_at_the_latest() {
    let mut stage = Stage::new("Always", &["a"]);
    stage.sees(vec![sandbox("s", 0, true, vec![])]);
    let start = |stage: &Stage, before: Option<&PodStatus>| {
        let status = stage.status(before);
        status.start_time.unwrap().0.as_second()
    };
    for (since, expected) in [
        (None, WALL - 60),
        (Some(WALL - 70), WALL - 70),
        // The same content was written anew.
        (Some(WALL - 5), WALL - 60),
    ] {
        stage.since = since;
        assert_eq!(start(&stage, None), expected);
    }
    // What was said once holds.
    let before = stage.status(None);
    stage.since = Some(WALL - 90);
    assert_eq!(start(&stage, Some(&before)), WALL - 60);
}

#[test]
fn a_container_has_what_it_asked_for() {
    use pod::api::{Quantity, ResourceRequirements};
    let mut stage = Stage::new("Always", &["a", "b"]);
    let amount = |text: &str| Some([("cpu".to_owned(), Quantity(text.to_owned()))].into());
    stage.pod.spec.as_mut().unwrap().containers[0].resources = Some(ResourceRequirements {
        limits: amount("2"),
        requests: amount("1"),
        ..ResourceRequirements::default()
    });
    stage.sees(vec![]);
    let status = stage.status(None);
    let a = main_status(&status, 0);
    assert_eq!(a.allocated_resources, amount("1"));
    let given = a.resources.unwrap();
    assert_eq!((given.limits, given.requests), (amount("2"), amount("1")));
    assert!(main_status(&status, 1).resources.is_none());
}
