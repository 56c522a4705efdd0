//! For people.

use crate::{
    finding::{Checked, Status},
    report::Summary,
};

/// More ignored files than these are only counted.
const IGNORED: usize = 20;

/// All findings, and the numbers in the last line.
pub(crate) fn text(checked: &[Checked], summary: &Summary) -> String {
    let mut text = String::new();
    let mut ignored = 0;
    for one in checked {
        if one.status == Status::Ignored {
            ignored += 1;
            if ignored > IGNORED {
                continue;
            }
        }
        text.push_str(&one.shown);
    }
    if ignored > IGNORED {
        text.push_str(&format!(
            "and {} more files are ignored\n\n",
            ignored - IGNORED
        ));
    }
    text + &last(summary)
}

fn last(summary: &Summary) -> String {
    let Summary {
        manifests,
        pods,
        ignored,
        errors,
        warnings,
    } = *summary;
    let mut line = format!(
        "{} checked, {}: {}, {}",
        count(manifests, "manifest"),
        count(pods, "pod"),
        count(errors, "error"),
        count(warnings, "warning"),
    );
    if ignored > 0 {
        line.push_str(&format!("; {} ignored", count(ignored, "file")));
    }
    line + "\n"
}

fn count(number: usize, noun: &str) -> String {
    match number {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        more => format!("{more} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Finding, Level};

    #[test]
    fn the_last_line_counts() {
        let summary = Summary {
            manifests: 2,
            pods: 1,
            ignored: 0,
            errors: 0,
            warnings: 3,
        };
        assert_eq!(
            text(&[], &summary),
            "2 manifests checked, 1 pod: no errors, 3 warnings\n"
        );
    }

    #[test]
    fn many_ignored_files_are_counted_and_not_shown() {
        let one = |number| Checked {
            name: format!("{number}"),
            status: Status::Ignored,
            is_text: false,
            pods: Vec::new(),
            findings: vec![Finding::whole(Level::Note, "ignored-file", "is", "do")],
            shown: format!("<{number}>\n"),
        };
        let checked: Vec<Checked> = (1..=1_000).map(one).collect();
        let text = text(&checked, &Summary::of(&checked));
        assert!(text.contains("<20>") && !text.contains("<21>"), "{text}");
        assert!(
            text.ends_with(
                "and 980 more files are ignored\n\nno manifests checked, no pods: no errors, no warnings; 1000 files ignored\n"
            ),
            "{text}"
        );
    }
}
