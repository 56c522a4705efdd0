//! The table for people, and the same for machines.

use serde_json::{Value, json};
use stage::tables::{Table, aligned, markdown, words};

use crate::{goals::Goal, row::Row};

/// Everything that one run has shown.
pub(crate) struct Report {
    pub(crate) machine: String,
    pub(crate) backend: String,
    pub(crate) rows: Vec<Row>,
    /// Name and value, in the order they are shown.
    pub(crate) provider: Vec<(&'static str, f64)>,
    pub(crate) goals: Vec<Goal>,
}

impl Report {
    pub(crate) fn json(&self) -> Value {
        let provider: serde_json::Map<_, _> = self
            .provider
            .iter()
            .map(|(name, value)| {
                (
                    name.replace([',', ' '], "_").replace("__", "_"),
                    json!(value),
                )
            })
            .collect();
        json!({
            "machine": self.machine,
            "backend": self.backend,
            "rows": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
            "provider": provider,
            "goals": self.goals.iter().map(Goal::json).collect::<Vec<_>>(),
        })
    }

    /// Three tables: calls, the provider as a process, goals.
    pub(crate) fn text(&self) -> String {
        let [rows, provider, goals] = self.tables();
        let mut out = format!("{}; backend: {}\n\n", self.machine, self.backend);
        for table in [rows, provider, goals] {
            out.push_str(&aligned(&table));
            out.push('\n');
        }
        out
    }

    /// The same as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut out = format!("{}. Backend: {}.\n\n", self.machine, self.backend);
        for table in self.tables() {
            out.push_str(&markdown(&table));
            out.push('\n');
        }
        out
    }

    fn tables(&self) -> [Table; 3] {
        let mut rows = vec![words(&[
            "call",
            "at once",
            "p50 us",
            "p99 us",
            "calls/s",
            "CPU us",
            "backend CPU us",
            "backend calls",
        ])];
        rows.extend(self.rows.iter().map(cells));
        let mut provider = vec![words(&["provider", "value"])];
        let figures = self.provider.iter();
        provider.extend(figures.map(|(name, value)| vec![(*name).to_owned(), figure(*value)]));
        let mut goals = vec![words(&[
            "goal", "limit", "value", "floors", "relay", "verdict",
        ])];
        goals.extend(self.goals.iter().map(|goal| {
            let ratio = |value: Option<f64>| value.map_or_else(none, |it| format!("{it:.2}"));
            let sign = if goal.at_least { "at least" } else { "at most" };
            vec![
                goal.what.clone(),
                format!("{sign} {}", goal.limit),
                ratio(goal.value),
                ratio(goal.floors),
                ratio(goal.relay),
                goal.verdict().to_owned(),
            ]
        }));
        [rows, provider, goals]
    }
}

fn cells(row: &Row) -> Vec<String> {
    let whole = |value: Option<f64>| value.map_or_else(none, |value| format!("{value:.0}"));
    vec![
        row.kind.name().to_owned(),
        row.concurrency.to_string(),
        format!("{:.0}", row.p50),
        format!("{:.0}", row.p99),
        format!("{:.0}", row.per_second),
        whole(row.cpu),
        whole(row.backend_cpu),
        row.backend_calls
            .map_or_else(none, |value| format!("{value:.2}")),
    ]
}

fn none() -> String {
    "-".to_owned()
}

fn figure(value: f64) -> String {
    if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}
