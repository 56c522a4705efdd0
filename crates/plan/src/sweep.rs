//! What is removed: dead containers but the newest of each name, dead sandboxes but the newest,
//! everything of versions that nobody wants, and their directories.

use std::collections::BTreeSet;

use crate::{
    action::{Action, Cause},
    desk::{Desk, Why},
    retries::Subject,
    seen::{ContainerState, SeenContainer, SeenSandbox},
    wanted::Wanted,
};

impl Desk<'_> {
    /// Removes a dead sandbox and all that is in it.
    pub(crate) fn purge(&mut self, sandbox: &SeenSandbox) {
        for container in &sandbox.containers {
            self.remove_container(container);
        }
        if sandbox.containers.is_empty() {
            self.remove_sandbox(sandbox);
        }
    }

    /// Removes what the wanted version has no use for any more.
    pub(crate) fn sweep(&mut self, wanted: &Wanted) {
        let seen = self.facts.seen;
        let newest = seen.newest(&wanted.uid, &wanted.revision);
        let ours: Vec<&SeenSandbox> = seen
            .ours()
            .filter(|sandbox| sandbox.is(&wanted.uid, &wanted.revision))
            .collect();
        let names: BTreeSet<&str> = ours
            .iter()
            .flat_map(|sandbox| sandbox.containers.iter().map(|c| c.name.as_str()))
            .collect();
        for name in names {
            self.sweep_name(wanted, name);
        }
        for sandbox in ours {
            let last = newest.is_some_and(|newest| newest.id == sandbox.id);
            if last || sandbox.alive() {
                continue;
            }
            if sandbox.containers.is_empty() || self.was_replaced(sandbox) {
                self.purge(sandbox);
            }
        }
    }

    /// Whether a sandbox ended for another content, or for none, before its own came back: what
    /// happened in it is not the past of what runs now.
    fn was_replaced(&self, sandbox: &SeenSandbox) -> bool {
        let cause = self.memory.ending(&sandbox.id);
        matches!(cause, Some(Cause::Edited | Cause::Removed))
    }

    fn sweep_name(&mut self, wanted: &Wanted, name: &str) {
        let mut kept = false;
        for (sandbox, container) in self.facts.seen.instances(&wanted.uid, name) {
            match container.state {
                ContainerState::Exited(_) if kept => self.remove_container(container),
                ContainerState::Exited(_) => kept = true,
                // Made and never started: the start was cut off, and nobody will go on with it.
                ContainerState::Created if !self.starting(&sandbox.id, name) => {
                    self.remove_container(container);
                }
                _ => {}
            }
        }
    }

    pub(crate) fn remove_container(&mut self, container: &SeenContainer) {
        let action = Action::RemoveContainer {
            container: container.id.clone(),
        };
        if container.alive() || self.busy(&container.id) || self.out.actions.contains(&action) {
            return;
        }
        self.give_unless_failed(&Subject::Remove(container.id.clone()), action);
    }

    fn remove_sandbox(&mut self, sandbox: &SeenSandbox) {
        let entered = self.starts().any(|flight| {
            matches!(&flight.action, Action::StartContainer { sandbox: id, .. } if *id == sandbox.id)
        });
        if entered || self.busy(&sandbox.id) {
            return;
        }
        self.give_unless_failed(
            &Subject::Remove(sandbox.id.clone()),
            Action::RemoveSandbox {
                sandbox: sandbox.id.clone(),
            },
        );
    }

    /// Whether the wanted version runs although its directories were to be removed first. One
    /// that was ordered before its manifest went away and came back, and that has nothing in it
    /// yet, goes with the directories instead.
    fn begun_already(&mut self, wanted: &Wanted) -> bool {
        let newest = self.facts.seen.newest(&wanted.uid, &wanted.revision);
        let Some(newest) = newest.filter(|newest| newest.alive()) else {
            return false;
        };
        if self.memory.ending(&newest.id).is_some() {
            return false;
        }
        if newest.containers.is_empty() {
            self.end(newest, Cause::Edited, wanted.grace);
            self.memory.kept.unclean.insert(wanted.uid.clone());
        }
        !newest.containers.is_empty()
    }

    /// Removes the directories of uids that lost their manifest, once nothing of theirs is in
    /// the runtime. A version that is to start with such a uid waits for it.
    pub(crate) fn clean(&mut self, wanted: Option<&Wanted>) {
        for uid in self.memory.kept.unclean.clone() {
            let mine = wanted.filter(|wanted| wanted.uid == uid);
            if let Some(wanted) = mine {
                if self.begun_already(wanted) {
                    self.memory.kept.unclean.remove(&uid);
                    continue;
                }
                self.blocked = true;
                self.wait(None, Why::Cleaning, None);
            }
            let in_use = self.facts.seen.ours().any(|sandbox| {
                sandbox.uid == uid
                    && (sandbox.alive()
                        || mine.is_none_or(|wanted| !sandbox.is(&uid, &wanted.revision)))
            });
            let at_work = self.facts.flights.iter().any(|flight| {
                flight.action.starts()
                    || matches!(&flight.action, Action::CleanPod { uid: other, .. } if *other == uid)
            });
            if !in_use && !at_work {
                self.give_unless_failed(
                    &Subject::Clean(uid.clone()),
                    Action::CleanPod {
                        uid: uid.clone(),
                        logs: mine.is_none(),
                    },
                );
            }
        }
    }
}
