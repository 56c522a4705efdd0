//! What an agent asks of a runtime.

use std::{collections::BTreeMap, pin::Pin, time::Duration};

use futures_util::Stream;

use crate::{
    error::Error,
    v1::{
        CgroupDriver, Container, ContainerEventResponse, ContainerFilter, ContainerStatus,
        CreateContainerRequest, ExecRequest, ExecSyncResponse, FilesystemUsage, Image, PodSandbox,
        PodSandboxConfig, PodSandboxFilter, PodSandboxStatus, RunPodSandboxRequest, StatusResponse,
        UpdateContainerResourcesRequest, VersionResponse,
    },
};

/// What a call will answer. Dropped, it tells the runtime that nobody waits; whether the runtime
/// still does what was asked is then unknown.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// What happens to containers, as the runtime reports it. Ends after its first error.
pub type Events = Pin<Box<dyn Stream<Item = Result<ContainerEventResponse, Error>> + Send>>;

/// What a runtime adds for people to a verbose status: texts, or JSON, by key.
pub type Info = BTreeMap<String, String>;

/// A status and, where it was asked for, what the runtime has to add.
#[derive(Debug, Clone, PartialEq)]
pub struct Described<S> {
    /// The status.
    pub status: S,
    /// Empty unless asked verbosely.
    pub info: Info,
}

/// A runtime for containers. One value serves any number of calls at a time.
///
/// Every call fails with an [`Error`] that names it and its subject; the sections below say what
/// is special. What is asked twice is done once: to stop what is stopped and to remove what is
/// gone succeeds.
pub trait Runtime: Send + Sync {
    /// Name and version of the runtime.
    fn version(&self) -> Answer<'_, VersionResponse>;

    /// Its conditions: `RuntimeReady`, and `NetworkReady`, which is false until there is a CNI
    /// configuration. Pods on the node's network start without.
    fn status(&self, verbose: bool) -> Answer<'_, StatusResponse>;

    /// How it names cgroups. [`Fault::Unimplemented`](crate::Fault::Unimplemented) before
    /// containerd 2; earlier ones tell it in the verbose status.
    fn cgroup_driver(&self) -> Answer<'_, CgroupDriver>;

    /// Makes and starts a sandbox; its id.
    /// [`Fault::AlreadyReserved`](crate::Fault::AlreadyReserved) where one of the same name, uid,
    /// namespace and attempt is known, in whatever state.
    fn run_pod_sandbox(&self, request: RunPodSandboxRequest) -> Answer<'_, String>;

    /// Kills every container in the sandbox at once, without grace, and frees its network.
    fn stop_pod_sandbox<'a>(&'a self, id: &'a str) -> Answer<'a, ()>;

    /// Removes the sandbox with its containers, by force.
    fn remove_pod_sandbox<'a>(&'a self, id: &'a str) -> Answer<'a, ()>;

    /// State, addresses and labels of one sandbox.
    fn pod_sandbox_status<'a>(
        &'a self,
        id: &'a str,
        verbose: bool,
    ) -> Answer<'a, Described<PodSandboxStatus>>;

    /// The sandboxes that match, in no order. No filter: all.
    fn list_pod_sandbox(&self, filter: Option<PodSandboxFilter>) -> Answer<'_, Vec<PodSandbox>>;

    /// Makes a container in a sandbox; its id. [`Fault::NotFound`](crate::Fault::NotFound) where
    /// the image is not there, and also where the sandbox is not there or not ready: ask which.
    /// Its name and attempt must be free.
    fn create_container(&self, request: CreateContainerRequest) -> Answer<'_, String>;

    /// Starts a container that was created. One whose program cannot be started is then exited
    /// with 128 and reason `StartError`, and the call fails.
    fn start_container<'a>(&'a self, id: &'a str) -> Answer<'a, ()>;

    /// Sends the stop signal, waits for `grace` (whole seconds, rounded up), kills; answers when
    /// the container has exited. With a grace of zero it is killed at once.
    fn stop_container<'a>(&'a self, id: &'a str, grace: Duration) -> Answer<'a, ()>;

    /// Removes a container, by force where it runs. Its log stays.
    fn remove_container<'a>(&'a self, id: &'a str) -> Answer<'a, ()>;

    /// State, times and exit code of one container.
    fn container_status<'a>(
        &'a self,
        id: &'a str,
        verbose: bool,
    ) -> Answer<'a, Described<ContainerStatus>>;

    /// The containers that match, in no order. No filter: all.
    fn list_containers(&self, filter: Option<ContainerFilter>) -> Answer<'_, Vec<Container>>;

    /// Sets limits of a container that was created or runs.
    fn update_container_resources(
        &self,
        request: UpdateContainerResourcesRequest,
    ) -> Answer<'_, ()>;

    /// Opens the log of a running container anew under its path, after it was renamed.
    fn reopen_container_log<'a>(&'a self, id: &'a str) -> Answer<'a, ()>;

    /// Runs a command in a running container and waits for it. A command that ends with any code
    /// is an answer; [`Fault::ExecTimeout`](crate::Fault::ExecTimeout) where it did not end within
    /// `limit` (whole seconds, rounded up) and was killed. A `limit` of zero is none: the call
    /// then waits for ever, and the caller bounds it.
    fn exec_sync<'a>(
        &'a self,
        id: &'a str,
        command: &'a [String],
        limit: Duration,
    ) -> Answer<'a, ExecSyncResponse>;

    /// Prepares a command with streams; the URL where they are to be had.
    fn exec(&self, request: ExecRequest) -> Answer<'_, String>;

    /// What happens from now on, and what happened before: events may be old, so ask before
    /// acting on one. [`Fault::Unimplemented`](crate::Fault::Unimplemented) before containerd 1.7.
    fn container_events(&self) -> Answer<'_, Events>;

    /// The image of this name, digest or id; [`None`] where there is none.
    fn image_status<'a>(&'a self, image: &'a str) -> Answer<'a, Option<Image>>;

    /// Fetches an image; the reference to create containers with. There is no limit of time.
    fn pull_image<'a>(
        &'a self,
        image: &'a str,
        sandbox: Option<PodSandboxConfig>,
    ) -> Answer<'a, String>;

    /// Every image.
    fn list_images(&self) -> Answer<'_, Vec<Image>>;

    /// Removes an image with **all** its names.
    fn remove_image<'a>(&'a self, image: &'a str) -> Answer<'a, ()>;

    /// Where images are kept, and how much they take.
    fn image_fs_info(&self) -> Answer<'_, Vec<FilesystemUsage>>;
}
