//! The health verdict: from the facts of both probes to one answer.

use std::time::Duration;

use crate::{
    confirm::{Confirm, Opinion},
    finding::Finding,
};

/// How long good results last.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// `status.probeInterval`
    pub probe_interval: Duration,
    /// `status.deepProbeInterval`
    pub deep_probe_interval: Duration,
    /// `status.statusMaxStaleness`
    pub max_staleness: Duration,
    /// `openbao.timeout`: how long one good request may take.
    pub request_timeout: Duration,
}

/// Two fields that cannot both have their values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{first} and {second} clash: {why}")]
pub struct Clash {
    /// Path of the field to change first.
    pub first: &'static str,
    /// Path of the other field.
    pub second: &'static str,
    /// One sentence.
    pub why: &'static str,
}

impl Settings {
    /// Whether Status can stay healthy in calm weather.
    ///
    /// # Errors
    /// The two fields that clash.
    pub fn check(&self) -> Result<(), Clash> {
        if self.max_staleness < self.probe_interval.saturating_mul(2) {
            return Err(Clash {
                first: "status.statusMaxStaleness",
                second: "status.probeInterval",
                why: "a verdict must outlive at least two probe intervals, or it is stale before the next probe",
            });
        }
        if self.request_timeout >= self.max_staleness {
            return Err(Clash {
                first: "openbao.timeout",
                second: "status.statusMaxStaleness",
                why: "one request may take as long as a verdict lasts, so a slow probe alone makes Status unhealthy",
            });
        }
        Ok(())
    }
}

/// Why a deep probe did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Unreachable, timeout, 5xx, 429, sealed, login refused: healthy until stale.
    Transient,
    /// A lagging standby can invent it: counts once confirmed.
    Doubtful(Finding),
    /// Unhealthy at once.
    Definite(Finding),
}

/// Whether Status is healthy, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Healthy while the monotonic clock is below this; `None` when it is not.
    pub healthy_until: Option<Duration>,
    /// Stable words, each once; empty when healthy.
    pub reasons: Vec<&'static str>,
}

/// The facts. A success of one probe kind never clears a failure of the other.
#[derive(Debug, Default)]
pub struct Health {
    metadata_good: Option<Duration>,
    metadata_answered: Option<Duration>,
    metadata_findings: Vec<Finding>,
    deep_good: Option<Duration>,
    deep_answered: Option<Duration>,
    deep_finding: Option<Finding>,
    deep_doubt: Confirm<Finding>,
}

impl Health {
    /// A metadata probe was answered and its answer accepted. It is a good one unless it
    /// found something that only an operator can end.
    pub fn metadata_accepted(&mut self, findings: &[Finding], mono: Duration) {
        if findings.iter().all(Finding::ends_with_promotion) {
            self.metadata_good = Some(mono);
        }
        self.metadata_answered(mono);
        self.metadata_findings = findings.to_vec();
    }

    /// A metadata probe was answered, with whatever: OpenBao is there.
    pub fn metadata_answered(&mut self, mono: Duration) {
        self.metadata_answered = Some(mono);
    }

    /// Nothing is learnt but what is definitely wrong.
    pub fn metadata_doubted(&mut self, findings: &[Finding]) {
        self.metadata_findings = findings.to_vec();
    }

    /// A deep probe with the write key passed.
    pub fn deep_passed(&mut self, mono: Duration) {
        self.deep_good = Some(mono);
        self.deep_answered = Some(mono);
        self.deep_finding = None;
        self.deep_doubt.clear();
    }

    /// A deep probe failed. Returns when to repeat it on a new connection, where that can
    /// confirm what it said.
    pub fn deep_failed(
        &mut self,
        fault: Fault,
        new_connection: bool,
        mono: Duration,
    ) -> Option<Duration> {
        if fault != Fault::Transient {
            self.deep_answered = Some(mono);
        }
        match fault {
            Fault::Transient => None,
            Fault::Definite(finding) => {
                self.deep_finding = Some(finding);
                None
            }
            Fault::Doubtful(finding) => {
                match self.deep_doubt.hear(finding.clone(), new_connection, mono) {
                    Opinion::AskAgain(after) => Some(after),
                    Opinion::Confirmed => {
                        self.deep_finding = Some(finding);
                        None
                    }
                }
            }
        }
    }

    /// When the last good metadata probe was.
    #[must_use]
    pub fn metadata_good(&self) -> Option<Duration> {
        self.metadata_good
    }

    /// Everything definite that is wrong now, in the order in which it is reported.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.metadata_findings.iter().chain(&self.deep_finding)
    }

    /// The verdict at `mono`; `has_active` says whether there is a write key.
    ///
    /// That a kind has no good probe is a reason of its own only where nothing better is known:
    /// a finding in an answer that came in time says why, and OpenBao is not away.
    #[must_use]
    pub fn verdict(&self, settings: &Settings, has_active: bool, mono: Duration) -> Verdict {
        let mut reasons: Vec<&'static str> = Vec::new();
        let words = self.findings().map(Finding::word);
        let deep_life = settings
            .deep_probe_interval
            .saturating_add(settings.max_staleness);
        let metadata = lives_until(self.metadata_good, settings.max_staleness);
        let deep = lives_until(self.deep_good, deep_life);
        let metadata_told = !self.metadata_findings.is_empty()
            && lives(self.metadata_answered, settings.max_staleness, mono);
        let deep_told = self.deep_finding.is_some() && lives(self.deep_answered, deep_life, mono);
        let missing = [
            (!has_active).then_some("no_active_key"),
            ripeness(metadata, mono, "metadata_not_probed", "metadata_stale")
                .filter(|_| !metadata_told),
            ripeness(deep, mono, "deep_not_probed", "deep_stale").filter(|_| !deep_told),
        ];
        for word in words.chain(missing.into_iter().flatten()) {
            if !reasons.contains(&word) {
                reasons.push(word);
            }
        }
        let until = metadata
            .zip(deep)
            .map(|(metadata, deep)| metadata.min(deep));
        Verdict {
            healthy_until: until.filter(|_| reasons.is_empty()),
            reasons,
        }
    }
}

fn lives_until(good: Option<Duration>, life: Duration) -> Option<Duration> {
    good.map(|good| good.saturating_add(life))
}

fn lives(at: Option<Duration>, life: Duration, mono: Duration) -> bool {
    lives_until(at, life).is_some_and(|until| mono < until)
}

fn ripeness(
    until: Option<Duration>,
    mono: Duration,
    never: &'static str,
    stale: &'static str,
) -> Option<&'static str> {
    match until {
        None => Some(never),
        Some(until) if mono < until => None,
        Some(_) => Some(stale),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn settings() -> Settings {
        Settings {
            probe_interval: s(30),
            deep_probe_interval: s(300),
            max_staleness: s(120),
            request_timeout: s(2),
        }
    }

    fn verdict(health: &Health, mono: Duration) -> Verdict {
        health.verdict(&settings(), true, mono)
    }

    fn good_at(metadata: u64, deep: u64) -> Health {
        let mut health = Health::default();
        health.metadata_accepted(&[], s(metadata));
        health.deep_passed(s(deep));
        health
    }

    #[test]
    fn nothing_is_healthy_before_both_kinds_have_passed() {
        let mut health = Health::default();
        assert_eq!(
            verdict(&health, s(0)).reasons,
            ["metadata_not_probed", "deep_not_probed"]
        );
        health.metadata_accepted(&[], s(1));
        assert_eq!(verdict(&health, s(1)).reasons, ["deep_not_probed"]);
        health.deep_passed(s(2));
        assert_eq!(verdict(&health, s(2)).healthy_until, Some(s(121)));
        assert_eq!(
            health.verdict(&settings(), false, s(2)).reasons,
            ["no_active_key"]
        );
    }

    #[test]
    fn each_kind_has_its_own_life() {
        let by_metadata = verdict(&good_at(100, 100), s(100));
        assert_eq!(by_metadata.healthy_until, Some(s(220)));
        let by_deep = verdict(&good_at(400, 10), s(400));
        assert_eq!(by_deep.healthy_until, Some(s(430)));
        assert_eq!(verdict(&good_at(400, 10), s(429)).reasons, [""; 0]);
        assert_eq!(verdict(&good_at(400, 10), s(430)).reasons, ["deep_stale"]);
        assert_eq!(
            verdict(&good_at(10, 10), s(130)).reasons,
            ["metadata_stale"]
        );
    }

    #[test]
    fn a_transient_fault_leaves_the_verdict_until_it_is_stale() {
        let mut health = good_at(0, 0);
        assert_eq!(health.deep_failed(Fault::Transient, false, s(5)), None);
        assert_eq!(verdict(&health, s(5)).healthy_until, Some(s(120)));
    }

    #[test]
    fn a_definite_fault_is_unhealthy_at_once() {
        let mut health = good_at(0, 0);
        let fault = Fault::Definite(Finding::RoundTrip("other bytes"));
        assert_eq!(health.deep_failed(fault, false, s(5)), None);
        assert_eq!(verdict(&health, s(5)).reasons, ["deep_probe_wrong"]);
    }

    #[test]
    fn a_doubtful_fault_is_unhealthy_when_it_is_confirmed() {
        let mut health = good_at(0, 0);
        let fault = || Fault::Doubtful(Finding::DeepRefused("transit_policy_denied"));
        assert_eq!(health.deep_failed(fault(), false, s(4)), Some(s(2)));
        assert_eq!(health.deep_failed(fault(), true, s(6)), Some(s(2)));
        assert_eq!(health.deep_failed(fault(), true, s(8)), Some(s(2)));
        assert_eq!(verdict(&health, s(8)).reasons, [""; 0]);
        assert_eq!(health.deep_failed(fault(), true, s(10)), None);
        assert_eq!(verdict(&health, s(10)).reasons, ["deep_probe_refused"]);
        // One that passes ends the row as well: the next doubt starts at none.
        health.deep_passed(s(12));
        assert_eq!(verdict(&health, s(12)).reasons, [""; 0]);
        assert_eq!(health.deep_failed(fault(), true, s(14)), Some(s(2)));
        assert_eq!(verdict(&health, s(14)).reasons, [""; 0]);
    }

    #[test]
    fn a_success_of_one_kind_never_clears_a_failure_of_the_other() {
        let mut health = good_at(0, 0);
        health.metadata_doubted(&[Finding::UpsertAllowed]);
        health.deep_passed(s(1));
        assert_eq!(verdict(&health, s(1)).reasons, ["upsert_allowed"]);

        let mut health = good_at(0, 0);
        health.deep_failed(Fault::Definite(Finding::RoundTrip("x")), true, s(1));
        health.metadata_accepted(&[], s(2));
        assert_eq!(verdict(&health, s(2)).reasons, ["deep_probe_wrong"]);
        health.deep_passed(s(3));
        assert_eq!(verdict(&health, s(3)).reasons, [""; 0]);
    }

    #[test]
    fn a_probe_that_finds_something_is_no_good_probe() {
        let mut health = good_at(0, 0);
        health.metadata_accepted(&[Finding::KeyMissing], s(50));
        assert_eq!(health.metadata_good(), Some(s(0)));
        let catching_up = Finding::CatchingUp { from: 1, to: 2 };
        health.metadata_accepted(&[catching_up], s(50));
        assert_eq!(health.metadata_good(), Some(s(50)));
    }

    #[test]
    fn staleness_is_a_reason_only_where_no_answer_says_more() {
        // Seconds of the last good probe and of the last that found something; reasons at 1000 s.
        let table: [(Option<u64>, Option<u64>, &[&str]); 6] = [
            (Some(0), Some(1000), &["upsert_allowed"]),
            (None, Some(1000), &["upsert_allowed"]),
            (Some(0), Some(881), &["upsert_allowed"]),
            (Some(0), Some(880), &["upsert_allowed", "metadata_stale"]),
            (None, Some(880), &["upsert_allowed", "metadata_not_probed"]),
            (Some(0), None, &["metadata_stale"]),
        ];
        for (good, found, reasons) in table {
            let mut health = Health::default();
            health.deep_passed(s(1000));
            if let Some(at) = good {
                health.metadata_accepted(&[], s(at));
            }
            if let Some(at) = found {
                health.metadata_accepted(&[Finding::UpsertAllowed], s(at));
            }
            let verdict = verdict(&health, s(1000));
            assert_eq!(verdict.reasons, reasons, "{good:?} {found:?}");
            assert_eq!(verdict.healthy_until, None);
        }
        // Doubtful answers without a finding tell nothing; with one they do.
        let mut health = good_at(0, 1000);
        health.metadata_doubted(&[]);
        health.metadata_answered(s(1000));
        assert_eq!(verdict(&health, s(1000)).reasons, ["metadata_stale"]);
        health.metadata_doubted(&[Finding::KeyMissing]);
        assert_eq!(verdict(&health, s(1000)).reasons, ["key_missing"]);
    }

    #[test]
    fn a_deep_finding_stands_for_staleness_until_nobody_answers() {
        let refused = Finding::DeepRefused("transit_policy_denied");
        for fault in [
            Fault::Definite(Finding::RoundTrip("x")),
            Fault::Doubtful(refused),
        ] {
            let mut health = good_at(1000, 0);
            (0..3).for_each(|n| {
                health.deep_failed(fault.clone(), true, s(900 + 2 * n));
            });
            let finding = health.findings().next().map(Finding::word).unwrap();
            assert_eq!(verdict(&health, s(1000)).reasons, [finding]);
            health.metadata_accepted(&[], s(1323));
            health.deep_failed(Fault::Transient, false, s(1323));
            assert_eq!(verdict(&health, s(1323)).reasons, [finding]);
            let away = verdict(&health, s(1324));
            assert_eq!(away.reasons, [finding, "deep_stale"]);
            assert_eq!(away.healthy_until, None);
        }
    }

    #[test]
    fn each_reason_is_named_once() {
        let mut health = good_at(0, 0);
        health.metadata_accepted(&[Finding::Derived, Finding::Exportable], s(1));
        assert_eq!(verdict(&health, s(1)).reasons, ["key_profile"]);
    }

    #[test]
    fn settings_that_cannot_stay_healthy_name_the_two_fields() {
        assert_eq!(settings().check(), Ok(()));
        let twice = Settings {
            max_staleness: s(60),
            ..settings()
        };
        assert_eq!(twice.check(), Ok(()));
        let short = Settings {
            max_staleness: s(59),
            ..settings()
        };
        let clash = short.check().unwrap_err();
        assert_eq!(
            (clash.first, clash.second),
            ("status.statusMaxStaleness", "status.probeInterval")
        );
        let slow = Settings {
            request_timeout: s(120),
            ..settings()
        };
        let clash = slow.check().unwrap_err();
        assert_eq!(
            (clash.first, clash.second),
            ("openbao.timeout", "status.statusMaxStaleness")
        );
    }
}
