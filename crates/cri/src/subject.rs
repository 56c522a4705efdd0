//! How a call names what it was about, in an [`Error`](crate::Error).

use crate::v1::{CreateContainerRequest, PodSandboxConfig};

/// `namespace/name attempt n`.
#[must_use]
pub fn pod(config: Option<&PodSandboxConfig>) -> String {
    config
        .and_then(|config| config.metadata.as_ref())
        .map_or_else(
            || "without a name".to_owned(),
            |name| format!("{}/{} attempt {}", name.namespace, name.name, name.attempt),
        )
}

/// `namespace/name container c attempt n`.
#[must_use]
pub fn container(request: &CreateContainerRequest) -> String {
    let sandbox = request.sandbox_config.as_ref();
    let pod = sandbox.and_then(|config| config.metadata.as_ref());
    let container = request.config.as_ref();
    match (pod, container.and_then(|config| config.metadata.as_ref())) {
        (Some(pod), Some(name)) => format!(
            "{}/{} container {} attempt {}",
            pod.namespace, pod.name, name.name, name.attempt
        ),
        _ => format!("in sandbox {}", short(&request.pod_sandbox_id)),
    }
}

/// As much of an id as tools show.
#[must_use]
pub fn short(id: &str) -> &str {
    id.get(..13).unwrap_or(id)
}
