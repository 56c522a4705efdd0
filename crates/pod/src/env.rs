//! The environment of a container, in the order of its manifest.
//!
//! Values expand `$(NAME)` with what stands before them; what comes from elsewhere is taken as
//! it is. A name that is set again keeps its place and takes the later value.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{api, expand::expand, quantity::Amount};

/// What the node knows about a pod that runs on it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// As in `spec.nodeName`.
    pub node_name: String,
    /// Of the node, the first one first.
    pub host_ips: Vec<String>,
    /// Of the pod, the first one first; none on the host's network under a kubelet without an
    /// API server.
    pub pod_ips: Vec<String>,
    /// What the node has for pods, by name of the resource: where a container has no limit.
    pub allocatable: BTreeMap<String, Amount>,
}

/// Why there is no environment.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EnvError {
    /// The reader of manifests refuses these.
    #[error("variable {0} refers to an object of an API server")]
    Reference(String),
    /// Not among those that a pod has.
    #[error("variable {0} names a field that pods do not have")]
    Field(String),
    /// `limits.cpu` and its like.
    #[error("variable {0} names a resource or a container that there is not")]
    Resource(String),
    /// Of an `EnvFiles` reference.
    #[error("variable {name} comes from a file: {reason}")]
    File {
        /// Of the variable.
        name: String,
        /// What is wrong with the file.
        reason: String,
    },
}

/// Names and values for a container of a named pod. `file_value` looks a key up in a file that an
/// init container wrote, and gives nothing for an optional one that is not there.
///
/// # Errors
///
/// The first variable that cannot be had.
pub fn environment(
    pod: &api::Pod,
    container: &api::Container,
    facts: &Facts,
    file_value: &dyn Fn(&api::FileKeySelector) -> Result<Option<String>, String>,
) -> Result<Vec<(String, String)>, EnvError> {
    if let Some(from) = container.env_from.iter().flatten().next() {
        let prefix = from.prefix.clone().unwrap_or_default();
        return Err(EnvError::Reference(format!("{prefix}*")));
    }
    let mut environment: Vec<(String, String)> = Vec::new();
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            None => {
                let written = variable.value.as_deref().unwrap_or_default();
                Some(expand(written, |name| value_of(&environment, name)))
            }
            Some(source) => from_source(&variable.name, source, pod, container, facts, file_value)?,
        };
        if let Some(value) = value {
            put(&mut environment, &variable.name, value);
        }
    }
    Ok(environment)
}

/// The value of a variable, for `$(NAME)`.
#[must_use]
pub fn value_of(environment: &[(String, String)], name: &str) -> Option<String> {
    environment
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.clone())
}

/// Those variables whose values are written out: a probe's command knows no others.
#[must_use]
pub fn written_out(container: &api::Container) -> Vec<(String, String)> {
    let mut environment = Vec::new();
    for variable in container.env.iter().flatten() {
        if variable.value_from.is_none() {
            let written = variable.value.as_deref().unwrap_or_default();
            let value = expand(written, |name| value_of(&environment, name));
            put(&mut environment, &variable.name, value);
        }
    }
    environment
}

fn put(environment: &mut Vec<(String, String)>, name: &str, value: String) {
    match environment.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => *known = value,
        None => environment.push((name.to_owned(), value)),
    }
}

fn from_source(
    name: &str,
    source: &api::EnvVarSource,
    pod: &api::Pod,
    container: &api::Container,
    facts: &Facts,
    file_value: &dyn Fn(&api::FileKeySelector) -> Result<Option<String>, String>,
) -> Result<Option<String>, EnvError> {
    if let Some(selector) = &source.field_ref {
        return field(pod, facts, &selector.field_path)
            .map(Some)
            .ok_or_else(|| EnvError::Field(name.to_owned()));
    }
    if let Some(selector) = &source.resource_field_ref {
        return resource(pod, container, facts, selector)
            .map(Some)
            .ok_or_else(|| EnvError::Resource(name.to_owned()));
    }
    if let Some(selector) = &source.file_key_ref {
        return file_value(selector).map_err(|reason| EnvError::File {
            name: name.to_owned(),
            reason,
        });
    }
    Err(EnvError::Reference(name.to_owned()))
}

/// A field of a pod by its path, as `fieldRef` names it; also for files of the downward API, which
/// may ask for all labels or annotations.
#[must_use]
pub fn field(pod: &api::Pod, facts: &Facts, path: &str) -> Option<String> {
    let metadata = &pod.metadata;
    let text = |field: &Option<String>| Some(field.clone().unwrap_or_default());
    if let Some((map, key)) = path
        .strip_suffix("']")
        .and_then(|path| path.split_once("['"))
    {
        let map = match map {
            "metadata.labels" => &metadata.labels,
            "metadata.annotations" => &metadata.annotations,
            _ => return None,
        };
        let value = map.as_ref().and_then(|map| map.get(key));
        return Some(value.cloned().unwrap_or_default());
    }
    match path {
        "metadata.name" => text(&metadata.name),
        "metadata.namespace" => text(&metadata.namespace),
        "metadata.uid" => text(&metadata.uid),
        "metadata.labels" => Some(lines(metadata.labels.as_ref())),
        "metadata.annotations" => Some(lines(metadata.annotations.as_ref())),
        "spec.nodeName" => Some(facts.node_name.clone()),
        // Static pods have none.
        "spec.serviceAccountName" => Some(String::new()),
        "status.hostIP" => Some(facts.host_ips.first().cloned().unwrap_or_default()),
        "status.hostIPs" => Some(facts.host_ips.join(",")),
        "status.podIP" => Some(facts.pod_ips.first().cloned().unwrap_or_default()),
        "status.podIPs" => Some(facts.pod_ips.join(",")),
        _ => None,
    }
}

/// `key="value"` lines in the order of the keys.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let lines: Vec<String> = map
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", quoted(value)))
        .collect();
    lines.join("\n")
}

/// In double quotes, with the escapes of Go's text form.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            control if u32::from(control) < 0x20 || control == '\u{7f}' => {
                quoted.push_str(&format!("\\x{:02x}", u32::from(control)));
            }
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// A resource of a container, in units of the divisor, rounded up.
#[must_use]
pub fn resource(
    pod: &api::Pod,
    container: &api::Container,
    facts: &Facts,
    selector: &api::ResourceFieldSelector,
) -> Option<String> {
    let container = match selector.container_name.as_deref().unwrap_or_default() {
        "" => container,
        name => named(pod, name)?,
    };
    let (list, name) = selector.resource.split_once('.')?;
    let known =
        matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
    if !known {
        return None;
    }
    let resources = container.resources.as_ref();
    let set =
        |list: Option<&BTreeMap<String, api::Quantity>>| list?.get(name)?.0.parse::<Amount>().ok();
    let amount = match list {
        "limits" => set(resources.and_then(|resources| resources.limits.as_ref()))
            .or_else(|| facts.allocatable.get(name).copied()),
        "requests" => set(resources.and_then(|resources| resources.requests.as_ref())),
        _ => return None,
    };
    let amount = amount.unwrap_or_default();
    let divisor = selector
        .divisor
        .as_ref()
        .map(|divisor| divisor.0.parse::<Amount>());
    let divisor = match divisor {
        None => Amount::whole(1),
        Some(Ok(divisor)) if divisor.is_zero() => Amount::whole(1),
        Some(divisor) => divisor.ok()?,
    };
    Some(amount.divided_up(divisor).to_string())
}

fn named<'a>(pod: &'a api::Pod, name: &str) -> Option<&'a api::Container> {
    let spec = pod.spec.as_ref()?;
    let init = spec.init_containers.iter().flatten();
    init.chain(&spec.containers)
        .find(|container| container.name == name)
}

#[cfg(test)]
mod tests;
