//! Short ways to say what is wanted and what is seen.

use std::time::Duration;

use plan::{
    ContainerState, Exit, Gates, Kind, Owner, PodKey, RestartPolicy, SeenContainer, SeenSandbox,
    Wanted, WantedContainer,
};

pub(crate) fn key(name: &str) -> PodKey {
    PodKey::new("default", name)
}

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(crate) fn container(name: &str, kind: Kind, restart: RestartPolicy) -> WantedContainer {
    WantedContainer {
        name: name.into(),
        kind,
        restart,
        rules: Vec::new(),
        has: plan::Features::default(),
        liveness_grace: None,
        startup_grace: None,
    }
}

/// A pod with these containers: `i` begins an init container, `s` a sidecar, the rest are mains.
pub(crate) fn pod(restart: RestartPolicy, containers: &[&str]) -> Wanted {
    let made = |name: &&str| {
        if name.starts_with('i') {
            container(name, Kind::Init, restart)
        } else if name.starts_with('s') {
            container(name, Kind::Sidecar, RestartPolicy::Always)
        } else {
            container(name, Kind::Main, restart)
        }
    };
    let (mains, init) = containers
        .iter()
        .map(made)
        .partition(|container| container.kind == Kind::Main);
    Wanted {
        key: key("web"),
        uid: "u1".into(),
        revision: "r1".into(),
        source: "file".into(),
        restart,
        host_network: false,
        host_ports: Vec::new(),
        grace: seconds(30),
        priority: 0,
        active_deadline: None,
        once_per_boot: false,
        init,
        mains,
        gates: Gates::default(),
    }
}

/// A READY sandbox of [`pod`]'s version.
pub(crate) fn sandbox(id: &str, attempt: u32, containers: Vec<SeenContainer>) -> SeenSandbox {
    SeenSandbox {
        id: id.into(),
        owner: Owner::Us,
        uid: "u1".into(),
        revision: "r1".into(),
        source: "file".into(),
        boot: Some("boot".into()),
        attempt,
        ready: true,
        created: 0,
        host_network: false,
        ips: Some(vec!["10.0.0.1".parse().unwrap()]),
        grace: Some(seconds(30)),
        containers,
    }
}

pub(crate) fn dead(mut sandbox: SeenSandbox) -> SeenSandbox {
    sandbox.ready = false;
    sandbox
}

pub(crate) fn of(mut sandbox: SeenSandbox, uid: &str, revision: &str) -> SeenSandbox {
    sandbox.uid = uid.into();
    sandbox.revision = revision.into();
    sandbox
}

pub(crate) fn seen(id: &str, name: &str, attempt: u32, state: ContainerState) -> SeenContainer {
    SeenContainer {
        id: id.into(),
        name: name.into(),
        attempt,
        state,
        pre_stop: false,
        sidecar: name.starts_with('s').then_some(0),
        created: 0,
        image: "image".into(),
        image_id: "sha256:image".into(),
    }
}

pub(crate) fn running() -> ContainerState {
    ContainerState::Running { started: 1 }
}

pub(crate) fn exited(code: i32) -> ContainerState {
    ContainerState::Exited(Exit {
        code,
        reason: if code == 0 { "Completed" } else { "Error" }.into(),
        ..Exit::default()
    })
}

/// The verdict of a startup probe that has come to one.
pub(crate) fn container_started(passed: bool) -> plan::Verdict {
    plan::Verdict {
        started: Some(passed),
        ..plan::Verdict::default()
    }
}
