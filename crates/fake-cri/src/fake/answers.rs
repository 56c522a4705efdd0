//! The fake as a runtime.

use std::time::Duration;

use cri::{
    Answer, Call, Described, Error, Events, Fault, Info, Runtime,
    subject::{container, pod},
    v1::{
        CgroupDriver, Container, ContainerFilter, ContainerStatus, CreateContainerRequest,
        ExecRequest, ExecSyncResponse, FilesystemIdentifier, FilesystemUsage, Image,
        LinuxContainerResources, PodSandbox, PodSandboxConfig, PodSandboxFilter, PodSandboxStatus,
        RunPodSandboxRequest, RuntimeCondition, RuntimeStatus, StatusResponse, UInt64Value,
        UpdateContainerResourcesRequest, VersionResponse,
    },
};
use futures_util::stream;

use super::{Fake, World, of};

const NONE: Duration = Duration::ZERO;
/// How often a call that waits for an end looks whether that has come otherwise.
const SLICE: Duration = Duration::from_millis(20);

impl Runtime for Fake {
    fn version(&self) -> Answer<'_, VersionResponse> {
        Box::pin(self.call(Call::Version, String::new(), NONE, |_| {
            Ok(VersionResponse {
                version: "0.1.0".to_owned(),
                runtime_name: "fake".to_owned(),
                runtime_version: "1.6.0".to_owned(),
                runtime_api_version: "v1".to_owned(),
            })
        }))
    }

    fn status(&self, verbose: bool) -> Answer<'_, StatusResponse> {
        Box::pin(self.call(Call::Status, String::new(), NONE, move |world| {
            let condition = |kind: &str, status: bool, message: &str| RuntimeCondition {
                r#type: kind.to_owned(),
                status,
                message: if status { "" } else { message }.to_owned(),
                ..RuntimeCondition::default()
            };
            let network = "cni plugin not initialized";
            let conditions = vec![
                condition("RuntimeReady", true, ""),
                condition("NetworkReady", world.has_network, network),
            ];
            let config = serde_json::json!({
                "containerd": {"runtimes": {"runc": {"options": {"SystemdCgroup": false}}}},
            });
            Ok(StatusResponse {
                status: Some(RuntimeStatus { conditions }),
                info: info(verbose, "config", || config.to_string()),
                ..StatusResponse::default()
            })
        }))
    }

    fn cgroup_driver(&self) -> Answer<'_, CgroupDriver> {
        Box::pin(self.call(Call::RuntimeConfig, String::new(), NONE, |_| {
            Err(unknown("RuntimeConfig"))
        }))
    }

    fn run_pod_sandbox(&self, request: RunPodSandboxRequest) -> Answer<'_, String> {
        let subject = pod(request.config.as_ref());
        Box::pin(self.call(Call::RunPodSandbox, subject, NONE, |world| {
            world.run_room(request)
        }))
    }

    fn stop_pod_sandbox<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        Box::pin(self.call(Call::StopPodSandbox, of(id), NONE, |world| {
            world.stop_room(id);
            Ok(())
        }))
    }

    fn remove_pod_sandbox<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        Box::pin(self.call(Call::RemovePodSandbox, of(id), NONE, |world| {
            world.remove_room(id);
            Ok(())
        }))
    }

    fn pod_sandbox_status<'a>(
        &'a self,
        id: &'a str,
        verbose: bool,
    ) -> Answer<'a, Described<PodSandboxStatus>> {
        let work = move |world: &mut World| {
            let status = world.room_status(id)?;
            let info = info(verbose, "info", || pid(id));
            Ok(Described { status, info })
        };
        Box::pin(self.call(Call::PodSandboxStatus, of(id), NONE, work))
    }

    fn list_pod_sandbox(&self, filter: Option<PodSandboxFilter>) -> Answer<'_, Vec<PodSandbox>> {
        Box::pin(
            self.call(Call::ListPodSandbox, String::new(), NONE, |world| {
                Ok(world.list_rooms(&filter.unwrap_or_default()))
            }),
        )
    }

    fn create_container(&self, request: CreateContainerRequest) -> Answer<'_, String> {
        let subject = container(&request);
        Box::pin(self.call(Call::CreateContainer, subject, NONE, |world| {
            world.create(request)
        }))
    }

    fn start_container<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        Box::pin(self.call(Call::StartContainer, of(id), NONE, |world| world.start(id)))
    }

    fn stop_container<'a>(&'a self, id: &'a str, grace: Duration) -> Answer<'a, ()> {
        Box::pin(async move {
            let call = Call::StopContainer;
            let is_lost = self.meet(call, &of(id), grace).await?;
            // Who gives up waiting kills nobody: the kill at the end is this call's.
            let asked = self.world(|world| {
                let ending = world.ask_to_stop(id, grace)?;
                Some((ending, world.until(ending.at)))
            });
            if let Some((ending, mut left)) = asked {
                while !left.is_zero() && self.world(|world| world.runs(id)) {
                    let slice = left.min(SLICE);
                    self.wait(call, &of(id), Some(slice)).await?;
                    left -= slice;
                }
                self.world(|world| world.finish_stop(id, ending));
            }
            match is_lost {
                true => Err(self.gone(call, of(id))),
                false => Ok(()),
            }
        })
    }

    fn remove_container<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        Box::pin(self.call(Call::RemoveContainer, of(id), NONE, |world| {
            world.remove_tenant(id);
            Ok(())
        }))
    }

    fn container_status<'a>(
        &'a self,
        id: &'a str,
        verbose: bool,
    ) -> Answer<'a, Described<ContainerStatus>> {
        let work = move |world: &mut World| {
            let status = world.tenant(id)?.status(id);
            let info = info(verbose, "info", || pid(id));
            Ok(Described { status, info })
        };
        Box::pin(self.call(Call::ContainerStatus, of(id), NONE, work))
    }

    fn list_containers(&self, filter: Option<ContainerFilter>) -> Answer<'_, Vec<Container>> {
        Box::pin(
            self.call(Call::ListContainers, String::new(), NONE, |world| {
                Ok(world.list_tenants(&filter.unwrap_or_default()))
            }),
        )
    }

    fn update_container_resources(
        &self,
        request: UpdateContainerResourcesRequest,
    ) -> Answer<'_, ()> {
        let id = request.container_id;
        let subject = of(&id);
        let work = move |world: &mut World| {
            world.tenant(&id)?;
            if let Some(tenant) = world.tenants.get_mut(&id) {
                let linux = tenant.config_mut().linux.get_or_insert_default();
                let now = linux.resources.get_or_insert_default();
                merge(now, &request.linux.unwrap_or_default());
            }
            Ok(())
        };
        Box::pin(self.call(Call::UpdateContainerResources, subject, NONE, work))
    }

    fn reopen_container_log<'a>(&'a self, id: &'a str) -> Answer<'a, ()> {
        Box::pin(self.call(Call::ReopenContainerLog, of(id), NONE, |world| {
            world.reopen(id)
        }))
    }

    fn exec_sync<'a>(
        &'a self,
        id: &'a str,
        command: &'a [String],
        limit: Duration,
    ) -> Answer<'a, ExecSyncResponse> {
        Box::pin(async move {
            let call = Call::ExecSync;
            let error = |fault| Error {
                call,
                subject: of(id),
                fault,
            };
            let is_lost = self.meet(call, &of(id), limit).await?;
            let recital = self.execute(id, command).map_err(error)?;
            let over = !limit.is_zero() && recital.end.is_none_or(|(takes, _)| takes > limit);
            let takes = match over {
                true => Some(limit),
                false => recital.end.map(|(takes, _)| takes),
            };
            self.wait(call, &of(id), takes).await?;
            if over {
                return Err(error(Fault::ExecTimeout { after: limit }));
            }
            if is_lost {
                return Err(self.gone(call, of(id)));
            }
            Ok(ExecSyncResponse {
                stdout: recital.stdout.into_bytes(),
                stderr: recital.stderr.into_bytes(),
                exit_code: recital.end.map_or(0, |(_, code)| code),
            })
        })
    }

    fn exec(&self, request: ExecRequest) -> Answer<'_, String> {
        let id = request.container_id;
        let subject = of(&id);
        Box::pin(self.call(Call::Exec, subject, NONE, move |world| {
            world.running(&id)?;
            Ok("http://127.0.0.1:1/exec/fake".to_owned())
        }))
    }

    fn container_events(&self) -> Answer<'_, Events> {
        Box::pin(async move {
            let call = Call::GetContainerEvents;
            self.call(call, String::new(), NONE, |world| match world.has_events {
                true => Ok(()),
                false => Err(unknown("GetContainerEvents")),
            })
            .await?;
            let fake = self.clone();
            // Old ones first: a listener hears what happened before it came.
            let events = stream::unfold(Some((fake, 0)), move |state| async move {
                let (fake, next) = state?;
                let mut known = fake.shared.events.subscribe();
                let coming = async {
                    // The sender lives as long as the fake does, which is held here.
                    let _ = known.wait_for(|count| *count > next).await;
                };
                let is_gone = tokio::select! {
                    () = coming => false,
                    () = fake.goes_down() => true,
                };
                if is_gone {
                    let error = fake.gone(call, String::new());
                    return Some((Err(error), None));
                }
                let event = fake.inside().world.events.get(next).cloned();
                Some((Ok(event?), Some((fake, next + 1))))
            });
            Ok(Box::pin(events) as Events)
        })
    }

    fn image_status<'a>(&'a self, image: &'a str) -> Answer<'a, Option<Image>> {
        Box::pin(
            self.call(Call::ImageStatus, image.to_owned(), NONE, |world| {
                Ok(world.images.status(image))
            }),
        )
    }

    fn pull_image<'a>(
        &'a self,
        image: &'a str,
        _sandbox: Option<PodSandboxConfig>,
    ) -> Answer<'a, String> {
        Box::pin(self.call(Call::PullImage, image.to_owned(), NONE, |world| {
            world.images.pull(image)
        }))
    }

    fn list_images(&self) -> Answer<'_, Vec<Image>> {
        Box::pin(self.call(Call::ListImages, String::new(), NONE, |world| {
            Ok(world.images.all())
        }))
    }

    fn remove_image<'a>(&'a self, image: &'a str) -> Answer<'a, ()> {
        Box::pin(
            self.call(Call::RemoveImage, image.to_owned(), NONE, |world| {
                world.images.remove(image);
                Ok(())
            }),
        )
    }

    fn image_fs_info(&self) -> Answer<'_, Vec<FilesystemUsage>> {
        Box::pin(self.call(Call::ImageFsInfo, String::new(), NONE, |world| {
            let used = world.images.all().iter().map(|image| image.size).sum();
            Ok(vec![FilesystemUsage {
                timestamp: world.stamps.at(world.stamps.now()),
                fs_id: Some(FilesystemIdentifier {
                    mountpoint: "/var/lib/fake".to_owned(),
                }),
                used_bytes: Some(UInt64Value { value: used }),
                inodes_used: Some(UInt64Value { value: 1 }),
            }])
        }))
    }
}

fn unknown(method: &str) -> Fault {
    Fault::Unimplemented {
        message: format!("unknown method {method} for service runtime.v1.RuntimeService"),
    }
}

fn info(verbose: bool, key: &str, text: impl FnOnce() -> String) -> Info {
    match verbose {
        true => [(key.to_owned(), text())].into(),
        false => Info::new(),
    }
}

/// A number that no process of a small machine has.
fn pid(id: &str) -> String {
    let number = u32::from_str_radix(id.get(..13).unwrap_or_default(), 16).unwrap_or_default();
    serde_json::json!({"pid": 5_000_000 + number}).to_string()
}

/// What is zero stays as it is.
fn merge(now: &mut LinuxContainerResources, asked: &LinuxContainerResources) {
    for (now, asked) in [
        (&mut now.cpu_period, asked.cpu_period),
        (&mut now.cpu_quota, asked.cpu_quota),
        (&mut now.cpu_shares, asked.cpu_shares),
        (&mut now.memory_limit_in_bytes, asked.memory_limit_in_bytes),
    ] {
        if asked != 0 {
            *now = asked;
        }
    }
}
