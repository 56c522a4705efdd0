//! Sandboxes.

use cri::{
    Fault,
    v1::{
        ContainerEventType, LinuxPodSandboxStatus, Namespace, NamespaceMode, NamespaceOption,
        PodSandbox, PodSandboxConfig, PodSandboxFilter, PodSandboxNetworkStatus, PodSandboxState,
        PodSandboxStatus, RunPodSandboxRequest,
    },
};

use super::{LOST, World, fits_id, fits_labels};
use crate::fake::{
    actor::KILLED,
    words::{no_sandbox, refused, reserved},
};

/// A sandbox.
pub(in crate::fake) struct Room {
    pub(in crate::fake) config: PodSandboxConfig,
    /// The name that it takes.
    name: String,
    handler: String,
    created_at: i64,
    pub(in crate::fake) is_ready: bool,
    ip: String,
}

impl World {
    pub(in crate::fake) fn run_room(
        &mut self,
        request: RunPodSandboxRequest,
    ) -> Result<String, Fault> {
        let invalid = |message: &str| refused("UNKNOWN", message.to_owned());
        let config = request.config.unwrap_or_default();
        let name = config
            .metadata
            .as_ref()
            .ok_or_else(|| invalid("sandbox config must include metadata"))?;
        if !self.handlers.contains(&request.runtime_handler) {
            let handler = &request.runtime_handler;
            return Err(invalid(&format!(
                "no runtime for \"{handler}\" is configured"
            )));
        }
        let name = format!(
            "{}_{}_{}_{}",
            name.name, name.namespace, name.uid, name.attempt
        );
        if let Some(holder) = self.names.get(&name) {
            return Err(reserved("sandbox", &name, holder));
        }
        let on_node = namespaces_of_room(&config).network() == NamespaceMode::Node;
        if !on_node && !self.has_network {
            return Err(invalid(
                "failed to setup network for sandbox: cni plugin not initialized",
            ));
        }
        let id = self.new_id();
        let ip = if on_node {
            String::new()
        } else {
            format!("10.56.{}.{}", self.born / 250 % 250, self.born % 250 + 2)
        };
        let room = Room {
            config,
            name: name.clone(),
            handler: request.runtime_handler,
            created_at: self.stamps.at(self.stamps.now()),
            is_ready: true,
            ip,
        };
        self.names.insert(name, id.clone());
        self.rooms.insert(id.clone(), room);
        self.happened(&id, ContainerEventType::ContainerCreatedEvent);
        self.happened(&id, ContainerEventType::ContainerStartedEvent);
        Ok(id)
    }

    pub(in crate::fake) fn stop_room(&mut self, id: &str) {
        for tenant in self.tenants_of(id) {
            self.kill(&tenant, KILLED);
        }
        self.close(id);
    }

    pub(in crate::fake) fn remove_room(&mut self, id: &str) {
        self.stop_room(id);
        for tenant in self.tenants_of(id) {
            self.remove_tenant(&tenant);
        }
        if let Some(room) = self.rooms.remove(id) {
            self.names.remove(&room.name);
            self.happened(id, ContainerEventType::ContainerDeletedEvent);
        }
    }

    /// The first process of the sandbox is gone. Who shares its process namespace goes with it.
    pub(in crate::fake) fn kill_pause(&mut self, id: &str) {
        for tenant in self.tenants_of(id) {
            let shares = self.tenants.get(&tenant).is_some_and(|tenant| {
                let security = tenant
                    .config
                    .linux
                    .as_ref()
                    .and_then(|linux| linux.security_context.as_ref());
                let options = security.and_then(|context| context.namespace_options.clone());
                options.unwrap_or_default().pid() == NamespaceMode::Pod
            });
            if shares {
                self.kill(&tenant, KILLED);
            }
        }
        self.close(id);
    }

    /// The process that keeps the sandbox is gone, and with it all that it kept.
    pub(in crate::fake) fn kill_shim(&mut self, id: &str) {
        for tenant in self.tenants_of(id) {
            self.kill(&tenant, LOST);
        }
        self.close(id);
    }

    fn close(&mut self, id: &str) {
        let open = self.rooms.get_mut(id).filter(|room| room.is_ready);
        if let Some(room) = open {
            room.is_ready = false;
            self.happened(id, ContainerEventType::ContainerStoppedEvent);
        }
    }

    pub(in crate::fake) fn room_status(&self, id: &str) -> Result<PodSandboxStatus, Fault> {
        let room = self.rooms.get(id).ok_or_else(|| no_sandbox(id))?;
        Ok(PodSandboxStatus {
            id: id.to_owned(),
            metadata: room.config.metadata.clone(),
            state: room.state().into(),
            created_at: room.created_at,
            network: Some(PodSandboxNetworkStatus {
                ip: if room.is_ready {
                    room.ip.clone()
                } else {
                    String::new()
                },
                additional_ips: Vec::new(),
            }),
            linux: Some(LinuxPodSandboxStatus {
                namespaces: Some(Namespace {
                    options: Some(namespaces_of_room(&room.config)),
                }),
            }),
            labels: room.config.labels.clone(),
            annotations: room.config.annotations.clone(),
            runtime_handler: room.handler.clone(),
        })
    }

    pub(in crate::fake) fn list_rooms(&self, filter: &PodSandboxFilter) -> Vec<PodSandbox> {
        let rooms = self.rooms.iter().filter(|(id, room)| {
            fits_id(&filter.id, id)
                && filter
                    .state
                    .is_none_or(|wanted| wanted.state() == room.state())
                && fits_labels(&filter.label_selector, &room.config.labels)
        });
        rooms
            .map(|(id, room)| PodSandbox {
                id: id.clone(),
                metadata: room.config.metadata.clone(),
                state: room.state().into(),
                created_at: room.created_at,
                labels: room.config.labels.clone(),
                annotations: room.config.annotations.clone(),
                runtime_handler: room.handler.clone(),
            })
            .collect()
    }
}

impl Room {
    /// Whether its containers may be privileged.
    pub(super) fn is_privileged(&self) -> bool {
        let linux = self.config.linux.as_ref();
        let security = linux.and_then(|linux| linux.security_context.as_ref());
        security.is_some_and(|context| context.privileged)
    }

    fn state(&self) -> PodSandboxState {
        match self.is_ready {
            true => PodSandboxState::SandboxReady,
            false => PodSandboxState::SandboxNotready,
        }
    }
}

fn namespaces_of_room(config: &PodSandboxConfig) -> NamespaceOption {
    let security = config
        .linux
        .as_ref()
        .and_then(|linux| linux.security_context.as_ref());
    security
        .and_then(|context| context.namespace_options.clone())
        .unwrap_or_default()
}
