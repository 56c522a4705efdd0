//! Log lines of the probes: changes at info, the first of equal failures at warn and then
//! ever more rarely, successes at debug.

use std::{sync::Arc, time::Duration};

use pace::{Now, millis};
use registry::{
    finding::Finding,
    rotation::{Change, Transition},
};
use tracing::{debug, info, warn};

use crate::view::{ProbeSight, Trouble};

/// Shown instead of why a login failed: the sentence may name a file.
const LOGIN_REFUSED: &str =
    "the login or the local credential was refused; the log event auth.login says why";

/// One probe kind's failures in a row.
#[derive(Debug)]
pub(super) struct Failures {
    kind: &'static str,
    class: &'static str,
    reason: Arc<str>,
    repeated: u64,
    passed: Option<Duration>,
    since: Option<Now>,
}

impl Failures {
    pub(super) fn new(kind: &'static str) -> Self {
        Self {
            kind,
            class: "",
            reason: Arc::default(),
            repeated: 0,
            passed: None,
            since: None,
        }
    }

    /// What people get to see of it.
    pub(super) fn sight(&self) -> ProbeSight {
        ProbeSight {
            passed: self.passed,
            trouble: self.since.map(|since| Trouble {
                word: self.class,
                since,
            }),
            reason: self.class().map(|class| match class {
                "auth_failed" => LOGIN_REFUSED.into(),
                _ => Arc::clone(&self.reason),
            }),
        }
    }

    /// The last probe's failure for the log, unless it passed.
    pub(super) fn sentence(&self) -> Option<String> {
        let class = self.class()?;
        Some(format!("{} probe: {class}: {}", self.kind, self.reason))
    }

    /// The class of the failures, unless the last probe passed.
    pub(super) fn class(&self) -> Option<&'static str> {
        Some(self.class).filter(|class| !class.is_empty())
    }

    pub(super) fn passed(&mut self, took: Duration, now: Now) {
        let (probe_kind, repeated) = (self.kind, self.repeated);
        let duration_ms = millis(took);
        if repeated > 0 {
            info!(
                probe_kind,
                status = "ok",
                duration_ms,
                failures = repeated,
                "status.probe"
            );
        } else {
            debug!(probe_kind, status = "ok", duration_ms, "status.probe");
        }
        self.class = "";
        self.reason = Arc::default();
        self.repeated = 0;
        self.passed = Some(now.mono);
        self.since = None;
    }

    pub(super) fn failed(
        &mut self,
        error_class: &'static str,
        reason: &str,
        took: Duration,
        now: Now,
    ) {
        self.since.get_or_insert(now);
        self.repeated = if self.class == error_class {
            self.repeated.saturating_add(1)
        } else {
            1
        };
        self.class = error_class;
        if *self.reason != *reason {
            self.reason = reason.into();
        }
        let (probe_kind, repeated) = (self.kind, self.repeated);
        let duration_ms = millis(took);
        // 1, 2, 4, 8 ...: a long outage stays visible and does not fill the disk.
        if repeated.is_power_of_two() {
            warn!(
                probe_kind,
                status = "failed",
                error_class,
                reason,
                duration_ms,
                repeated,
                "status.probe"
            );
        } else {
            debug!(
                probe_kind,
                status = "failed",
                error_class,
                reason,
                duration_ms,
                repeated,
                "status.probe"
            );
        }
    }
}

/// The verdict as it was last reported.
#[derive(Debug, Default)]
pub(super) struct Reported {
    reasons: Option<Vec<&'static str>>,
    was_healthy: bool,
    /// A start at which nothing is wrong so far: not healthy yet, and no warning.
    is_quiet: bool,
}

impl Reported {
    /// Reports a change; `reasons` is empty when healthy. `failures` says what went wrong last,
    /// where no finding does.
    pub(super) fn verdict<'f>(
        &mut self,
        reasons: &[&'static str],
        findings: impl Iterator<Item = &'f Finding>,
        failures: impl Iterator<Item = String>,
    ) {
        let is_same = self.reasons.as_deref() == Some(reasons);
        if is_same && !self.is_quiet {
            return;
        }
        let findings: Vec<String> = findings
            .map(|finding| format!("{} [{}]", finding, finding.label().as_str()))
            .collect();
        let wrong: Vec<String> = if findings.is_empty() {
            failures.collect()
        } else {
            findings
        };
        self.was_healthy |= reasons.is_empty();
        self.is_quiet = !self.was_healthy && wrong.is_empty();
        if is_same && self.is_quiet {
            return;
        }
        self.reasons = Some(reasons.to_vec());
        if reasons.is_empty() {
            info!(healthz = "ok", "status.changed");
            return;
        }
        let reasons = reasons.join(",");
        if self.is_quiet {
            let findings = "the first probes are under way";
            info!(healthz = "unhealthy", reasons, findings, "status.changed");
            return;
        }
        let findings = if wrong.is_empty() {
            "no probe passed in time, and none failed: the process or the machine stood still"
                .to_owned()
        } else {
            wrong.join("; ")
        };
        warn!(healthz = "unhealthy", reasons, findings, "status.changed");
    }
}

/// One line per record that changed. Event names are literals, as `tracing` needs them.
pub(super) fn transitions(transitions: &[Transition], generation: u64) {
    for Transition {
        change,
        version,
        key_id,
    } in transitions
    {
        let key_id_hash = key_id.hash();
        let event = change.event();
        match change {
            Change::Rejected => {
                warn!(
                    key_id_hash,
                    transit_key_version = version,
                    generation,
                    "{event}"
                );
            }
            _ => info!(
                key_id_hash,
                transit_key_version = version,
                generation,
                "{event}"
            ),
        }
    }
}

pub(super) fn trial_failed(version: u64, error_class: &'static str) {
    warn!(
        transit_key_version = version,
        error_class, "rotation.trial_failed"
    );
}
