//! What the planner remembers about one pod because neither manifest nor runtime can tell.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    action::{Cause, Failure},
    retries::{Crashes, Retries},
    seen::Seen,
    wanted::{HostPort, Wanted},
};

/// How a pod ended for good.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Terminal {
    /// Whether every main container ended with 0.
    pub succeeded: bool,
    /// One word, empty where the exit codes say it all: `DeadlineExceeded`, `GateTimeout`.
    pub reason: String,
    /// A sentence, or empty.
    pub message: String,
    /// In which boot.
    pub boot: String,
}

/// What the probes say about one instance of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Verdict {
    /// The startup probe has passed; `None` while it has said neither. `Some(false)` kills.
    pub started: Option<bool>,
    /// The liveness probe has not failed. `false` kills.
    pub live: bool,
    /// The readiness probe passes.
    pub ready: bool,
}

impl Default for Verdict {
    fn default() -> Self {
        Self {
            started: None,
            live: true,
            ready: false,
        }
    }
}

/// What is known of one version of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Version {
    pub(crate) uid: String,
    pub(crate) revision: String,
    /// The boot that the rest speaks of.
    pub(crate) boot: String,
    /// A sandbox of it was ordered: there may be directories of its uid.
    pub(crate) opened: bool,
    /// A container of it has run in this boot.
    pub(crate) ran: bool,
    /// Main containers that ended well and are not to run again.
    pub(crate) done: BTreeSet<String>,
    /// It ended.
    pub(crate) terminal: Option<Terminal>,
    /// How long it had been active when that was last written down.
    pub(crate) active: Duration,
}

impl Version {
    /// Forgets what a reboot makes void: a failure, and everything where each boot runs anew.
    fn enter(&mut self, boot: &str, wanted: &Wanted) {
        if self.boot == boot {
            return;
        }
        boot.clone_into(&mut self.boot);
        self.ran = false;
        self.active = Duration::ZERO;
        if wanted.each_boot() {
            self.done.clear();
            self.terminal = None;
        } else {
            self.terminal = self.terminal.take().filter(|end| end.succeeded);
        }
    }
}

/// What is known of one sandbox. Containers can be removed behind the agent's back; what they
/// did stays done.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Notes {
    /// The boot it was made in.
    pub(crate) boot: String,
    /// Init containers that completed and sidecars that have started: they gate no more.
    pub(crate) passed: BTreeSet<String>,
    /// Exit codes of main containers, by name: the last one of each.
    pub(crate) exits: BTreeMap<String, i32>,
    /// All containers are being stopped and removed, to begin again in this sandbox.
    pub(crate) resetting: bool,
    /// It is being stopped. There is no way back.
    pub(crate) ending: Option<Ending>,
}

/// A sandbox on its way out.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Ending {
    pub(crate) cause: Cause,
    /// What was left of the grace when this was written down.
    pub(crate) left: Duration,
    /// Until when on the clock of this run of the agent; set at first sight.
    #[serde(skip)]
    pub(crate) deadline: Option<Duration>,
    /// Containers whose preStop hook was given.
    pub(crate) pre_stopped: BTreeSet<String>,
}

/// The part that is kept on disk: what a restart of the agent or of the node must not forget.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Persisted {
    pub(crate) version: Version,
    /// By sandbox id.
    pub(crate) notes: BTreeMap<String, Notes>,
    /// By container id.
    pub(crate) verdicts: BTreeMap<String, Verdict>,
    /// Uids that had their manifest taken away and whose directories are still there.
    pub(crate) unclean: BTreeSet<String>,
    /// Ports of the node that what is alive has taken.
    pub(crate) ports: Vec<HostPort>,
}

/// A request to restart that has not been served.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Requests {
    pub(crate) pod: bool,
    /// Container ids.
    pub(crate) containers: BTreeSet<String>,
}

/// Everything that is remembered about one pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remembered {
    pub(crate) kept: Persisted,
    pub(crate) retries: Retries,
    /// By container name.
    pub(crate) crashes: BTreeMap<String, Crashes>,
    /// Why the last start of a container, or of the sandbox (empty name), failed.
    pub(crate) failures: BTreeMap<String, Failure>,
    /// Containers whose postStart hook failed, by id.
    pub(crate) post_start: BTreeSet<String>,
    /// The lowest attempt that may be used next, by container name; the sandbox under "".
    pub(crate) floors: BTreeMap<String, u32>,
    /// Since when a gate has been shut.
    pub(crate) gate_since: Option<Duration>,
    /// A gate's limit is over and the pod may start.
    pub(crate) gate_passed: bool,
    /// Since when the version has had a sandbox in this run of the agent, and what it brought.
    pub(crate) active_since: Option<Duration>,
    pub(crate) requests: Requests,
}

impl Remembered {
    /// What a new run of the agent starts with.
    #[must_use]
    pub fn restored(kept: Persisted) -> Self {
        Self {
            kept,
            ..Self::default()
        }
    }

    /// What to write down, after every plan that changed it.
    #[must_use]
    pub fn to_keep(&self, now: Duration) -> Persisted {
        let mut kept = self.kept.clone();
        kept.version.active = self.active_for(now);
        for notes in kept.notes.values_mut() {
            if let Some(ending) = &mut notes.ending
                && let Some(deadline) = ending.deadline.take()
            {
                ending.left = deadline.saturating_sub(now);
            }
        }
        kept
    }

    /// How long the wanted version has been active in this boot.
    pub(crate) fn active_for(&self, now: Duration) -> Duration {
        let since = self.active_since.map(|since| now.saturating_sub(since));
        self.kept.version.active + since.unwrap_or_default()
    }

    /// How the wanted version ended, if it did.
    #[must_use]
    pub fn terminal(&self) -> Option<&Terminal> {
        self.kept.version.terminal.as_ref()
    }

    /// What the probes said last about a container.
    #[must_use]
    pub fn verdict(&self, container: &str) -> Option<Verdict> {
        self.kept.verdicts.get(container).copied()
    }

    /// Whether an init container has completed, or a sidecar has started, in a sandbox.
    #[must_use]
    pub fn passed(&self, sandbox: &str, name: &str) -> bool {
        self.kept
            .notes
            .get(sandbox)
            .is_some_and(|notes| notes.passed.contains(name))
    }

    /// The last exit code of a main container in a sandbox, also when its record is gone.
    #[must_use]
    pub fn exit_code(&self, sandbox: &str, name: &str) -> Option<i32> {
        self.kept.notes.get(sandbox)?.exits.get(name).copied()
    }

    /// Why a sandbox is being stopped, if it is.
    #[must_use]
    pub fn ending(&self, sandbox: &str) -> Option<Cause> {
        let notes = self.kept.notes.get(sandbox)?;
        notes.ending.as_ref().map(|ending| ending.cause)
    }

    /// Why the last start of a container failed; of the sandbox, for an empty name.
    #[must_use]
    pub fn failure(&self, name: &str) -> Option<&Failure> {
        self.failures.get(name)
    }

    /// Notes of a sandbox, made on first sight.
    pub(crate) fn notes(&mut self, sandbox: &str) -> &mut Notes {
        self.kept.notes.entry(sandbox.to_owned()).or_default()
    }

    /// Turns to this version in this boot; what was said of another one is void.
    pub(crate) fn turn_to(&mut self, wanted: &Wanted, boot: &str) {
        let version = &mut self.kept.version;
        if version.uid == wanted.uid && version.revision == wanted.revision {
            version.enter(boot, wanted);
            return;
        }
        self.let_go();
        self.kept.version = Version {
            uid: wanted.uid.clone(),
            revision: wanted.revision.clone(),
            boot: boot.to_owned(),
            ..Version::default()
        };
        self.begin_anew();
    }

    /// The version is wanted no more: what it has on disk is to go.
    pub(crate) fn let_go(&mut self) {
        let version = std::mem::take(&mut self.kept.version);
        if version.opened {
            self.kept.unclean.insert(version.uid);
        }
    }

    /// Forgets failures, back-offs and how the version ended: somebody wants it to run now.
    pub(crate) fn begin_anew(&mut self) {
        self.retries.new_version();
        self.crashes.clear();
        self.failures.clear();
        self.gate_since = None;
        self.gate_passed = false;
        self.active_since = None;
        let version = &mut self.kept.version;
        version.active = Duration::ZERO;
        version.terminal = None;
        version.ran = false;
        version.done.clear();
    }

    /// Forgets ids that the runtime does not list any more.
    pub(crate) fn prune(&mut self, seen: &Seen) {
        let sandboxes: BTreeSet<&str> = seen.sandboxes.iter().map(|s| s.id.as_str()).collect();
        let containers: BTreeSet<&str> = seen
            .sandboxes
            .iter()
            .flat_map(|sandbox| sandbox.containers.iter().map(|c| c.id.as_str()))
            .collect();
        self.kept
            .notes
            .retain(|id, _| sandboxes.contains(id.as_str()));
        self.kept
            .verdicts
            .retain(|id, _| containers.contains(id.as_str()));
        self.post_start
            .retain(|id| containers.contains(id.as_str()));
        self.requests
            .containers
            .retain(|id| containers.contains(id.as_str()));
        self.retries
            .keep_ids(|id| sandboxes.contains(id) || containers.contains(id));
    }
}
