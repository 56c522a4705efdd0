//! What orders do to the world.

use super::*;

impl World {
    pub(super) fn effect(&mut self, taken: &Taken) -> Outcome {
        let order = &taken.order;
        let wall = self.wall;
        match &order.action {
            Action::CreateSandbox { .. } => return self.create(taken),
            Action::StartContainer { .. } => return self.start(order),
            Action::KillContainer { container, .. } => {
                if let Some((_, container)) = self.find(container)
                    && container.alive()
                {
                    container.state = exit(137, wall);
                }
            }
            Action::StopSandbox { sandbox, .. } => {
                for (_, seen) in self.boxes.iter_mut().filter(|(_, s)| s.id == *sandbox) {
                    let alive = seen.containers.iter().any(SeenContainer::alive);
                    assert!(!alive, "a sandbox was stopped under its containers");
                    seen.ready = false;
                }
            }
            Action::RemoveContainer { container } => {
                let alive = self.find(container).is_some_and(|(_, c)| c.alive());
                assert!(!alive, "a running container was removed");
                self.drop_container(container);
            }
            Action::RemoveSandbox { sandbox } => {
                let gone = self.boxes.iter().filter(|(_, seen)| seen.id == *sandbox);
                let alive = gone.clone().any(|(_, seen)| seen.alive());
                assert!(!alive, "a sandbox was removed alive");
                self.boxes.retain(|(_, seen)| seen.id != *sandbox);
            }
            Action::CleanPod { uid, .. } => {
                let alive = self.boxes.iter().any(|(_, seen)| {
                    seen.uid == *uid && seen.alive() && !self.ledger.late.contains(&seen.id)
                });
                assert!(!alive, "directories of {uid} were taken away alive");
                self.dirs.remove(uid);
            }
            Action::PreStop { .. } | Action::Cancel { .. } => {}
        }
        Outcome::Done
    }

    pub(super) fn create(&mut self, taken: &Taken) -> Outcome {
        let order = &taken.order;
        let (
            Some(key),
            Action::CreateSandbox {
                uid,
                revision,
                attempt,
                boot,
            },
        ) = (&order.key, &order.action)
        else {
            return Outcome::Lost;
        };
        let late = self.late.iter().any(|late| {
            matches!(&late.order.action, Action::CreateSandbox { uid: other, attempt: n, .. }
                if other == uid && n == attempt)
        });
        let holds = |seen: &SeenSandbox| seen.uid == *uid && seen.attempt == *attempt;
        if late || self.boxes.iter().any(|(_, seen)| holds(seen)) {
            return failed(FailureClass::NameReserved);
        }
        let wanted = &self.versions[&(uid.clone(), revision.clone())];
        self.judge_ports(key, wanted);
        self.serial += 1;
        let id = format!("s{}", self.serial);
        self.ledger.born.insert(id.clone(), taken.born);
        self.dirs.insert(uid.clone());
        let address = (!wanted.host_network).then(|| "10.0.0.1".parse().unwrap());
        self.boxes.push((
            key.clone(),
            SeenSandbox {
                id,
                owner: Owner::Us,
                uid: uid.clone(),
                revision: revision.clone(),
                source: wanted.source.clone(),
                boot: Some(boot.clone()),
                attempt: *attempt,
                ready: true,
                created: self.wall,
                host_network: wanted.host_network,
                ips: Some(address.into_iter().collect()),
                grace: Some(wanted.grace),
                containers: Vec::new(),
            },
        ));
        Outcome::Done
    }

    pub(super) fn start(&mut self, order: &Order) -> Outcome {
        let (
            Some(key),
            Action::StartContainer {
                sandbox,
                name,
                attempt,
                sidecar,
                ..
            },
        ) = (&order.key, &order.action)
        else {
            return Outcome::Lost;
        };
        let Some(at) = self
            .boxes
            .iter()
            .position(|(_, s)| s.id == *sandbox && s.ready)
        else {
            return failed(FailureClass::Other);
        };
        let uid = self.boxes[at].1.uid.clone();
        let revision = self.boxes[at].1.revision.clone();
        let taken = self.boxes.iter().any(|(_, seen)| {
            let mut all = seen.containers.iter();
            seen.uid == uid && all.any(|c| c.name == *name && c.attempt == *attempt)
        });
        if taken {
            return failed(FailureClass::NameReserved);
        }
        let wanted = Arc::clone(&self.versions[&(uid, revision)]);
        self.judge_start(key, &wanted, sandbox, name);
        self.serial += 1;
        self.boxes[at].1.containers.push(SeenContainer {
            id: format!("c{}", self.serial),
            name: name.clone(),
            attempt: *attempt,
            state: ContainerState::Running { started: self.wall },
            pre_stop: false,
            sidecar: *sidecar,
            created: self.wall,
            image: "image".into(),
            image_id: "sha256:image".into(),
        });
        Outcome::Done
    }
}
