//! Tables for people, and the same for machines.

use std::time::Duration;

use serde_json::{Value, json};
use stage::tables::{Table, aligned, markdown, words};

use crate::{agent::Idle, growth::Sample, starts::Starts};

/// Of one core, percent.
const MOST_CPU: f64 = 0.5;
/// 10 MB.
const MOST_RESIDENT_KIB: f64 = 9765.0;
const MOST_SHARE_MS: f64 = 50.0;
/// A sample of a process that does not grow may still be some pages larger than another.
const MOST_GROWTH: f64 = 1.03;

/// Everything that one run has shown; a part that was not asked for is empty.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) machine: String,
    pub(crate) runtime: String,
    pub(crate) starts: Starts,
    /// What the situation is, and what the agent held in it.
    pub(crate) idle: Vec<(String, Idle)>,
    /// Name and value.
    pub(crate) figures: Vec<(&'static str, u64)>,
    pub(crate) growth: Vec<Sample>,
}

/// A limit and what was measured.
struct Goal {
    what: &'static str,
    limit: f64,
    value: Option<f64>,
}

impl Goal {
    fn verdict(&self) -> &'static str {
        match self.value {
            None => "not measured",
            Some(value) if value <= self.limit => "held",
            Some(_) => "missed",
        }
    }
}

impl Report {
    fn goals(&self) -> Vec<Goal> {
        let idle = self.idle.first().map(|(_, idle)| idle);
        let grown = |of: fn(&Sample) -> u64| {
            // The first tenth warms up.
            let (first, last) = (self.growth.first()?, self.growth.last()?);
            Some(of(last) as f64 / of(first).max(1) as f64)
        };
        let goal = |what, limit, value| Goal { what, limit, value };
        vec![
            goal(
                "the agent's own share of a start, median, ms",
                MOST_SHARE_MS,
                median(&self.starts.share).map(ms),
            ),
            goal(
                "idle with 5 pods: resident, KiB (10 MB)",
                MOST_RESIDENT_KIB,
                idle.map(|idle| idle.resident_kib as f64),
            ),
            goal(
                "idle with 5 pods: CPU, % of a core",
                MOST_CPU,
                idle.map(|idle| idle.cpu_percent),
            ),
            goal(
                "resident after all edits / after the first tenth",
                MOST_GROWTH,
                grown(|sample| sample.resident_kib),
            ),
            goal(
                "descriptors, the same",
                1.0,
                grown(|sample| sample.descriptors),
            ),
            goal("threads, the same", 1.0, grown(|sample| sample.threads)),
            goal(
                "files below the root directory, the same",
                1.0,
                grown(|sample| sample.files),
            ),
        ]
    }

    /// Each table that has rows.
    fn tables(&self) -> Vec<Table> {
        let tables = [
            self.start_table(),
            self.part_table(),
            self.idle_table(),
            self.figure_table(),
            self.growth_table(),
            self.goal_table(),
        ];
        tables.into_iter().filter(|table| table.len() > 1).collect()
    }

    fn start_table(&self) -> Table {
        let mut table = vec![words(&["a start", "median ms", "p90 ms", "most ms"])];
        for (name, times) in [
            ("manifest to container running", &self.starts.whole),
            ("the same calls alone", &self.starts.calls),
            ("the agent's own share, by the relay", &self.starts.share),
        ] {
            if !times.is_empty() {
                table.push(spread(name, times));
            }
        }
        table
    }

    fn part_table(&self) -> Table {
        let titles = ["within a start, times by a relay", "median ms"];
        let mut table = vec![words(&titles)];
        let parts = self.starts.parts.iter();
        table.extend(
            parts.filter_map(|(name, times)| Some(vec![name.clone(), one(ms(median(times)?))])),
        );
        table
    }

    fn idle_table(&self) -> Table {
        let mut table = vec![words(&[
            "idle",
            "CPU % of a core",
            "resident KiB",
            "of it anonymous",
            "threads",
            "descriptors",
        ])];
        table.extend(self.idle.iter().map(|(name, idle)| {
            vec![
                name.clone(),
                format!("{:.2}", idle.cpu_percent),
                idle.resident_kib.to_string(),
                idle.anonymous_kib.to_string(),
                idle.threads.to_string(),
                idle.descriptors.to_string(),
            ]
        }));
        table
    }

    fn figure_table(&self) -> Table {
        let mut table = vec![words(&["staticpodd", "value"])];
        let figures = self.figures.iter();
        table.extend(figures.map(|(name, value)| vec![(*name).to_owned(), value.to_string()]));
        table
    }

    fn growth_table(&self) -> Table {
        let mut table = vec![words(&[
            "edits",
            "resident KiB",
            "threads",
            "descriptors",
            "files on disk",
            "KiB on disk",
        ])];
        table.extend(self.growth.iter().map(|sample| {
            let Sample {
                edits,
                resident_kib,
                threads,
                descriptors,
                files,
                disk_kib,
            } = sample;
            let values = [resident_kib, threads, descriptors, files, disk_kib];
            let values = values.map(ToString::to_string);
            std::iter::once(edits.to_string()).chain(values).collect()
        }));
        table
    }

    fn goal_table(&self) -> Table {
        let mut table = vec![words(&["goal", "at most", "value", "verdict"])];
        table.extend(self.goals().into_iter().map(|goal| {
            vec![
                goal.what.to_owned(),
                goal.limit.to_string(),
                goal.value
                    .map_or_else(|| "-".to_owned(), |it| format!("{it:.2}")),
                goal.verdict().to_owned(),
            ]
        }));
        table
    }

    fn head(&self) -> String {
        format!("{}; {}", self.machine, self.runtime)
    }

    /// For a terminal.
    pub(crate) fn text(&self) -> String {
        let tables: Vec<String> = self.tables().iter().map(aligned).collect();
        format!("{}\n\n{}", self.head(), tables.join("\n"))
    }

    /// For a page.
    pub(crate) fn markdown(&self) -> String {
        let tables: Vec<String> = self.tables().iter().map(markdown).collect();
        format!("{}.\n\n{}\n", self.head(), tables.join("\n"))
    }

    /// For a program.
    pub(crate) fn json(&self) -> Value {
        let times = |times: &[Duration]| -> Vec<f64> { times.iter().copied().map(ms).collect() };
        let parts = self.starts.parts.iter();
        json!({
            "machine": self.machine,
            "runtime": self.runtime,
            "start_ms": {
                "whole": times(&self.starts.whole),
                "calls": times(&self.starts.calls),
                "share": times(&self.starts.share),
                "parts": parts
                    .map(|(name, values)| json!({"part": name, "ms": times(values)}))
                    .collect::<Vec<_>>(),
            },
            "idle": self.idle.iter().map(|(name, idle)| json!({
                "situation": name,
                "cpu_percent": idle.cpu_percent,
                "resident_kib": idle.resident_kib,
                "anonymous_kib": idle.anonymous_kib,
                "threads": idle.threads,
                "descriptors": idle.descriptors,
            })).collect::<Vec<_>>(),
            "staticpodd": self.figures.iter()
                .map(|(name, value)| json!({"figure": name, "value": value}))
                .collect::<Vec<_>>(),
            "growth": self.growth.iter().map(|sample| json!({
                "edits": sample.edits,
                "resident_kib": sample.resident_kib,
                "threads": sample.threads,
                "descriptors": sample.descriptors,
                "files": sample.files,
                "disk_kib": sample.disk_kib,
            })).collect::<Vec<_>>(),
            "goals": self.goals().iter().map(|goal| json!({
                "goal": goal.what,
                "limit": goal.limit,
                "value": goal.value,
                "verdict": goal.verdict(),
            })).collect::<Vec<_>>(),
        })
    }
}

fn spread(name: &str, times: &[Duration]) -> Vec<String> {
    let at = |share| percentile(times, share).map_or_else(String::new, |time| one(ms(time)));
    vec![name.to_owned(), at(50), at(90), at(100)]
}

fn median(times: &[Duration]) -> Option<Duration> {
    percentile(times, 50)
}

/// The least that so many percent do not exceed.
fn percentile(times: &[Duration], percent: usize) -> Option<Duration> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let rank = (times.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

fn one(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let times: Vec<Duration> = (1..=20).rev().map(|time| time * MS).collect();
        assert_eq!(percentile(&times, 50), Some(10 * MS));
        assert_eq!(percentile(&times, 90), Some(18 * MS));
        assert_eq!(percentile(&times, 100), Some(20 * MS));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn what_was_not_measured_is_no_table_and_no_goal_that_is_held() {
        let report = Report::default();
        let text = report.text();
        assert!(!text.contains("idle  "), "{text}");
        assert_eq!(text.matches("not measured").count(), 7, "{text}");
        assert!(!text.contains("held"), "{text}");
    }

    #[test]
    fn growth_is_judged_from_the_first_tenth_to_the_last() {
        let sample = |resident_kib, descriptors| Sample {
            edits: 0,
            resident_kib,
            threads: 2,
            descriptors,
            files: 3,
            disk_kib: 4,
        };
        let report = Report {
            growth: vec![sample(1000, 20), sample(2000, 30), sample(1020, 21)],
            ..Report::default()
        };
        let verdicts: Vec<_> = report.goals().iter().map(Goal::verdict).collect();
        assert_eq!(verdicts[3..], ["held", "missed", "held", "held"]);
    }
}
