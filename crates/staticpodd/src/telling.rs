//! What happens, as lines of the log.

use std::time::Duration;

use agent::Event;
use manifests::view::{Change, Report, Status};
use plan::{Action, Outcome, PodKey};

/// Writes an event of the agent.
pub(crate) fn tell(event: &Event) {
    match event {
        Event::Source { name, change } => source(name, change),
        Event::Overruled { pod, source } => {
            tracing::warn!(%pod, source, reason = %pod, "pod.overruled");
        }
        Event::RuntimeUp => tracing::info!("runtime.up"),
        Event::RuntimeDown { error } => tracing::warn!(reason = error, "runtime.down"),
        Event::Unclear { pod, error } => tracing::warn!(%pod, reason = error, "pod.unclear"),
        Event::Ordered { pod, action } => ordered(pod.as_ref(), action),
        Event::Ended {
            pod,
            action,
            outcome,
            took,
        } => ended(pod.as_ref(), action, outcome, *took),
        Event::PreStopFailed { container, error } => {
            tracing::warn!(id = container, reason = error, "container.pre_stop_failed");
        }
        Event::Probe {
            pod,
            container,
            kind,
            message,
        } => tracing::warn!(%pod, container, probe = kind, reason = message, "probe.failed"),
        // Only a metric: there is one for each round of each probe.
        Event::Probed { .. } => {}
        Event::Store { trouble: Some(why) } => tracing::warn!(reason = why, "store.unwritten"),
        Event::Store { trouble: None } => tracing::info!("store.written_again"),
    }
}

fn source(name: &str, change: &Change) {
    match change {
        Change::Added { pod, origin } => {
            tracing::info!(pod, file = %origin.display(), "manifest.added");
        }
        Change::Replaced { pod, origin } => {
            tracing::info!(pod, file = %origin.display(), "manifest.replaced");
        }
        Change::Removed { pod, origin } => {
            tracing::info!(pod, file = %origin.display(), "manifest.removed");
        }
        Change::File(report) => file(report),
        Change::Source { trouble: None, .. } => tracing::info!(source = name, "source.readable"),
        Change::Source {
            trouble: Some(why),
            loud: true,
        } => tracing::warn!(source = name, reason = why, "source.unreadable"),
        Change::Source {
            trouble: Some(why), ..
        } => tracing::debug!(source = name, reason = why, "source.unreadable"),
        Change::Ready => tracing::info!(source = name, "source.read"),
        Change::Watch(Some(why)) => {
            tracing::warn!(source = name, reason = why, "source.unwatched");
        }
        Change::Watch(None) => tracing::info!(source = name, "source.watched"),
        Change::Kept(Some(why)) => tracing::warn!(source = name, reason = why, "source.unkept"),
        Change::Kept(None) => tracing::info!(source = name, "source.kept_again"),
    }
}

fn file(report: &Report) {
    let file = report.origin.display();
    let pod = report.pod.as_deref().unwrap_or_default();
    let status = report.status.as_str();
    let reason = report.error.as_deref().unwrap_or_default();
    match report.status {
        Status::Refused | Status::Unreadable | Status::Duplicate => {
            tracing::warn!(%file, pod, status, reason, "manifest.refused");
        }
        Status::Ok | Status::HalfWritten | Status::Kept | Status::Ignored => {
            tracing::debug!(%file, pod, status, reason, "manifest.seen");
        }
    }
}

fn named(pod: Option<&PodKey>) -> String {
    pod.map(ToString::to_string).unwrap_or_default()
}

fn ordered(pod: Option<&PodKey>, action: &Action) {
    if let Action::KillContainer {
        container,
        name,
        grace,
        cause,
        ..
    } = action
    {
        tracing::info!(
            pod = named(pod),
            container = name,
            id = container,
            cause = ?cause,
            grace_s = grace.as_secs(),
            "container.stopping"
        );
    }
}

fn ended(pod: Option<&PodKey>, action: &Action, outcome: &Outcome, took: Duration) {
    let pod = named(pod);
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match outcome {
        Outcome::Done => done(&pod, action, duration_ms),
        Outcome::Lost => {
            tracing::debug!(pod, order = word(action), duration_ms, "order.lost");
        }
        Outcome::Failed(failure) => {
            let reason = format!("{}: {}", failure.reason, failure.message);
            match action {
                Action::CreateSandbox { .. } => {
                    tracing::warn!(pod, reason, duration_ms, "pod.not_started");
                }
                Action::StartContainer { name, attempt, .. } => tracing::warn!(
                    pod,
                    container = name,
                    restart_count = attempt,
                    reason,
                    duration_ms,
                    "container.not_started"
                ),
                other => {
                    tracing::warn!(
                        pod,
                        order = word(other),
                        reason,
                        duration_ms,
                        "order.failed"
                    );
                }
            }
        }
    }
}

fn done(pod: &str, action: &Action, duration_ms: u64) {
    match action {
        Action::CreateSandbox { uid, attempt, .. } => {
            tracing::info!(pod, uid, attempt, duration_ms, "pod.started");
        }
        Action::StartContainer { name, attempt, .. } => tracing::info!(
            pod,
            container = name,
            restart_count = attempt,
            duration_ms,
            "container.started"
        ),
        Action::KillContainer {
            container, name, ..
        } => tracing::info!(
            pod,
            container = name,
            id = container,
            duration_ms,
            "container.stopped"
        ),
        Action::StopSandbox { cause, .. } => {
            tracing::info!(pod, cause = ?cause, duration_ms, "pod.stopped");
        }
        Action::CleanPod { uid, logs } => {
            tracing::info!(pod, uid, logs, duration_ms, "pod.cleaned");
        }
        Action::Cancel { .. }
        | Action::PreStop { .. }
        | Action::RemoveContainer { .. }
        | Action::RemoveSandbox { .. } => {
            tracing::debug!(pod, order = word(action), duration_ms, "order.done");
        }
    }
}

fn word(action: &Action) -> &'static str {
    match action {
        Action::CreateSandbox { .. } => "create-sandbox",
        Action::StartContainer { .. } => "start-container",
        Action::Cancel { .. } => "cancel",
        Action::PreStop { .. } => "pre-stop",
        Action::KillContainer { .. } => "stop-container",
        Action::StopSandbox { .. } => "stop-sandbox",
        Action::RemoveContainer { .. } => "remove-container",
        Action::RemoveSandbox { .. } => "remove-sandbox",
        Action::CleanPod { .. } => "clean-pod",
    }
}
