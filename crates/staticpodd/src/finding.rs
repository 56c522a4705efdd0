//! One thing that is wrong, unwise or worth knowing, and all of them of one text.

use pod::PodKey;
use schemars::JsonSchema;
use serde::Serialize;
use yaml::{
    fault::{Fault, Show},
    source::{Place, Source},
};

/// How much a finding matters; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// The pod would not run, or not as written.
    Error,
    /// It would run, and there is a better way.
    Warning,
    /// Nothing is wrong.
    Note,
}

impl Level {
    /// As in reports.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) level: Level,
    /// Name of the rule.
    pub(crate) rule: &'static str,
    /// Where, what and what to do.
    pub(crate) fault: Fault,
}

impl Finding {
    /// About a text, a file or a directory as a whole.
    pub(crate) fn whole(
        level: Level,
        rule: &'static str,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        let fault = Fault {
            field: String::new(),
            place: Place::Nowhere,
            message: message.into(),
            advice: advice.into(),
            show: Show::Key,
        };
        Self { level, rule, fault }
    }

    /// Line and column, from 1; (0, 0) for the text as a whole.
    fn position(&self) -> (usize, usize) {
        match &self.fault.place {
            Place::Text(spot) => (spot.line, spot.column),
            Place::Override(_) | Place::Nowhere => (0, 0),
        }
    }
}

/// What became of a file, a directory, a URL or standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// No error was found.
    Ok,
    /// An agent would not run what it says.
    Refused,
    /// An agent would not look at it.
    Ignored,
    /// It cannot be read.
    Unreadable,
}

/// One text, or the directory that holds texts, after its check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checked {
    /// As it was named on the command line, or found in a directory that was.
    pub(crate) name: String,
    pub(crate) status: Status,
    /// Whether it is a file or an answer, and not a directory.
    pub(crate) is_text: bool,
    /// Those whose names could be read.
    pub(crate) pods: Vec<PodKey>,
    /// In the order of the text.
    pub(crate) findings: Vec<Finding>,
    /// For people; the first findings only, if there are very many.
    pub(crate) shown: String,
}

/// More than anybody mends in one go.
const SHOWN: usize = 100;

/// A line that is pointed at behind this column is not shown: it is no line for people.
const WIDEST: usize = 200;

/// Puts findings into the order in which a text is read.
pub(crate) fn sort(findings: &mut [Finding]) {
    findings.sort_by_key(|finding| (finding.position(), finding.level));
}

/// Findings for people: place, level, field, what is wrong, the line, a caret and an advice.
pub(crate) fn show(source: &Source, findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings.iter().take(SHOWN) {
        text.push_str(&block(source, finding));
    }
    let rest = findings.len().saturating_sub(SHOWN);
    if rest > 0 {
        text.push_str(&format!("{}: and {rest} more\n\n", source.name()));
    }
    let errors: Vec<Fault> = findings
        .iter()
        .filter(|finding| finding.level == Level::Error)
        .map(|finding| finding.fault.clone())
        .collect();
    if source.is_cut_off() && !errors.is_empty() {
        text.push_str(&yaml::fault::summary(source, &errors));
        text.push_str("\n\n");
    }
    text
}

fn block(source: &Source, finding: &Finding) -> String {
    let mut fault = finding.fault.clone();
    let level = finding.level.word();
    fault.field = match &*fault.field {
        "" => level.to_owned(),
        field => format!("{level}: {field}"),
    };
    fault.message = format!("{} [{}]", fault.message, finding.rule);
    let (line, column) = finding.position();
    point_at_key(source, &mut fault);
    let rendered = if column > WIDEST {
        fault.place = Place::Nowhere;
        let place = Source::new(format!("{}:{line}:{column}", source.name()), "");
        yaml::fault::render(&place, &[fault])
    } else {
        yaml::fault::render(source, &[fault])
    };
    // The last line counts problems; here that is done over all files.
    match rendered.rfind('\n') {
        Some(end) => rendered.get(..=end).unwrap_or_default().to_owned(),
        None => rendered,
    }
}

/// A mapping begins with the first letter of its first key; people look for a word.
fn point_at_key(source: &Source, fault: &mut Fault) {
    let Place::Text(spot) = &mut fault.place else {
        return;
    };
    if fault.show != Show::Key || spot.width > 1 || spot.column > WIDEST {
        return;
    }
    let line = source.line(spot.line).unwrap_or_default();
    let rest: Vec<char> = line.chars().skip(spot.column.saturating_sub(1)).collect();
    let key = rest
        .iter()
        .take_while(|letter| letter.is_alphanumeric() || "-_./".contains(**letter));
    let width = key.count();
    if rest.get(width) == Some(&':') {
        spot.width = width.max(1);
    }
}

#[cfg(test)]
mod tests {
    use yaml::source::Spot;

    use super::*;

    fn finding(line: usize, column: usize, level: Level) -> Finding {
        let place = Place::Text(Spot {
            line,
            column,
            width: 1,
        });
        let mut finding = Finding::whole(level, "a-rule", "is odd", "mend it");
        finding.fault.place = place;
        finding.fault.field = "spec.x".into();
        finding
    }

    #[test]
    fn a_block_names_place_level_field_and_rule() {
        let source = Source::new("a.yaml", "x: 1\n");
        assert_eq!(
            show(&source, &[finding(1, 1, Level::Warning)]),
            "a.yaml:1:1: warning: spec.x: is odd [a-rule]\n    1 | x:\n      | ^\n      = mend it\n\n"
        );
        let whole = Finding::whole(Level::Note, "a-rule", "is odd", "mend it");
        assert_eq!(
            show(&source, &[whole]),
            "a.yaml: note: is odd [a-rule]\n      = mend it\n\n"
        );
    }

    #[test]
    fn a_line_that_is_no_line_for_people_is_not_shown() {
        let source = Source::new("a.json", "x".repeat(1_000_000));
        let text = show(&source, &[finding(1, 90_000, Level::Warning)]);
        assert_eq!(
            text,
            "a.json:1:90000: warning: spec.x: is odd [a-rule]\n      = mend it\n\n"
        );
    }

    #[test]
    fn a_mapping_is_pointed_at_by_its_first_key() {
        let source = Source::new("a.yaml", "- name: x\n");
        let text = show(&source, &[finding(1, 3, Level::Warning)]);
        assert!(text.contains(" | - name:\n      |   ^^^^\n"), "{text}");
    }

    #[test]
    fn very_many_findings_are_counted_and_not_shown() {
        let source = Source::new("a.yaml", "x: 1\n".repeat(300));
        let findings: Vec<Finding> = (1..=300).map(|at| finding(at, 1, Level::Error)).collect();
        let text = show(&source, &findings);
        assert!(text.contains("a.yaml:100:1: ") && !text.contains("a.yaml:101:1: "));
        assert!(text.ends_with("a.yaml: and 200 more\n\n"), "{text}");
    }

    #[test]
    fn a_text_that_may_have_been_cut_off_is_said_to_be() {
        let source = Source::new("a.yaml", "x: 1");
        let text = show(&source, &[finding(1, 1, Level::Error)]);
        assert!(text.contains("cut off while being written"), "{text}");
        let text = show(&source, &[finding(1, 1, Level::Warning)]);
        assert!(!text.contains("cut off"), "{text}");
    }

    #[test]
    fn findings_are_ordered_as_the_text_is_read_and_the_worst_first() {
        let mut findings = [
            finding(2, 1, Level::Error),
            finding(1, 4, Level::Warning),
            finding(1, 4, Level::Error),
            Finding::whole(Level::Note, "a-rule", "is odd", "mend it"),
        ];
        sort(&mut findings);
        let order: Vec<_> = findings
            .iter()
            .map(|finding| (finding.position(), finding.level))
            .collect();
        assert_eq!(
            order,
            [
                ((0, 0), Level::Note),
                ((1, 4), Level::Error),
                ((1, 4), Level::Warning),
                ((2, 1), Level::Error)
            ]
        );
    }
}
