//! A runtime whose calls are counted and timed.

use std::{sync::Arc, time::Duration};

use cri::{
    Answer, Call, Described, Events, Runtime,
    v1::{
        CgroupDriver, Container, ContainerFilter, ContainerStatus, CreateContainerRequest,
        ExecRequest, ExecSyncResponse, FilesystemUsage, Image, PodSandbox, PodSandboxConfig,
        PodSandboxFilter, PodSandboxStatus, RunPodSandboxRequest, StatusResponse,
        UpdateContainerResourcesRequest, VersionResponse,
    },
};
use pace::Clock;

use crate::meter::Meter;

/// Passes every call on. One that is given up before its answer is not counted.
pub(crate) struct Metered<R> {
    pub(crate) runtime: R,
    pub(crate) meter: Arc<Meter>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl<R: Sync> Metered<R> {
    fn timed<'a, T: 'a>(&'a self, call: Call, answer: Answer<'a, T>) -> Answer<'a, T> {
        Box::pin(async move {
            let began = self.clock.now().mono;
            let answer = answer.await;
            let took = self.clock.now().mono.saturating_sub(began);
            let fault = answer.as_ref().err().map(|error| &error.fault);
            self.meter.called(call, took, fault);
            answer
        })
    }
}

impl<R: Runtime> Runtime for Metered<R> {
    fn version(&self) -> Answer<'_, VersionResponse> {
        self.timed(Call::Version, self.runtime.version())
    }

    fn status(&self, verbose: bool) -> Answer<'_, StatusResponse> {
        self.timed(Call::Status, self.runtime.status(verbose))
    }

    fn cgroup_driver(&self) -> Answer<'_, CgroupDriver> {
        self.timed(Call::RuntimeConfig, self.runtime.cgroup_driver())
    }

    fn run_pod_sandbox(&self, request: RunPodSandboxRequest) -> Answer<'_, String> {
        self.timed(Call::RunPodSandbox, self.runtime.run_pod_sandbox(request))
    }

    fn stop_pod_sandbox<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        self.timed(Call::StopPodSandbox, self.runtime.stop_pod_sandbox(id))
    }

    fn remove_pod_sandbox<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        self.timed(Call::RemovePodSandbox, self.runtime.remove_pod_sandbox(id))
    }

    fn pod_sandbox_status<'a>(
        &'a self,
        id: &'a str,
        verbose: bool,
    ) -> Answer<'a, Described<PodSandboxStatus>> {
        let asked = self.runtime.pod_sandbox_status(id, verbose);
        self.timed(Call::PodSandboxStatus, asked)
    }

    fn list_pod_sandbox(&self, filter: Option<PodSandboxFilter>) -> Answer<'_, Vec<PodSandbox>> {
        self.timed(Call::ListPodSandbox, self.runtime.list_pod_sandbox(filter))
    }

    fn create_container(&self, request: CreateContainerRequest) -> Answer<'_, String> {
        let asked = self.runtime.create_container(request);
        self.timed(Call::CreateContainer, asked)
    }

    fn start_container<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        self.timed(Call::StartContainer, self.runtime.start_container(id))
    }

    fn stop_container<'a>(&'a self, id: &'a str, grace: Duration) -> Answer<'a, ()> {
        self.timed(Call::StopContainer, self.runtime.stop_container(id, grace))
    }

    fn remove_container<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        self.timed(Call::RemoveContainer, self.runtime.remove_container(id))
    }

    fn container_status<'a>(
        &'a self,
        id: &'a str,
        verbose: bool,
    ) -> Answer<'a, Described<ContainerStatus>> {
        let asked = self.runtime.container_status(id, verbose);
        self.timed(Call::ContainerStatus, asked)
    }

    fn list_containers(&self, filter: Option<ContainerFilter>) -> Answer<'_, Vec<Container>> {
        self.timed(Call::ListContainers, self.runtime.list_containers(filter))
    }

    fn update_container_resources(
        &self,
        request: UpdateContainerResourcesRequest,
    ) -> Answer<'_, ()> {
        let asked = self.runtime.update_container_resources(request);
        self.timed(Call::UpdateContainerResources, asked)
    }

    fn reopen_container_log<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        let asked = self.runtime.reopen_container_log(id);
        self.timed(Call::ReopenContainerLog, asked)
    }

    fn exec_sync<'a>(
        &'a self,
        id: &'a str,
        command: &'a [String],
        limit: Duration,
    ) -> Answer<'a, ExecSyncResponse> {
        let asked = self.runtime.exec_sync(id, command, limit);
        self.timed(Call::ExecSync, asked)
    }

    fn exec(&self, request: ExecRequest) -> Answer<'_, String> {
        self.timed(Call::Exec, self.runtime.exec(request))
    }

    fn container_events(&self) -> Answer<'_, Events> {
        let asked = self.runtime.container_events();
        self.timed(Call::GetContainerEvents, asked)
    }

    fn image_status<'a>(&'a self, image: &'a str) -> Answer<'a, Option<Image>> {
        self.timed(Call::ImageStatus, self.runtime.image_status(image))
    }

    fn pull_image<'a>(
        &'a self,
        image: &'a str,
        sandbox: Option<PodSandboxConfig>,
    ) -> Answer<'a, String> {
        self.timed(Call::PullImage, self.runtime.pull_image(image, sandbox))
    }

    fn list_images(&self) -> Answer<'_, Vec<Image>> {
        self.timed(Call::ListImages, self.runtime.list_images())
    }

    fn remove_image<'a>(&'a self, image: &'a str) -> Answer<'a, ()> {
        self.timed(Call::RemoveImage, self.runtime.remove_image(image))
    }

    fn image_fs_info(&self) -> Answer<'_, Vec<FilesystemUsage>> {
        self.timed(Call::ImageFsInfo, self.runtime.image_fs_info())
    }
}
