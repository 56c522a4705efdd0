//! Metrics in Prometheus' text format. Labels are names of pods, containers and sources, and words
//! of which there are few.

use std::{
    collections::BTreeMap,
    fmt::{Display, Write as _},
};

use agent::{Overview, PodView};
use manifests::view::Status;
use pod::api::ContainerStatus;

use super::{Look, Sight, process::Process};
use crate::{
    meter::{CLASSES, Counts, Times},
    version::{COMMIT, VERSION},
};

/// A page under way.
#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{line}");
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        match labels.is_empty() {
            true => self.line(format_args!("{name} {value}")),
            false => self.line(format_args!("{name}{{{}}} {value}", labels.join(","))),
        }
    }

    /// A family of one value without labels.
    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.value(name, &[], value);
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// The page.
pub(super) fn render(sight: &Sight, look: &Look) -> String {
    let mut text = Text::default();
    text.family("staticpodd_build_info", "gauge", "What runs, always 1.");
    let build = [("version", VERSION), ("commit", COMMIT)];
    text.value("staticpodd_build_info", &build, 1);
    let up = matches!(look, Look::Seen(overview) if overview.runtime_down.is_none());
    text.single(
        "staticpodd_runtime_up",
        "gauge",
        "1 while the runtime answers.",
        u8::from(up),
    );
    if let Look::Seen(overview) = look {
        pods(&mut text, overview);
        containers(&mut text, overview);
        sources(&mut text, overview);
        agent(&mut text, overview);
    }
    let counts = sight.meter.read();
    calls(&mut text, &counts);
    work(&mut text, &counts);
    text.single(
        "staticpodd_log_lines_dropped_total",
        "counter",
        "Log lines that standard error did not take.",
        sight.dropped.lines(),
    );
    process(&mut text, sight.started);
    text.0
}

fn phase(view: &PodView) -> &str {
    match view.pod {
        Some(_) => view.status.phase.as_deref().unwrap_or("Pending"),
        // On its way out.
        None => "Removed",
    }
}

fn pods(text: &mut Text, overview: &Overview) {
    let name = "staticpodd_pods";
    text.family(
        name,
        "gauge",
        "Pods by phase; Removed are those that lost their manifest and still end.",
    );
    for word in ["Pending", "Running", "Succeeded", "Failed", "Removed"] {
        let count = overview
            .pods
            .iter()
            .filter(|view| phase(view) == word)
            .count();
        text.value(name, &[("phase", word)], count);
    }
    let name = "staticpodd_pod_ready";
    text.family(
        name,
        "gauge",
        "1 for a pod that is ready, or has ended well.",
    );
    for view in &overview.pods {
        let labels = [
            ("namespace", view.key.namespace.as_str()),
            ("pod", &view.key.name),
        ];
        text.value(name, &labels, u8::from(view.ready));
    }
}

/// Each container's status, with its pod.
fn each(overview: &Overview) -> impl Iterator<Item = (&PodView, &ContainerStatus)> {
    overview.pods.iter().flat_map(|view| {
        let status = &view.status;
        let init = status.init_container_statuses.iter().flatten();
        let all = init.chain(status.container_statuses.iter().flatten());
        all.map(move |status| (view, status))
    })
}

fn containers(text: &mut Text, overview: &Overview) {
    let labels = |view: &PodView, status: &ContainerStatus| {
        [
            view.key.namespace.clone(),
            view.key.name.clone(),
            status.name.clone(),
        ]
    };
    let name = "staticpodd_container_restarts_total";
    text.family(
        name,
        "counter",
        "How often a container was started again; ends with the content of its manifest.",
    );
    for (view, status) in each(overview) {
        let [namespace, pod, container] = labels(view, status);
        let labels = [
            ("namespace", &*namespace),
            ("pod", &pod),
            ("container", &container),
        ];
        text.value(name, &labels, status.restart_count);
    }
    let name = "staticpodd_container_waiting";
    text.family(
        name,
        "gauge",
        "1 for a container that does not run yet or again, and the word for why.",
    );
    for (view, status) in each(overview) {
        let state = status.state.as_ref();
        let Some(waiting) = state.and_then(|state| state.waiting.as_ref()) else {
            continue;
        };
        let [namespace, pod, container] = labels(view, status);
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let labels = [
            ("namespace", &*namespace),
            ("pod", &pod),
            ("container", &container),
            ("reason", reason),
        ];
        text.value(name, &labels, 1);
    }
}

fn sources(text: &mut Text, overview: &Overview) {
    let name = "staticpodd_source_readable";
    text.family(
        name,
        "gauge",
        "1 while a directory or URL of manifests can be read.",
    );
    for source in &overview.sources {
        let readable = u8::from(source.trouble.is_none());
        text.value(name, &[("source", &source.name)], readable);
    }
    let name = "staticpodd_source_complete";
    text.family(name, "gauge", "1 while every manifest of a source is understood; only then pods go that it does not name.");
    for source in &overview.sources {
        let complete = u8::from(source.complete);
        text.value(name, &[("source", &source.name)], complete);
    }
    let name = "staticpodd_source_files";
    text.family(name, "gauge", "Files of a source by status.");
    for source in &overview.sources {
        let mut by_status: BTreeMap<&str, usize> =
            [Status::Ok, Status::Refused, Status::Unreadable]
                .map(|status| (status.as_str(), 0))
                .into();
        for file in &source.files {
            *by_status.entry(file.status.as_str()).or_default() += 1;
        }
        for (status, count) in by_status {
            text.value(name, &[("source", &source.name), ("status", status)], count);
        }
    }
}

fn agent(text: &mut Text, overview: &Overview) {
    text.single(
        "staticpodd_store_unwritten",
        "gauge",
        "1 while what must outlive the agent cannot be written.",
        u8::from(overview.store_trouble.is_some()),
    );
    text.single(
        "staticpodd_stopped",
        "gauge",
        "1 while everything was told to stop, and nothing is started.",
        u8::from(overview.halted),
    );
    let passes = overview.passes;
    for (name, kind, help, value) in [
        (
            "staticpodd_loop_passes_total",
            "counter",
            "How often the loop decided what to do.",
            passes.count.to_string(),
        ),
        (
            "staticpodd_loop_seconds_total",
            "counter",
            "How long that took, all together.",
            passes.took.as_secs_f64().to_string(),
        ),
        (
            "staticpodd_loop_longest_seconds",
            "gauge",
            "How long the longest of them took.",
            passes.longest.as_secs_f64().to_string(),
        ),
    ] {
        text.single(name, kind, help, value);
    }
}

fn calls(text: &mut Text, counts: &Counts) {
    let name = "staticpodd_runtime_call_duration_seconds";
    text.family(
        name,
        "histogram",
        "How long calls of the runtime took, failed ones included.",
    );
    for (call, times) in &counts.calls {
        histogram(text, name, &call.to_string(), times);
    }
    let name = "staticpodd_runtime_call_failures_total";
    text.family(
        name,
        "counter",
        "Calls of the runtime that failed, by kind.",
    );
    for ((call, reason), count) in &counts.failed_calls {
        text.value(
            name,
            &[("call", &call.to_string()), ("reason", reason)],
            count,
        );
    }
}

fn histogram(text: &mut Text, name: &str, call: &str, times: &Times) {
    let bucket = format!("{name}_bucket");
    let mut up_to = 0;
    for (end, count) in CLASSES.iter().zip(times.classes) {
        up_to += count;
        text.value(&bucket, &[("call", call), ("le", &end.to_string())], up_to);
    }
    text.value(&bucket, &[("call", call), ("le", "+Inf")], times.count);
    let sum = times.sum.as_secs_f64();
    text.value(&format!("{name}_sum"), &[("call", call)], sum);
    text.value(&format!("{name}_count"), &[("call", call)], times.count);
}

fn work(text: &mut Text, counts: &Counts) {
    let name = "staticpodd_orders_total";
    text.family(
        name,
        "counter",
        "What the agent set out to do, and what came of it.",
    );
    for ((order, result), count) in &counts.orders {
        text.value(name, &[("order", order), ("result", result)], count);
    }
    let name = "staticpodd_probes_total";
    text.family(name, "counter", "Rounds of probes by result.");
    for ((probe, result), count) in &counts.probes {
        text.value(name, &[("probe", probe), ("result", result)], count);
    }
    text.single(
        "staticpodd_image_failures_total",
        "counter",
        "Starts of containers that failed because the image could not be had.",
        counts.pulls_failed,
    );
    let name = "staticpodd_log_rotations_total";
    text.family(
        name,
        "counter",
        "Logs of containers that were rotated, or should have been.",
    );
    text.value(name, &[("result", "done")], counts.logs_rotated);
    text.value(name, &[("result", "failed")], counts.logs_unrotated);
    text.single(
        "staticpodd_images_collected_total",
        "counter",
        "Images that were removed because their disk was full, or nothing used them for long.",
        counts.images_collected,
    );
}

fn process(text: &mut Text, started: i64) {
    let process = Process::look();
    let mut put = |name: &str, kind: &str, help: &str, value: Option<String>| {
        if let Some(value) = value {
            text.single(name, kind, help, value);
        }
    };
    let whole = |value: Option<u64>| value.map(|value| value.to_string());
    put(
        "process_cpu_seconds_total",
        "counter",
        "User and system time of the process.",
        process.cpu_seconds.map(|seconds| seconds.to_string()),
    );
    let start = Some(started.to_string());
    put(
        "process_start_time_seconds",
        "gauge",
        "Unix time of its start.",
        start,
    );
    for (name, help, value) in [
        (
            "process_resident_memory_bytes",
            "Resident memory.",
            process.resident_bytes,
        ),
        (
            "process_virtual_memory_bytes",
            "Virtual memory.",
            process.virtual_bytes,
        ),
        ("process_threads", "Threads.", process.threads),
        ("process_open_fds", "Open files.", process.open_files),
        (
            "process_max_fds",
            "Most files that it may open.",
            process.most_files,
        ),
    ] {
        put(name, "gauge", help, whole(value));
    }
}
