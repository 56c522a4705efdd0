//! What came of a scenario, as one value that can be compared and kept.

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt as _, path::Path};

use serde_json::{Map, Value, json};

use crate::{
    ground::{Ground, trees},
    plain::Plain,
    scenario::{Order, Scenario, Step},
    spec,
    watch::{Seen, Watch, What},
};

/// Longer files are not looked into.
const TEXT: usize = 4096;
/// From here on a restart has waited for the first step of the back-off.
const BACK_OFF: i64 = 9_000;

pub(crate) fn gather(scenario: &Scenario, watch: &Watch, ground: &Ground) -> Value {
    let plain = Plain::new(ground, watch, scenario.name);
    let mut made: Vec<&Seen> = watch.of(scenario.name).collect();
    made.retain(|seen| seen.is_sandbox() || seen.attempt <= scenario.attempts);
    // What is restarted may be gone, or be another, while it is looked at.
    let stays = scenario.attempts == 0;
    let mut sandboxes = Map::new();
    let mut containers = Map::new();
    for seen in made {
        let label = watch.label(seen);
        if seen.is_sandbox() {
            sandboxes.insert(label, sandbox(seen, watch, stays));
        } else {
            containers.insert(label, container(seen, watch, stays));
        }
    }
    let mut facts = json!({
        "sandboxes": sandboxes,
        "containers": containers,
        "order": order(scenario, watch),
    });
    let pauses = pauses(scenario, watch);
    if !pauses.is_empty() {
        facts["pauses"] = json!(pauses);
    }
    if stays {
        facts["logs"] = logs(scenario, watch, ground);
        facts["links"] = links(scenario, watch, ground, &plain);
    }
    plain.value(&facts)
}

fn sandbox(seen: &Seen, watch: &Watch, stays: bool) -> Value {
    if seen.attempt > 0 {
        return json!({"metadata": seen.config["metadata"]});
    }
    let mut facts = json!({"asked": spec::asked(&seen.config), "made": spec::made(&seen.spec)});
    let parent = seen.config["linux"]["cgroup_parent"].as_str();
    if stays
        && watch.is_alive(&seen.uid)
        && let Some(limits) = parent.and_then(limits)
    {
        facts["pod_cgroup"] = limits;
    }
    facts
}

/// What all containers of a pod have together; nothing where the pod is gone.
fn limits(cgroup: &str) -> Option<Value> {
    let mut limits = BTreeMap::new();
    for tree in trees() {
        for file in [
            "memory.limit_in_bytes",
            "cpu.shares",
            "cpu.cfs_quota_us",
            "pids.max",
        ] {
            let path = tree.join(cgroup.trim_start_matches('/')).join(file);
            if let Ok(text) = fs::read_to_string(path) {
                limits.insert(file, text.trim().to_owned());
            }
        }
    }
    (!limits.is_empty()).then(|| json!(limits))
}

fn container(seen: &Seen, watch: &Watch, stays: bool) -> Value {
    if seen.attempt > 0 {
        return json!({
            "metadata": seen.config["metadata"],
            "annotations": seen.config["annotations"],
            "log_path": seen.config["log_path"],
        });
    }
    let mut facts = json!({"asked": spec::asked(&seen.config), "made": spec::made(&seen.spec)});
    let mut mounted = Map::new();
    for mount in seen.config["mounts"].as_array().into_iter().flatten() {
        let text = |key: &str| mount[key].as_str().unwrap_or_default();
        let from = text("host_path");
        if stays
            && watch.runs(seen)
            && from.contains("/root/pods/")
            && let Some(found) = describe(Path::new(from), 3)
        {
            mounted.insert(text("container_path").to_owned(), found);
        }
    }
    if !mounted.is_empty() {
        facts["mounted"] = mounted.into();
    }
    facts
}

/// Mode, owner and content; nothing where it is gone.
fn describe(path: &Path, depth: usize) -> Option<Value> {
    let about = fs::metadata(path).ok()?;
    let mut facts = json!({
        "mode": format!("{:o}", about.mode() & 0o7777),
        "owner": format!("{}:{}", about.uid(), about.gid()),
    });
    if let Some(memory) = in_memory(path) {
        facts["in_memory"] = memory.into();
    }
    if about.is_file() && about.len() <= TEXT as u64 {
        facts["text"] = fs::read_to_string(path).unwrap_or_default().into();
    }
    if about.is_dir() && depth > 0 {
        let mut entries = BTreeMap::new();
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // Names of versions differ; what they hold is seen through the links.
            if !name.starts_with("..") {
                entries.insert(name, describe(&entry.path(), depth - 1));
            }
        }
        if !entries.is_empty() {
            facts["entries"] = json!(entries);
        }
    }
    Some(facts)
}

/// The size of the file system that is mounted there, if it is one of memory.
fn in_memory(path: &Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let here = path.to_str()?;
    let line = mounts
        .lines()
        .rfind(|line| line.split_whitespace().nth(1) == Some(here))?;
    let mut words = line.split_whitespace().skip(2);
    let is_memory = words.next() == Some("tmpfs");
    let size = words
        .next()?
        .split(',')
        .find_map(|o| o.strip_prefix("size="));
    is_memory.then(|| size.unwrap_or("all").to_owned())
}

fn order(scenario: &Scenario, watch: &Watch) -> Vec<String> {
    let mut order = Vec::new();
    for event in &watch.events {
        let Some(seen) = watch.seen.get(&event.id) else {
            continue;
        };
        if seen.pod != scenario.name || seen.attempt > scenario.attempts {
            continue;
        }
        let label = watch.label(seen);
        let line = match (event.what, scenario.order) {
            (What::Started, _) => format!("{label} starts"),
            (What::Ended(code), Order::Ends | Order::Commands) => {
                format!("{label} ends with {code}")
            }
            (What::Command, Order::Commands) => format!("{label} runs a command"),
            (What::CommandEnded(code), Order::Commands) => {
                format!("a command in {label} ends with {code}")
            }
            _ => continue,
        };
        order.push(line);
    }
    if let Some(end) = end(scenario, &order) {
        order.truncate(end + 1);
    }
    order
}

/// What the last step has waited for; whatever came later may or may not be seen.
fn end(scenario: &Scenario, order: &[String]) -> Option<usize> {
    let begin = match scenario.steps.last()? {
        Step::Started(label) | Step::Linked(label) => format!("{label} starts"),
        Step::Ended(label) => format!("{label} ends"),
        _ => return None,
    };
    order.iter().position(|line| line.starts_with(&begin))
}

/// How long each restart in the same sandbox has waited, by the class of its back-off.
fn pauses(scenario: &Scenario, watch: &Watch) -> BTreeMap<String, &'static str> {
    let mut pauses = BTreeMap::new();
    let time = |id: &str, test: &dyn Fn(What) -> bool| {
        let mut events = watch.events.iter();
        let event = events.find(|event| event.id == id && test(event.what))?;
        Some(event.time.as_millisecond())
    };
    for next in watch.of(scenario.name) {
        // The first restart is done at once, as soon as the machine can.
        if next.is_sandbox() || !(2..=scenario.attempts).contains(&next.attempt) {
            continue;
        }
        let mut others = watch.of(scenario.name);
        let last = others.find(|last| {
            last.sandbox == next.sandbox
                && last.name == next.name
                && last.attempt + 1 == next.attempt
        });
        let ended = last.and_then(|last| time(&last.id, &|what| matches!(what, What::Ended(_))));
        let started = time(&next.id, &|what| what == What::Started);
        if let (Some(ended), Some(started)) = (ended, started) {
            let pause = match started - ended >= BACK_OFF {
                true => "ten seconds or more",
                false => "less than ten seconds",
            };
            pauses.insert(watch.label(next), pause);
        }
    }
    pauses
}

/// Files and folders below the directory of logs.
fn logs(scenario: &Scenario, watch: &Watch, ground: &Ground) -> Value {
    let logs = ground.home.join("log/pods");
    let mut found = BTreeMap::new();
    let mut uids = watch.pods(scenario.name);
    uids.retain(|uid| watch.is_alive(uid));
    for uid in uids {
        for entry in fs::read_dir(&logs).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(&format!("_{uid}")) {
                walk(&logs, &entry.path(), &mut found);
            }
        }
    }
    json!(found)
}

fn walk(logs: &Path, path: &Path, found: &mut BTreeMap<String, String>) {
    let Ok(about) = fs::symlink_metadata(path) else {
        return;
    };
    let name = path.strip_prefix(logs).unwrap_or(path).to_string_lossy();
    found.insert(name.into_owned(), format!("{:o}", about.mode() & 0o7777));
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        walk(logs, &entry.path(), found);
    }
}

/// Where log shippers look.
fn links(scenario: &Scenario, watch: &Watch, ground: &Ground, plain: &Plain) -> Value {
    let mut links = BTreeMap::new();
    let mut running = watch.of(scenario.name).collect::<Vec<_>>();
    running.retain(|seen| watch.runs(seen));
    for entry in fs::read_dir(ground.links()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(target) = fs::read_link(entry.path()) else {
            continue;
        };
        let mut running = running.iter();
        if running.any(|seen| name.ends_with(&format!("{}.log", seen.id))) {
            links.insert(plain.text(&name), target.to_string_lossy().into_owned());
        }
    }
    json!(links)
}
