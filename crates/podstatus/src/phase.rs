//! The phase of a pod, from the states of its containers.

use pod::api::{ContainerState, ContainerStatus, PodSpec};

use crate::containers::is_sidecar;

/// The row of questions that gives a phase. `initialized`: all init containers are through.
pub(crate) fn phase(
    spec: &PodSpec,
    statuses: &[ContainerStatus],
    initialized: bool,
) -> &'static str {
    let state = |name: &str| {
        let status = statuses.iter().find(|status| status.name == name);
        status.map(Place::of).unwrap_or_default()
    };
    let policy = spec.restart_policy.as_deref().unwrap_or("Always");
    let (mut failed, mut pending) = (false, false);
    for container in spec.init_containers.iter().flatten() {
        let own = container.restart_policy.as_deref().unwrap_or(policy);
        match state(&container.name) {
            Place::Stopped(code) if is_sidecar(container) => pending |= code != 0 && !initialized,
            Place::Running { started } if is_sidecar(container) => {
                pending |= !started && !initialized;
            }
            Place::Waiting if is_sidecar(container) => pending |= !initialized,
            Place::Stopped(0) => {}
            Place::Stopped(_) => failed |= own == "Never",
            Place::Running { .. } | Place::Waiting => pending |= !initialized,
        }
    }
    let mains: Vec<_> = spec
        .containers
        .iter()
        .map(|main| {
            let own = main.restart_policy.as_deref().unwrap_or(policy);
            (state(&main.name), own)
        })
        .collect();
    let again = |(place, policy): &(Place, &str)| match place {
        Place::Stopped(code) => *policy == "Always" || (*policy == "OnFailure" && *code != 0),
        _ => false,
    };
    if failed {
        "Failed"
    } else if pending || mains.iter().any(|(place, _)| *place == Place::Waiting) {
        "Pending"
    } else if mains
        .iter()
        .any(|(place, _)| matches!(place, Place::Running { .. }))
        || mains.iter().any(again)
    {
        "Running"
    } else if mains.iter().all(|(place, _)| *place == Place::Stopped(0)) {
        "Succeeded"
    } else {
        "Failed"
    }
}

/// What matters of a status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// Not started yet, in any instance.
    #[default]
    Waiting,
    Running {
        started: bool,
    },
    /// Ended with this code, also when it waits to be started again.
    Stopped(i32),
}

impl Place {
    fn of(status: &ContainerStatus) -> Self {
        let end =
            |state: Option<&ContainerState>| state?.terminated.as_ref().map(|end| end.exit_code);
        let state = status.state.as_ref();
        if state.is_some_and(|state| state.running.is_some()) {
            return Self::Running {
                started: status.started == Some(true),
            };
        }
        match end(state).or_else(|| end(status.last_state.as_ref())) {
            Some(code) => Self::Stopped(code),
            None => Self::Waiting,
        }
    }
}

#[cfg(test)]
mod tests;
