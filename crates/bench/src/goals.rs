//! What the figures should be, as ratios inside one run wherever that is possible.

use serde_json::{Value, json};

use crate::row::{Kind, Row};

/// What is measured once and not per row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Facts {
    /// Whether the backend's own costs are those of a real OpenBao.
    pub(crate) real_backend: bool,
    pub(crate) resident_after_load_kib: u64,
    pub(crate) start_to_healthy_ms: f64,
    /// Seconds until a burst was answered by a backend that is far away.
    pub(crate) burst_seconds: f64,
}

/// A limit and what was measured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) value: Option<f64>,
    /// The same figure of the floors themselves, measured together: what they are when the way
    /// through a socket and the request to OpenBao take turns, as in a provider.
    pub(crate) floors: Option<f64>,
    /// The same figure of the relay, where it has one: the least that is possible on this stack.
    pub(crate) relay: Option<f64>,
    pub(crate) limit: f64,
    /// Whether `limit` is the least and not the most.
    pub(crate) at_least: bool,
}

impl Goal {
    fn at_most(what: impl Into<String>, value: Option<f64>, limit: f64) -> Self {
        Self {
            what: what.into(),
            value: value.filter(|value| value.is_finite()),
            floors: None,
            relay: None,
            limit,
            at_least: false,
        }
    }

    fn at_least(what: impl Into<String>, value: Option<f64>, limit: f64) -> Self {
        Self {
            at_least: true,
            ..Self::at_most(what, value, limit)
        }
    }

    fn beside(mut self, floors: Option<f64>, relay: Option<f64>) -> Self {
        self.floors = floors.filter(|value| value.is_finite());
        self.relay = relay.filter(|value| value.is_finite());
        self
    }

    fn is_held_by(&self, value: f64) -> bool {
        if self.at_least {
            value >= self.limit
        } else {
            value <= self.limit
        }
    }

    /// A missed goal stays missed, whoever else misses it. That the floors or the relay miss it, too,
    /// is worth a word where ours is no more than a tenth larger than theirs.
    pub(crate) fn verdict(&self) -> &'static str {
        let Some(value) = self.value else {
            return "not measured";
        };
        if self.is_held_by(value) {
            return "held";
        }
        let as_well = |other: Option<f64>| {
            other.is_some_and(|other| !self.is_held_by(other) && value <= 1.1 * other)
        };
        match (as_well(self.floors), as_well(self.relay)) {
            (true, true) => "missed, by both too",
            (true, false) => "missed, by the floors too",
            (false, true) => "missed, by the relay too",
            (false, false) => "missed",
        }
    }

    pub(crate) fn json(&self) -> Value {
        let rounded = |value: Option<f64>| value.map(|value| (value * 1000.0).round() / 1000.0);
        json!({
            "goal": self.what,
            "value": rounded(self.value),
            "floors": rounded(self.floors),
            "relay": rounded(self.relay),
            "limit": self.limit,
            "at_least": self.at_least,
            "verdict": self.verdict(),
        })
    }
}

/// All goals.
pub(crate) fn goals(rows: &[Row], facts: &Facts) -> Vec<Goal> {
    let find = |kind, concurrency| {
        rows.iter()
            .find(|row| row.kind == kind && row.concurrency == concurrency)
    };
    let mut goals = Vec::new();
    for c in [1, 16, 64] {
        let share = |kind| {
            ratio(find(kind, c), find(Kind::EmptyHandler, c), |row| {
                Some(row.p99)
            })
        };
        let what = format!("Status at {c}: p99 / p99 of the empty handler");
        let goal = Goal::at_most(what, share(Kind::Status), 1.2);
        goals.push(goal.beside(share(Kind::EmptyHandlerAgain), None));
    }
    let (encrypts, decrypts) = (
        [Kind::BareEncrypt, Kind::FloorsEncrypt, Kind::RelayEncrypt],
        [Kind::BareDecrypt, Kind::FloorsDecrypt, Kind::RelayDecrypt],
    );
    for (kind, [bare, floors, relay]) in
        [(Kind::Encrypt, encrypts), (Kind::DecryptDistinct, decrypts)]
    {
        for c in [1, 16] {
            let sum = || Some(find(bare, c)?.p50 + 1.2 * find(Kind::EmptyHandler, c)?.p50);
            let share = |kind| find(kind, c).and_then(|row| Some(row.p50 / sum()?));
            let what = format!("{} at {c}: p50 / (p50 bare + 1.2 x p50 empty)", kind.name());
            goals.push(Goal::at_most(what, share(kind), 1.0).beside(share(floors), share(relay)));
        }
    }
    let (ours, bare) = (find(Kind::DecryptDistinct, 64), find(Kind::BareDecrypt, 64));
    let real = |value: Option<f64>| value.filter(|_| facts.real_backend);
    goals.push(Goal::at_least(
        "Decrypt, distinct at 64: calls/s / those of the bare client (real OpenBao)",
        real(ratio(ours, bare, |row| Some(row.per_second))),
        4.0,
    ));
    goals.push(Goal::at_most(
        "Decrypt, distinct at 64: backend CPU / that of the bare client (real OpenBao)",
        real(ratio(ours, bare, |row| row.backend_cpu)),
        0.25,
    ));
    goals.push(Goal::at_most(
        "2,000 distinct Decrypts at once, 200 ms of backend latency: seconds until all are answered",
        Some(facts.burst_seconds),
        3.0,
    ));
    let cpu = |kind| find(kind, 64)?.cpu;
    let sum = || Some(cpu(Kind::EmptyHandler)? + cpu(Kind::BareEncrypt)?);
    let share = |kind| Some(cpu(kind)? / sum()?);
    // The handler's part is the only one of the row that can be told from its callers'.
    let in_a_row = || Some((cpu(Kind::FloorsEncrypt)? + cpu(Kind::BareEncrypt)?) / sum()?);
    goals.push(
        Goal::at_most(
            "Encrypt at 64: provider CPU / (empty handler + bare client)",
            share(Kind::Encrypt),
            1.3,
        )
        .beside(in_a_row(), share(Kind::RelayEncrypt)),
    );
    let status = rows.iter().filter(|row| row.kind == Kind::Status);
    goals.push(Goal::at_most(
        "Status: backend calls per call",
        status
            .filter_map(|row| row.backend_calls)
            .max_by(f64::total_cmp),
        0.0,
    ));
    goals.push(Goal::at_most(
        "resident after load, MB",
        Some(facts.resident_after_load_kib as f64 * 1024.0 / 1e6),
        12.0,
    ));
    goals.push(Goal::at_most(
        "start to healthy, ms",
        Some(facts.start_to_healthy_ms),
        150.0,
    ));
    goals
}

fn ratio(
    ours: Option<&Row>,
    floor: Option<&Row>,
    figure: impl Fn(&Row) -> Option<f64>,
) -> Option<f64> {
    Some(figure(ours?)? / figure(floor?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: Kind, concurrency: usize, p50: f64, cpu: f64) -> Row {
        Row {
            kind,
            concurrency,
            p50,
            p99: 2.0 * p50,
            per_second: 1e6 / p50,
            cpu: Some(cpu),
            backend_cpu: Some(cpu),
            backend_calls: Some(0.0),
        }
    }

    fn facts() -> Facts {
        Facts {
            real_backend: true,
            resident_after_load_kib: 11_000,
            start_to_healthy_ms: 150.0,
            burst_seconds: 2.0,
        }
    }

    fn verdict<'a>(goals: &'a [Goal], beginning: &str) -> (&'static str, &'a Goal) {
        let goal = goals.iter().find(|goal| goal.what.starts_with(beginning));
        let goal = goal.unwrap();
        (goal.verdict(), goal)
    }

    #[test]
    fn a_limit_is_held_when_it_is_met_exactly_and_missed_beyond() {
        let mut rows = vec![
            row(Kind::EmptyHandler, 1, 100.0, 10.0),
            row(Kind::BareEncrypt, 1, 200.0, 10.0),
            row(Kind::Encrypt, 1, 320.0, 10.0),
        ];
        assert_eq!(verdict(&goals(&rows, &facts()), "Encrypt at 1:").0, "held");
        rows[2].p50 = 321.0;
        assert_eq!(
            verdict(&goals(&rows, &facts()), "Encrypt at 1:").0,
            "missed"
        );
        assert_eq!(
            verdict(&goals(&rows, &facts()), "start to healthy").0,
            "held"
        );
        assert_eq!(verdict(&goals(&rows, &facts()), "resident after").0, "held");
    }

    #[test]
    fn what_was_not_measured_is_neither_held_nor_missed() {
        for goal in goals(&[], &facts())
            .iter()
            .filter(|goal| goal.value.is_none())
        {
            assert_eq!(goal.verdict(), "not measured");
        }
        assert_eq!(
            verdict(&goals(&[], &facts()), "Encrypt at 64").0,
            "not measured"
        );
    }

    #[test]
    fn a_goal_that_the_relay_misses_too_is_missed_and_says_so() {
        let mut rows = vec![
            row(Kind::EmptyHandler, 1, 100.0, 10.0),
            row(Kind::BareEncrypt, 1, 200.0, 10.0),
            row(Kind::RelayEncrypt, 1, 319.0, 10.0),
            row(Kind::Encrypt, 1, 330.0, 10.0),
        ];
        let what = "Encrypt at 1:";
        assert_eq!(verdict(&goals(&rows, &facts()), what).0, "missed");
        rows[2].p50 = 321.0;
        let all = goals(&rows, &facts());
        assert_eq!(verdict(&all, what).0, "missed, by the relay too");
        assert_eq!(verdict(&all, what).1.relay, Some(321.0 / 320.0));
        rows[3].p50 = 360.0;
        let alone = "missed by more than a tenth more than the relay's";
        assert_eq!(
            verdict(&goals(&rows, &facts()), what).0,
            "missed",
            "{alone}"
        );
        rows[3].p50 = 320.0;
        assert_eq!(verdict(&goals(&rows, &facts()), what).0, "held");
    }

    #[test]
    fn a_goal_that_the_floors_miss_by_about_as_much_says_so() {
        let mut rows = vec![
            row(Kind::EmptyHandler, 1, 100.0, 10.0),
            row(Kind::EmptyHandlerAgain, 1, 121.0, 10.0),
            row(Kind::Status, 1, 130.0, 10.0),
            row(Kind::BareEncrypt, 1, 200.0, 10.0),
            row(Kind::FloorsEncrypt, 1, 320.0, 10.0),
            row(Kind::Encrypt, 1, 353.0, 10.0),
        ];
        let all = goals(&rows, &facts());
        assert_eq!(verdict(&all, "Status at 1:").0, "missed, by the floors too");
        assert_eq!(verdict(&all, "Encrypt at 1:").0, "missed");
        rows[4].p50 = 321.0;
        let all = goals(&rows, &facts());
        let (said, goal) = verdict(&all, "Encrypt at 1:");
        assert_eq!(said, "missed, by the floors too");
        assert_eq!(goal.floors, Some(321.0 / 320.0));
        rows.push(row(Kind::RelayEncrypt, 1, 330.0, 10.0));
        let both = goals(&rows, &facts());
        assert_eq!(verdict(&both, "Encrypt at 1:").0, "missed, by both too");
        rows[5].p50 = 354.0;
        let all = goals(&rows, &facts());
        let one = "a tenth more than the floors', not than the relay's";
        assert_eq!(
            verdict(&all, "Encrypt at 1:").0,
            "missed, by the relay too",
            "{one}"
        );
    }

    #[test]
    fn of_both_floors_in_a_row_the_handlers_cpu_takes_the_place_of_the_empty_ones() {
        let rows = [
            row(Kind::EmptyHandler, 64, 1.0, 10.0),
            row(Kind::BareEncrypt, 64, 1.0, 90.0),
            row(Kind::FloorsEncrypt, 64, 1.0, 60.0),
            row(Kind::Encrypt, 64, 1.0, 160.0),
        ];
        let all = goals(&rows, &facts());
        let (said, goal) = verdict(&all, "Encrypt at 64: provider CPU");
        assert_eq!(
            (said, goal.floors),
            ("missed, by the floors too", Some(1.5))
        );
    }

    #[test]
    fn the_gain_of_batches_counts_only_on_a_real_openbao() {
        let rows = [
            row(Kind::BareDecrypt, 64, 400.0, 800.0),
            row(Kind::DecryptDistinct, 64, 100.0, 200.0),
        ];
        let what = "Decrypt, distinct at 64: calls/s";
        assert_eq!(verdict(&goals(&rows, &facts()), what).0, "held");
        let imitation = Facts {
            real_backend: false,
            ..facts()
        };
        assert_eq!(verdict(&goals(&rows, &imitation), what).0, "not measured");
    }

    #[test]
    fn one_backend_call_in_any_row_of_status_misses_the_goal() {
        let mut rows = [
            row(Kind::Status, 1, 1.0, 1.0),
            row(Kind::Status, 64, 1.0, 1.0),
        ];
        assert_eq!(
            verdict(&goals(&rows, &facts()), "Status: backend").0,
            "held"
        );
        rows[0].backend_calls = Some(0.0001);
        assert_eq!(
            verdict(&goals(&rows, &facts()), "Status: backend").0,
            "missed"
        );
    }
}
