//! A runtime that passes every call on and notes when, so that one run shows where the time of a
//! start goes, and another can repeat the calls.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cri::{
    Answer, Client, Described, Error, Events, Runtime,
    v1::{
        CgroupDriver, Container, ContainerFilter, ContainerStatus, CreateContainerRequest,
        ExecRequest, ExecSyncResponse, FilesystemUsage, Image, PodSandbox, PodSandboxConfig,
        PodSandboxFilter, PodSandboxStatus, RunPodSandboxRequest, StatusResponse,
        UpdateContainerResourcesRequest, VersionResponse,
    },
};

/// A call on the way from a manifest to a container, as it was made.
#[derive(Debug, Clone)]
pub(crate) enum Made {
    Image(String),
    Sandbox(Box<RunPodSandboxRequest>),
    Container(Box<CreateContainerRequest>),
    Start,
}

impl Made {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Image(_) => "ImageStatus",
            Self::Sandbox(_) => "RunPodSandbox",
            Self::Container(_) => "CreateContainer",
            Self::Start => "StartContainer",
        }
    }
}

/// One of them, with the wall clock since 1970.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) made: Made,
    pub(crate) began: Duration,
    pub(crate) ended: Duration,
}

/// The wall clock, which containerd's stamps are of, too.
pub(crate) fn wall() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Passes everything on.
pub(crate) struct Recorder {
    inner: Client,
    entries: Arc<Mutex<Vec<Entry>>>,
}

impl Recorder {
    pub(crate) fn new(inner: Client) -> (Self, Arc<Mutex<Vec<Entry>>>) {
        let entries = Arc::<Mutex<Vec<Entry>>>::default();
        let recorder = Self {
            inner,
            entries: Arc::clone(&entries),
        };
        (recorder, entries)
    }

    async fn note<T>(
        &self,
        made: Made,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let began = wall();
        let answer = answer.await;
        let ended = wall();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(Entry { made, began, ended });
        answer
    }
}

impl Runtime for Recorder {
    fn run_pod_sandbox(&self, request: RunPodSandboxRequest) -> Answer<'_, String> {
        let made = Made::Sandbox(Box::new(request.clone()));
        Box::pin(self.note(made, self.inner.run_pod_sandbox(request)))
    }

    fn create_container(&self, request: CreateContainerRequest) -> Answer<'_, String> {
        let made = Made::Container(Box::new(request.clone()));
        Box::pin(self.note(made, self.inner.create_container(request)))
    }

    fn start_container<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        Box::pin(self.note(Made::Start, self.inner.start_container(id)))
    }

    fn image_status<'a>(&'a self, image: &'a str) -> Answer<'a, Option<Image>> {
        let made = Made::Image(image.to_owned());
        Box::pin(self.note(made, self.inner.image_status(image)))
    }

    fn version(&self) -> Answer<'_, VersionResponse> {
        self.inner.version()
    }

    fn status(&self, verbose: bool) -> Answer<'_, StatusResponse> {
        self.inner.status(verbose)
    }

    fn cgroup_driver(&self) -> Answer<'_, CgroupDriver> {
        self.inner.cgroup_driver()
    }

    fn stop_pod_sandbox<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        self.inner.stop_pod_sandbox(id)
    }

    fn remove_pod_sandbox<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        self.inner.remove_pod_sandbox(id)
    }

    fn pod_sandbox_status<'a>(
        &'a self,
        id: &'a str,
        verbose: bool,
    ) -> Answer<'a, Described<PodSandboxStatus>> {
        self.inner.pod_sandbox_status(id, verbose)
    }

    fn list_pod_sandbox(&self, filter: Option<PodSandboxFilter>) -> Answer<'_, Vec<PodSandbox>> {
        self.inner.list_pod_sandbox(filter)
    }

    fn stop_container<'a>(&'a self, id: &'a str, grace: Duration) -> Answer<'a, ()> {
        self.inner.stop_container(id, grace)
    }

    fn remove_container<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        self.inner.remove_container(id)
    }

    fn container_status<'a>(
        &'a self,
        id: &'a str,
        verbose: bool,
    ) -> Answer<'a, Described<ContainerStatus>> {
        self.inner.container_status(id, verbose)
    }

    fn list_containers(&self, filter: Option<ContainerFilter>) -> Answer<'_, Vec<Container>> {
        self.inner.list_containers(filter)
    }

    fn update_container_resources(
        &self,
        request: UpdateContainerResourcesRequest,
    ) -> Answer<'_, ()> {
        self.inner.update_container_resources(request)
    }

    fn reopen_container_log<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        self.inner.reopen_container_log(id)
    }

    fn exec_sync<'a>(
        &'a self,
        id: &'a str,
        command: &'a [String],
        limit: Duration,
    ) -> Answer<'a, ExecSyncResponse> {
        self.inner.exec_sync(id, command, limit)
    }

    fn exec(&self, request: ExecRequest) -> Answer<'_, String> {
        self.inner.exec(request)
    }

    fn container_events(&self) -> Answer<'_, Events> {
        self.inner.container_events()
    }

    fn pull_image<'a>(
        &'a self,
        image: &'a str,
        sandbox: Option<PodSandboxConfig>,
    ) -> Answer<'a, String> {
        self.inner.pull_image(image, sandbox)
    }

    fn list_images(&self) -> Answer<'_, Vec<Image>> {
        self.inner.list_images()
    }

    fn remove_image<'a>(&'a self, image: &'a str) -> Answer<'a, ()> {
        self.inner.remove_image(image)
    }

    fn image_fs_info(&self) -> Answer<'_, Vec<FilesystemUsage>> {
        self.inner.image_fs_info()
    }
}

#[cfg(test)]
mod tests {
    use cri::Call;

    use super::*;

    #[test]
    fn what_is_noted_is_named_as_on_the_wire() {
        let noted = [
            (Made::Image(String::new()), Call::ImageStatus),
            (Made::Sandbox(Box::default()), Call::RunPodSandbox),
            (Made::Container(Box::default()), Call::CreateContainer),
            (Made::Start, Call::StartContainer),
        ];
        for (made, call) in noted {
            assert_eq!(made.name(), call.to_string());
        }
    }
}
