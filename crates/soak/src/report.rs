//! The summary: as a page for people, as JSON for machines, and the verdict.

use std::{fs, io, path::Path, time::Duration};

use serde_json::{Value, json};
use stage::process::Holdings;

use crate::{
    growth::{Life, Trend},
    ledger::Books,
    model::NAMES,
    node::Node,
    sky::Call,
    weather::TABLE,
};

const BEGIN: &str = "<!-- soak -->";
const END: &str = "<!-- /soak -->";
/// What 99 of 100 Status should be answered within.
const STATUS_GOAL: Duration = Duration::from_millis(100);
/// What they must be answered within, however busy the machine is with other things.
const STATUS_BOUND: Duration = Duration::from_secs(2);
const CALLS: [Call; 4] = [Call::Status, Call::Encrypt, Call::Decrypt, Call::Forged];

/// What the run was, besides its books.
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) took: Duration,
    pub(crate) versions: usize,
    pub(crate) remembered: usize,
    pub(crate) interrupted: bool,
    /// Why it could not go on.
    pub(crate) broken: Option<String>,
    /// Bytes of the registry, node by node, at the beginning and the end.
    pub(crate) registry_bytes: Vec<(u64, u64)>,
}

/// The summary of a run.
pub(crate) struct Summary {
    run: Run,
    books: Books,
    trends: Vec<Option<Trend>>,
    objections: Vec<String>,
}

impl Summary {
    pub(crate) fn new(run: Run, books: Books, nodes: &[Node]) -> Self {
        let longest = |node: &Node| {
            let trends = node.lives().filter_map(Life::trend);
            trends.max_by_key(|trend| trend.span)
        };
        let trends = nodes.iter().map(longest).collect();
        let mut summary = Self {
            run,
            books,
            trends,
            objections: Vec::new(),
        };
        summary.objections = summary.object();
        summary
    }

    /// Whether all is well.
    pub(crate) fn is_well(&self) -> bool {
        self.objections.is_empty()
    }

    fn object(&self) -> Vec<String> {
        let Self {
            run, books, trends, ..
        } = self;
        let mut objections = Vec::new();
        for (count, what) in [
            (books.wrong, "wrong answers"),
            (books.lost, "lost ciphertexts"),
            (books.faults_in_all, "faults"),
        ] {
            if count > 0 {
                objections.push(format!("{count} {what}"));
            }
        }
        if run.interrupted {
            objections.push("interrupted".to_owned());
        }
        objections.extend(run.broken.clone());
        for (trend, name) in trends.iter().zip(NAMES) {
            let growth = trend.iter().flat_map(Trend::growth);
            objections.extend(growth.map(|what| format!("node {name}: {what}")));
        }
        let p99 = self.status_p99();
        if p99 > STATUS_BOUND {
            objections.push(format!("p99 of Status is {p99:.0?}"));
        }
        for call in CALLS {
            if books.outcomes.keys().all(|(kind, _)| *kind != call) {
                objections.push(format!("no {} was ever answered", call.name()));
            }
        }
        objections
    }

    fn status_p99(&self) -> Duration {
        let status = self.books.calm.get(&Call::Status);
        status.map(|status| status.within(0.99)).unwrap_or_default()
    }

    /// As a page.
    pub(crate) fn page(&self) -> String {
        let parts = [
            self.head(),
            self.calls(),
            self.weather(),
            self.growth(),
            self.end(),
        ];
        parts.join("\n")
    }

    fn head(&self) -> String {
        let Run {
            seed,
            took,
            versions,
            remembered,
            ..
        } = self.run;
        let calls: u64 = self.books.outcomes.values().sum();
        let weather: u64 = self.books.weather.values().map(|toll| toll.times).sum();
        let mut page = format!(
            "| what | count |\n|---|---|\n| duration | {} min {} s |\n| seed | {seed} |\n\
             | calls | {calls} |\n| spells of bad weather | {weather}, of {} of the {} kinds |\n",
            took.as_secs() / 60,
            took.as_secs() % 60,
            self.books.weather.len(),
            TABLE.len()
        );
        for (what, count) in &self.books.tallies {
            page += &format!("| {what} | {count} |\n");
        }
        let goal = if self.status_p99() > STATUS_GOAL {
            "missed"
        } else {
            "kept"
        };
        page += &format!("| goal of {STATUS_GOAL:?} for 99 of 100 Status | {goal} |\n");
        page += &format!(
            "| ciphertexts decrypted on both nodes at the end | {remembered}, under {versions} key versions |\n\
             | wrong answers | {} |\n| lost ciphertexts | {} |\n| failures that nothing excuses | {} |\n",
            self.books.wrong, self.books.lost, self.books.faults_in_all
        );
        page
    }

    fn calls(&self) -> String {
        let mut page = "| call | as it should be | failed, excused by the weather | p50 ms in calm | p99 ms in calm | slowest ms in calm | slowest ms |\n|---|---|---|---|---|---|---|\n".to_owned();
        for call in CALLS {
            let outcomes = self.books.outcomes.iter();
            let of_call = outcomes.filter(|((kind, _), _)| *kind == call);
            let (mut good, mut failed) = (0, Vec::new());
            for ((_, outcome), count) in of_call {
                match *outcome {
                    "ok" | "refused" => good += count,
                    class => failed.push(format!("{count} {class}")),
                }
            }
            let calm = self.books.calm.get(&call).cloned().unwrap_or_default();
            let all = self.books.all.get(&call).cloned().unwrap_or_default();
            page += &format!(
                "| {} | {good} | {} | {:.1} | {:.1} | {:.0} | {:.0} |\n",
                call.name(),
                listed(&failed),
                millis(calm.within(0.5)),
                millis(calm.within(0.99)),
                millis(calm.slowest()),
                millis(all.slowest()),
            );
        }
        page
    }

    fn weather(&self) -> String {
        let mut page =
            "| weather | times | what failed in it | well again after its end, at most |\n|---|---|---|---|\n"
                .to_owned();
        for (name, toll) in &self.books.weather {
            let excused = toll.excused.iter();
            let excused: Vec<String> = excused
                .map(|((call, class), count)| format!("{count} {} {class}", call.name()))
                .collect();
            let after = toll.well_after.iter();
            let after: Vec<String> = after
                .map(|(call, after)| format!("{} {:.1} s", call.name(), after.as_secs_f64()))
                .collect();
            page += &format!(
                "| {name} | {} | {} | {} |\n",
                toll.times,
                listed(&excused),
                listed(&after)
            );
        }
        page
    }

    fn growth(&self) -> String {
        let mut page = "| node | observed | resident KiB: first, last quarter, most | threads | descriptors | registry bytes: first, last |\n|---|---|---|---|---|---|\n".to_owned();
        let rows = self.trends.iter().zip(&self.run.registry_bytes).zip(NAMES);
        for ((trend, (before, after)), name) in rows {
            let Some(trend) = trend else {
                page += &format!("| {name} | too short | | | | {before}, {after} |\n");
                continue;
            };
            let figures = |pick: fn(&Holdings) -> u64| {
                let [first, last, most] = [trend.first, trend.last, trend.most].map(|h| pick(&h));
                format!("{first}, {last}, {most}")
            };
            page += &format!(
                "| {name} | {} s | {} | {} | {} | {before}, {after} |\n",
                trend.span.as_secs(),
                figures(|held| held.resident_kib),
                figures(|held| held.threads),
                figures(|held| held.descriptors)
            );
        }
        page
    }

    fn end(&self) -> String {
        if self.is_well() {
            return "Verdict: all is well.\n".to_owned();
        }
        let mut page = format!("Verdict: NOT well: {}.\n", self.objections.join("; "));
        for fault in &self.books.faults {
            page += &format!("- {fault}\n");
        }
        page
    }

    /// For machines.
    pub(crate) fn json(&self) -> Value {
        let outcomes = self.books.outcomes.iter();
        let outcomes = outcomes.map(|((call, outcome), count)| json!({"call": call.name(), "outcome": outcome, "count": count}));
        let weather = self.books.weather.iter();
        let weather = weather.map(|(name, toll)| {
            let excused = toll.excused.iter();
            let excused = excused.map(|((call, class), count)| json!({"call": call.name(), "class": class, "count": count}));
            let after = toll.well_after.iter();
            let after = after.map(|(call, after)| json!({"call": call.name(), "ms": millis(*after)}));
            json!({"name": name, "times": toll.times, "excused": excused.collect::<Vec<_>>(), "well_after": after.collect::<Vec<_>>()})
        });
        let times = CALLS.iter().map(|call| {
            let calm = self.books.calm.get(call).cloned().unwrap_or_default();
            let all = self.books.all.get(call).cloned().unwrap_or_default();
            json!({"call": call.name(), "calm_p50_ms": millis(calm.within(0.5)), "calm_p99_ms": millis(calm.within(0.99)),
                "calm_slowest_ms": millis(calm.slowest()), "slowest_ms": millis(all.slowest())})
        });
        let held = |held: Holdings| json!({"resident_kib": held.resident_kib, "threads": held.threads, "descriptors": held.descriptors});
        let nodes = self.trends.iter().zip(&self.run.registry_bytes).zip(NAMES);
        let nodes = nodes.map(|((trend, bytes), name)| {
            let trend = trend.map(|trend| json!({"seconds": trend.span.as_secs(), "first": held(trend.first), "last": held(trend.last), "most": held(trend.most)}));
            json!({"node": name, "trend": trend, "registry_bytes_first": bytes.0, "registry_bytes_last": bytes.1})
        });
        json!({
            "seed": self.run.seed,
            "seconds": self.run.took.as_secs(),
            "outcomes": outcomes.collect::<Vec<_>>(),
            "times": times.collect::<Vec<_>>(),
            "weather": weather.collect::<Vec<_>>(),
            "tallies": self.books.tallies,
            "nodes": nodes.collect::<Vec<_>>(),
            "ciphertexts_at_the_end": self.run.remembered,
            "key_versions": self.run.versions,
            "wrong_answers": self.books.wrong,
            "lost_ciphertexts": self.books.lost,
            "faults": self.books.faults_in_all,
            "fault_texts": self.books.faults,
            "objections": self.objections,
            "well": self.is_well(),
        })
    }
}

/// Puts `page` between the markers of the document.
pub(crate) fn write_into(document: &Path, page: &str) -> io::Result<()> {
    let text = fs::read_to_string(document)?;
    let missing = || {
        let message = format!("{}: no {BEGIN} and {END} in it", document.display());
        io::Error::other(message)
    };
    let (before, rest) = text.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    fs::write(document, format!("{before}{BEGIN}\n{page}{END}{after}"))
}

fn listed(items: &[String]) -> String {
    if items.is_empty() {
        "none".to_owned()
    } else {
        items.join(", ")
    }
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}
