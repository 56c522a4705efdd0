//! When a pod gets a new sandbox.

use crate::{
    action::{Action, Cause},
    desk::{Desk, Runtime, Why},
    memory::Terminal,
    retries::Subject,
    seen::SeenSandbox,
    wanted::{AtLimit, RestartPolicy, Wanted},
};

impl Desk<'_> {
    /// Whether containers can go on in this sandbox.
    pub(crate) fn usable(sandbox: &SeenSandbox, wanted: &Wanted) -> bool {
        sandbox.ready
            && sandbox.host_network == wanted.host_network
            && (wanted.host_network || sandbox.ips.as_ref().is_none_or(|ips| !ips.is_empty()))
    }

    /// How a pod that has lost its sandbox ended, if its policy gives it no other.
    pub(crate) fn ended_with_its_sandbox(
        &self,
        wanted: &Wanted,
        last: Option<&SeenSandbox>,
    ) -> Option<Terminal> {
        let version = &self.memory.kept.version;
        let all_done = wanted.mains.iter().all(|main| {
            let code = last.and_then(|last| self.memory.exit_code(&last.id, &main.name));
            version.done.contains(&main.name) || code == Some(0)
        });
        match wanted.restart {
            RestartPolicy::Never if version.ran => Some(self.terminal_now(all_done, "", "")),
            RestartPolicy::OnFailure
                if wanted
                    .mains
                    .iter()
                    .all(|main| version.done.contains(&main.name)) =>
            {
                Some(self.terminal_now(true, "", ""))
            }
            _ => None,
        }
    }

    pub(crate) fn terminal_now(&self, succeeded: bool, reason: &str, message: &str) -> Terminal {
        Terminal {
            succeeded,
            reason: reason.to_owned(),
            message: message.to_owned(),
            boot: self.facts.boot.to_owned(),
        }
    }

    /// Orders a sandbox, or says what it waits for.
    pub(crate) fn open(&mut self, wanted: &Wanted) {
        if self.starts().next().is_some() {
            self.wait(None, Why::Working, None);
            return;
        }
        if self.blocked || !self.gates_open(wanted) {
            return;
        }
        if !self.facts.taken.is_empty() {
            self.wait(None, Why::PortTaken(self.facts.taken.to_vec()), None);
            return;
        }
        if !wanted.host_network && self.facts.runtime != (Runtime::Up { network: true }) {
            self.wait(None, Why::NetworkNotReady, None);
            return;
        }
        let now = self.facts.now;
        let failed = self.memory.retries.until(&Subject::Sandbox, now);
        if let Some(until) = failed.max(self.sandbox_due(wanted).filter(|due| *due > now)) {
            self.wait(None, Why::SandboxFailed, Some(until));
            return;
        }
        let used = self
            .facts
            .seen
            .ours()
            .filter(|sandbox| sandbox.uid == wanted.uid)
            .map(|sandbox| sandbox.attempt.saturating_add(1))
            .max();
        let floor = self.memory.floors.get("").copied();
        self.memory.kept.version.opened = true;
        self.memory.kept.ports.clone_from(&wanted.host_ports);
        self.give(Action::CreateSandbox {
            uid: wanted.uid.clone(),
            revision: wanted.revision.clone(),
            attempt: used.max(floor).unwrap_or(0),
            boot: self.facts.boot.to_owned(),
        });
    }

    /// When a sandbox that died by itself may be followed by another: at once the first time,
    /// then after the waits of crashing containers.
    fn sandbox_due(&mut self, wanted: &Wanted) -> Option<std::time::Duration> {
        let last = self.facts.seen.newest(&wanted.uid, &wanted.revision)?;
        let died = self.memory.ending(&last.id) == Some(Cause::SandboxChanged);
        let crashes = self.memory.crashes.entry(String::new()).or_default();
        died.then(|| crashes.exited(&last.id, self.facts.now))
    }

    /// Whether the pod may start as far as its gates go. Counts the time they are shut.
    fn gates_open(&mut self, wanted: &Wanted) -> bool {
        if self.facts.shut.is_empty() || self.memory.gate_passed {
            self.memory.gate_since = None;
            return true;
        }
        let now = self.facts.now;
        let since = *self.memory.gate_since.get_or_insert(now);
        let limit = wanted.gates.limit.map(|limit| since + limit);
        if limit.is_none_or(|limit| limit > now) {
            self.wait(None, Why::Gate(self.facts.shut.to_vec()), limit);
            return false;
        }
        match wanted.gates.at_limit {
            AtLimit::Start => {
                // Lasts until the sandbox stands, so that a failed try does not wait anew.
                self.memory.gate_passed = true;
                true
            }
            AtLimit::Fail => {
                let message = format!("still waiting for {}", self.facts.shut.join(", "));
                let end = self.terminal_now(false, "GateTimeout", &message);
                self.memory.kept.version.terminal = Some(end);
                self.memory.gate_since = None;
                false
            }
        }
    }
}
