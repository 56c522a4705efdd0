//! The conditions of a pod.

use pod::api::{ContainerStatus, PodCondition, PodSpec, PodStatus, Time};

use crate::containers::is_sidecar;

/// What conditions are made of.
pub(crate) struct Grounds<'a> {
    pub(crate) spec: &'a PodSpec,
    pub(crate) phase: &'a str,
    pub(crate) init: &'a [ContainerStatus],
    pub(crate) mains: &'a [ContainerStatus],
    /// The sandbox stands and has what it needs of a network.
    pub(crate) sandbox: bool,
    /// Names of init containers that are not through.
    pub(crate) incomplete: Vec<String>,
}

/// All conditions. A condition whose status is what it was keeps its time.
pub(crate) fn conditions(
    grounds: &Grounds<'_>,
    before: Option<&PodStatus>,
    now: Option<&Time>,
) -> Vec<PodCondition> {
    let containers = grounds.containers_ready();
    let ready = grounds.ready(&containers);
    [
        Verdict::plain("PodReadyToStartContainers", grounds.sandbox),
        grounds.initialized(),
        ready,
        containers,
        Verdict::plain("PodScheduled", true),
    ]
    .into_iter()
    .map(|verdict| verdict.with_time(before, now))
    .collect()
}

/// One condition before it has a time.
struct Verdict {
    kind: &'static str,
    holds: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

impl Verdict {
    fn plain(kind: &'static str, holds: bool) -> Self {
        Self {
            kind,
            holds,
            reason: None,
            message: None,
        }
    }

    fn because(kind: &'static str, reason: &'static str, message: Option<String>) -> Self {
        Self {
            kind,
            holds: false,
            reason: Some(reason),
            message,
        }
    }

    fn with_time(self, before: Option<&PodStatus>, now: Option<&Time>) -> PodCondition {
        let status = if self.holds { "True" } else { "False" };
        let old = before.and_then(|before| before.conditions.as_ref());
        let old = old.and_then(|all| all.iter().find(|old| old.type_ == self.kind));
        let kept = old
            .filter(|old| old.status == status)
            .and_then(|old| old.last_transition_time.clone());
        PodCondition {
            type_: self.kind.to_owned(),
            status: status.to_owned(),
            reason: self.reason.map(str::to_owned),
            message: self.message,
            last_transition_time: kept.or_else(|| now.cloned()),
            ..PodCondition::default()
        }
    }
}

impl Grounds<'_> {
    fn initialized(&self) -> Verdict {
        let kind = "Initialized";
        if self.phase == "Succeeded" {
            return Verdict {
                reason: Some("PodCompleted"),
                ..Verdict::plain(kind, true)
            };
        }
        if self.incomplete.is_empty() {
            return Verdict::plain(kind, true);
        }
        let message = format!(
            "containers with incomplete status: [{}]",
            self.incomplete.join(" ")
        );
        Verdict::because(kind, "ContainersNotInitialized", Some(message))
    }

    fn containers_ready(&self) -> Verdict {
        let kind = "ContainersReady";
        match self.phase {
            "Succeeded" => return Verdict::because(kind, "PodCompleted", None),
            "Failed" => return Verdict::because(kind, "PodFailed", None),
            _ => {}
        }
        let sidecars = self
            .spec
            .init_containers
            .iter()
            .flatten()
            .filter(|c| is_sidecar(c));
        let sidecars = sidecars.map(|container| (self.init, container));
        let mains = self
            .spec
            .containers
            .iter()
            .map(|container| (self.mains, container));
        let unready: Vec<&str> = sidecars
            .chain(mains)
            .map(|(statuses, container)| (statuses, container.name.as_str()))
            .filter(|(statuses, name)| {
                !statuses
                    .iter()
                    .any(|status| status.name == *name && status.ready)
            })
            .map(|(_, name)| name)
            .collect();
        if unready.is_empty() {
            return Verdict::plain(kind, true);
        }
        let message = format!("containers with unready status: [{}]", unready.join(" "));
        Verdict::because(kind, "ContainersNotReady", Some(message))
    }

    fn ready(&self, containers: &Verdict) -> Verdict {
        let kind = "Ready";
        let gates = self.spec.readiness_gates.as_deref().unwrap_or_default();
        if containers.holds && !gates.is_empty() {
            // Only the API server could open them.
            let message = "the pod has readiness gates, and nobody here can open them".to_owned();
            return Verdict::because(kind, "ReadinessGatesNotReady", Some(message));
        }
        Verdict {
            kind,
            holds: containers.holds,
            reason: containers.reason,
            message: containers.message.clone(),
        }
    }
}
