//! From a pod to what the planner needs to know of it.

use std::time::Duration;

use plan::{
    AtLimit, ExitAction, ExitRule, Features, Gates, HostPort, Kind, PodKey, RestartPolicy, Wanted,
    WantedContainer,
};
use pod::{Node, Pod, api};

/// What a pod of `source` asks for. Names of pods to wait for are those of manifests: the node's
/// suffix is added where it is missing.
#[must_use]
pub fn wanted(pod: &Pod, node: &Node, source: &str) -> Wanted {
    let spec = pod.api.spec.clone().unwrap_or_default();
    let restart = policy(spec.restart_policy.as_deref());
    let init = spec.init_containers.iter().flatten();
    let init = init.map(|container| {
        let sidecar = container.restart_policy.as_deref() == Some("Always");
        let kind = if sidecar { Kind::Sidecar } else { Kind::Init };
        self::container(container, kind, restart)
    });
    let mains = spec.containers.iter();
    let mains = mains.map(|container| self::container(container, Kind::Main, restart));
    let said = pod::gates::gates(&pod.api);
    let all = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers);
    Wanted {
        key: PodKey::new(pod.key.namespace.clone(), pod.key.name.clone()),
        uid: pod.uid.clone(),
        revision: pod.revision.clone(),
        source: source.to_owned(),
        restart,
        host_network: spec.host_network == Some(true),
        grace: seconds(spec.termination_grace_period_seconds).unwrap_or(Duration::from_secs(30)),
        priority: spec.priority.unwrap_or(0),
        active_deadline: seconds(spec.active_deadline_seconds),
        once_per_boot: said.once_per_boot,
        host_ports: all.flat_map(host_ports).collect(),
        init: init.collect(),
        mains: mains.collect(),
        gates: gates(&said, node),
    }
}

fn policy(text: Option<&str>) -> RestartPolicy {
    match text {
        Some("Never") => RestartPolicy::Never,
        Some("OnFailure") => RestartPolicy::OnFailure,
        _ => RestartPolicy::Always,
    }
}

fn seconds(count: Option<i64>) -> Option<Duration> {
    count.map(|count| Duration::from_secs(u64::try_from(count).unwrap_or(0)))
}

fn container(container: &api::Container, kind: Kind, pod: RestartPolicy) -> WantedContainer {
    let own = container.restart_policy.as_deref();
    let grace = |probe: &Option<api::Probe>| {
        seconds(
            probe
                .as_ref()
                .and_then(|probe| probe.termination_grace_period_seconds),
        )
    };
    let hook = container.lifecycle.as_ref();
    WantedContainer {
        name: container.name.clone(),
        kind,
        restart: own.map_or(pod, |own| policy(Some(own))),
        rules: container
            .restart_policy_rules
            .iter()
            .flatten()
            .map(rule)
            .collect(),
        has: Features {
            startup_probe: container.startup_probe.is_some(),
            readiness_probe: container.readiness_probe.is_some(),
            pre_stop: hook.is_some_and(|hook| hook.pre_stop.is_some()),
        },
        liveness_grace: grace(&container.liveness_probe),
        startup_grace: grace(&container.startup_probe),
    }
}

fn rule(rule: &api::ContainerRestartRule) -> ExitRule {
    let codes = rule.exit_codes.as_ref();
    ExitRule {
        codes: codes
            .and_then(|codes| codes.values.clone())
            .unwrap_or_default(),
        listed: codes.is_none_or(|codes| codes.operator != "NotIn"),
        then: match rule.action.as_str() {
            "RestartAllContainers" => ExitAction::RestartAll,
            _ => ExitAction::Restart,
        },
    }
}

fn gates(gates: &pod::gates::Gates, node: &Node) -> Gates {
    let suffix = format!("-{}", node.name.to_ascii_lowercase());
    let pods = gates.pods.iter().map(|pod| {
        let full = if node.suffix && !pod.name.ends_with(&suffix) {
            format!("{}{suffix}", pod.name)
        } else {
            pod.name.clone()
        };
        PodKey::new(pod.namespace.clone(), full)
    });
    Gates {
        pods: pods.collect(),
        paths: gates.paths.clone(),
        limit: gates.limit,
        at_limit: match gates.start_at_limit {
            true => AtLimit::Start,
            false => AtLimit::Fail,
        },
    }
}

/// Ports of the node that a container takes.
fn host_ports(container: &api::Container) -> impl Iterator<Item = HostPort> {
    container.ports.iter().flatten().filter_map(|port| {
        let number = u16::try_from(port.host_port?)
            .ok()
            .filter(|port| *port > 0)?;
        Some(HostPort {
            ip: port.host_ip.as_deref().and_then(|ip| ip.parse().ok()),
            port: number,
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
        })
    })
}
