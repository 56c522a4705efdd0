//! Containers.

use std::{collections::BTreeMap, path::Path, time::Duration};

use cri::{
    Fault,
    v1::{
        Container, ContainerConfig, ContainerEventType, ContainerFilter, ContainerResources,
        ContainerState, ContainerStatus, CreateContainerRequest, ImageSpec,
    },
};

use super::{World, fits_id, fits_labels};
use crate::fake::{
    actor::{Actor, Ending, KILLED, exists},
    logs::Log,
    words::{no_container, no_sandbox, not_found, refused, reserved},
};

/// What a program that cannot be started is given.
const UNSTARTABLE: i32 = 128;

/// A container.
pub(in crate::fake) struct Tenant {
    pub(in crate::fake) room: String,
    /// The name that it takes.
    name: String,
    pub(super) config: ContainerConfig,
    pub(super) image_id: String,
    pub(super) image_ref: String,
    pub(super) command: Vec<String>,
    pub(super) created_at: i64,
    pub(super) started_at: i64,
    pub(super) finished_at: i64,
    pub(super) exit_code: i32,
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) log_path: String,
    pub(super) actor: Option<Actor>,
    pub(super) log: Option<Log>,
}

impl World {
    pub(in crate::fake) fn create(
        &mut self,
        request: CreateContainerRequest,
    ) -> Result<String, Fault> {
        let room_id = request.pod_sandbox_id;
        let config = request.config.unwrap_or_default();
        let room = self
            .rooms
            .get(&room_id)
            .ok_or_else(|| no_sandbox(&room_id))?;
        if !room.is_ready {
            return Err(not_found(format!(
                "failed to get sandbox container task: no running task found: task {room_id} not found: not found"
            )));
        }
        let pod = room.config.metadata.clone().unwrap_or_default();
        let own = config.metadata.clone().ok_or_else(|| {
            refused(
                "UNKNOWN",
                "container config must include metadata".to_owned(),
            )
        })?;
        let name = format!(
            "{}_{}_{}_{}_{}",
            own.name, pod.name, pod.namespace, pod.uid, own.attempt
        );
        if let Some(holder) = self.names.get(&name) {
            return Err(reserved("container", &name, holder));
        }
        let wanted = config.image.clone().unwrap_or_default().image;
        let image = self
            .images
            .find(&wanted)
            .ok_or_else(|| not_found(format!("failed to resolve image \"{wanted}\": not found")))?;
        if is_privileged(&config) && !room.is_privileged() {
            let why =
                "failed to generate container spec: no privileged container allowed in sandbox";
            return Err(refused("UNKNOWN", why.to_owned()));
        }
        let mut command = match config.command.is_empty() {
            true => image.entrypoint.clone(),
            false => config.command.clone(),
        };
        match (config.command.is_empty(), config.args.is_empty()) {
            (true, true) => command.extend(image.cmd.iter().cloned()),
            _ => command.extend(config.args.iter().cloned()),
        }
        let log_path = match (room.config.log_directory.as_str(), config.log_path.as_str()) {
            ("", _) | (_, "") => String::new(),
            (folder, file) => Path::new(folder).join(file).to_string_lossy().into_owned(),
        };
        let (image_id, image_ref) = (image.id(), image.pinned_name());
        let id = self.new_id();
        let tenant = Tenant {
            room: room_id,
            name: name.clone(),
            config,
            image_id,
            image_ref,
            command,
            created_at: self.stamps.at(self.stamps.now()),
            started_at: 0,
            finished_at: 0,
            exit_code: 0,
            reason: "",
            message: String::new(),
            log_path,
            actor: None,
            log: None,
        };
        self.names.insert(name, id.clone());
        self.tenants.insert(id.clone(), tenant);
        self.happened(&id, ContainerEventType::ContainerCreatedEvent);
        Ok(id)
    }

    pub(in crate::fake) fn start(&mut self, id: &str) -> Result<(), Fault> {
        let now = self.stamps.now();
        let stamp = self.stamps.at(now);
        let tenant = self.tenants.get_mut(id).ok_or_else(|| no_container(id))?;
        if tenant.state() != ContainerState::ContainerCreated {
            let state = tenant.state().as_str_name();
            return Err(refused("UNKNOWN", format!("container is in {state} state")));
        }
        if !self
            .rooms
            .get(&tenant.room)
            .is_some_and(|room| room.is_ready)
        {
            let why = format!("sandbox container \"{}\" is not running", tenant.room);
            return Err(refused("UNKNOWN", why));
        }
        if !exists(&tenant.command) {
            let program = tenant.command.first().cloned().unwrap_or_default();
            let why = format!(
                "failed to create containerd task: exec: \"{program}\": stat {program}: no such file or directory: unknown"
            );
            tenant.exit_code = UNSTARTABLE;
            tenant.reason = "StartError";
            tenant.message.clone_from(&why);
            tenant.finished_at = stamp;
            return Err(refused("UNKNOWN", why));
        }
        if self.has_logs && !tenant.log_path.is_empty() {
            let log = Log::open(Path::new(&tenant.log_path)).map_err(|fault| {
                let path = &tenant.log_path;
                refused(
                    "UNKNOWN",
                    format!("failed to create container loggers: {path}: {fault}"),
                )
            })?;
            tenant.log = Some(log);
        }
        let resources = tenant
            .config
            .linux
            .as_ref()
            .and_then(|linux| linux.resources.as_ref());
        let memory = resources.map_or(0, |resources| resources.memory_limit_in_bytes);
        tenant.started_at = stamp;
        tenant.actor = Some(Actor::new(
            &tenant.command,
            environment(&tenant.config),
            memory,
            now,
        ));
        self.busy.insert(id.to_owned());
        self.happened(id, ContainerEventType::ContainerStartedEvent);
        self.catch_up();
        Ok(())
    }

    /// Asks a container to end, unless it is to be killed at once, and how that will be when
    /// nothing comes between: by itself, or by a kill after `grace`. [`None`] where it has ended.
    pub(in crate::fake) fn ask_to_stop(&mut self, id: &str, grace: Duration) -> Option<Ending> {
        let now = self.stamps.now();
        let actor = self.tenants.get_mut(id)?.actor.as_mut()?;
        if !grace.is_zero() {
            actor.terminate(now);
        }
        let kill = Ending {
            at: now.saturating_add(grace),
            code: KILLED,
            out_of_memory: false,
        };
        let own = actor.doomed().filter(|doom| doom.at <= kill.at);
        self.busy.insert(id.to_owned());
        Some(own.unwrap_or(kill))
    }

    /// How far off a moment is.
    pub(in crate::fake) fn until(&self, moment: Duration) -> Duration {
        moment.saturating_sub(self.stamps.now())
    }

    pub(in crate::fake) fn runs(&self, id: &str) -> bool {
        let tenant = self.tenants.get(id);
        tenant.is_some_and(|tenant| tenant.actor.is_some())
    }

    /// The time has come that [`World::ask_to_stop`] named, whatever the clock says.
    pub(in crate::fake) fn finish_stop(&mut self, id: &str, ending: Ending) {
        if self.runs(id) {
            self.bury(id, ending);
        }
    }

    pub(in crate::fake) fn remove_tenant(&mut self, id: &str) {
        self.kill(id, KILLED);
        if let Some(tenant) = self.tenants.remove(id) {
            self.names.remove(&tenant.name);
            self.happened(id, ContainerEventType::ContainerDeletedEvent);
        }
    }

    /// Ends a container now.
    pub(in crate::fake) fn kill(&mut self, id: &str, code: i32) {
        self.end(id, code, false);
    }

    /// As [`World::kill`], perhaps for lack of memory.
    pub(in crate::fake) fn end(&mut self, id: &str, code: i32, out_of_memory: bool) {
        let at = self.stamps.now();
        if self.runs(id) {
            let ending = Ending {
                at,
                code,
                out_of_memory,
            };
            self.bury(id, ending);
        }
    }

    pub(in crate::fake) fn tenant(&self, id: &str) -> Result<&Tenant, Fault> {
        self.tenants.get(id).ok_or_else(|| no_container(id))
    }

    /// A container that runs, or what is the matter with it.
    pub(in crate::fake) fn running(&mut self, id: &str) -> Result<&mut Tenant, Fault> {
        let tenant = self.tenants.get_mut(id).ok_or_else(|| no_container(id))?;
        if tenant.actor.is_none() {
            let state = tenant.state().as_str_name();
            return Err(refused("UNKNOWN", format!("container is in {state} state")));
        }
        Ok(tenant)
    }

    pub(in crate::fake) fn reopen(&mut self, id: &str) -> Result<(), Fault> {
        let tenant = self.running(id)?;
        match tenant.log.as_mut().map(Log::reopen) {
            None | Some(Ok(())) => Ok(()),
            Some(Err(fault)) => Err(refused("UNKNOWN", fault.to_string())),
        }
    }

    pub(in crate::fake) fn list_tenants(&self, filter: &ContainerFilter) -> Vec<Container> {
        let tenants = self.tenants.iter().filter(|(id, tenant)| {
            fits_id(&filter.id, id)
                && fits_id(&filter.pod_sandbox_id, &tenant.room)
                && filter
                    .state
                    .is_none_or(|wanted| wanted.state() == tenant.state())
                && fits_labels(&filter.label_selector, &tenant.config.labels)
        });
        tenants.map(|(id, tenant)| tenant.listed(id)).collect()
    }

    pub(super) fn bury(&mut self, id: &str, ending: Ending) {
        let stamp = self.stamps.at(ending.at);
        let Some(tenant) = self.tenants.get_mut(id) else {
            return;
        };
        if let Some(mut log) = tenant.log.take() {
            let said = tenant.actor.as_mut().map(Actor::take_said);
            for said in said.unwrap_or_default() {
                log.write(self.stamps.at(said.at), said.stream, &said.text);
            }
            log.end(stamp);
        }
        tenant.actor = None;
        tenant.finished_at = stamp;
        tenant.exit_code = ending.code;
        tenant.reason = match ending {
            Ending {
                out_of_memory: true,
                ..
            } => "OOMKilled",
            Ending { code: 0, .. } => "Completed",
            _ => "Error",
        };
        self.happened(id, ContainerEventType::ContainerStoppedEvent);
    }
}

impl Tenant {
    /// Its log and its program, where that runs.
    pub(super) fn acting(&mut self) -> Option<(&mut Option<Log>, &mut Actor)> {
        Some((&mut self.log, self.actor.as_mut()?))
    }

    pub(super) fn state(&self) -> ContainerState {
        match (&self.actor, self.finished_at) {
            (Some(_), _) => ContainerState::ContainerRunning,
            (None, 0) => ContainerState::ContainerCreated,
            (None, _) => ContainerState::ContainerExited,
        }
    }

    pub(in crate::fake) fn environment(&self) -> BTreeMap<String, String> {
        environment(&self.config)
    }

    /// What it was asked to be.
    pub(in crate::fake) fn config(&self) -> &ContainerConfig {
        &self.config
    }

    pub(in crate::fake) fn config_mut(&mut self) -> &mut ContainerConfig {
        &mut self.config
    }

    fn listed(&self, id: &str) -> Container {
        Container {
            id: id.to_owned(),
            pod_sandbox_id: self.room.clone(),
            metadata: self.config.metadata.clone(),
            image: self.config.image.clone(),
            image_ref: self.image_id.clone(),
            state: self.state().into(),
            created_at: self.created_at,
            labels: self.config.labels.clone(),
            annotations: self.config.annotations.clone(),
            image_id: String::new(),
        }
    }

    pub(in crate::fake) fn status(&self, id: &str) -> ContainerStatus {
        ContainerStatus {
            id: id.to_owned(),
            metadata: self.config.metadata.clone(),
            state: self.state().into(),
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            exit_code: self.exit_code,
            image: Some(ImageSpec {
                image: self.config.image.clone().unwrap_or_default().image,
                ..ImageSpec::default()
            }),
            image_ref: self.image_ref.clone(),
            reason: self.reason.to_owned(),
            message: self.message.clone(),
            labels: self.config.labels.clone(),
            annotations: self.config.annotations.clone(),
            mounts: self.config.mounts.clone(),
            log_path: self.log_path.clone(),
            resources: Some(ContainerResources {
                linux: self
                    .config
                    .linux
                    .as_ref()
                    .and_then(|linux| linux.resources.clone()),
            }),
            image_id: String::new(),
            user: None,
        }
    }
}

fn environment(config: &ContainerConfig) -> BTreeMap<String, String> {
    let variables = config.envs.iter();
    variables
        .map(|one| {
            (
                one.key.clone(),
                String::from_utf8_lossy(&one.value).into_owned(),
            )
        })
        .collect()
}

fn is_privileged(config: &ContainerConfig) -> bool {
    let security = config
        .linux
        .as_ref()
        .and_then(|linux| linux.security_context.as_ref());
    security.is_some_and(|context| context.privileged)
}
