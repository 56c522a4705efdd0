//! Carries out one order. Decides nothing: what came of it goes back to the planner.

use std::{net::IpAddr, sync::Arc, time::Duration};

use cri::{
    Fault, Runtime,
    v1::{CreateContainerRequest, ImageSpec, PodSandboxConfig, RunPodSandboxRequest},
};
use plan::{Action, Failure, FailureClass, Outcome};
use pod::{Pod, api};
use tokio::{sync::watch, time::Instant};

use crate::{
    event::{Event, Listener},
    hooks::{Hook, Hooks},
    host::{ContainerRequest, Launch, Refused, SandboxRequest},
    images::{self, Turns},
    loaded::Loaded,
    marks::{self, Stamp},
    sight::Record,
};

/// The least time a container gets between stop signal and kill.
const FLOOR: Duration = Duration::from_secs(2);

/// What every order is carried out with.
#[derive(Clone)]
pub(crate) struct Tools {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) launch: Arc<dyn Launch>,
    pub(crate) hooks: Hooks,
    pub(crate) owner: Arc<str>,
    pub(crate) listener: Listener,
    pub(crate) turns: Turns,
}

/// What was known when an order was given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// The wanted version.
    pub(crate) loaded: Option<Loaded>,
    /// The container that is stopped.
    pub(crate) record: Option<Record>,
    /// The sandbox that the order is about.
    pub(crate) attempt: u32,
    pub(crate) boot: String,
    pub(crate) ips: Vec<IpAddr>,
    pub(crate) host_network: bool,
    /// Sandboxes of the pod that are not ready, with a network of their own.
    pub(crate) dead: Vec<String>,
}

/// One order at work.
pub(crate) struct Work {
    pub(crate) tools: Tools,
    pub(crate) known: Known,
    /// Becomes true when the order is to be given up.
    pub(crate) cancelled: watch::Receiver<bool>,
}

type Step<T> = Result<T, Outcome>;

fn failure(class: FailureClass, reason: &str, message: String) -> Outcome {
    Outcome::Failed(Failure {
        class,
        reason: reason.to_owned(),
        message,
    })
}

fn refused(refused: Refused) -> Outcome {
    failure(FailureClass::Other, &refused.reason, refused.message)
}

/// A failed call: what the planner makes of it depends on its class.
fn asked(error: &cri::Error, reason: &str) -> Outcome {
    let class = match error.fault {
        Fault::Unavailable { .. } | Fault::Deadline { .. } => return Outcome::Lost,
        Fault::AlreadyReserved { .. } => FailureClass::NameReserved,
        _ => FailureClass::Other,
    };
    failure(class, reason, error.to_string())
}

/// Stopping or removing what is not there is done.
fn ended(answer: Result<(), cri::Error>, reason: &str) -> Outcome {
    match answer {
        Ok(()) => Outcome::Done,
        Err(error) if error.is_not_found() => Outcome::Done,
        Err(error) => asked(&error, reason),
    }
}

impl Work {
    /// Carries the order out; how it ended.
    pub(crate) async fn carry_out(mut self, action: Action) -> Outcome {
        let runtime = Arc::clone(&self.tools.runtime);
        match &action {
            Action::CreateSandbox { attempt, boot, .. } => {
                settled(self.create_sandbox(*attempt, boot).await)
            }
            Action::StartContainer {
                sandbox,
                name,
                attempt,
                sidecar,
                ..
            } => settled(self.start(sandbox, name, *attempt, *sidecar).await),
            Action::PreStop {
                container, limit, ..
            } => {
                self.pre_stop(container, *limit).await;
                Outcome::Done
            }
            Action::KillContainer {
                container,
                grace,
                pre_stop,
                ..
            } => self.kill(container, *grace, *pre_stop).await,
            Action::StopSandbox { sandbox, .. } => {
                ended(runtime.stop_pod_sandbox(sandbox).await, "StopSandboxFailed")
            }
            Action::RemoveContainer { container } => {
                ended(runtime.remove_container(container).await, "RemoveFailed")
            }
            Action::RemoveSandbox { sandbox } => {
                let freed = match self.known.host_network {
                    true => Ok(()),
                    false => self.free_network(sandbox).await,
                };
                match freed {
                    Ok(()) => ended(runtime.remove_pod_sandbox(sandbox).await, "RemoveFailed"),
                    Err(outcome) => outcome,
                }
            }
            Action::CleanPod { uid, logs } => {
                match self.tools.launch.clean(uid.clone(), *logs).await {
                    Ok(()) => Outcome::Done,
                    Err(why) => refused(why),
                }
            }
            Action::Cancel { .. } => Outcome::Done,
        }
    }

    /// Waits for an answer, unless the order is given up. Work on the host is never left half
    /// done: only questions to the runtime are.
    async fn unless_cancelled<T>(&mut self, asking: impl Future<Output = T>) -> Step<T> {
        tokio::select! {
            biased;
            answer = asking => Ok(answer),
            _ = self.cancelled.wait_for(|cancelled| *cancelled) => Err(Outcome::Lost),
        }
    }

    fn go_on(&self) -> Step<()> {
        match *self.cancelled.borrow() {
            true => Err(Outcome::Lost),
            false => Ok(()),
        }
    }

    fn pod(&self) -> Step<(Arc<Pod>, String)> {
        let loaded = self.known.loaded.as_ref();
        let loaded = loaded.map(|l| (Arc::clone(&l.pod), l.wanted.source.clone()));
        // An edit came between: the planner will decide again.
        loaded.ok_or(Outcome::Lost)
    }

    async fn sandbox_config(&self, attempt: u32, boot: &str) -> Step<(PodSandboxConfig, String)> {
        let (pod, source) = self.pod()?;
        let request = SandboxRequest {
            pod: Arc::clone(&pod),
            attempt,
        };
        let prepared = self.tools.launch.sandbox(request).await.map_err(refused)?;
        let mut config = prepared.config;
        let stamp = Stamp {
            owner: &self.tools.owner,
            source: &source,
            boot,
            attempt,
        };
        marks::stamp_sandbox(&mut config, &pod, &stamp);
        Ok((config, prepared.handler))
    }

    /// A sandbox that died by itself keeps its address and its ports of the host until it is
    /// stopped, and cannot be removed before. To stop it once more is nothing.
    async fn free_network(&self, sandbox: &str) -> Step<()> {
        let stopped = self.tools.runtime.stop_pod_sandbox(sandbox).await;
        match ended(stopped, "StopSandboxFailed") {
            Outcome::Done => Ok(()),
            outcome => Err(outcome),
        }
    }

    async fn create_sandbox(&mut self, attempt: u32, boot: &str) -> Step<()> {
        self.go_on()?;
        let (config, handler) = self.sandbox_config(attempt, boot).await?;
        self.go_on()?;
        for dead in std::mem::take(&mut self.known.dead) {
            self.free_network(&dead).await?;
        }
        let runtime = Arc::clone(&self.tools.runtime);
        let request = RunPodSandboxRequest {
            config: Some(config),
            runtime_handler: handler,
        };
        let answer = self
            .unless_cancelled(runtime.run_pod_sandbox(request))
            .await?;
        match answer {
            Ok(_) => Ok(()),
            Err(error) => Err(asked(&error, "FailedCreatePodSandBox")),
        }
    }

    async fn start(
        &mut self,
        sandbox: &str,
        name: &str,
        attempt: u32,
        sidecar: Option<u32>,
    ) -> Step<()> {
        self.go_on()?;
        let (pod, _) = self.pod()?;
        let spec = container_of(&pod, name).ok_or(Outcome::Lost)?;
        let runtime = Arc::clone(&self.tools.runtime);
        let boot = self.known.boot.clone();
        let (sandbox_config, _) = self.sandbox_config(self.known.attempt, &boot).await?;
        let turns = self.tools.turns.clone();
        let ensuring = images::ensure(&*runtime, &turns, &spec, sandbox_config.clone());
        let image = self.unless_cancelled(ensuring).await??;
        let image_id = image.id.clone();
        let request = ContainerRequest {
            pod: Arc::clone(&pod),
            name: name.to_owned(),
            attempt,
            image,
            ips: self.known.ips.clone(),
        };
        let prepared = self.tools.launch.container(request.clone()).await;
        let mut config = prepared.map_err(refused)?.config;
        config.image = Some(ImageSpec {
            image: image_id,
            user_specified_image: spec.image.clone().unwrap_or_default(),
            ..ImageSpec::default()
        });
        marks::stamp_container(&mut config, &pod, &spec, attempt, sidecar);
        self.go_on()?;
        let creating = runtime.create_container(CreateContainerRequest {
            pod_sandbox_id: sandbox.to_owned(),
            config: Some(config),
            sandbox_config: Some(sandbox_config),
        });
        let id = self.unless_cancelled(creating).await?;
        let id = id.map_err(|error| asked(&error, "CreateContainerError"))?;
        self.go_on()?;
        let started = self.unless_cancelled(runtime.start_container(&id)).await?;
        started.map_err(|error| asked(&error, "RunContainerError"))?;
        self.tools.launch.started(request, id.clone()).await;
        self.post_start(&spec, id).await
    }

    async fn post_start(&mut self, spec: &api::Container, id: String) -> Step<()> {
        let lifecycle = spec.lifecycle.as_ref();
        let Some(handler) = lifecycle.and_then(|lifecycle| lifecycle.post_start.as_ref()) else {
            return Ok(());
        };
        let hooks = self.tools.hooks.clone();
        let hook = Hook {
            handler,
            container: &id,
            ports: spec.ports.clone(),
            address: self.known.ips.first().copied(),
            host_network: self.known.host_network,
        };
        let outcome = self
            .unless_cancelled(hooks.run(&hook, Duration::ZERO))
            .await?;
        outcome.map_err(|why| {
            let class = FailureClass::PostStart {
                container: id.clone(),
            };
            failure(class, "PostStartHookError", why)
        })
    }

    /// A hook that fails keeps nothing from being stopped.
    async fn pre_stop(&self, container: &str, limit: Duration) {
        let Some(record) = &self.known.record else {
            return;
        };
        let Some(handler) = marks::pre_stop(&record.annotations) else {
            return;
        };
        let hook = Hook {
            handler: &handler,
            container,
            ports: marks::ports(&record.annotations),
            address: self.known.ips.first().copied(),
            host_network: self.known.host_network,
        };
        if limit.is_zero() {
            return;
        }
        if let Err(error) = self.tools.hooks.run(&hook, limit).await {
            (self.tools.listener)(&Event::PreStopFailed {
                container: container.to_owned(),
                error,
            });
        }
    }

    async fn kill(&self, container: &str, grace: Duration, pre_stop: bool) -> Outcome {
        let began = Instant::now();
        if pre_stop {
            self.pre_stop(container, grace).await;
        }
        let left = grace.saturating_sub(began.elapsed()).max(FLOOR);
        let stopped = self.tools.runtime.stop_container(container, left).await;
        ended(stopped, "KillContainerFailed")
    }
}

fn settled(step: Step<()>) -> Outcome {
    match step {
        Ok(()) => Outcome::Done,
        Err(outcome) => outcome,
    }
}

fn container_of(pod: &Pod, name: &str) -> Option<api::Container> {
    let spec = pod.api.spec.as_ref()?;
    let init = spec.init_containers.iter().flatten();
    init.chain(&spec.containers)
        .find(|container| container.name == name)
        .cloned()
}
