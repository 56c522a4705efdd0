//! What a runtime is asked for one container.

use std::collections::BTreeMap;

use cri::v1;
use pod::{Pod, api, env, expand::expand, marks};

use crate::{
    mounts::{self, Prepared},
    names,
    node::Node,
    reason::Reason,
    resources, sandbox,
    security::{self, ImageUser},
};

/// What is known of one start of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Start {
    /// How many containers of this name there were before.
    pub restart_count: u32,
    /// What the runtime calls the image: its id, from a pull or from its list.
    pub image: String,
    /// Who the image runs as.
    pub user: ImageUser,
    /// Names and values, from [`environment`].
    pub environment: Vec<(String, String)>,
    /// What stands on the host for it.
    pub prepared: Prepared,
}

/// The variables of a container in the order of its manifest; sub-paths are expanded with them,
/// too. `sandbox_ips` are those that the runtime tells, `file_value` looks up a key in a file that
/// an init container wrote.
///
/// # Errors
///
/// The first variable that cannot be had.
pub fn environment(
    pod: &Pod,
    node: &Node,
    container: &api::Container,
    sandbox_ips: &[String],
    file_value: &dyn Fn(&api::FileKeySelector) -> Result<Option<String>, String>,
) -> Result<Vec<(String, String)>, Reason> {
    let facts = node.facts(pod, sandbox_ips);
    env::environment(&pod.api, container, &facts, file_value).map_err(|source| {
        Reason::Environment {
            container: container.name.clone(),
            source,
        }
    })
}

/// One container of a pod, of any kind.
///
/// # Errors
///
/// It would run as root against its own word, names a profile or huge pages that there are not,
/// or has a mount for which nothing was prepared.
pub fn container(
    pod: &Pod,
    node: &Node,
    container: &api::Container,
    start: &Start,
) -> Result<v1::ContainerConfig, Reason> {
    let none = api::PodSpec::default();
    let spec = pod.api.spec.as_ref().unwrap_or(&none);
    let expanded = |texts: &Option<Vec<String>>| -> Vec<String> {
        let value_of = |name: &str| env::value_of(&start.environment, name);
        let texts = texts.as_deref().unwrap_or_default().iter();
        texts.map(|text| expand(text, value_of)).collect()
    };
    let mut labels = sandbox::pod_labels(pod);
    let _ = labels.insert(marks::CONTAINER_NAME.to_owned(), container.name.clone());
    Ok(v1::ContainerConfig {
        metadata: Some(v1::ContainerMetadata {
            name: container.name.clone(),
            attempt: start.restart_count,
        }),
        image: Some(v1::ImageSpec {
            image: start.image.clone(),
            user_specified_image: container.image.clone().unwrap_or_default(),
            ..v1::ImageSpec::default()
        }),
        command: expanded(&container.command),
        args: expanded(&container.args),
        working_dir: container.working_dir.clone().unwrap_or_default(),
        envs: start
            .environment
            .iter()
            .map(|(name, value)| v1::KeyValue {
                key: name.clone(),
                value: value.clone().into_bytes(),
            })
            .collect(),
        mounts: mounts::of(node, container, &start.prepared)?,
        devices: Vec::new(),
        labels,
        annotations: annotations(pod, spec, container, start.restart_count),
        log_path: names::container_log(&container.name, start.restart_count),
        stdin: container.stdin.unwrap_or_default(),
        stdin_once: container.stdin_once.unwrap_or_default(),
        tty: container.tty.unwrap_or_default(),
        linux: Some(v1::LinuxContainerConfig {
            resources: Some(resources::of_container(node, spec, container)?),
            security_context: Some(security::of_container(node, pod, container, &start.user)?),
        }),
    })
}

fn annotations(
    pod: &Pod,
    spec: &api::PodSpec,
    container: &api::Container,
    restart_count: u32,
) -> BTreeMap<String, String> {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let mut annotations = BTreeMap::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = annotations.insert(name.to_owned(), value);
        }
    };
    put(marks::HASH, Some(hash(container)));
    put(marks::RESTART_COUNT, Some(restart_count.to_string()));
    put(
        marks::MESSAGE_PATH,
        Some(text(&container.termination_message_path)),
    );
    put(
        marks::MESSAGE_POLICY,
        Some(text(&container.termination_message_policy)),
    );
    let deletion = pod.api.metadata.deletion_grace_period_seconds;
    put(
        marks::DELETION_GRACE,
        deletion.map(|seconds| seconds.to_string()),
    );
    let grace = spec.termination_grace_period_seconds;
    put(marks::GRACE, grace.map(|seconds| seconds.to_string()));
    let hook = container.lifecycle.as_ref();
    let hook = hook.and_then(|lifecycle| lifecycle.pre_stop.as_ref());
    put(
        marks::PRE_STOP,
        hook.and_then(|hook| serde_json::to_string(hook).ok()),
    );
    let ports = container.ports.as_ref().filter(|ports| !ports.is_empty());
    put(
        marks::PORTS,
        ports.and_then(|ports| serde_json::to_string(ports).ok()),
    );
    annotations
}

/// Whether a running container is still the one of the manifest: FNV-1a of 32 bits, in lower-case
/// hexadecimal, over the JSON of image and name.
#[must_use]
pub fn hash(container: &api::Container) -> String {
    let definition = serde_json::json!({
        "image": container.image.as_deref().unwrap_or_default(),
        "name": container.name,
    });
    let hash = definition
        .to_string()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
    format!("{hash:x}")
}

#[cfg(test)]
mod tests;
