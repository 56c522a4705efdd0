//! One thing that is wrong with a file, and how it is shown.

use std::fmt::Write as _;

use crate::source::{Place, Source, Spot};

/// What a diagnostic may show of the source line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// The key and the value.
    Value,
    /// The key; the value may be a secret in the wrong place.
    Hidden,
    /// The place is a key; what follows it is not shown.
    Key,
}

/// One problem. Neither `message` nor `advice` ever holds a value from the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Dotted path, for example `openbao.failoverAddresses[1]`; empty for the file itself.
    pub field: String,
    /// What the caret points at.
    pub place: Place,
    /// What is wrong: a predicate of the field, lower case, no full stop.
    pub message: String,
    /// What to do: an imperative, lower case, no full stop.
    pub advice: String,
    /// Whether the value may be printed.
    pub show: Show,
}

const HIDDEN: &str = "<hidden>";

/// More than anybody mends in one go; a file of nothing but faults stays cheap to refuse.
const SHOWN: usize = 100;

/// More of a line, before the place and in it, than anybody reads: a whole document may stand on
/// one line.
const LINE: usize = 200;

/// All faults as text: position, field, what is wrong, the line, a caret and an advice.
/// Ordered by position, so that a reader walks down the file once.
pub fn render(source: &Source, faults: &[Fault]) -> String {
    let mut ordered: Vec<&Fault> = faults.iter().collect();
    ordered.sort_by_key(|fault| match &fault.place {
        Place::Override(_) => (0, 0),
        Place::Nowhere => (1, 0),
        Place::Text(spot) => (spot.line, spot.column),
    });
    let mut text = String::new();
    for fault in ordered.into_iter().take(SHOWN) {
        render_one(&mut text, source, fault);
    }
    if faults.len() > SHOWN {
        // Writing to a String cannot fail.
        let _ = write!(text, "the first {SHOWN} of ");
    }
    text + &summary(source, faults)
}

/// How many problems there are, and where: in the file, unless a flag or a variable has
/// all of them.
pub fn summary(source: &Source, faults: &[Fault]) -> String {
    let count = faults.len();
    let noun = if count == 1 { "problem" } else { "problems" };
    let mut outside: Vec<&str> = Vec::new();
    for fault in faults {
        match fault.place {
            Place::Override(name) if outside.contains(&name) => {}
            Place::Override(name) => outside.push(name),
            Place::Nowhere | Place::Text(_) => {
                let cut_off = if source.is_cut_off() {
                    ", whose last line has no end: it may have been cut off while being written"
                } else {
                    ""
                };
                return format!("{count} {noun} in {}{cut_off}", source.name());
            }
        }
    }
    format!("{count} {noun} in {}", outside.join(" and "))
}

fn render_one(text: &mut String, source: &Source, fault: &Fault) {
    let subject = if fault.field.is_empty() {
        String::new()
    } else {
        format!("{}: ", harmless(&fault.field))
    };
    let place = match &fault.place {
        Place::Text(spot) => format!("{}:{}:{}", source.name(), spot.line, spot.column),
        Place::Override(name) => (*name).to_owned(),
        Place::Nowhere => source.name().to_owned(),
    };
    let _ = writeln!(text, "{place}: {subject}{}", fault.message);
    if let Place::Text(spot) = fault.place
        && let Some(line) = source.line(spot.line)
    {
        render_line(text, line, spot, fault.show);
    }
    let _ = writeln!(text, "      = {}\n", fault.advice);
}

fn render_line(text: &mut String, line: &str, spot: Spot, show: Show) {
    let line: Vec<char> = line.chars().collect();
    let start = spot.column.saturating_sub(1).min(line.len());
    let end = start.saturating_add(spot.width).min(line.len());
    let (before, rest) = line.split_at(start);
    let (pointed, _) = rest.split_at(end - start);

    let mut shown = mask_neighbours(before);
    if before.len() > LINE {
        shown = std::iter::once('…')
            .chain(shown.chars().skip(before.len() - LINE))
            .collect();
    }
    let (pointed, rest) = pointed.split_at(pointed.len().min(LINE));
    let padding: String = shown
        .chars()
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    let width = match show {
        Show::Value => {
            shown.extend(pointed);
            shown.extend((!rest.is_empty()).then_some('…'));
            pointed.len().max(1)
        }
        Show::Hidden => {
            shown.push_str(HIDDEN);
            HIDDEN.len()
        }
        Show::Key => {
            shown.extend(pointed);
            shown.push(':');
            pointed.len().max(1)
        }
    };
    let _ = writeln!(text, " {:>4} | {}", spot.line, harmless(&shown));
    let _ = writeln!(text, "      | {padding}{}", "^".repeat(width));
}

/// Without characters that a terminal would obey.
fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => c,
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

/// Keeps indentation, list dashes and the key right before the place; whatever else stands on
/// the line (the earlier pairs of `{a: 1, b: 2}`) becomes dots.
fn mask_neighbours(before: &[char]) -> String {
    let text: String = before.iter().collect();
    let trimmed = text.trim_end_matches([' ', '\t']);
    let key_end = trimmed.strip_suffix(':').unwrap_or(trimmed);
    let key_start = key_end
        .rfind(|c: char| !(c.is_ascii_alphanumeric() || "_.\"'".contains(c)))
        .map_or(0, |at| at + 1);
    // Without the colon, what stands before is a value.
    let keep_from = if trimmed.ends_with(':') {
        key_start
    } else {
        text.len()
    };
    text.char_indices()
        .map(|(at, c)| {
            if at >= keep_from || c.is_whitespace() || c == '-' {
                c
            } else {
                '.'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(line: usize, column: usize, width: usize, show: Show) -> Fault {
        Fault {
            field: "a.b".into(),
            place: Place::Text(Spot {
                line,
                column,
                width,
            }),
            message: "is wrong".into(),
            advice: "put it right".into(),
            show,
        }
    }

    #[test]
    fn the_line_the_caret_and_the_advice_are_shown() {
        let source = Source::new("/c.yaml", "a:\n  b: never\n");
        assert_eq!(
            render(&source, &[fault(2, 6, 5, Show::Value)]),
            "/c.yaml:2:6: a.b: is wrong\n    2 |   b: never\n      |      ^^^^^\n      = put it right\n\n1 problem in /c.yaml"
        );
    }

    #[test]
    fn a_value_that_may_be_a_secret_and_its_neighbours_are_not_shown() {
        let source = Source::new("/c.yaml", "a: {pin: 1234, b: hunter2, c: 5678}\n");
        let text = render(&source, &[fault(1, 19, 7, Show::Hidden)]);
        for secret in ["1234", "hunter2", "5678"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(text.contains("b: <hidden>\n"), "{text}");
    }

    #[test]
    fn faults_are_ordered_as_the_file_is_read() {
        let source = Source::new("/c.yaml", "a: 1\nb: 2\nc: 3\n");
        let faults = [
            fault(3, 4, 1, Show::Value),
            fault(1, 4, 1, Show::Value),
            fault(2, 4, 1, Show::Value),
        ];
        let text = render(&source, &faults);
        let at = |needle| text.find(needle).unwrap();
        assert!(at(":1:4") < at(":2:4") && at(":2:4") < at(":3:4"));
        assert!(text.ends_with("3 problems in /c.yaml"));
    }

    #[test]
    fn a_file_without_a_last_line_end_is_said_to_be_perhaps_cut_off() {
        let source = Source::new("/c.yaml", "a: 1");
        assert!(render(&source, &[fault(1, 4, 1, Show::Value)]).contains("cut off"));
    }

    #[test]
    fn a_file_of_nothing_but_faults_is_cut_short_and_counted() {
        let source = Source::new("/c.yaml", "a: 1\n".repeat(1_000));
        let faults: Vec<Fault> = (1..=1_000)
            .map(|line| fault(line, 4, 1, Show::Value))
            .collect();
        let text = render(&source, &faults);
        assert!(text.contains("/c.yaml:100:4: ") && !text.contains("/c.yaml:101:4: "));
        assert!(
            text.ends_with("the first 100 of 1000 problems in /c.yaml"),
            "{text}"
        );
    }

    #[test]
    fn a_document_on_one_line_is_shown_around_the_place() {
        let source = Source::new(
            "/c.json",
            format!("{}b: {}\n", "a: 1, ".repeat(50_000), "x".repeat(9_000)),
        );
        let text = render(&source, &[fault(1, 300_004, 9_000, Show::Value)]);
        assert!(text.contains("b: xxx") && text.contains("xxx…\n"), "{text}");
        assert!(text.contains(" | …. .."), "{text}");
        assert!(text.len() < 2_000, "{}", text.len());
        let caret = text.lines().find(|line| line.contains('^')).unwrap();
        let shown = text.lines().nth(1).unwrap();
        let column = |line: &str, letter| line.chars().position(|found| found == letter);
        assert_eq!(column(caret, '^'), column(shown, 'x'));
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_passed_on() {
        let source = Source::new("/c.yaml", "\u{1b}[31m: 1\n");
        let mut fault = fault(1, 1, 5, Show::Key);
        fault.field = "\u{1b}[2J\n".into();
        let text = render(&source, &[fault]);
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }

    #[test]
    fn the_file_is_not_blamed_for_a_wrong_flag() {
        let source = Source::new("/c.yaml", "a: 1");
        let given = |name| Fault {
            place: Place::Override(name),
            ..fault(1, 1, 1, Show::Value)
        };
        let all = |faults: &[Fault]| summary(&source, faults);
        assert_eq!(all(&[given("--log-level")]), "1 problem in --log-level");
        assert_eq!(
            all(&[given("--a"), given("B"), given("--a")]),
            "3 problems in --a and B"
        );
        let both = all(&[given("--a"), fault(1, 4, 1, Show::Value)]);
        assert!(both.starts_with("2 problems in /c.yaml, whose"), "{both}");
    }

    #[test]
    fn a_place_outside_the_text_does_not_panic() {
        let source = Source::new("/c.yaml", "a: 1\n");
        for (line, column) in [(0, 0), (1, 99), (99, 1)] {
            render(&source, &[fault(line, column, 99, Show::Value)]);
        }
    }
}
