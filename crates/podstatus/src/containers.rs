//! What each container does, and what it waits for.

use plan::{
    Action, ContainerState as Seen, Exit, FailureClass, SeenContainer, SeenSandbox, View, Wait, Why,
};
use pod::api::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, PodSpec, ResourceRequirements,
};

use crate::times::time;

/// Whether an init container goes on beside the others.
pub(crate) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// What a container was given: nothing resizes it in place.
fn resources(container: &Container) -> Option<ResourceRequirements> {
    let asked = container.resources.as_ref()?;
    let given = ResourceRequirements {
        limits: asked.limits.clone(),
        requests: asked.requests.clone(),
        ..ResourceRequirements::default()
    };
    Some(given).filter(|given| given.limits.is_some() || given.requests.is_some())
}

/// The facts that all containers of a pod share.
pub(crate) struct Inside<'a> {
    pub(crate) spec: &'a PodSpec,
    pub(crate) view: View<'a>,
    pub(crate) uid: &'a str,
    /// The present sandbox.
    pub(crate) sandbox: Option<&'a SeenSandbox>,
    /// The scheme of container ids.
    pub(crate) runtime: &'a str,
    /// `namespace/name` and uid of the pod, for messages.
    pub(crate) pod: String,
}

impl<'a> Inside<'a> {
    /// The status of a container of the specification.
    pub(crate) fn container(&self, container: &Container, init: bool) -> ContainerStatus {
        let name = container.name.as_str();
        let instances = self.instances(name);
        let current = instances
            .first()
            .filter(|(sandbox, _)| self.sandbox.is_some_and(|s| s.id == sandbox.id))
            .map(|(_, seen)| *seen);
        let state = match current {
            Some(seen) => self.state_of(seen),
            None => self.state_without(name, init),
        };
        let waits = state.waiting.is_some();
        let dead = instances
            .iter()
            .filter_map(|(_, seen)| Some((*seen, seen.exit()?)));
        let last = dead
            .skip_while(|(seen, _)| !waits && current.is_some_and(|now| now.id == seen.id))
            .map(|(seen, exit)| self.terminated(&seen.id, exit))
            .next();
        let running = current.filter(|_| state.running.is_some());
        let started = running.is_some_and(|seen| self.started(container, seen));
        let completed = init
            && state
                .terminated
                .as_ref()
                .is_some_and(|end| end.exit_code == 0);
        let ready = match (init, is_sidecar(container)) {
            (true, false) => completed,
            _ => running.is_some_and(|seen| started && self.passes(container, seen)),
        };
        let shown = current.or(instances.first().map(|(_, seen)| *seen));
        ContainerStatus {
            name: name.to_owned(),
            ready,
            started: Some(started),
            restart_count: shown.map_or(0, |seen| i32::try_from(seen.attempt).unwrap_or(i32::MAX)),
            image: shown
                .map(|seen| seen.image.clone())
                .filter(|image| !image.is_empty())
                .or_else(|| container.image.clone())
                .unwrap_or_default(),
            image_id: shown.map(|seen| seen.image_id.clone()).unwrap_or_default(),
            container_id: shown.map(|seen| self.id(&seen.id)),
            allocated_resources: container
                .resources
                .as_ref()
                .and_then(|r| r.requests.clone()),
            resources: resources(container),
            last_state: last.map(|terminated| ContainerState {
                terminated: Some(terminated),
                ..ContainerState::default()
            }),
            state: Some(state),
            ..ContainerStatus::default()
        }
    }

    /// Whether an init container completed, or a sidecar started, in the present sandbox.
    pub(crate) fn passed(&self, name: &str) -> bool {
        self.sandbox
            .is_some_and(|sandbox| self.view.remembered().passed(&sandbox.id, name))
    }

    /// Whether all init containers are through.
    pub(crate) fn initialized(&self) -> bool {
        let mut init = self.spec.init_containers.iter().flatten();
        init.all(|container| self.passed(&container.name))
    }

    fn instances(&self, name: &str) -> Vec<(&'a SeenSandbox, &'a SeenContainer)> {
        let seen = self.view.seen();
        seen.map(|seen| seen.instances(self.uid, name))
            .unwrap_or_default()
    }

    fn started(&self, container: &Container, seen: &SeenContainer) -> bool {
        let passed = self
            .view
            .verdict(&seen.id)
            .and_then(|verdict| verdict.started);
        container.startup_probe.is_none() || passed == Some(true)
    }

    fn passes(&self, container: &Container, seen: &SeenContainer) -> bool {
        container.readiness_probe.is_none() || self.view.verdict(&seen.id).is_some_and(|v| v.ready)
    }

    fn id(&self, id: &str) -> String {
        format!("{}://{id}", self.runtime)
    }

    fn wait(&self, name: &str) -> Option<&'a Wait> {
        let mut waits = self.view.waits().iter();
        waits.find(|wait| wait.container.as_deref() == Some(name))
    }

    fn being_started(&self, name: &str) -> bool {
        self.view.flights().iter().any(|flight| {
            matches!(&flight.action, Action::StartContainer { name: other, .. } if other == name)
        })
    }

    fn state_of(&self, seen: &SeenContainer) -> ContainerState {
        match &seen.state {
            // Its postStart hook is under way.
            Seen::Running { .. } if self.being_started(&seen.name) => {
                waiting("ContainerCreating", "")
            }
            Seen::Running { started } => ContainerState {
                running: Some(ContainerStateRunning {
                    started_at: time(*started),
                }),
                ..ContainerState::default()
            },
            Seen::Created => waiting("ContainerCreating", ""),
            Seen::Unknown => waiting(
                "ContainerStatusUnknown",
                "the runtime does not know its state",
            ),
            Seen::Exited(exit) => {
                let held_back = self.held_back(&seen.name);
                held_back.unwrap_or_else(|| ContainerState {
                    terminated: Some(self.terminated(&seen.id, exit)),
                    ..ContainerState::default()
                })
            }
        }
    }

    /// What a container waits for that would be started if it were not for that.
    fn held_back(&self, name: &str) -> Option<ContainerState> {
        let wait = self.wait(name)?;
        if let Why::CrashBackoff(time) = wait.why {
            let message = format!(
                "back-off {}s restarting failed container={name} pod={}",
                time.as_secs(),
                self.pod
            );
            return Some(waiting("CrashLoopBackOff", &message));
        }
        let failure = self.view.remembered().failure(name)?;
        match (&wait.why, &failure.class) {
            (Why::PullFailed, FailureClass::Pull) if failure.reason == "ErrImagePull" => {
                let message = format!("Back-off pulling image: {}", failure.message);
                Some(waiting("ImagePullBackOff", &message))
            }
            (Why::PullFailed | Why::StartFailed, _) => {
                Some(waiting(&failure.reason, &failure.message))
            }
            _ => None,
        }
    }

    /// The state of a container of which the present sandbox has no record.
    fn state_without(&self, name: &str, init: bool) -> ContainerState {
        if init && self.passed(name) {
            return self.lost(
                0,
                "Completed",
                "it had completed; the runtime has no record of it",
            );
        }
        let noted = self
            .sandbox
            .and_then(|sandbox| self.view.remembered().exit_code(&sandbox.id, name));
        if let Some(code) = noted.filter(|_| !init) {
            return self.lost(
                code,
                "ContainerStatusUnknown",
                "it had ended; the runtime has no record of it",
            );
        }
        if let Some(state) = self.held_back(name) {
            return state;
        }
        if let Some(failure) = self.view.remembered().failure(name) {
            return waiting(&failure.reason, &failure.message);
        }
        let reason = match self.spec.init_containers.as_deref() {
            Some([_, ..]) => "PodInitializing",
            _ => "ContainerCreating",
        };
        waiting(reason, "")
    }

    fn lost(&self, code: i32, reason: &str, message: &str) -> ContainerState {
        ContainerState {
            terminated: Some(ContainerStateTerminated {
                exit_code: code,
                reason: Some(reason.to_owned()),
                message: Some(message.to_owned()),
                ..ContainerStateTerminated::default()
            }),
            ..ContainerState::default()
        }
    }

    fn terminated(&self, id: &str, exit: &Exit) -> ContainerStateTerminated {
        let reason = match (exit.reason.as_str(), exit.code) {
            ("", 0) => "Completed",
            ("", _) => "Error",
            (reason, _) => reason,
        };
        ContainerStateTerminated {
            container_id: Some(self.id(id)),
            exit_code: exit.code,
            started_at: time(exit.started),
            finished_at: time(exit.finished),
            reason: Some(reason.to_owned()),
            message: Some(exit.message.clone()).filter(|message| !message.is_empty()),
            signal: None,
        }
    }
}

fn waiting(reason: &str, message: &str) -> ContainerState {
    ContainerState {
        waiting: Some(ContainerStateWaiting {
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()).filter(|message| !message.is_empty()),
        }),
        ..ContainerState::default()
    }
}
