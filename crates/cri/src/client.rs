//! The client of a runtime behind a Unix socket.

use std::time::Duration;

use futures_util::StreamExt as _;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Uri};

use crate::{
    endpoint::Endpoint,
    error::{Call, Error},
    runtime::{Answer, Described, Events, Runtime},
    subject::{container, pod, short},
    v1::{
        CgroupDriver, Container, ContainerFilter, ContainerStatus, ContainerStatusRequest,
        CreateContainerRequest, ExecRequest, ExecSyncRequest, ExecSyncResponse, FilesystemUsage,
        GetEventsRequest, Image, ImageFsInfoRequest, ImageSpec, ImageStatusRequest,
        ListContainersRequest, ListImagesRequest, ListPodSandboxRequest, PodSandbox,
        PodSandboxConfig, PodSandboxFilter, PodSandboxStatus, PodSandboxStatusRequest,
        PullImageRequest, RemoveContainerRequest, RemoveImageRequest, RemovePodSandboxRequest,
        ReopenContainerLogRequest, RunPodSandboxRequest, RuntimeConfigRequest,
        StartContainerRequest, StatusRequest, StatusResponse, StopContainerRequest,
        StopPodSandboxRequest, UpdateContainerResourcesRequest, VersionRequest, VersionResponse,
        image_service_client::ImageServiceClient, runtime_service_client::RuntimeServiceClient,
    },
};

use asked::{Asked, seconds};

mod asked;

/// The longest message in both directions, bytes: what runtimes send and accept. A thousand
/// containers with their labels are below a fifth of it.
const MESSAGE: usize = 16 * 1024 * 1024;

/// A runtime behind a Unix socket. Connects with the first call and again whenever the connection
/// was lost; calls share one connection.
///
/// Each call has a deadline, [`Call::patience`], longer by the grace of a container that is
/// stopped and by what a command may take; a command without a limit has none. The runtime is
/// told of it, and gives up too.
pub struct Client {
    endpoint: Endpoint,
    runtime: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
}

impl Client {
    /// Does not connect yet. Must be called inside a runtime of tokio, which drives the
    /// connection for as long as the client lives.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        let socket = endpoint.path().to_owned();
        let connector = tower::service_fn(move |_: Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        // The authority of a call: servers in Go refuse a path there.
        let channel = tonic::transport::Endpoint::from_static("http://localhost")
            .connect_with_connector_lazy(connector);
        Self {
            endpoint,
            runtime: RuntimeServiceClient::new(channel.clone())
                .max_decoding_message_size(MESSAGE)
                .max_encoding_message_size(MESSAGE),
            images: ImageServiceClient::new(channel)
                .max_decoding_message_size(MESSAGE)
                .max_encoding_message_size(MESSAGE),
        }
    }

    /// Where the runtime listens.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn ask(&self, call: Call, subject: String) -> Asked<'_> {
        Asked::new(&self.endpoint, call, subject)
    }

    fn ask_of(&self, call: Call, id: &str) -> Asked<'_> {
        self.ask(call, short(id).to_owned())
    }
}

impl Runtime for Client {
    fn version(&self) -> Answer<'_, VersionResponse> {
        Box::pin(async move {
            let asked = self.ask(Call::Version, String::new());
            let question = VersionRequest {
                version: "v1".to_owned(),
            };
            let mut stub = self.runtime.clone();
            asked.answer(stub.version(asked.request(question))).await
        })
    }

    fn status(&self, verbose: bool) -> Answer<'_, StatusResponse> {
        Box::pin(async move {
            let asked = self.ask(Call::Status, String::new());
            let mut stub = self.runtime.clone();
            asked
                .answer(stub.status(asked.request(StatusRequest { verbose })))
                .await
        })
    }

    fn cgroup_driver(&self) -> Answer<'_, CgroupDriver> {
        Box::pin(async move {
            let asked = self.ask(Call::RuntimeConfig, String::new());
            let mut stub = self.runtime.clone();
            let question = asked.request(RuntimeConfigRequest {});
            let answer = asked.answer(stub.runtime_config(question)).await?;
            let linux = asked.present(answer.linux)?;
            Ok(linux.cgroup_driver())
        })
    }

    fn run_pod_sandbox(&self, request: RunPodSandboxRequest) -> Answer<'_, String> {
        Box::pin(async move {
            let asked = self.ask(Call::RunPodSandbox, pod(request.config.as_ref()));
            let mut stub = self.runtime.clone();
            let question = asked.request(request);
            let answer = asked.answer(stub.run_pod_sandbox(question)).await?;
            Ok(answer.pod_sandbox_id)
        })
    }

    fn stop_pod_sandbox<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let asked = self.ask_of(Call::StopPodSandbox, id);
            let question = asked.request(StopPodSandboxRequest {
                pod_sandbox_id: id.to_owned(),
            });
            let mut stub = self.runtime.clone();
            gone_is_done(asked.answer(stub.stop_pod_sandbox(question)).await)
        })
    }

    fn remove_pod_sandbox<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let asked = self.ask_of(Call::RemovePodSandbox, id);
            let question = asked.request(RemovePodSandboxRequest {
                pod_sandbox_id: id.to_owned(),
            });
            let mut stub = self.runtime.clone();
            gone_is_done(asked.answer(stub.remove_pod_sandbox(question)).await)
        })
    }

    fn pod_sandbox_status<'a>(
        &'a self,
        id: &'a str,
        verbose: bool,
    ) -> Answer<'a, Described<PodSandboxStatus>> {
        Box::pin(async move {
            let asked = self.ask_of(Call::PodSandboxStatus, id);
            let question = asked.request(PodSandboxStatusRequest {
                pod_sandbox_id: id.to_owned(),
                verbose,
            });
            let mut stub = self.runtime.clone();
            let answer = asked.answer(stub.pod_sandbox_status(question)).await?;
            let status = asked.present(answer.status)?;
            let info = answer.info;
            Ok(Described { status, info })
        })
    }

    fn list_pod_sandbox(&self, filter: Option<PodSandboxFilter>) -> Answer<'_, Vec<PodSandbox>> {
        Box::pin(async move {
            let asked = self.ask(Call::ListPodSandbox, String::new());
            let question = asked.request(ListPodSandboxRequest { filter });
            let mut stub = self.runtime.clone();
            let answer = asked.answer(stub.list_pod_sandbox(question)).await?;
            Ok(answer.items)
        })
    }

    fn create_container(&self, request: CreateContainerRequest) -> Answer<'_, String> {
        Box::pin(async move {
            let asked = self.ask(Call::CreateContainer, container(&request));
            let mut stub = self.runtime.clone();
            let question = asked.request(request);
            let answer = asked.answer(stub.create_container(question)).await?;
            Ok(answer.container_id)
        })
    }

    fn start_container<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let asked = self.ask_of(Call::StartContainer, id);
            let question = asked.request(StartContainerRequest {
                container_id: id.to_owned(),
            });
            let mut stub = self.runtime.clone();
            asked.answer(stub.start_container(question)).await?;
            Ok(())
        })
    }

    fn stop_container<'a>(&'a self, id: &'a str, grace: Duration) -> Answer<'a, ()> {
        Box::pin(async move {
            let asked = self.ask_of(Call::StopContainer, id).longer_by(grace);
            let question = asked.request(StopContainerRequest {
                container_id: id.to_owned(),
                timeout: seconds(grace),
            });
            let mut stub = self.runtime.clone();
            gone_is_done(asked.answer(stub.stop_container(question)).await)
        })
    }

    fn remove_container<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let asked = self.ask_of(Call::RemoveContainer, id);
            let question = asked.request(RemoveContainerRequest {
                container_id: id.to_owned(),
            });
            let mut stub = self.runtime.clone();
            gone_is_done(asked.answer(stub.remove_container(question)).await)
        })
    }

    fn container_status<'a>(
        &'a self,
        id: &'a str,
        verbose: bool,
    ) -> Answer<'a, Described<ContainerStatus>> {
        Box::pin(async move {
            let asked = self.ask_of(Call::ContainerStatus, id);
            let question = asked.request(ContainerStatusRequest {
                container_id: id.to_owned(),
                verbose,
            });
            let mut stub = self.runtime.clone();
            let answer = asked.answer(stub.container_status(question)).await?;
            let status = asked.present(answer.status)?;
            let info = answer.info;
            Ok(Described { status, info })
        })
    }

    fn list_containers(&self, filter: Option<ContainerFilter>) -> Answer<'_, Vec<Container>> {
        Box::pin(async move {
            let asked = self.ask(Call::ListContainers, String::new());
            let question = asked.request(ListContainersRequest { filter });
            let mut stub = self.runtime.clone();
            let answer = asked.answer(stub.list_containers(question)).await?;
            Ok(answer.containers)
        })
    }

    fn update_container_resources(
        &self,
        request: UpdateContainerResourcesRequest,
    ) -> Answer<'_, ()> {
        Box::pin(async move {
            let asked = self.ask_of(Call::UpdateContainerResources, &request.container_id);
            let question = asked.request(request);
            let mut stub = self.runtime.clone();
            asked
                .answer(stub.update_container_resources(question))
                .await?;
            Ok(())
        })
    }

    fn reopen_container_log<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let asked = self.ask_of(Call::ReopenContainerLog, id);
            let question = asked.request(ReopenContainerLogRequest {
                container_id: id.to_owned(),
            });
            let mut stub = self.runtime.clone();
            asked.answer(stub.reopen_container_log(question)).await?;
            Ok(())
        })
    }

    fn exec_sync<'a>(
        &'a self,
        id: &'a str,
        command: &'a [String],
        limit: Duration,
    ) -> Answer<'a, ExecSyncResponse> {
        Box::pin(async move {
            let asked = self.ask_of(Call::ExecSync, id).running_for(limit);
            let question = asked.request(ExecSyncRequest {
                container_id: id.to_owned(),
                cmd: command.to_vec(),
                timeout: seconds(limit),
            });
            let mut stub = self.runtime.clone();
            asked.answer(stub.exec_sync(question)).await
        })
    }

    fn exec(&self, request: ExecRequest) -> Answer<'_, String> {
        Box::pin(async move {
            let asked = self.ask_of(Call::Exec, &request.container_id);
            let question = asked.request(request);
            let mut stub = self.runtime.clone();
            Ok(asked.answer(stub.exec(question)).await?.url)
        })
    }

    fn container_events(&self) -> Answer<'_, Events> {
        Box::pin(async move {
            let call = Call::GetContainerEvents;
            let asked = self.ask(call, String::new());
            let mut stub = self.runtime.clone();
            let question = asked.request(GetEventsRequest {});
            let events = asked.answer(stub.get_container_events(question)).await?;
            let endpoint = self.endpoint.clone();
            let events = events.map(move |event| {
                let asked = Asked::new(&endpoint, call, String::new());
                event.map_err(|status| asked.failed(&status))
            });
            Ok(Box::pin(events) as Events)
        })
    }

    fn image_status<'a>(&'a self, image: &'a str) -> Answer<'a, Option<Image>> {
        Box::pin(async move {
            let asked = self.ask(Call::ImageStatus, image.to_owned());
            let question = asked.request(ImageStatusRequest {
                image: Some(named(image)),
                verbose: false,
            });
            let mut stub = self.images.clone();
            match asked.answer(stub.image_status(question)).await {
                Ok(answer) => Ok(answer.image),
                Err(fault) if fault.is_not_found() => Ok(None),
                Err(fault) => Err(fault),
            }
        })
    }

    fn pull_image<'a>(
        &'a self,
        image: &'a str,
        sandbox: Option<PodSandboxConfig>,
    ) -> Answer<'a, String> {
        Box::pin(async move {
            let asked = self.ask(Call::PullImage, image.to_owned());
            let question = asked.request(PullImageRequest {
                image: Some(named(image)),
                sandbox_config: sandbox,
            });
            let mut stub = self.images.clone();
            Ok(asked.answer(stub.pull_image(question)).await?.image_ref)
        })
    }

    fn list_images(&self) -> Answer<'_, Vec<Image>> {
        Box::pin(async move {
            let asked = self.ask(Call::ListImages, String::new());
            let question = asked.request(ListImagesRequest { filter: None });
            let mut stub = self.images.clone();
            Ok(asked.answer(stub.list_images(question)).await?.images)
        })
    }

    fn remove_image<'a>(&'a self, image: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let asked = self.ask(Call::RemoveImage, image.to_owned());
            let question = asked.request(RemoveImageRequest {
                image: Some(named(image)),
            });
            let mut stub = self.images.clone();
            gone_is_done(asked.answer(stub.remove_image(question)).await)
        })
    }

    fn image_fs_info(&self) -> Answer<'_, Vec<FilesystemUsage>> {
        Box::pin(async move {
            let asked = self.ask(Call::ImageFsInfo, String::new());
            let mut stub = self.images.clone();
            let question = asked.request(ImageFsInfoRequest {});
            let answer = asked.answer(stub.image_fs_info(question)).await?;
            Ok(answer.image_filesystems)
        })
    }
}

fn named(image: &str) -> ImageSpec {
    ImageSpec {
        image: image.to_owned(),
        ..ImageSpec::default()
    }
}

/// Runtimes differ in whether it is an error to end what has ended.
fn gone_is_done<T>(outcome: Result<T, Error>) -> Result<(), Error> {
    match outcome {
        Ok(_) => Ok(()),
        Err(fault) if fault.is_not_found() => Ok(()),
        Err(fault) => Err(fault),
    }
}
