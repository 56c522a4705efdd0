//! How a pod's sandbox is stopped: mains at once and together, then the sidecars from the last to
//! the first with what is left of the grace, then the sandbox itself.

use std::time::Duration;

use crate::{
    action::{Action, Cause},
    desk::{Desk, FLOOR, Why},
    memory::Ending,
    retries::Subject,
    seen::{Owner, SeenContainer, SeenSandbox},
};

/// The grace of a pod that nobody noted one for, as in the API.
pub(crate) const GRACE: Duration = Duration::from_secs(30);

impl Desk<'_> {
    /// Goes on stopping a sandbox; `true` once nothing of it is left alive. From the first call
    /// on there is no way back, and the grace can only shrink.
    pub(crate) fn end(&mut self, sandbox: &SeenSandbox, cause: Cause, grace: Duration) -> bool {
        let deadline = self.mark(sandbox, cause, grace);
        let left = deadline.saturating_sub(self.facts.now);
        let starts = self.cancel(
            |action| matches!(action, Action::StartContainer { sandbox: id, .. } if *id == sandbox.id),
        );
        let alive: Vec<&SeenContainer> = sandbox.containers.iter().filter(|c| c.alive()).collect();
        let (sidecars, others): (Vec<_>, Vec<_>) = alive
            .iter()
            .copied()
            .partition(|container| container.sidecar.is_some());
        for container in &others {
            self.kill(container, left, container.pre_stop, cause);
        }
        if others.is_empty() {
            if let Some(last) = sidecars.iter().max_by_key(|container| container.sidecar)
                && !self.hook_runs(last, left)
            {
                let hook = last.pre_stop && !self.hook_given(sandbox, last);
                self.kill(last, left, hook, cause);
            }
        } else {
            for sidecar in sidecars {
                self.pre_stop(sandbox, sidecar, left);
            }
        }
        if alive.is_empty() && !starts && sandbox.ready && !self.busy(&sandbox.id) {
            self.give_unless_failed(
                &Subject::Stop(sandbox.id.clone()),
                Action::StopSandbox {
                    sandbox: sandbox.id.clone(),
                    cause,
                },
            );
        }
        !starts && !sandbox.alive()
    }

    /// Notes that a sandbox is on its way out; until when its containers have time.
    fn mark(&mut self, sandbox: &SeenSandbox, cause: Cause, grace: Duration) -> Duration {
        let now = self.facts.now;
        let lost = matches!(cause, Cause::Removed | Cause::Edited);
        let known = self.memory.ending(&sandbox.id) == Some(cause);
        if lost && !known && sandbox.owner == Owner::Us {
            self.memory.kept.unclean.insert(sandbox.uid.clone());
        }
        let notes = self.memory.notes(&sandbox.id);
        let ending = notes.ending.get_or_insert_with(|| Ending {
            cause,
            left: grace,
            deadline: None,
            pre_stopped: std::collections::BTreeSet::new(),
        });
        ending.cause = cause;
        let until = ending.deadline.unwrap_or(now + ending.left);
        let deadline = until.min(now + grace);
        ending.deadline = Some(deadline);
        deadline
    }

    fn hook_given(&mut self, sandbox: &SeenSandbox, container: &SeenContainer) -> bool {
        let ending = &self.memory.notes(&sandbox.id).ending;
        ending
            .as_ref()
            .is_some_and(|ending| ending.pre_stopped.contains(&container.id))
    }

    /// Whether a sidecar's hook is still at work and has time left for it.
    fn hook_runs(&mut self, container: &SeenContainer, left: Duration) -> bool {
        let runs = self.facts.flights.iter().any(|flight| {
            matches!(&flight.action, Action::PreStop { container: id, .. } if *id == container.id)
        });
        let spare = left.saturating_sub(FLOOR);
        if !runs || spare.is_zero() {
            return false;
        }
        self.wait(None, Why::Working, Some(self.facts.now + spare));
        true
    }

    /// A sidecar's hook runs while the mains stop, though its own signal comes after them.
    fn pre_stop(&mut self, sandbox: &SeenSandbox, container: &SeenContainer, left: Duration) {
        if !container.pre_stop || self.hook_given(sandbox, container) || left.is_zero() {
            return;
        }
        if let Some(ending) = &mut self.memory.notes(&sandbox.id).ending {
            ending.pre_stopped.insert(container.id.clone());
        }
        self.give(Action::PreStop {
            container: container.id.clone(),
            name: container.name.clone(),
            limit: left,
        });
    }
}
