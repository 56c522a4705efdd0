//! What a pod needs of the host, behind a door.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use cri::v1::{ContainerConfig, ContainerStatus, Image, PodSandboxConfig};
use futures_util::future::BoxFuture;
use pod::Pod;

/// A sandbox to be prepared.
#[derive(Debug, Clone)]
pub struct SandboxRequest {
    /// Of this pod.
    pub pod: Arc<Pod>,
    /// Its place in the row of sandboxes.
    pub attempt: u32,
}

/// A container to be prepared.
#[derive(Debug, Clone)]
pub struct ContainerRequest {
    /// Of this pod.
    pub pod: Arc<Pod>,
    /// Its name in the pod.
    pub name: String,
    /// Its restart count.
    pub attempt: u32,
    /// The image as the runtime has it.
    pub image: Image,
    /// Addresses of the pod's sandbox; none where the network is the node's.
    pub ips: Vec<IpAddr>,
}

/// What to ask the runtime for. Names, labels and annotations that the agent reads later it writes
/// itself, over whatever is there.
#[derive(Debug, Clone, Default)]
pub struct Launched<C> {
    /// The config.
    pub config: C,
    /// Of sandboxes: the runtime's handler, empty for its usual one.
    pub handler: String,
}

/// Why a pod or container cannot be started now. It is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The word that people know: `CreateContainerConfigError`, `FailedMount`, ...
    pub reason: String,
    /// The sentence.
    pub message: String,
}

/// Prepares what pods need on the host: directories, volumes, files, cgroups, and the configs that
/// name them. Everything may be asked again and is then done once. A future is never dropped
/// before it is through, but for the end of the agent.
pub trait Launch: Send + Sync + 'static {
    /// Makes what the sandbox needs.
    fn sandbox(
        &self,
        request: SandboxRequest,
    ) -> BoxFuture<'_, Result<Launched<PodSandboxConfig>, Refused>>;

    /// Checks and makes what the container needs, at each start.
    fn container(
        &self,
        request: ContainerRequest,
    ) -> BoxFuture<'_, Result<Launched<ContainerConfig>, Refused>>;

    /// A container was started under this id.
    fn started(&self, request: ContainerRequest, id: String) -> BoxFuture<'_, ()>;

    /// What a container said last, as its status shall tell; empty if nothing. `containers`, of all
    /// kinds, share the room that a pod's status has for it.
    fn last_words(&self, status: ContainerStatus, containers: usize) -> BoxFuture<'_, String>;

    /// Removes what there is of a uid, its logs only if told so.
    fn clean(&self, uid: String, logs: bool) -> BoxFuture<'_, Result<(), Refused>>;

    /// The highest attempt that log files of a pod speak of, by container.
    fn logged(&self, pod: Arc<Pod>) -> BoxFuture<'_, BTreeMap<String, u32>>;

    /// Uids of which there is anything on the host.
    fn leftovers(&self) -> BoxFuture<'_, BTreeSet<String>>;
}
