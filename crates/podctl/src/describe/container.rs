//! One container.

use std::collections::BTreeMap;

use pod::api::{
    Container, ContainerPort, ContainerState, ContainerStatus, EnvVar, ExecAction, HTTPGetAction,
    IntOrString, Probe, Quantity, VolumeMount,
};

use super::sheet::{Sheet, moment};

pub(crate) fn describe(sheet: &mut Sheet, container: &Container, status: Option<&ContainerStatus>) {
    sheet.heading(1, &format!("{}:", container.name));
    let none = || "<none>".to_owned();
    let id = status.and_then(|status| status.container_id.clone());
    sheet.line(2, "Container ID", id.unwrap_or_else(none));
    sheet.line(2, "Image", container.image.clone().unwrap_or_else(none));
    let image = status.map(|status| status.image_id.clone());
    let image = image.filter(|image| !image.is_empty());
    sheet.line(2, "Image ID", image.unwrap_or_else(none));
    let ports = container.ports.as_deref().unwrap_or_default();
    sheet.line(2, "Ports", listed(ports, |port| Some(port.container_port)));
    sheet.line(2, "Host Ports", listed(ports, |port| port.host_port));
    words(sheet, "Command:", container.command.as_deref());
    words(sheet, "Args:", container.args.as_deref());
    if let Some(status) = status {
        state(sheet, "State", status.state.as_ref());
        let last = status.last_state.as_ref();
        let last = last.filter(|last| last.terminated.is_some());
        if last.is_some() {
            state(sheet, "Last State", last);
        }
        sheet.line(2, "Ready", capital(status.ready));
        sheet.line(2, "Restart Count", status.restart_count);
    }
    let resources = container.resources.as_ref();
    amounts(sheet, "Limits:", resources.and_then(|r| r.limits.as_ref()));
    amounts(
        sheet,
        "Requests:",
        resources.and_then(|r| r.requests.as_ref()),
    );
    for (name, probe) in [
        ("Liveness", &container.liveness_probe),
        ("Readiness", &container.readiness_probe),
        ("Startup", &container.startup_probe),
    ] {
        sheet.some(2, name, probe.as_ref().map(of_probe));
    }
    let environment = container.env.as_deref().unwrap_or_default();
    if !environment.is_empty() {
        sheet.heading(2, "Environment:");
        for variable in environment {
            sheet.line(3, &variable.name, of_variable(variable));
        }
    }
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    if !mounts.is_empty() {
        sheet.heading(2, "Mounts:");
        for mount in mounts {
            sheet.heading(3, &of_mount(mount));
        }
    }
}

fn capital(value: bool) -> &'static str {
    match value {
        true => "True",
        false => "False",
    }
}

fn listed(ports: &[ContainerPort], number: impl Fn(&ContainerPort) -> Option<i32>) -> String {
    let ports = ports.iter().filter_map(|port| {
        let number = number(port).filter(|number| *number != 0)?;
        Some(format!(
            "{number}/{}",
            port.protocol.as_deref().unwrap_or("TCP")
        ))
    });
    let ports: Vec<String> = ports.collect();
    match ports.is_empty() {
        true => "<none>".to_owned(),
        false => ports.join(", "),
    }
}

fn words(sheet: &mut Sheet, heading: &str, words: Option<&[String]>) {
    let words = words.unwrap_or_default();
    if words.is_empty() {
        return;
    }
    sheet.heading(2, heading);
    for word in words {
        for line in word.lines() {
            sheet.heading(3, line);
        }
    }
}

fn state(sheet: &mut Sheet, key: &str, state: Option<&ContainerState>) {
    let state = state.cloned().unwrap_or_default();
    if let Some(running) = state.running {
        sheet.line(2, key, "Running");
        sheet.some(2, "  Started", running.started_at.as_ref().map(moment));
    } else if let Some(end) = state.terminated {
        sheet.line(2, key, "Terminated");
        sheet.some(2, "  Reason", end.reason);
        sheet.some(2, "  Message", end.message);
        sheet.line(2, "  Exit Code", end.exit_code);
        sheet.some(2, "  Signal", end.signal.filter(|signal| *signal != 0));
        sheet.some(2, "  Started", end.started_at.as_ref().map(moment));
        sheet.some(2, "  Finished", end.finished_at.as_ref().map(moment));
    } else {
        sheet.line(2, key, "Waiting");
        let waiting = state.waiting.unwrap_or_default();
        sheet.some(
            2,
            "  Reason",
            waiting.reason.filter(|text| !text.is_empty()),
        );
        sheet.some(
            2,
            "  Message",
            waiting.message.filter(|text| !text.is_empty()),
        );
    }
}

fn amounts(sheet: &mut Sheet, heading: &str, amounts: Option<&BTreeMap<String, Quantity>>) {
    let Some(amounts) = amounts.filter(|amounts| !amounts.is_empty()) else {
        return;
    };
    sheet.heading(2, heading);
    for (name, amount) in amounts {
        sheet.line(3, name, &amount.0);
    }
}

fn of_probe(probe: &Probe) -> String {
    let text = |port: &IntOrString| match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => name.clone(),
    };
    let http = |http: &HTTPGetAction| {
        let scheme = http
            .scheme
            .as_deref()
            .unwrap_or("HTTP")
            .to_ascii_lowercase();
        let host = http.host.as_deref().unwrap_or_default();
        let path = http.path.as_deref().unwrap_or("/");
        format!("http-get {scheme}://{host}:{}{path}", text(&http.port))
    };
    let exec = |exec: &ExecAction| {
        let command = exec.command.as_deref().unwrap_or_default();
        format!("exec [{}]", command.join(" "))
    };
    let how = if let Some(action) = &probe.http_get {
        http(action)
    } else if let Some(action) = &probe.exec {
        exec(action)
    } else if let Some(action) = &probe.tcp_socket {
        let host = action.host.as_deref().unwrap_or_default();
        format!("tcp-socket {host}:{}", text(&action.port))
    } else if let Some(action) = &probe.grpc {
        format!(
            "grpc :{} {}",
            action.port,
            action.service.as_deref().unwrap_or_default()
        )
    } else {
        "<none>".to_owned()
    };
    format!(
        "{how} delay={}s timeout={}s period={}s #success={} #failure={}",
        probe.initial_delay_seconds.unwrap_or(0),
        probe.timeout_seconds.unwrap_or(1),
        probe.period_seconds.unwrap_or(10),
        probe.success_threshold.unwrap_or(1),
        probe.failure_threshold.unwrap_or(3),
    )
}

fn of_variable(variable: &EnvVar) -> String {
    let Some(from) = &variable.value_from else {
        return variable.value.clone().unwrap_or_default();
    };
    if let Some(field) = &from.field_ref {
        let version = field.api_version.as_deref().unwrap_or("v1");
        return format!(" ({version}:{})", field.field_path);
    }
    if let Some(resource) = &from.resource_field_ref {
        return format!(" ({})", resource.resource);
    }
    if let Some(file) = &from.file_key_ref {
        return format!(
            " ({} of {} in volume {})",
            file.key, file.path, file.volume_name
        );
    }
    String::new()
}

fn of_mount(mount: &VolumeMount) -> String {
    let mut flags = vec![match mount.read_only {
        Some(true) => "ro".to_owned(),
        _ => "rw".to_owned(),
    }];
    if let Some(path) = &mount.sub_path {
        flags.push(format!("path=\"{path}\""));
    }
    format!(
        "{} from {} ({})",
        mount.mount_path,
        mount.name,
        flags.join(",")
    )
}
