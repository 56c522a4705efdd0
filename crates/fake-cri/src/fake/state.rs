//! Sandboxes and containers, and the rules that containerd has for them.

use std::collections::{BTreeMap, BTreeSet};

use cri::v1::{ContainerEventResponse, ContainerEventType};

use super::{images::Images, times::Stamps};

pub(super) use rooms::Room;
pub(super) use tenants::Tenant;

mod rooms;
mod tenants;

/// What a container that nobody saw end is given.
const LOST: i32 = 255;

/// Everything a runtime knows.
pub(super) struct World {
    pub(super) stamps: Stamps,
    pub(super) rooms: BTreeMap<String, Room>,
    pub(super) tenants: BTreeMap<String, Tenant>,
    pub(super) images: Images,
    /// Names that are taken, and by whom.
    names: BTreeMap<String, String>,
    /// Containers in which something will happen by itself. Of thousands, most only wait.
    busy: BTreeSet<String>,
    born: u64,
    pub(super) has_events: bool,
    pub(super) has_logs: bool,
    pub(super) has_network: bool,
    pub(super) handlers: BTreeSet<String>,
    /// All that happened, for those who listen.
    pub(super) events: Vec<ContainerEventResponse>,
}

impl World {
    pub(super) fn new(stamps: Stamps) -> Self {
        Self {
            stamps,
            rooms: BTreeMap::new(),
            tenants: BTreeMap::new(),
            images: Images::default(),
            names: BTreeMap::new(),
            busy: BTreeSet::new(),
            born: 0,
            has_events: false,
            has_logs: true,
            has_network: true,
            handlers: [String::new(), "runc".to_owned()].into(),
            events: Vec::new(),
        }
    }

    /// Lets all happen that is due.
    pub(super) fn catch_up(&mut self) {
        let now = self.stamps.now();
        let mut ended = Vec::new();
        let mut idle = Vec::new();
        for id in &self.busy {
            let tenant = self.tenants.get_mut(id);
            let Some((tenant, actor)) = tenant.and_then(Tenant::acting) else {
                idle.push(id.clone());
                continue;
            };
            let ending = actor.play_until(now);
            for said in actor.take_said() {
                if let Some(log) = tenant.as_mut() {
                    log.write(self.stamps.at(said.at), said.stream, &said.text);
                }
            }
            match ending {
                Some(ending) => ended.push((id.clone(), ending)),
                None if actor.is_idle() => idle.push(id.clone()),
                None => {}
            }
        }
        for id in idle {
            self.busy.remove(&id);
        }
        for (id, ending) in ended {
            self.bury(&id, ending);
        }
    }

    /// Not even a memory is left but of the images.
    pub(super) fn wipe(&mut self) {
        self.rooms.clear();
        self.tenants.clear();
        self.names.clear();
        self.busy.clear();
    }

    /// Nothing runs any more, and nobody saw it end.
    pub(super) fn power_cut(&mut self) {
        let now = self.stamps.now();
        for tenant in self.tenants.values_mut() {
            if tenant.actor.take().is_some() {
                tenant.log = None;
                tenant.exit_code = LOST;
                tenant.reason = "Unknown";
                tenant.finished_at = self.stamps.at(now);
            }
        }
        for room in self.rooms.values_mut() {
            room.is_ready = false;
        }
    }

    fn tenants_of(&self, room: &str) -> Vec<String> {
        let tenants = self
            .tenants
            .iter()
            .filter(|(_, tenant)| tenant.room == room);
        tenants.map(|(id, _)| id.clone()).collect()
    }

    fn happened(&mut self, id: &str, kind: ContainerEventType) {
        if !self.has_events {
            return;
        }
        let room = self.tenants.get(id).map_or(id, |tenant| &tenant.room);
        self.events.push(ContainerEventResponse {
            container_id: id.to_owned(),
            container_event_type: kind.into(),
            created_at: self.stamps.at(self.stamps.now()),
            pod_sandbox_status: self.room_status(room).ok(),
            containers_statuses: self
                .tenants
                .get(id)
                .map(|tenant| tenant.status(id))
                .into_iter()
                .collect(),
        });
    }

    fn new_id(&mut self) -> String {
        self.born += 1;
        // The parts of an id that tools show must differ.
        format!("{:013x}{:051x}", self.born, self.born)
    }
}

/// containerd takes the beginning of an id for the id.
fn fits_id(wanted: &str, id: &str) -> bool {
    id.starts_with(wanted)
}

fn fits_labels(wanted: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    wanted
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}
