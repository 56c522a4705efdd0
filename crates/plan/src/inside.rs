//! The containers of a pod whose sandbox stands: init containers one after the other, sidecars
//! between them, then the mains; restarts by policy and back-off.

use std::time::Duration;

use crate::{
    action::{Action, Cause},
    desk::{Desk, Why},
    memory::Terminal,
    retries::Subject,
    seen::{ContainerState, Exit, SeenContainer, SeenSandbox},
    wanted::{ExitAction, Kind, RestartPolicy, Wanted, WantedContainer},
};

/// What follows when a container has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Restart,
    RestartAll,
    Nothing,
}

fn after(container: &WantedContainer, code: i32, well: bool) -> Next {
    let ruled = container.rules.iter().find(|rule| rule.fits(code));
    match ruled.map(|rule| rule.then) {
        Some(ExitAction::Restart) => return Next::Restart,
        Some(ExitAction::RestartAll) => return Next::RestartAll,
        None => {}
    }
    let again = match (container.kind, container.restart) {
        (Kind::Sidecar, _) => true,
        (_, RestartPolicy::Never) => false,
        (Kind::Init, _) => !well,
        (Kind::Main, RestartPolicy::Always) => true,
        (Kind::Main, RestartPolicy::OnFailure) => code != 0,
    };
    if again { Next::Restart } else { Next::Nothing }
}

impl Desk<'_> {
    /// Writes down what the containers of a sandbox have done, before anybody removes them.
    pub(crate) fn observe(&mut self, sandbox: &SeenSandbox, wanted: &Wanted) {
        let boot = self.facts.boot.to_owned();
        let notes = self.memory.notes(&sandbox.id);
        if notes.boot.is_empty() {
            // A sandbox that stands is of this boot; a dead one says so itself, or is believed
            // to be, because running something once too often is worse than too seldom.
            notes.boot = match &sandbox.boot {
                Some(made) if !sandbox.ready => made.clone(),
                _ => boot.clone(),
            };
        }
        let current = notes.boot == boot;
        if notes.resetting || (!current && wanted.each_boot()) {
            return;
        }
        let ran = |container: &SeenContainer| container.state != ContainerState::Created;
        if current && sandbox.containers.iter().any(ran) {
            self.memory.kept.version.ran = true;
        }
        let mains_began = wanted
            .mains
            .iter()
            .any(|main| sandbox.newest(&main.name).is_some());
        for container in wanted.containers() {
            let seen = sandbox.newest(&container.name);
            let passed = match container.kind {
                Kind::Main => {
                    if let Some(exit) = seen.and_then(SeenContainer::exit) {
                        self.note_exit(sandbox, container, exit);
                    }
                    continue;
                }
                Kind::Init => seen.and_then(SeenContainer::exit).is_some_and(Exit::well),
                Kind::Sidecar => {
                    !self.starting(&sandbox.id, &container.name)
                        && seen.is_some_and(|seen| self.started(container, seen))
                }
            };
            if passed || mains_began {
                let notes = self.memory.notes(&sandbox.id);
                notes.passed.insert(container.name.clone());
            }
        }
    }

    fn note_exit(&mut self, sandbox: &SeenSandbox, container: &WantedContainer, exit: &Exit) {
        let notes = self.memory.notes(&sandbox.id);
        notes.exits.insert(container.name.clone(), exit.code);
        if container.restart == RestartPolicy::OnFailure
            && after(container, exit.code, exit.well()) == Next::Nothing
        {
            let done = &mut self.memory.kept.version.done;
            done.insert(container.name.clone());
        }
    }

    /// Whether a container counts as started: it runs, and its startup probe has passed.
    pub(crate) fn started(&self, container: &WantedContainer, seen: &SeenContainer) -> bool {
        let passed = self.memory.verdict(&seen.id).and_then(|v| v.started);
        matches!(seen.state, ContainerState::Running { .. })
            && (!container.has.startup_probe || passed == Some(true))
    }

    /// Whether a container counts as ready.
    pub(crate) fn container_ready(
        &self,
        container: &WantedContainer,
        seen: &SeenContainer,
    ) -> bool {
        let passes = self.memory.verdict(&seen.id).is_some_and(|v| v.ready);
        self.started(container, seen) && (!container.has.readiness_probe || passes)
    }

    /// Whether all that must be ready for the pod to be ready is.
    pub(crate) fn pod_ready(&self, sandbox: &SeenSandbox, wanted: &Wanted) -> bool {
        wanted
            .containers()
            .filter(|container| container.kind != Kind::Init)
            .all(|container| {
                !self.starting(&sandbox.id, &container.name)
                    && sandbox
                        .newest(&container.name)
                        .is_some_and(|seen| self.container_ready(container, seen))
            })
    }

    /// Works on the containers of a standing sandbox. How the pod ended, if it just did.
    pub(crate) fn inside(&mut self, sandbox: &SeenSandbox, wanted: &Wanted) -> Option<Terminal> {
        if self.memory.notes(&sandbox.id).resetting || self.reset_asked(sandbox, wanted) {
            self.reset(sandbox, wanted);
            return None;
        }
        // Before anything is started: an end and a start in one breath would meet.
        if self.failed_for_good(sandbox, wanted) {
            return Some(self.terminal_now(false, "", ""));
        }
        if let Some(end) = self.finished(sandbox, wanted) {
            return Some(end);
        }
        for container in &sandbox.containers {
            self.kill_if_it_must(sandbox, wanted, container);
        }
        let mut place = 0;
        for container in &wanted.init {
            let sidecar = (container.kind == Kind::Sidecar).then_some(place);
            place += u32::from(sidecar.is_some());
            let passed = self.memory.passed(&sandbox.id, &container.name);
            if !passed || sidecar.is_some() {
                let seen = sandbox.newest(&container.name);
                self.start(sandbox, container, seen, sidecar);
            }
            if !passed {
                return None;
            }
        }
        for container in &wanted.mains {
            if !self.over(sandbox, container) {
                let seen = sandbox.newest(&container.name);
                self.start(sandbox, container, seen, None);
            }
        }
        None
    }

    /// Whether an init container failed and is not to be tried again.
    fn failed_for_good(&self, sandbox: &SeenSandbox, wanted: &Wanted) -> bool {
        wanted.init.iter().any(|container| {
            let exit = sandbox
                .newest(&container.name)
                .and_then(SeenContainer::exit);
            !self.memory.passed(&sandbox.id, &container.name)
                && exit
                    .is_some_and(|exit| after(container, exit.code, exit.well()) == Next::Nothing)
        })
    }

    /// Whether a main container ended and stays so.
    fn over(&self, sandbox: &SeenSandbox, container: &WantedContainer) -> bool {
        let noted = self.memory.exit_code(&sandbox.id, &container.name);
        let code = match sandbox.newest(&container.name) {
            None => noted,
            Some(seen) => seen.exit().map(|exit| exit.code),
        };
        self.memory.kept.version.done.contains(&container.name)
            || code.is_some_and(|code| after(container, code, code == 0) == Next::Nothing)
    }

    fn finished(&self, sandbox: &SeenSandbox, wanted: &Wanted) -> Option<Terminal> {
        let over = |main: &WantedContainer| self.over(sandbox, main);
        if wanted.mains.is_empty() || !wanted.mains.iter().all(over) {
            return None;
        }
        let well = wanted.mains.iter().all(|main| {
            self.memory.kept.version.done.contains(&main.name)
                || self.memory.exit_code(&sandbox.id, &main.name) == Some(0)
        });
        Some(self.terminal_now(well, "", ""))
    }

    /// Starts a container that does not run, or says what it waits for.
    fn start(
        &mut self,
        sandbox: &SeenSandbox,
        container: &WantedContainer,
        seen: Option<&SeenContainer>,
        sidecar: Option<u32>,
    ) {
        let now = self.facts.now;
        let name = container.name.as_str();
        let due = match seen {
            Some(seen) if seen.alive() => return,
            Some(seen) if seen.exit().is_some() => {
                let crashes = self.memory.crashes.entry(name.to_owned()).or_default();
                crashes.exited(&seen.id, now)
            }
            // One that was made and never started is removed by the sweep first.
            Some(_) => return,
            None => Duration::ZERO,
        };
        let given = self.out.actions.iter().any(Action::starts);
        if self.blocked || given || self.starts().next().is_some() {
            self.wait(Some(name), Why::Working, None);
            return;
        }
        if due > now {
            let wait = self.memory.crashes.get(name).map(|crashes| crashes.wait());
            let why = Why::CrashBackoff(wait.unwrap_or_default());
            self.wait(Some(name), why, Some(due));
            return;
        }
        for (subject, why) in [
            (Subject::Pull(name.to_owned()), Why::PullFailed),
            (Subject::Start(name.to_owned()), Why::StartFailed),
        ] {
            if let Some(until) = self.memory.retries.until(&subject, now) {
                self.wait(Some(name), why, Some(until));
                return;
            }
        }
        self.give(Action::StartContainer {
            sandbox: sandbox.id.clone(),
            name: name.to_owned(),
            kind: container.kind,
            attempt: self.next_attempt(&sandbox.uid, name),
            sidecar,
        });
    }

    /// One more than any attempt of the name that the runtime, the log files or a refusal to
    /// give the name out tell of.
    fn next_attempt(&self, uid: &str, name: &str) -> u32 {
        let seen = self.facts.seen;
        let listed = seen
            .instances(uid, name)
            .iter()
            .map(|(_, container)| container.attempt.saturating_add(1))
            .max();
        let logged = seen.logged.get(name).map(|n| n.saturating_add(1));
        let floor = self.memory.floors.get(name).copied();
        listed.max(logged).max(floor).unwrap_or(0)
    }

    /// Stops a running container that must not go on.
    fn kill_if_it_must(&mut self, sandbox: &SeenSandbox, wanted: &Wanted, seen: &SeenContainer) {
        if !seen.alive() || self.starting(&sandbox.id, &seen.name) {
            return;
        }
        let Some(container) = wanted.container(&seen.name) else {
            self.kill(seen, wanted.grace, seen.pre_stop, Cause::Unlisted);
            return;
        };
        let verdict = self.memory.verdict(&seen.id).unwrap_or_default();
        let asked = self.memory.requests.containers.contains(&seen.id);
        let (cause, grace) = if seen.state == ContainerState::Unknown {
            (Cause::StateUnknown, None)
        } else if self.memory.post_start.contains(&seen.id) {
            (Cause::PostStart, None)
        } else if verdict.started == Some(false) {
            (Cause::Startup, container.startup_grace)
        } else if !verdict.live {
            (Cause::Liveness, container.liveness_grace)
        } else if asked {
            (Cause::RestartRequested, None)
        } else {
            return;
        };
        let pre_stop = seen.pre_stop || container.has.pre_stop;
        self.kill(seen, grace.unwrap_or(wanted.grace), pre_stop, cause);
    }

    /// Whether the exit of any container asks for all of them to start again.
    fn reset_asked(&self, sandbox: &SeenSandbox, wanted: &Wanted) -> bool {
        wanted.containers().any(|container| {
            let exit = sandbox
                .newest(&container.name)
                .and_then(SeenContainer::exit);
            exit.is_some_and(|exit| after(container, exit.code, exit.well()) == Next::RestartAll)
        })
    }

    /// Stops and removes all containers; the first init container then starts as in a new
    /// sandbox. Counts of restarts go on.
    fn reset(&mut self, sandbox: &SeenSandbox, wanted: &Wanted) {
        self.memory.notes(&sandbox.id).resetting = true;
        if self.cancel(|_| true) {
            return;
        }
        for container in &sandbox.containers {
            let next = container.attempt.saturating_add(1);
            let floor = self.memory.floors.entry(container.name.clone());
            let floor = floor.or_default();
            *floor = next.max(*floor);
            if container.alive() {
                let grace = wanted.grace;
                self.kill(container, grace, container.pre_stop, Cause::RestartAll);
            }
        }
        if sandbox.containers.iter().any(SeenContainer::alive) {
            return;
        }
        for container in &sandbox.containers {
            self.remove_container(container);
        }
        if sandbox.containers.is_empty() {
            let notes = self.memory.notes(&sandbox.id);
            notes.resetting = false;
            notes.passed.clear();
            notes.exits.clear();
            self.memory.kept.version.done.clear();
            // Nothing runs, and nothing will report: look again at once.
            self.wait(None, Why::Working, Some(self.facts.now));
        }
    }
}
