//! What a runtime has, in the words of pods.

use std::collections::BTreeMap;

use cri::{
    Client, Runtime as _,
    v1::{Container, ContainerState},
};

const POD_NAME: &str = "io.kubernetes.pod.name";
const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
const POD_UID: &str = "io.kubernetes.pod.uid";
const CONTAINER: &str = "io.kubernetes.container.name";

/// One container of the runtime.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instance {
    /// Of the pod, with the node's name at its end.
    pub pod: String,
    /// Of the pod.
    pub namespace: String,
    /// Of the pod.
    pub uid: String,
    /// In the pod.
    pub container: String,
    /// The runtime's.
    pub id: String,
    /// The sandbox's.
    pub sandbox: String,
    /// How many there were before it.
    pub restarts: u32,
    /// Whether it runs.
    pub runs: bool,
}

fn label(labels: &BTreeMap<String, String>, name: &str) -> String {
    labels.get(name).cloned().unwrap_or_default()
}

impl Instance {
    pub(crate) fn of(container: Container) -> Self {
        let runs = container.state() == ContainerState::ContainerRunning;
        let labels: BTreeMap<String, String> = container.labels.into_iter().collect();
        Self {
            pod: label(&labels, POD_NAME),
            namespace: label(&labels, POD_NAMESPACE),
            uid: label(&labels, POD_UID),
            container: label(&labels, CONTAINER),
            id: container.id,
            sandbox: container.pod_sandbox_id,
            restarts: container.metadata.map_or(0, |metadata| metadata.attempt),
            runs,
        }
    }
}

/// Every container, or nothing where the runtime does not answer.
pub(crate) async fn instances(client: &Client) -> Option<Vec<Instance>> {
    let containers = client.list_containers(None).await.ok()?;
    Some(containers.into_iter().map(Instance::of).collect())
}
