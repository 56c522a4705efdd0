//! A pod's whole status.

use std::net::IpAddr;

use plan::{SeenContainer, SeenSandbox, View, Why};
use pod::api::{ContainerStatus, HostIP, Pod, PodIP, PodStatus, Time};

use crate::{
    conditions::{Grounds, conditions},
    containers::Inside,
    phase::phase,
    qos::qos_class,
    times,
};

/// Where the pod runs.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The node's addresses as configured, the first one first; may be empty.
    pub host_ips: &'a [IpAddr],
    /// The runtime's name, which begins container ids: `containerd`.
    pub runtime: &'a str,
    /// When its manifest was accepted, in Unix seconds, if that is known.
    pub since: Option<i64>,
}

/// The status of a pod. `before` is the last one of the same uid: times are kept from it while
/// what they belong to stays the same. `wall` is in Unix seconds.
#[must_use]
pub fn status(
    pod: &Pod,
    view: View<'_>,
    before: Option<&PodStatus>,
    place: Place<'_>,
    wall: i64,
) -> PodStatus {
    let Some(spec) = &pod.spec else {
        return PodStatus::default();
    };
    let sandbox = view.sandbox();
    let uid = match (view.wanted(), sandbox) {
        (Some(wanted), _) => wanted.uid.as_str(),
        (None, Some(sandbox)) => &sandbox.uid,
        (None, None) => "",
    };
    let named = |part: &Option<String>| part.clone().unwrap_or_default();
    let inside = Inside {
        spec,
        view,
        uid,
        sandbox,
        runtime: place.runtime,
        pod: format!(
            "{}_{}({uid})",
            named(&pod.metadata.name),
            named(&pod.metadata.namespace)
        ),
    };
    let specified = spec.init_containers.iter().flatten();
    let init: Vec<ContainerStatus> = specified.map(|c| inside.container(c, true)).collect();
    let specified = spec.containers.iter();
    let mains: Vec<ContainerStatus> = specified.map(|c| inside.container(c, false)).collect();
    let all: Vec<ContainerStatus> = init.iter().chain(&mains).cloned().collect();
    let alive = sandbox.is_some_and(|sandbox| sandbox.containers.iter().any(SeenContainer::alive));
    let worked_out = phase(spec, &all, inside.initialized());
    let phase = match view.terminal() {
        Some(end) if !alive && end.succeeded => "Succeeded",
        Some(_) if !alive => "Failed",
        // The last containers are still being stopped.
        Some(_) => "Running",
        None if matches!(worked_out, "Succeeded" | "Failed") => "Running",
        None => worked_out,
    };
    let (reason, message) = words(view, phase);
    let addresses = addresses(sandbox, spec.host_network == Some(true), place);
    let grounds = Grounds {
        spec,
        phase,
        init: &init,
        mains: &mains,
        sandbox: sandbox.is_some_and(|s| s.ready)
            && (spec.host_network == Some(true) || !addresses.is_empty()),
        incomplete: spec
            .init_containers
            .iter()
            .flatten()
            .map(|container| container.name.clone())
            .filter(|name| !inside.passed(name))
            .collect(),
    };
    let now = times::seconds(wall);
    let conditions = conditions(&grounds, before, now.as_ref());
    let listed = |statuses: Vec<ContainerStatus>| Some(statuses).filter(|all| !all.is_empty());
    PodStatus {
        phase: Some(phase.to_owned()),
        reason,
        message,
        start_time: start(view, before, place.since).or(now),
        qos_class: Some(qos_class(spec).to_owned()),
        host_ip: place.host_ips.first().map(ToString::to_string),
        host_ips: some(
            place
                .host_ips
                .iter()
                .map(|ip| HostIP { ip: ip.to_string() }),
        ),
        pod_ip: addresses.first().map(ToString::to_string),
        pod_ips: some(addresses.iter().map(|ip| PodIP { ip: ip.to_string() })),
        conditions: Some(conditions),
        init_container_statuses: listed(init),
        container_statuses: listed(mains),
        ..PodStatus::default()
    }
}

fn some<T>(all: impl Iterator<Item = T>) -> Option<Vec<T>> {
    Some(all.collect::<Vec<T>>()).filter(|all| !all.is_empty())
}

/// The pod's own addresses; the node's, where it shares the node's network.
fn addresses(sandbox: Option<&SeenSandbox>, host_network: bool, place: Place<'_>) -> Vec<IpAddr> {
    if host_network {
        return place.host_ips.to_vec();
    }
    sandbox
        .filter(|sandbox| sandbox.ready)
        .and_then(|sandbox| sandbox.ips.clone())
        .unwrap_or_default()
}

/// Since when the pod has been known here. A restart of the agent finds what it said before: the
/// source remembers when it accepted the manifest, and the runtime when it made the sandbox,
/// which is earlier where the same content was only written anew.
fn start(view: View<'_>, before: Option<&PodStatus>, since: Option<i64>) -> Option<Time> {
    let before = before.and_then(|before| before.start_time.clone());
    before.or_else(|| {
        let made = || {
            let wanted = view.wanted()?;
            let ours = view.seen()?.ours();
            let of_this = ours.filter(|sandbox| sandbox.is(&wanted.uid, &wanted.revision));
            times::time(of_this.map(|sandbox| sandbox.created).min()?)
        };
        let accepted = since.and_then(times::seconds);
        accepted.into_iter().chain(made()).min()
    })
}

/// Reason and message of the pod as a whole: how it ended, or what keeps it from beginning.
fn words(view: View<'_>, phase: &str) -> (Option<String>, Option<String>) {
    let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    if let Some(end) = view.terminal() {
        return (said(&end.reason), said(&end.message));
    }
    if phase != "Pending" {
        return (None, None);
    }
    let mut waits = view.waits().iter().filter(|wait| wait.container.is_none());
    waits
        .find_map(|wait| {
            Some(match &wait.why {
                Why::Gate(shut) => ("WaitingForGate", format!("waiting for {}", shut.join(", "))),
                Why::ForeignOwner(who) => (
                    "NameInUse",
                    format!("a pod of this name runs that belongs to {who}"),
                ),
                Why::PortTaken(ports) => ("HostPortInUse", ports.join("; ")),
                Why::NetworkNotReady => (
                    "NetworkNotReady",
                    "the runtime cannot give pods a network of their own".to_owned(),
                ),
                Why::SandboxFailed => {
                    let failure = view.remembered().failure("");
                    let message = failure.map(|failure| failure.message.clone());
                    ("FailedCreatePodSandBox", message.unwrap_or_default())
                }
                _ => return None,
            })
        })
        .map_or((None, None), |(reason, message)| {
            (said(reason), said(&message))
        })
}
