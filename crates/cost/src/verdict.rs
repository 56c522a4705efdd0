//! Counts of today next to the recorded ones: a table, and whether it is good news.

use crate::recorded::Counts;

/// How many percent more or fewer instructions are noise: seeds of hash tables, the layout that
/// an unrelated change gives the code.
const TOLERANCE: f64 = 3.0;
/// The same when compiler, valgrind, C library or processor are others: then even a fair
/// comparison sees differences that no change of ours has made.
const TOLERANCE_OF_OTHER_TOOLS: f64 = 15.0;

/// How one path does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    Same,
    Better,
    /// Not in the file yet, or only there.
    Unknown,
    Worse,
}

impl Change {
    fn word(self) -> &'static str {
        match self {
            Self::Same => "",
            Self::Better => "better",
            Self::Unknown => "not recorded",
            Self::Worse => "WORSE",
        }
    }
}

/// The comparison, ready to be shown.
pub(crate) struct Verdict {
    /// One line per path.
    pub(crate) table: String,
    /// What to do about it.
    pub(crate) advice: String,
    /// Whether the build should stop here.
    pub(crate) fails: bool,
}

/// Compares. Paths come in the order of `order`.
pub(crate) fn judge(recorded: &Counts, now: &Counts, order: &[&str]) -> Verdict {
    let same_tools = recorded.tools == now.tools;
    let tolerance = if same_tools {
        TOLERANCE
    } else {
        TOLERANCE_OF_OTHER_TOOLS
    };
    let mut table = format!(
        "{:<18} {:>12} {:>9} {:>8}\n",
        "path, per call", "instructions", "recorded", "percent"
    );
    let mut changes = Vec::new();
    for name in order {
        let Some(&count) = now.instructions.get(*name) else {
            continue;
        };
        let before = recorded.instructions.get(*name).copied();
        let change = before.map_or(Change::Unknown, |before| compare(before, count, tolerance));
        table.push_str(line(name, before, count, change).trim_end());
        table.push('\n');
        changes.push(change);
    }
    let gone = recorded
        .instructions
        .keys()
        .any(|name| !now.instructions.contains_key(name));
    if gone {
        changes.push(Change::Unknown);
    }
    let worst = changes.iter().copied().max().unwrap_or(Change::Unknown);
    Verdict {
        table,
        advice: advice(recorded, now, worst, tolerance),
        fails: matches!(worst, Change::Worse | Change::Unknown),
    }
}

fn percent(before: u64, now: u64) -> f64 {
    // Multiplied first: whole percents stay exact.
    (now as f64 - before as f64) * 100.0 / before.max(1) as f64
}

fn compare(before: u64, now: u64, tolerance: f64) -> Change {
    match percent(before, now) {
        more if more > tolerance => Change::Worse,
        less if less < -tolerance => Change::Better,
        _ => Change::Same,
    }
}

fn line(name: &str, before: Option<u64>, now: u64, change: Change) -> String {
    let (was, percent) = match before {
        None => ("-".to_owned(), "-".to_owned()),
        Some(before) => (before.to_string(), format!("{:+.1}", percent(before, now))),
    };
    let word = change.word();
    format!("{name:<18} {now:>12} {was:>9} {percent:>8}  {word}")
}

fn advice(recorded: &Counts, now: &Counts, worst: Change, tolerance: f64) -> String {
    let tools = if recorded.tools == now.tools {
        String::new()
    } else {
        format!(
            "recorded with {}; now {}: up to {tolerance} % say nothing, \
             run `make cost RECORD=1` to compare finely again\n",
            recorded.tools, now.tools
        )
    };
    let said = match worst {
        Change::Same => format!("no path changed by more than {tolerance} %"),
        Change::Better => {
            "some paths became cheaper: run `make cost RECORD=1`, so that they stay so".to_owned()
        }
        Change::Unknown => {
            "the paths are not those of the file: run `make cost RECORD=1`".to_owned()
        }
        Change::Worse => format!(
            "some paths became dearer, by more than {tolerance} %: make them cheaper, or run `make cost RECORD=1` and say in the commit what it buys"
        ),
    };
    tools + &said
}

#[cfg(test)]
mod tests;
