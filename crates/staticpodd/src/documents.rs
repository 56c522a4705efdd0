//! What the agent knows, as documents for programs: pure.

use std::net::IpAddr;

use agent::{Overview, PodView, SourceView, Waiting};
use jiff::Timestamp;
use manifests::view::Report;
use plan::{ContainerState as State, Owner, PodKey, SeenContainer, SeenSandbox, Why};
use pod::{Origin, api};
use podctl::document;
use serde_json::{Value, json};

use crate::{
    annals::{Annals, Happening, why},
    version::VERSION,
};

/// What never changes while the agent runs.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The node's name.
    pub(crate) node: String,
    /// The runtime's endpoint.
    pub(crate) runtime: String,
}

/// Every pod with its status, as a v1 `PodList`. Pods without a manifest are named and no more.
pub(crate) fn pod_list(overview: &Overview) -> Value {
    let items = overview.pods.iter().map(|view| {
        let mut item = serde_json::to_value(pod(view)).unwrap_or_default();
        if let Value::Object(fields) = &mut item {
            // In a list of one kind its members do not repeat it.
            let _ = fields.shift_remove("apiVersion");
            let _ = fields.shift_remove("kind");
        }
        item
    });
    let items: Vec<Value> = items.collect();
    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})
}

/// Everything.
pub(crate) fn state(overview: &Overview, annals: &Annals, place: &Place) -> document::State {
    let pods = overview.pods.iter();
    document::State {
        api_version: document::API_VERSION.to_owned(),
        kind: "State".to_owned(),
        time: time(overview.wall),
        node: place.node.clone(),
        version: VERSION.to_owned(),
        runtime: place.runtime.clone(),
        runtime_trouble: overview.runtime_down.clone(),
        store_trouble: overview.store_trouble.clone(),
        halted: overview.halted,
        pods: pods.map(|view| of_pod(view, annals)).collect(),
        sources: overview.sources.iter().map(of_source).collect(),
    }
}

/// The pod as it was wanted, with its status.
fn pod(view: &PodView) -> api::Pod {
    let mut pod = match &view.pod {
        Some(pod) => pod.api.clone(),
        None => api::Pod {
            metadata: api::ObjectMeta {
                name: Some(view.key.name.clone()),
                namespace: Some(view.key.namespace.clone()),
                ..api::ObjectMeta::default()
            },
            ..api::Pod::default()
        },
    };
    pod.status = Some(view.status.clone());
    pod
}

fn of_pod(view: &PodView, annals: &Annals) -> document::PodState {
    let origin = view.pod.as_ref().map(|pod| match &pod.origin {
        Origin::File(name) | Origin::Url(name) => name.clone(),
    });
    let seen = view.seen.iter();
    let mut sandboxes: Vec<&SeenSandbox> = seen.flat_map(|seen| &seen.sandboxes).collect();
    sandboxes.sort_by_key(|sandbox| std::cmp::Reverse((sandbox.created, sandbox.attempt)));
    document::PodState {
        pod: pod(view),
        wanted: view.pod.is_some(),
        ready: view.ready,
        stopping: view.stopping,
        source: view.source.clone(),
        origin,
        revision: view.pod.as_ref().map(|pod| pod.revision.clone()),
        waits: view.waits.iter().map(of_wait).collect(),
        sandboxes: sandboxes.into_iter().map(of_sandbox).collect(),
        events: annals.of(&view.key).into_iter().map(of_event).collect(),
    }
}

fn of_wait(wait: &Waiting) -> document::WaitState {
    let (reason, message) = words(&wait.why);
    document::WaitState {
        container: wait.container.clone(),
        reason: reason.to_owned(),
        message,
        until: wait.until.map(time),
    }
}

/// The word and the sentence for what is waited for.
pub(crate) fn words(wait: &Why) -> (&'static str, String) {
    let said = |reason, message: &str| (reason, message.to_owned());
    match wait {
        Why::RuntimeDown => said("RuntimeDown", "the runtime does not answer"),
        Why::NetworkNotReady => said(
            "NetworkNotReady",
            "the runtime has no network for pods; is there a CNI configuration?",
        ),
        Why::SourceIncomplete => said(
            "SourceIncomplete",
            "the manifest was not found, and a source was not read completely",
        ),
        Why::ForeignOwner(who) => (
            "NameTaken",
            format!("a sandbox of {who} has this name, and is not touched"),
        ),
        Why::Stopping(cause) => (
            "Stopping",
            format!("what runs is being stopped: {}", why(*cause)),
        ),
        Why::StopOrder => said(
            "StopAll",
            "everything was told to stop; start-all takes that back",
        ),
        Why::Cleaning => said(
            "Cleaning",
            "directories of an earlier version are being removed",
        ),
        Why::Gate(shut) => ("Gate", format!("waiting for {}", shut.join(", "))),
        Why::PortTaken(ports) => ("HostPortInUse", ports.join("; ")),
        Why::Working => said("Working", "an order is under way"),
        Why::SandboxFailed => said("SandboxFailed", "the pod sandbox could not be made"),
        Why::CrashBackoff(all) => (
            "CrashLoopBackOff",
            format!("back-off {}s after a crash", all.as_secs()),
        ),
        Why::PullFailed => said("ImagePullBackOff", "the image could not be had"),
        Why::StartFailed => said("StartFailed", "the container could not be started"),
        Why::Retry => said(
            "Retry",
            "something could not be stopped, removed or cleaned",
        ),
        Why::Deadline => said("Deadline", "activeDeadlineSeconds will be over"),
    }
}

fn of_sandbox(sandbox: &SeenSandbox) -> document::SandboxState {
    let mut containers: Vec<&SeenContainer> = sandbox.containers.iter().collect();
    containers.sort_by_key(|seen| (&seen.name, std::cmp::Reverse((seen.attempt, seen.created))));
    document::SandboxState {
        id: sandbox.id.clone(),
        uid: sandbox.uid.clone(),
        attempt: sandbox.attempt,
        ready: sandbox.ready,
        ours: sandbox.owner == Owner::Us,
        created: Timestamp::from_nanosecond(sandbox.created.into())
            .ok()
            .filter(|_| sandbox.created != 0)
            .and_then(|at| Timestamp::from_second(at.as_second()).ok())
            .map(api::Time),
        ips: sandbox
            .ips
            .iter()
            .flatten()
            .map(IpAddr::to_string)
            .collect(),
        containers: containers.into_iter().map(of_container).collect(),
    }
}

fn of_container(seen: &SeenContainer) -> document::ContainerState {
    let state = match &seen.state {
        State::Created => "created",
        State::Running { .. } => "running",
        State::Exited(_) => "exited",
        State::Unknown => "unknown",
    };
    document::ContainerState {
        name: seen.name.clone(),
        id: seen.id.clone(),
        attempt: seen.attempt,
        state: state.to_owned(),
    }
}

fn of_event(event: Happening) -> document::EventState {
    let kind = match event.is_warning {
        true => "Warning",
        false => "Normal",
    };
    document::EventState {
        kind: kind.to_owned(),
        reason: event.reason,
        message: event.message,
        count: event.count,
        first: time(event.first),
        last: time(event.last),
    }
}

fn of_source(source: &SourceView) -> document::SourceState {
    document::SourceState {
        name: source.name.clone(),
        complete: source.complete,
        trouble: source.trouble.clone(),
        files: source.files.iter().map(|file| of_file(file)).collect(),
    }
}

fn of_file(report: &Report) -> document::FileState {
    document::FileState {
        path: report.origin.display().to_string(),
        status: report.status.as_str().to_owned(),
        pod: report.pod.clone(),
        accepted: report.accepted.map(time),
        error: report.error.clone(),
    }
}

/// What no clock shows is 1970.
fn time(wall: i64) -> api::Time {
    api::Time(Timestamp::from_second(wall).unwrap_or_default())
}

/// Which pod people mean: by its name with or without the node at its end.
pub(crate) fn find<'a>(
    overview: &'a Overview,
    namespace: &str,
    name: &str,
    node: &str,
) -> Option<&'a PodView> {
    let with_node = format!("{name}-{node}");
    let named = |wanted: &str| {
        let is = |key: &PodKey| key.namespace == namespace && key.name == wanted;
        overview.pods.iter().find(|view| is(&view.key))
    };
    named(name).or_else(|| named(&with_node))
}
