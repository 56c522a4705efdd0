//! What must hold whenever an order is given and whenever it takes effect.

use super::*;

impl World {
    pub(super) fn judge_start(&mut self, key: &PodKey, wanted: &Wanted, sandbox: &str, name: &str) {
        for (other, seen) in &self.boxes {
            let alive = seen.containers.iter().any(SeenContainer::alive);
            assert!(
                other != key || seen.id == *sandbox || !alive,
                "{key}: {name} started in {sandbox} beside {}",
                seen.id
            );
        }
        let here = |name: &str| (sandbox.to_owned(), name.to_owned());
        assert!(
            !self.ledger.completed.contains(&here(name)),
            "{key}: {name} ran twice in {sandbox}"
        );
        for before in wanted.init.iter().take_while(|before| before.name != name) {
            let passed = match before.kind {
                Kind::Sidecar => self.ledger.started.contains(&here(&before.name)),
                _ => self.ledger.completed.contains(&here(&before.name)),
            };
            assert!(passed, "{key}: {name} started before {}", before.name);
        }
        if wanted
            .container(name)
            .is_some_and(|c| c.kind == Kind::Sidecar && !c.has.startup_probe)
        {
            self.ledger.started.insert(here(name));
        }
        let current = self
            .manifests
            .get(key)
            .is_some_and(|w| w.revision == wanted.revision);
        assert!(
            !current || !self.ledger.done.contains(&(key.clone(), name.to_owned())),
            "{key}: {name} ended well and ran again"
        );
        // A start that crossed with a request to restart counts for what is being stopped.
        let view = self.planner.view(key);
        let ending = view.is_some_and(|view| view.remembered().ending(sandbox).is_some());
        if wanted.restart == RestartPolicy::Never && current && !ending {
            let ran = self.ledger.ran.entry(key.clone());
            let first = ran.or_insert_with(|| sandbox.to_owned());
            assert_eq!(first, sandbox, "{key} ran twice in one boot");
        }
    }

    /// No two pods that live have a port of the node in common.
    pub(super) fn judge_ports(&self, key: &PodKey, wanted: &Wanted) {
        for (other, seen) in self.boxes.iter().filter(|(_, seen)| seen.alive()) {
            let version = (seen.uid.clone(), seen.revision.clone());
            let theirs = self.versions.get(&version);
            let theirs = theirs.into_iter().flat_map(|theirs| &theirs.host_ports);
            let mut both = theirs.flat_map(|port| wanted.host_ports.iter().map(move |p| (port, p)));
            let meet = other != key && both.any(|(theirs, own)| theirs.overlaps(own));
            let late = self.too_late || self.ledger.late.contains(&seen.id);
            assert!(late || !meet, "{key} took a port that {other} holds");
        }
    }

    /// Whether an order may be given at all.
    pub(super) fn judge(&self, order: &Order) {
        let Some(key) = &order.key else { return };
        let (target, cause) = match &order.action {
            Action::CreateSandbox { .. } => {
                let wanted = &self.manifests[key];
                for path in &wanted.gates.paths {
                    assert!(self.paths.contains(path), "{key} started before {path}");
                }
                for pod in &wanted.gates.pods {
                    let ready = self.planner.view(pod).is_some_and(|view| view.ready());
                    assert!(ready, "{key} started before {pod}");
                }
                return;
            }
            Action::KillContainer {
                container, cause, ..
            } => (container, *cause),
            Action::StopSandbox { sandbox, cause } => (sandbox, *cause),
            Action::RemoveContainer { container } => (container, Cause::Unlisted),
            Action::RemoveSandbox { sandbox } => (sandbox, Cause::Unlisted),
            _ => return,
        };
        let of = |seen: &SeenSandbox| {
            seen.id == *target || seen.containers.iter().any(|c| c.id == *target)
        };
        let Some((_, sandbox)) = self.boxes.iter().find(|(_, seen)| of(seen)) else {
            return;
        };
        assert!(
            !matches!(sandbox.owner, Owner::Foreign(_)),
            "a stranger was touched: {order:?}"
        );
        assert!(
            sandbox.owner == Owner::Us || cause == Cause::TakenOver,
            "a kubelet's sandbox was touched: {order:?}"
        );
        if sandbox.owner == Owner::Us && cause != Cause::Unlisted {
            assert!(
                self.excused(key, sandbox, target, cause),
                "no reason: {order:?}"
            );
        }
    }

    pub(super) fn excused(
        &self,
        key: &PodKey,
        sandbox: &SeenSandbox,
        target: &str,
        cause: Cause,
    ) -> bool {
        let view = self.planner.view(key);
        let changes = self.ledger.changes.get(key).copied().unwrap_or_default();
        match cause {
            Cause::Removed | Cause::Edited => {
                changes > self.ledger.born[&sandbox.id] || self.ledger.late_pods.contains(key)
            }
            Cause::RestartRequested => true,
            Cause::StopAll => false,
            Cause::Superseded => self.boxes.iter().any(|(other, newer)| {
                other == key && newer.uid == sandbox.uid && newer.attempt > sandbox.attempt
            }),
            Cause::SandboxChanged => !sandbox.ready,
            Cause::Finished => view.is_some_and(|view| view.terminal().is_some()),
            Cause::Liveness | Cause::Startup => self.ledger.bad_verdicts.contains(target),
            Cause::PostStart => self.ledger.bad_hooks.contains(target),
            Cause::DeadlineExceeded => self
                .manifests
                .get(key)
                .is_some_and(|w| w.active_deadline.is_some()),
            Cause::TakenOver | Cause::Unlisted | Cause::StateUnknown | Cause::RestartAll => false,
        }
    }
}
