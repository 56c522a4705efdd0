//! Probes and hooks.

use super::{
    containers::{Kind, number},
    each, one_of,
    text::{is_header_name, is_port_name},
};
use crate::{api, report::Report};

/// The two that bring a container down may not want more than one success.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Liveness,
    Readiness,
    Startup,
}

pub(super) fn check(
    field: &str,
    kind: Kind,
    spec: &api::PodSpec,
    container: &api::Container,
    report: &mut Report<'_>,
) {
    for (probe, name, purpose) in [
        (
            &container.liveness_probe,
            "livenessProbe",
            Purpose::Liveness,
        ),
        (
            &container.readiness_probe,
            "readinessProbe",
            Purpose::Readiness,
        ),
        (&container.startup_probe, "startupProbe", Purpose::Startup),
    ] {
        if let Some(probe) = probe {
            let field = format!("{field}.{name}");
            if !kind.stays() {
                report.error(field, "cannot be on an init container that ends", STAYS);
                continue;
            }
            one_probe(&field, purpose, container, probe, report);
        }
    }
    if let Some(lifecycle) = &container.lifecycle {
        let field = format!("{field}.lifecycle");
        if !kind.stays() {
            report.error(field, "cannot be on an init container that ends", STAYS);
            return;
        }
        if lifecycle.stop_signal.is_some() && spec.os.is_none() {
            report.error(
                format!("{field}.stopSignal"),
                "needs spec.os.name",
                "add os: {name: linux} to the pod",
            );
        }
        for (hook, name) in [
            (&lifecycle.post_start, "postStart"),
            (&lifecycle.pre_stop, "preStop"),
        ] {
            if let Some(hook) = hook {
                one_hook(&format!("{field}.{name}"), spec, container, hook, report);
            }
        }
    }
}

const STAYS: &str = "remove it, or make the container a sidecar with restartPolicy: Always";

fn one_probe(
    field: &str,
    purpose: Purpose,
    container: &api::Container,
    probe: &api::Probe,
    report: &mut Report<'_>,
) {
    let handlers = [
        probe.exec.is_some(),
        probe.http_get.is_some(),
        probe.tcp_socket.is_some(),
        probe.grpc.is_some(),
    ];
    exactly_one(
        field,
        &handlers,
        "exec, httpGet, tcpSocket and grpc",
        report,
    );
    for (value, least, name) in [
        (probe.initial_delay_seconds, 0, "initialDelaySeconds"),
        (probe.timeout_seconds, 1, "timeoutSeconds"),
        (probe.period_seconds, 1, "periodSeconds"),
        (probe.success_threshold, 1, "successThreshold"),
        (probe.failure_threshold, 1, "failureThreshold"),
    ] {
        if value.is_some_and(|value| value < least) {
            report.error(
                format!("{field}.{name}"),
                format!("must be {least} or more"),
                "remove it to get the default",
            );
        }
    }
    if purpose != Purpose::Readiness && probe.success_threshold.is_some_and(|times| times != 1) {
        report.error(
            format!("{field}.successThreshold"),
            "must be 1 but for readiness",
            "remove it",
        );
    }
    match (purpose, probe.termination_grace_period_seconds) {
        (Purpose::Readiness, Some(_)) => report.error(
            format!("{field}.terminationGracePeriodSeconds"),
            "cannot be set for readiness, which stops nothing",
            "move it to livenessProbe or startupProbe",
        ),
        (_, Some(seconds)) if seconds < 1 => report.error(
            format!("{field}.terminationGracePeriodSeconds"),
            "must be 1 or more",
            "remove it to get that of the pod",
        ),
        _ => {}
    }
    if let Some(exec) = &probe.exec {
        command(field, exec, report);
    }
    if let Some(get) = &probe.http_get {
        http(field, container, get, report);
    }
    if let Some(socket) = &probe.tcp_socket {
        port(
            format!("{field}.tcpSocket.port"),
            container,
            &socket.port,
            report,
        );
    }
    if let Some(grpc) = &probe.grpc {
        number(i64::from(grpc.port), format!("{field}.grpc.port"), report);
    }
}

fn one_hook(
    field: &str,
    spec: &api::PodSpec,
    container: &api::Container,
    hook: &api::LifecycleHandler,
    report: &mut Report<'_>,
) {
    let handlers = [
        hook.exec.is_some(),
        hook.http_get.is_some(),
        hook.tcp_socket.is_some(),
        hook.sleep.is_some(),
    ];
    exactly_one(
        field,
        &handlers,
        "exec, httpGet, tcpSocket and sleep",
        report,
    );
    if let Some(exec) = &hook.exec {
        command(field, exec, report);
    }
    if let Some(get) = &hook.http_get {
        http(field, container, get, report);
    }
    if let Some(socket) = &hook.tcp_socket {
        port(
            format!("{field}.tcpSocket.port"),
            container,
            &socket.port,
            report,
        );
    }
    if let Some(sleep) = &hook.sleep {
        let grace = spec.termination_grace_period_seconds.unwrap_or(30);
        if !(0..=grace).contains(&sleep.seconds) {
            report.error(
                format!("{field}.sleep.seconds"),
                format!("must be from 0 to terminationGracePeriodSeconds, which is {grace}"),
                "sleep for less, or give the pod more time to stop",
            );
        }
    }
}

fn exactly_one(field: &str, handlers: &[bool], names: &str, report: &mut Report<'_>) {
    match handlers.iter().filter(|set| **set).count() {
        1 => {}
        0 => report.error(field, "does nothing", format!("add one of {names}")),
        _ => report.error(
            field,
            "has more than one handler",
            format!("keep one of {names}"),
        ),
    }
}

fn command(field: &str, exec: &api::ExecAction, report: &mut Report<'_>) {
    if exec.command.as_ref().is_none_or(Vec::is_empty) {
        report.error(
            format!("{field}.exec.command"),
            "is required and missing",
            "write the program and its arguments as a list; no shell runs it",
        );
    }
}

fn http(
    field: &str,
    container: &api::Container,
    get: &api::HTTPGetAction,
    report: &mut Report<'_>,
) {
    let field = format!("{field}.httpGet");
    if get.path.as_deref() == Some("") {
        report.error(
            format!("{field}.path"),
            "must not be empty",
            "write '/' or remove it",
        );
    }
    port(format!("{field}.port"), container, &get.port, report);
    one_of(
        get.scheme.as_deref(),
        &["HTTP", "HTTPS"],
        || format!("{field}.scheme"),
        report,
    );
    for (field, header) in each(get.http_headers.as_ref(), &format!("{field}.httpHeaders")) {
        if !is_header_name(&header.name) {
            report.error(
                format!("{field}.name"),
                "is no name of an HTTP header",
                "write letters, digits and '-'",
            );
        }
    }
}

fn port(
    field: String,
    container: &api::Container,
    port: &api::IntOrString,
    report: &mut Report<'_>,
) {
    match port {
        api::IntOrString::Int(port) => number(i64::from(*port), field, report),
        api::IntOrString::String(name) if !is_port_name(name) => report.error(
            field,
            "is neither a port's number nor its name",
            "write a number without quotes, or the name of one of the container's ports",
        ),
        // The API takes any name; a probe of a port that is not there fails for ever.
        api::IntOrString::String(name) => {
            let names: Vec<&str> = container
                .ports
                .iter()
                .flatten()
                .filter_map(|port| port.name.as_deref())
                .collect();
            if !names.contains(&name.as_str()) {
                let advice = match yaml::spelling::closest(name, &names) {
                    Some(name) => format!("did you mean '{name}'?"),
                    None => {
                        "name the port in the container's ports, or write its number".to_owned()
                    }
                };
                report.error(field, "is the name of no port of this container", advice);
            }
        }
    }
}
