use pod::api::{Container, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting};

use super::*;

fn status(name: &str, word: &str) -> ContainerStatus {
    let mut state = ContainerState::default();
    let mut last = None;
    let ended = |code| {
        Some(ContainerStateTerminated {
            exit_code: code,
            ..ContainerStateTerminated::default()
        })
    };
    match word {
        "running" | "started" => state.running = Some(ContainerStateRunning::default()),
        "done" => state.terminated = ended(0),
        "failed" => state.terminated = ended(1),
        _ => state.waiting = Some(ContainerStateWaiting::default()),
    }
    if word == "crashed" {
        last = Some(ContainerState {
            terminated: ended(1),
            ..ContainerState::default()
        });
    }
    ContainerStatus {
        name: name.into(),
        state: Some(state),
        last_state: last,
        started: Some(word == "started"),
        ..ContainerStatus::default()
    }
}

/// The phase of a pod whose containers do this, e.g. `i:done s:started a:running`. A name that
/// begins with `i` is an init container's, with `s` a sidecar's; `-` is no status at all.
fn of(policy: &str, containers: &str, initialized: bool) -> &'static str {
    let mut spec = PodSpec {
        restart_policy: Some(policy.into()),
        ..PodSpec::default()
    };
    let mut statuses = Vec::new();
    for part in containers.split_whitespace() {
        let (name, word) = part.split_once(':').unwrap();
        let container = Container {
            name: name.into(),
            restart_policy: name.starts_with('s').then(|| "Always".into()),
            ..Container::default()
        };
        if name.starts_with(['i', 's']) {
            spec.init_containers.get_or_insert_default().push(container);
        } else {
            spec.containers.push(container);
        }
        if word != "-" {
            statuses.push(status(name, word));
        }
    }
    phase(&spec, &statuses, initialized)
}

#[test]
fn mains_give_the_phase_as_in_the_tables_of_get_phase() {
    for (policy, containers, expected) in [
        ("Always", "a:- b:-", "Pending"),
        ("Always", "a:waiting b:waiting", "Pending"),
        ("Always", "a:running b:running", "Running"),
        ("Always", "a:done b:failed", "Running"),
        ("Always", "a:running b:done", "Running"),
        ("Always", "a:running b:-", "Pending"),
        ("Always", "a:running b:waiting", "Pending"),
        ("Always", "a:running b:crashed", "Running"),
        ("Always", "a:crashed b:crashed", "Running"),
        ("Never", "a:- b:-", "Pending"),
        ("Never", "a:running b:running", "Running"),
        ("Never", "a:done b:done", "Succeeded"),
        ("Never", "a:failed b:failed", "Failed"),
        ("Never", "a:running b:done", "Running"),
        ("Never", "a:done b:failed", "Failed"),
        ("Never", "a:done b:-", "Pending"),
        ("OnFailure", "a:- b:-", "Pending"),
        ("OnFailure", "a:running b:running", "Running"),
        ("OnFailure", "a:done b:done", "Succeeded"),
        ("OnFailure", "a:failed b:failed", "Running"),
        ("OnFailure", "a:running b:failed", "Running"),
        ("OnFailure", "a:done b:crashed", "Running"),
        ("OnFailure", "a:running b:waiting", "Pending"),
    ] {
        assert_eq!(
            of(policy, containers, true),
            expected,
            "{policy}: {containers}"
        );
    }
}

#[test]
fn init_containers_give_the_phase_before_the_mains_do() {
    for (policy, containers, initialized, expected) in [
        ("Always", "i:- a:-", false, "Pending"),
        ("Always", "i:running a:waiting", false, "Pending"),
        ("Always", "i:failed a:waiting", false, "Pending"),
        ("Always", "i:crashed a:waiting", false, "Pending"),
        ("Always", "i:done a:waiting", true, "Pending"),
        ("Always", "i:done a:running", true, "Running"),
        ("Always", "i:- a:running", true, "Running"),
        ("OnFailure", "i:failed a:waiting", false, "Pending"),
        ("OnFailure", "i:done a:done", true, "Succeeded"),
        ("Never", "i:failed a:waiting", false, "Failed"),
        ("Never", "i:done j:failed a:waiting", true, "Pending"),
        ("Never", "i:done i2:failed a:waiting", false, "Failed"),
    ] {
        assert_eq!(
            of(policy, containers, initialized),
            expected,
            "{policy}: {containers}"
        );
    }
}

#[test]
fn a_sidecar_holds_the_phase_up_until_it_has_started_and_never_after() {
    for (containers, initialized, expected) in [
        ("s:- a:-", false, "Pending"),
        ("s:running a:waiting", false, "Pending"),
        ("s:failed a:waiting", false, "Pending"),
        ("s:started a:waiting", true, "Pending"),
        ("s:started a:running", true, "Running"),
        ("s:crashed a:running", true, "Running"),
        ("s:failed a:running", true, "Running"),
        ("s:started a:done", true, "Succeeded"),
        ("s:failed a:failed", true, "Failed"),
    ] {
        assert_eq!(
            of("Never", containers, initialized),
            expected,
            "{containers}"
        );
    }
}

#[test]
fn a_containers_own_policy_goes_before_the_pods() {
    let mut spec = PodSpec {
        restart_policy: Some("Always".into()),
        ..PodSpec::default()
    };
    spec.containers.push(Container {
        name: "a".into(),
        restart_policy: Some("Never".into()),
        ..Container::default()
    });
    assert_eq!(phase(&spec, &[status("a", "done")], true), "Succeeded");
    assert_eq!(phase(&spec, &[status("a", "failed")], true), "Failed");
}
