//! The line that `kubectl get pods` prints about a pod.

use std::time::Duration;

use pod::api::{ContainerState, ContainerStatus, PodSpec, PodStatus, Time};

use crate::{containers::is_sidecar, times::age};

/// The columns of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// `1/2`: ready containers of all that stay.
    pub ready: String,
    /// `Running`, `Init:0/1`, `CrashLoopBackOff`, `Completed`, `Terminating`, ...
    pub status: String,
    /// `3 (5m ago)`.
    pub restarts: String,
    /// Since the pod started here.
    pub age: String,
}

/// The columns of a pod. `stopping`: its manifest is gone or changed and it is on its way out.
/// `wall` is in Unix seconds.
#[must_use]
pub fn row(spec: &PodSpec, status: &PodStatus, stopping: bool, wall: i64) -> Row {
    let mut counts = Counts::default();
    let text = word(spec, status, stopping, &mut counts);
    let since = |time: &Time| {
        let seconds = wall.saturating_sub(time.0.as_second());
        age(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    };
    let restarts = match &counts.last {
        Some(time) if counts.restarts > 0 => format!("{} ({} ago)", counts.restarts, since(time)),
        _ => counts.restarts.to_string(),
    };
    let start = status.start_time.as_ref();
    Row {
        ready: format!("{}/{}", counts.ready, counts.all),
        status: text,
        restarts,
        age: start.map_or_else(|| "<unknown>".to_owned(), since),
    }
}

#[derive(Default)]
struct Counts {
    ready: usize,
    all: usize,
    restarts: i32,
    last: Option<Time>,
}

impl Counts {
    fn restarted(&mut self, status: &ContainerStatus) {
        self.restarts = self.restarts.saturating_add(status.restart_count);
        let last = status
            .last_state
            .as_ref()
            .and_then(|state| state.terminated.as_ref());
        if let Some(time) = last.and_then(|end| end.finished_at.clone())
            && self.last.as_ref().is_none_or(|known| known.0 < time.0)
        {
            self.last = Some(time);
        }
    }
}

/// What the pod as a whole is doing, in one word, and the counts that go with it.
fn word(spec: &PodSpec, status: &PodStatus, stopping: bool, counts: &mut Counts) -> String {
    let phase = status.phase.clone().unwrap_or_default();
    let mut text = status.reason.clone().unwrap_or_else(|| phase.clone());
    let init = spec.init_containers.as_deref().unwrap_or_default();
    let sidecar = |name: &str| init.iter().any(|c| c.name == name && is_sidecar(c));
    counts.all = spec.containers.len() + init.iter().filter(|c| is_sidecar(c)).count();

    let mut sidecars = Counts::default();
    let mut initializing = None;
    for (nth, own) in status.init_container_statuses.iter().flatten().enumerate() {
        counts.restarted(own);
        if sidecar(&own.name) {
            sidecars.restarted(own);
        }
        initializing = still(own, sidecar(&own.name), nth, init.len());
        if initializing.is_some() {
            break;
        }
        counts.ready += usize::from(sidecar(&own.name) && own.ready);
    }
    let holds = |kind: &str| {
        let mut conditions = status.conditions.iter().flatten();
        conditions.any(|condition| condition.type_ == kind && condition.status == "True")
    };
    let through = initializing.is_none() || holds("Initialized");
    if let Some(stage) = initializing {
        text = stage;
    }
    if through {
        // What happened before the pod was initialised counts no more.
        counts.restarts = sidecars.restarts;
        counts.last = sidecars.last;
        let mut running = false;
        for own in status.container_statuses.iter().flatten().rev() {
            counts.restarted(own);
            match said(own.state.as_ref()) {
                Some(reason) => text = reason,
                None if own.ready => {
                    running = true;
                    counts.ready += 1;
                }
                None => {}
            }
        }
        if text == "Completed" && running {
            text = if holds("Ready") {
                "Running"
            } else {
                "NotReady"
            }
            .to_owned();
        }
    }
    if stopping && !matches!(phase.as_str(), "Succeeded" | "Failed") {
        text = "Terminating".to_owned();
    }
    text
}

/// The stage at which initialisation stands, if this container holds it up.
fn still(own: &ContainerStatus, sidecar: bool, nth: usize, all: usize) -> Option<String> {
    let state = own.state.clone().unwrap_or_default();
    if state
        .terminated
        .as_ref()
        .is_some_and(|end| end.exit_code == 0)
    {
        return None;
    }
    if sidecar && own.started == Some(true) {
        return None;
    }
    let waits = state
        .waiting
        .as_ref()
        .and_then(|waiting| waiting.reason.clone());
    let waits = waits.filter(|reason| !reason.is_empty() && reason != "PodInitializing");
    Some(match (said(own.state.as_ref()), state.terminated, waits) {
        (Some(reason), Some(_), _) | (_, None, Some(reason)) => format!("Init:{reason}"),
        _ => format!("Init:{nth}/{all}"),
    })
}

/// The word for a container that does not run.
fn said(state: Option<&ContainerState>) -> Option<String> {
    let state = state?;
    if let Some(waiting) = &state.waiting {
        return waiting.reason.clone().filter(|reason| !reason.is_empty());
    }
    let end = state.terminated.as_ref()?;
    let reason = end.reason.clone().filter(|reason| !reason.is_empty());
    Some(reason.unwrap_or_else(|| match end.signal {
        Some(signal) if signal != 0 => format!("Signal:{signal}"),
        _ => format!("ExitCode:{}", end.exit_code),
    }))
}

#[cfg(test)]
mod tests;
