//! The rules of one pod name, in their order.

use crate::{
    action::{Action, Cause},
    desk::{Decision, Desk, Facts, Runtime, Stop, Why},
    ending::GRACE,
    memory::{Ending, Remembered},
    seen::{Owner, SeenSandbox},
    wanted::Wanted,
};

/// What to do about one pod name now. Pure: the same facts and memory give the same decision,
/// and orders under way are not given again.
///
/// What a list of the runtime cannot tell is written into `memory`.
#[must_use]
pub fn decide(facts: Facts<'_>, memory: &mut Remembered) -> Decision {
    let mut desk = Desk {
        facts,
        memory,
        out: Decision::default(),
        blocked: false,
    };
    desk.out.alive = facts.seen.ours().any(SeenSandbox::alive) || desk.starts().next().is_some();
    if facts.runtime == Runtime::Down {
        desk.wait(None, Why::RuntimeDown, None);
        desk.out.ready = desk.was_ready();
        return desk.out;
    }
    desk.memory.prune(facts.seen);
    if !desk.out.alive {
        desk.memory.kept.ports.clear();
    }
    match (facts.stop, facts.wanted) {
        (Stop::Now { grace }, wanted) => desk.stop(wanted, grace),
        (Stop::Hold, _) => {
            desk.go_on_ending();
            desk.wait(None, Why::StopOrder, None);
        }
        (Stop::No, None) if facts.gone => desk.remove(),
        (Stop::No, None) => {
            desk.go_on_ending();
            desk.wait(None, Why::SourceIncomplete, None);
        }
        (Stop::No, Some(wanted)) => desk.keep(wanted),
    }
    desk.out
}

impl<'a> Desk<'a> {
    /// Readiness while nothing can be asked: what was true stays true.
    fn was_ready(&self) -> bool {
        let newest = |w: &Wanted| self.facts.seen.newest(&w.uid, &w.revision);
        let wanted = self.facts.wanted;
        wanted.is_some_and(|w| {
            self.memory.terminal().is_some_and(|end| end.succeeded)
                || newest(w).is_some_and(|sandbox| {
                    self.memory.ending(&sandbox.id).is_none()
                        && Self::usable(sandbox, w)
                        && self.pod_ready(sandbox, w)
                })
        })
    }

    /// Finishes what was begun, where nothing else may be touched.
    fn go_on_ending(&mut self) {
        for sandbox in self.facts.seen.ours() {
            if let Some(cause) = self.memory.ending(&sandbox.id) {
                self.end(sandbox, cause, sandbox.grace.unwrap_or(GRACE));
            }
        }
    }

    /// Stops all that is ours, and leaves it to be found.
    fn stop(&mut self, wanted: Option<&Wanted>, limit: Option<std::time::Duration>) {
        self.cancel(|_| true);
        self.wait(None, Why::Stopping(Cause::StopAll), None);
        for sandbox in self.facts.seen.ours().filter(|sandbox| sandbox.alive()) {
            let own = sandbox.grace.or(wanted.map(|w| w.grace)).unwrap_or(GRACE);
            self.end(
                sandbox,
                Cause::StopAll,
                limit.map_or(own, |limit| limit.min(own)),
            );
        }
    }

    /// The manifest is gone: so goes everything that was made from it, and what a kubelet has
    /// left under this name, where we take over from it.
    fn remove(&mut self) {
        self.memory.let_go();
        self.memory.begin_anew();
        self.memory.requests.pod = false;
        self.cancel(|_| true);
        if self.facts.take_over {
            for sandbox in self.facts.seen.sandboxes.iter() {
                if sandbox.owner == Owner::Kubelet && sandbox.alive() {
                    self.take_over(sandbox);
                }
            }
        }
        for sandbox in self.facts.seen.ours() {
            let grace = sandbox.grace.unwrap_or(GRACE);
            if self.end(sandbox, Cause::Removed, grace) {
                self.purge(sandbox);
            } else {
                self.wait(None, Why::Stopping(Cause::Removed), None);
            }
        }
        self.clean(None);
    }

    /// A version is wanted: what does not belong to it goes, then it runs.
    fn keep(&mut self, wanted: &'a Wanted) {
        self.memory.turn_to(wanted, self.facts.boot);
        let newest = self.facts.seen.newest(&wanted.uid, &wanted.revision);
        self.make_room_from_strangers();
        self.make_room_from_ours(wanted, newest);
        self.clean(Some(wanted));
        self.serve_request(newest);
        self.run(wanted, newest);
        if self.memory.terminal().is_some() {
            self.rest(wanted, newest);
        }
        self.sweep(wanted);
    }

    /// Sandboxes of this name that somebody else made: stopped where we take over from a
    /// kubelet, waited for everywhere else.
    fn make_room_from_strangers(&mut self) {
        let sandboxes = self.facts.seen.sandboxes.iter();
        for sandbox in sandboxes.filter(|sandbox| sandbox.alive()) {
            match &sandbox.owner {
                Owner::Us => {}
                Owner::Kubelet if self.facts.take_over => {
                    self.take_over(sandbox);
                    self.blocked = true;
                }
                Owner::Kubelet => {
                    self.blocked = true;
                    self.wait(None, Why::ForeignOwner("a kubelet".into()), None);
                }
                Owner::Foreign(who) => {
                    self.blocked = true;
                    self.wait(None, Why::ForeignOwner(who.clone()), None);
                }
            }
        }
    }

    /// A kubelet's sandbox stops as its own kubelet would stop it, and is left to be found.
    fn take_over(&mut self, sandbox: &SeenSandbox) {
        if !self.end(sandbox, Cause::TakenOver, sandbox.grace.unwrap_or(GRACE)) {
            self.wait(None, Why::Stopping(Cause::TakenOver), None);
        }
    }

    /// Our sandboxes of other versions, and older ones of this version, stop completely before
    /// anything of this version starts.
    fn make_room_from_ours(&mut self, wanted: &Wanted, newest: Option<&SeenSandbox>) {
        for sandbox in self.facts.seen.ours() {
            if newest.is_some_and(|newest| newest.id == sandbox.id) {
                continue;
            }
            let same = sandbox.is(&wanted.uid, &wanted.revision);
            let (cause, grace) = if same {
                (Cause::Superseded, sandbox.grace.unwrap_or(wanted.grace))
            } else {
                (Cause::Edited, sandbox.grace.unwrap_or(GRACE))
            };
            if (sandbox.alive() || !same) && !self.end(sandbox, cause, grace) {
                self.blocked = true;
                self.wait(None, Why::Stopping(cause), None);
            } else if !same {
                self.purge(sandbox);
            }
        }
        let other = |action: &Action| match action {
            Action::CreateSandbox { uid, revision, .. } => {
                *uid != wanted.uid || *revision != wanted.revision
            }
            Action::StartContainer { sandbox, .. } => newest.is_none_or(|new| new.id != *sandbox),
            _ => false,
        };
        if self.cancel(other) {
            self.blocked = true;
        }
    }

    /// A restart of the whole pod by request: a new sandbox, whatever the policy.
    fn serve_request(&mut self, newest: Option<&SeenSandbox>) {
        if !std::mem::take(&mut self.memory.requests.pod) {
            return;
        }
        self.memory.begin_anew();
        if let Some(newest) = newest {
            let notes = self.memory.notes(&newest.id);
            let ending = notes.ending.get_or_insert_with(|| Ending {
                cause: Cause::RestartRequested,
                left: newest.grace.unwrap_or(GRACE),
                deadline: None,
                pre_stopped: std::collections::BTreeSet::new(),
            });
            ending.cause = Cause::RestartRequested;
        }
    }

    /// Brings the wanted version to life, or a step nearer.
    fn run(&mut self, wanted: &Wanted, newest: Option<&SeenSandbox>) {
        if let Some(newest) = newest {
            if let Some(cause) = self.memory.ending(&newest.id) {
                if !self.end(newest, cause, wanted.grace) {
                    self.wait(None, Why::Stopping(cause), None);
                    return;
                }
            } else {
                self.observe(newest, wanted);
            }
            self.count_time(wanted);
        }
        if self.memory.terminal().is_some() {
            return;
        }
        let fit = |sandbox: &&SeenSandbox| {
            self.memory.ending(&sandbox.id).is_none() && Self::usable(sandbox, wanted)
        };
        if let Some(sandbox) = newest.filter(fit) {
            self.memory.gate_passed = false;
            self.memory.kept.ports.clone_from(&wanted.host_ports);
            self.memory.kept.version.terminal = self.inside(sandbox, wanted);
            self.out.ready = self.pod_ready(sandbox, wanted);
            return;
        }
        if let Some(newest) = newest
            && !self.end_dead(newest, wanted)
        {
            return;
        }
        match self.ended_with_its_sandbox(wanted, newest) {
            Some(end) => self.memory.kept.version.terminal = Some(end),
            None => self.open(wanted),
        }
    }

    /// Stops what is left in a sandbox that cannot be used; `true` when nothing is.
    fn end_dead(&mut self, newest: &SeenSandbox, wanted: &Wanted) -> bool {
        let cause = self.memory.ending(&newest.id);
        let cause = cause.unwrap_or(Cause::SandboxChanged);
        let ended = self.end(newest, cause, wanted.grace);
        if !ended {
            self.wait(None, Why::Stopping(cause), None);
        }
        ended
    }

    /// A pod that ended keeps its records and nothing that runs.
    fn rest(&mut self, wanted: &Wanted, newest: Option<&SeenSandbox>) {
        self.out.ready = self.memory.terminal().is_some_and(|end| end.succeeded);
        self.cancel(|_| true);
        if let Some(newest) = newest
            && newest.alive()
        {
            let cause = match self.memory.terminal() {
                Some(end) if end.reason == "DeadlineExceeded" => Cause::DeadlineExceeded,
                _ => Cause::Finished,
            };
            self.end(newest, cause, wanted.grace);
            self.wait(None, Why::Stopping(cause), None);
        }
    }

    /// Counts how long the pod has been active, and ends it when that is too long.
    fn count_time(&mut self, wanted: &Wanted) {
        let now = self.facts.now;
        self.memory.active_since.get_or_insert(now);
        let Some(limit) = wanted.active_deadline else {
            return;
        };
        if self.memory.terminal().is_some() {
            return;
        }
        let left = limit.saturating_sub(self.memory.active_for(now));
        if left.is_zero() {
            let message = "the pod was active on the node longer than the specified deadline";
            let end = self.terminal_now(false, "DeadlineExceeded", message);
            self.memory.kept.version.terminal = Some(end);
        } else {
            self.wait(None, Why::Deadline, Some(now + left));
        }
    }
}
