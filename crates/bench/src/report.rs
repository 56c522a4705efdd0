//! The table for people, and the same for machines.

use std::fmt::Write as _;

use serde_json::{Value, json};

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
            for (number, cells) in table.iter().enumerate() {
                let _ = writeln!(out, "| {} |", cells.join(" | "));
                if number == 0 {
                    let _ = writeln!(out, "|---|{}", "--:|".repeat(cells.len() - 1));
                }
            }
            out.push('\n');
        }
        out
    }

    fn tables(&self) -> [Vec<Vec<String>>; 3] {
        let mut rows = vec![titles(&[
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
        let mut provider = vec![titles(&["provider", "value"])];
        let figures = self.provider.iter();
        provider.extend(figures.map(|(name, value)| vec![(*name).to_owned(), figure(*value)]));
        let mut goals = vec![titles(&[
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

/// `document` with the text between the two marks of `name` replaced; none when they are not
/// there.
pub(crate) fn replaced(document: &str, name: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- bench {name} -->"), "<!-- /bench -->");
    let (before, rest) = document.split_once(&begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}\n\n{text}{end}{after}"))
}

fn titles(titles: &[&str]) -> Vec<String> {
    titles.iter().map(|&title| title.to_owned()).collect()
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

/// The first column to the left, the others to the right.
fn aligned(table: &[Vec<String>]) -> String {
    let columns = table.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = table.iter().filter_map(|cells| cells.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for cells in table {
        for (column, (cell, &width)) in cells.iter().zip(&widths).enumerate() {
            let _ = match column {
                0 => write!(out, "{cell:<width$}"),
                _ => write!(out, "  {cell:>width$}"),
            };
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_between_the_marks_of_that_name_is_replaced() {
        let document = "a\n<!-- bench x -->\nold\n<!-- /bench -->\nb\n<!-- bench y -->\nkept\n<!-- /bench -->\n";
        assert_eq!(
            replaced(document, "x", "new\n").unwrap(),
            "a\n<!-- bench x -->\n\nnew\n<!-- /bench -->\nb\n<!-- bench y -->\nkept\n<!-- /bench -->\n"
        );
        assert_eq!(replaced(document, "z", "new"), None);
    }

    #[test]
    fn columns_line_up_under_their_titles() {
        let table = [titles(&["call", "p50"]), titles(&["Decrypt, equal", "7"])];
        assert_eq!(
            aligned(&table),
            "call            p50\nDecrypt, equal    7\n"
        );
    }
}
