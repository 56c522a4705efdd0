//! `describe`: all about one pod, in the shape that people know from `kubectl`.

use pod::api;

use crate::document::{PodState, State};

mod container;
mod sheet;
mod volumes;

use sheet::{Sheet, moment, since};

/// All about one pod.
#[must_use]
pub fn describe(pod: &PodState, state: &State) -> String {
    let mut sheet = Sheet::default();
    let spec = pod.pod.spec.clone().unwrap_or_default();
    let status = pod.pod.status.clone().unwrap_or_default();
    head(&mut sheet, pod, state, &spec, &status);
    for (heading, containers, statuses) in [
        (
            "Init Containers:",
            spec.init_containers.as_deref().unwrap_or_default(),
            status.init_container_statuses.as_deref(),
        ),
        (
            "Containers:",
            spec.containers.as_slice(),
            status.container_statuses.as_deref(),
        ),
    ] {
        if containers.is_empty() {
            continue;
        }
        sheet.heading(0, heading);
        for container in containers {
            let mut statuses = statuses.into_iter().flatten();
            let own = statuses.find(|own| own.name == container.name);
            container::describe(&mut sheet, container, own);
        }
    }
    conditions(&mut sheet, &status);
    volumes::describe(&mut sheet, &spec);
    foot(&mut sheet, pod, state, &status);
    sheet.text()
}

fn head(
    sheet: &mut Sheet,
    pod: &PodState,
    state: &State,
    spec: &api::PodSpec,
    status: &api::PodStatus,
) {
    let meta = &pod.pod.metadata;
    sheet.line(0, "Name", pod.name());
    sheet.line(0, "Namespace", pod.namespace());
    if let Some(uid) = &meta.uid {
        sheet.line(0, "UID", uid);
    }
    sheet.line(0, "Priority", spec.priority.unwrap_or_default());
    sheet.some(0, "Priority Class Name", spec.priority_class_name.as_ref());
    let at = status.host_ip.as_ref();
    let at = at.map(|ip| format!("/{ip}")).unwrap_or_default();
    sheet.line(0, "Node", format!("{}{at}", state.node));
    sheet.some(0, "Start Time", status.start_time.as_ref().map(moment));
    sheet.pairs("Labels", meta.labels.as_ref(), '=');
    sheet.pairs("Annotations", meta.annotations.as_ref(), ':');
    let phase = status.phase.as_deref().unwrap_or("Unknown");
    let word = match pod.stopping || !pod.wanted {
        true if !matches!(phase, "Succeeded" | "Failed") => "Terminating",
        _ => phase,
    };
    sheet.line(0, "Status", word);
    sheet.some(0, "Reason", status.reason.as_ref());
    sheet.some(0, "Message", status.message.as_ref());
    let none = || "<none>".to_owned();
    sheet.line(0, "IP", status.pod_ip.clone().unwrap_or_else(none));
    sheet.some(0, "Source", pod.source.as_ref());
    sheet.line(
        0,
        "Manifest",
        pod.origin.clone().unwrap_or_else(|| "<gone>".to_owned()),
    );
    sheet.some(0, "Revision", pod.revision.as_ref());
}

fn conditions(sheet: &mut Sheet, status: &api::PodStatus) {
    let conditions = status.conditions.iter().flatten();
    let rows: Vec<Vec<String>> = conditions
        .map(|condition| vec![condition.type_.clone(), condition.status.clone()])
        .collect();
    sheet.table("Conditions:", &["Type", "Status"], rows);
}

fn foot(sheet: &mut Sheet, pod: &PodState, state: &State, status: &api::PodStatus) {
    sheet.line(
        0,
        "QoS Class",
        status.qos_class.as_deref().unwrap_or("<none>"),
    );
    let until = |time: &api::Time| {
        let left = time.0.as_second().saturating_sub(state.time.0.as_second());
        format!("{}s", left.max(0))
    };
    let waits = pod.waits.iter().map(|wait| {
        vec![
            wait.reason.clone(),
            wait.container.clone().unwrap_or_else(|| "<pod>".to_owned()),
            wait.until
                .as_ref()
                .map_or_else(|| "<none>".to_owned(), until),
            wait.message.clone(),
        ]
    });
    let waits: Vec<_> = waits.collect();
    if !waits.is_empty() {
        sheet.table(
            "Waits:",
            &["Reason", "Container", "Ends In", "Message"],
            waits,
        );
    }
    let sandboxes = pod.sandboxes.iter().map(|sandbox| {
        let ready = match sandbox.ready {
            true => "ready",
            false => "not ready",
        };
        let created = sandbox.created.as_ref();
        vec![
            sandbox.id.chars().take(13).collect(),
            sandbox.attempt.to_string(),
            ready.to_owned(),
            created.map_or_else(|| "<unknown>".to_owned(), |at| since(at, state)),
        ]
    });
    let sandboxes: Vec<_> = sandboxes.collect();
    if !sandboxes.is_empty() {
        sheet.table("Sandboxes:", &["ID", "Attempt", "State", "Age"], sandboxes);
    }
    let events = pod.events.iter().map(|event| {
        let last = since(&event.last, state);
        let age = match event.count {
            1 => last,
            count => format!("{last} (x{count} over {})", since(&event.first, state)),
        };
        let message = event.message.lines().collect::<Vec<_>>().join(" ");
        vec![event.kind.clone(), event.reason.clone(), age, message]
    });
    let events: Vec<_> = events.collect();
    if events.is_empty() {
        sheet.line(0, "Events", "<none>");
    } else {
        sheet.table("Events:", &["Type", "Reason", "Age", "Message"], events);
    }
}
