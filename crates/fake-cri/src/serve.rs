//! Any runtime behind a Unix socket: for programs that only speak the wire, and to put the
//! client of `cri` to the same contract.

use std::{io, path::Path, pin::Pin, sync::Arc, time::Duration};

use cri::{
    Error, Fault, Runtime,
    v1::{
        ContainerEventResponse, ContainerStatusRequest, ContainerStatusResponse,
        CreateContainerRequest, CreateContainerResponse, ExecRequest, ExecResponse,
        ExecSyncRequest, ExecSyncResponse, GetEventsRequest, ImageFsInfoRequest,
        ImageFsInfoResponse, ImageSpec, ImageStatusRequest, ImageStatusResponse,
        LinuxRuntimeConfiguration, ListContainersRequest, ListContainersResponse,
        ListImagesRequest, ListImagesResponse, ListPodSandboxRequest, ListPodSandboxResponse,
        PodSandboxStatusRequest, PodSandboxStatusResponse, PullImageRequest, PullImageResponse,
        RemoveContainerRequest, RemoveContainerResponse, RemoveImageRequest, RemoveImageResponse,
        RemovePodSandboxRequest, RemovePodSandboxResponse, ReopenContainerLogRequest,
        ReopenContainerLogResponse, RunPodSandboxRequest, RunPodSandboxResponse,
        RuntimeConfigRequest, RuntimeConfigResponse, StartContainerRequest, StartContainerResponse,
        StatusRequest, StatusResponse, StopContainerRequest, StopContainerResponse,
        StopPodSandboxRequest, StopPodSandboxResponse, UpdateContainerResourcesRequest,
        UpdateContainerResourcesResponse, VersionRequest, VersionResponse,
        image_service_server::{ImageService, ImageServiceServer},
        runtime_service_server::{RuntimeService, RuntimeServiceServer},
    },
};
use futures_util::{Stream, StreamExt as _};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Code, Request, Response, Status, transport};

/// What runtimes send and accept, bytes.
const MESSAGE: usize = 16 * 1024 * 1024;

/// A runtime that is served, on a thread of its own. Dropped, it is gone as abruptly as a process
/// that was killed: connections break, and the socket stays.
pub struct Server {
    runner: Option<tokio::runtime::Runtime>,
}

impl Server {
    /// Listens when this returns. Takes the place of a socket that is there.
    ///
    /// # Errors
    /// When the socket or the thread cannot be made.
    pub fn start(runtime: Arc<dyn Runtime>, socket: &Path) -> io::Result<Self> {
        match std::fs::remove_file(socket) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
            _ => {}
        }
        let runner = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("fake-cri")
            .enable_all()
            .build()?;
        let listener = {
            let _inside = runner.enter();
            UnixListener::bind(socket)?
        };
        let served = Served(runtime);
        let runtime = RuntimeServiceServer::new(served.clone())
            .max_decoding_message_size(MESSAGE)
            .max_encoding_message_size(MESSAGE);
        let images = ImageServiceServer::new(served)
            .max_decoding_message_size(MESSAGE)
            .max_encoding_message_size(MESSAGE);
        let serving = transport::Server::builder()
            .add_service(runtime)
            .add_service(images)
            .serve_with_incoming(UnixListenerStream::new(listener));
        // It ends with the runner, which this value holds.
        runner.spawn(serving);
        let runner = Some(runner);
        Ok(Self { runner })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runner) = self.runner.take() {
            runner.shutdown_background();
        }
    }
}

#[derive(Clone)]
struct Served(Arc<dyn Runtime>);

type Events = Pin<Box<dyn Stream<Item = Result<ContainerEventResponse, Status>> + Send>>;

#[tonic::async_trait]
impl RuntimeService for Served {
    type GetContainerEventsStream = Events;

    async fn version(
        &self,
        _: Request<VersionRequest>,
    ) -> Result<Response<VersionResponse>, Status> {
        answer(self.0.version().await)
    }

    async fn status(
        &self,
        request: Request<StatusRequest>,
    ) -> Result<Response<StatusResponse>, Status> {
        answer(self.0.status(request.into_inner().verbose).await)
    }

    async fn runtime_config(
        &self,
        _: Request<RuntimeConfigRequest>,
    ) -> Result<Response<RuntimeConfigResponse>, Status> {
        let driver = self.0.cgroup_driver().await;
        answer(driver.map(|driver| RuntimeConfigResponse {
            linux: Some(LinuxRuntimeConfiguration {
                cgroup_driver: driver.into(),
            }),
        }))
    }

    async fn run_pod_sandbox(
        &self,
        request: Request<RunPodSandboxRequest>,
    ) -> Result<Response<RunPodSandboxResponse>, Status> {
        let id = self.0.run_pod_sandbox(request.into_inner()).await;
        answer(id.map(|pod_sandbox_id| RunPodSandboxResponse { pod_sandbox_id }))
    }

    async fn stop_pod_sandbox(
        &self,
        request: Request<StopPodSandboxRequest>,
    ) -> Result<Response<StopPodSandboxResponse>, Status> {
        let id = request.into_inner().pod_sandbox_id;
        let done = self.0.stop_pod_sandbox(&id).await;
        answer(done.map(|()| StopPodSandboxResponse {}))
    }

    async fn remove_pod_sandbox(
        &self,
        request: Request<RemovePodSandboxRequest>,
    ) -> Result<Response<RemovePodSandboxResponse>, Status> {
        let id = request.into_inner().pod_sandbox_id;
        let done = self.0.remove_pod_sandbox(&id).await;
        answer(done.map(|()| RemovePodSandboxResponse {}))
    }

    async fn pod_sandbox_status(
        &self,
        request: Request<PodSandboxStatusRequest>,
    ) -> Result<Response<PodSandboxStatusResponse>, Status> {
        let asked = request.into_inner();
        let found = self
            .0
            .pod_sandbox_status(&asked.pod_sandbox_id, asked.verbose)
            .await;
        answer(found.map(|found| PodSandboxStatusResponse {
            status: Some(found.status),
            info: found.info,
        }))
    }

    async fn list_pod_sandbox(
        &self,
        request: Request<ListPodSandboxRequest>,
    ) -> Result<Response<ListPodSandboxResponse>, Status> {
        let items = self.0.list_pod_sandbox(request.into_inner().filter).await;
        answer(items.map(|items| ListPodSandboxResponse { items }))
    }

    async fn create_container(
        &self,
        request: Request<CreateContainerRequest>,
    ) -> Result<Response<CreateContainerResponse>, Status> {
        let id = self.0.create_container(request.into_inner()).await;
        answer(id.map(|container_id| CreateContainerResponse { container_id }))
    }

    async fn start_container(
        &self,
        request: Request<StartContainerRequest>,
    ) -> Result<Response<StartContainerResponse>, Status> {
        let id = request.into_inner().container_id;
        let done = self.0.start_container(&id).await;
        answer(done.map(|()| StartContainerResponse {}))
    }

    async fn stop_container(
        &self,
        request: Request<StopContainerRequest>,
    ) -> Result<Response<StopContainerResponse>, Status> {
        let asked = request.into_inner();
        let grace = seconds(asked.timeout);
        let done = self.0.stop_container(&asked.container_id, grace).await;
        answer(done.map(|()| StopContainerResponse {}))
    }

    async fn remove_container(
        &self,
        request: Request<RemoveContainerRequest>,
    ) -> Result<Response<RemoveContainerResponse>, Status> {
        let id = request.into_inner().container_id;
        let done = self.0.remove_container(&id).await;
        answer(done.map(|()| RemoveContainerResponse {}))
    }

    async fn container_status(
        &self,
        request: Request<ContainerStatusRequest>,
    ) -> Result<Response<ContainerStatusResponse>, Status> {
        let asked = request.into_inner();
        let found = self
            .0
            .container_status(&asked.container_id, asked.verbose)
            .await;
        answer(found.map(|found| ContainerStatusResponse {
            status: Some(found.status),
            info: found.info,
        }))
    }

    async fn list_containers(
        &self,
        request: Request<ListContainersRequest>,
    ) -> Result<Response<ListContainersResponse>, Status> {
        let containers = self.0.list_containers(request.into_inner().filter).await;
        answer(containers.map(|containers| ListContainersResponse { containers }))
    }

    async fn update_container_resources(
        &self,
        request: Request<UpdateContainerResourcesRequest>,
    ) -> Result<Response<UpdateContainerResourcesResponse>, Status> {
        let done = self
            .0
            .update_container_resources(request.into_inner())
            .await;
        answer(done.map(|()| UpdateContainerResourcesResponse {}))
    }

    async fn reopen_container_log(
        &self,
        request: Request<ReopenContainerLogRequest>,
    ) -> Result<Response<ReopenContainerLogResponse>, Status> {
        let id = request.into_inner().container_id;
        let done = self.0.reopen_container_log(&id).await;
        answer(done.map(|()| ReopenContainerLogResponse {}))
    }

    async fn exec_sync(
        &self,
        request: Request<ExecSyncRequest>,
    ) -> Result<Response<ExecSyncResponse>, Status> {
        let asked = request.into_inner();
        let limit = seconds(asked.timeout);
        answer(
            self.0
                .exec_sync(&asked.container_id, &asked.cmd, limit)
                .await,
        )
    }

    async fn exec(&self, request: Request<ExecRequest>) -> Result<Response<ExecResponse>, Status> {
        let url = self.0.exec(request.into_inner()).await;
        answer(url.map(|url| ExecResponse { url }))
    }

    async fn get_container_events(
        &self,
        _: Request<GetEventsRequest>,
    ) -> Result<Response<Events>, Status> {
        let events = self.0.container_events().await;
        answer(events.map(|events| {
            Box::pin(events.map(|event| event.map_err(|fault| status(&fault)))) as Events
        }))
    }
}

#[tonic::async_trait]
impl ImageService for Served {
    async fn list_images(
        &self,
        _: Request<ListImagesRequest>,
    ) -> Result<Response<ListImagesResponse>, Status> {
        let images = self.0.list_images().await;
        answer(images.map(|images| ListImagesResponse { images }))
    }

    async fn image_status(
        &self,
        request: Request<ImageStatusRequest>,
    ) -> Result<Response<ImageStatusResponse>, Status> {
        let name = name(request.into_inner().image);
        let image = self.0.image_status(&name).await;
        answer(image.map(|image| ImageStatusResponse {
            image,
            ..ImageStatusResponse::default()
        }))
    }

    async fn pull_image(
        &self,
        request: Request<PullImageRequest>,
    ) -> Result<Response<PullImageResponse>, Status> {
        let asked = request.into_inner();
        let name = name(asked.image);
        let image_ref = self.0.pull_image(&name, asked.sandbox_config).await;
        answer(image_ref.map(|image_ref| PullImageResponse { image_ref }))
    }

    async fn remove_image(
        &self,
        request: Request<RemoveImageRequest>,
    ) -> Result<Response<RemoveImageResponse>, Status> {
        let name = name(request.into_inner().image);
        let done = self.0.remove_image(&name).await;
        answer(done.map(|()| RemoveImageResponse {}))
    }

    async fn image_fs_info(
        &self,
        _: Request<ImageFsInfoRequest>,
    ) -> Result<Response<ImageFsInfoResponse>, Status> {
        let filesystems = self.0.image_fs_info().await;
        answer(filesystems.map(|image_filesystems| ImageFsInfoResponse {
            image_filesystems,
            ..ImageFsInfoResponse::default()
        }))
    }
}

fn answer<T>(outcome: Result<T, Error>) -> Result<Response<T>, Status> {
    outcome.map(Response::new).map_err(|fault| status(&fault))
}

/// As containerd would say it.
fn status(error: &Error) -> Status {
    let (code, message) = match &error.fault {
        Fault::NotFound { message } => (Code::NotFound, message.clone()),
        Fault::AlreadyReserved { message, .. } => (Code::Unknown, message.clone()),
        Fault::Unavailable { message, .. } => (Code::Unavailable, message.clone()),
        Fault::Deadline { .. } | Fault::ExecTimeout { .. } => {
            (Code::DeadlineExceeded, error.fault.to_string())
        }
        Fault::Unimplemented { message } => (Code::Unimplemented, message.clone()),
        Fault::Refused { code, message } => (code_of(code), message.clone()),
    };
    Status::new(code, message)
}

fn code_of(name: &str) -> Code {
    match name {
        "INVALID_ARGUMENT" => Code::InvalidArgument,
        "PERMISSION_DENIED" => Code::PermissionDenied,
        "RESOURCE_EXHAUSTED" => Code::ResourceExhausted,
        "FAILED_PRECONDITION" => Code::FailedPrecondition,
        "INTERNAL" => Code::Internal,
        _ => Code::Unknown,
    }
}

fn seconds(number: i64) -> Duration {
    Duration::from_secs(number.try_into().unwrap_or_default())
}

fn name(image: Option<ImageSpec>) -> String {
    image.unwrap_or_default().image
}
