//! The parts of what an agent asks for, and of what a runtime makes of it, that can differ from
//! agent to agent.

use std::fs;

use serde_json::{Map, Value, json};

/// Ends the paths in which processors tell how hot they are.
const HEAT: &str = "/thermal_throttle";
/// More capabilities than this are not chosen one by one.
const MANY: usize = 24;

/// A configuration of the CRI, with what has no order in order.
pub(crate) fn asked(config: &Value) -> Value {
    let mut config = config.clone();
    let Some(fields) = config.as_object_mut() else {
        return config;
    };
    if let Some(Value::Array(envs)) = fields.get_mut("envs") {
        let pairs = envs.iter().map(|env| {
            let text = |key: &str| env[key].as_str().unwrap_or_default().to_owned();
            format!("{}={}", text("key"), text("value"))
        });
        let mut pairs: Vec<String> = pairs.collect();
        pairs.sort();
        *envs = pairs.into_iter().map(Value::from).collect();
    }
    if let Some(Value::Array(mounts)) = fields.get("mounts") {
        let mut by_path = Map::new();
        for mount in mounts {
            let mut mount = mount.clone();
            let path = mount["container_path"].as_str().unwrap_or_default();
            let path = path.to_owned();
            if let Some(fields) = mount.as_object_mut() {
                fields.remove("container_path");
            }
            by_path.insert(path, mount);
        }
        fields.insert("mounts".to_owned(), by_path.into());
    }
    if let Some(dns) = fields.get_mut("dns_config") {
        without_nodes(dns);
    }
    without_machine(&mut fields["linux"]);
    config
}

/// Without the name servers, domains and options of this machine.
fn without_nodes(dns: &mut Value) {
    let file = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let words: Vec<&str> = file
        .lines()
        .flat_map(|line| line.split_whitespace().skip(1))
        .collect();
    for key in ["servers", "searches", "options"] {
        if let Some(Value::Array(list)) = dns.get_mut(key) {
            list.retain(|item| item.as_str().is_none_or(|item| !words.contains(&item)));
        }
    }
    // A kubelet has them in a random order.
    if let Some(Value::Array(options)) = dns.get_mut("options") {
        options.sort_by_key(ToString::to_string);
    }
}

/// Without what depends on the machine's processors: sizes of huge pages, and paths that tell of heat.
fn without_machine(linux: &mut Value) {
    if let Some(Value::Array(limits)) = linux.pointer_mut("/resources/hugepage_limits") {
        limits.retain(|page| page["limit"].as_u64().unwrap_or_default() > 0);
    }
    if let Some(Value::Array(paths)) = linux.pointer_mut("/security_context/masked_paths") {
        paths.retain(|path| !path.as_str().unwrap_or_default().contains(HEAT));
    }
}

/// Says of what is as in `base` only that.
pub(crate) fn shorten(facts: &mut Value, base: &Value) {
    const SAME: &str = "as plain";
    let (Some(fields), Some(base)) = (facts.as_object_mut(), base.as_object()) else {
        return;
    };
    for (key, value) in fields.iter_mut() {
        match base.get(key) {
            // Kept apart: ours has more of them than a kubelet.
            Some(other) if key == "annotations" => shorten(value, other),
            Some(same) if same == value => *value = SAME.into(),
            Some(other) => shorten(value, other),
            None => {}
        }
    }
}

/// What the runtime gives to the kernel. Left out: what does not depend on who asks, and what
/// depends on the machine.
pub(crate) fn made(spec: &Value) -> Value {
    let process = &spec["process"];
    let linux = &spec["linux"];
    let mut env: Vec<&str> = texts(&process["env"]);
    env.sort_unstable();
    let capabilities = &process["capabilities"];
    let mut mounts: Vec<String> = items(&spec["mounts"]).iter().map(mount).collect();
    mounts.sort();
    let namespaces = items(&linux["namespaces"]).iter().map(|namespace| {
        let kind = namespace["type"].as_str().unwrap_or_default();
        match namespace["path"].as_str().unwrap_or_default() {
            "" => format!("{kind}: new"),
            _ => format!("{kind}: joined"),
        }
    });
    let mut namespaces: Vec<String> = namespaces.collect();
    namespaces.sort();
    let mut resources = linux["resources"].clone();
    if let Some(fields) = resources.as_object_mut() {
        fields.remove("devices");
    }
    json!({
        "args": process["args"],
        "env": env,
        "cwd": process["cwd"],
        "terminal": process["terminal"].as_bool().unwrap_or_default(),
        "user": process["user"],
        "capabilities": powers(&capabilities["bounding"]),
        "effective": powers(&capabilities["effective"]),
        "ambient": words(&capabilities["ambient"]),
        "no_new_privileges": process["noNewPrivileges"],
        "apparmor": process["apparmorProfile"],
        "read_only": spec["root"]["readonly"].as_bool().unwrap_or_default(),
        "hostname": spec["hostname"],
        "mounts": mounts,
        "namespaces": namespaces,
        "cgroup": linux["cgroupsPath"],
        "resources": resources,
        "sysctl": linux["sysctl"],
        "masked": words(&linux["maskedPaths"]),
        "readonly_paths": words(&linux["readonlyPaths"]),
        "seccomp": linux["seccomp"]["defaultAction"],
        "host_devices": !items(&linux["devices"]).is_empty(),
    })
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn texts(value: &Value) -> Vec<&str> {
    items(value).iter().filter_map(Value::as_str).collect()
}

/// In order. Processors have paths of their own, and machines differ in how many they have.
fn words(value: &Value) -> String {
    let mut words = texts(value);
    words.retain(|word| !word.contains(HEAT));
    words.sort_unstable();
    words.join(" ")
}

/// Those of a privileged container are whatever the machine has.
fn powers(value: &Value) -> String {
    match items(value).len() {
        0..=MANY => words(value),
        _ => "all of the machine".to_owned(),
    }
}

fn mount(mount: &Value) -> String {
    let text = |key: &str| mount[key].as_str().unwrap_or_default();
    let mut options = texts(&mount["options"]);
    options.sort_unstable();
    let (to, kind, from) = (text("destination"), text("type"), text("source"));
    format!("{to}: {kind} {from} {}", options.join(","))
}
