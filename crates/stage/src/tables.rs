//! Tables for people: as text whose columns line up, and as Markdown between the marks of a page.

use std::fmt::Write as _;

/// The first row is the titles; all rows are as long as it.
pub type Table = Vec<Vec<String>>;

/// A row of fixed words, such as the titles.
#[must_use]
pub fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// As text, the first column to the left, the others to the right.
#[must_use]
pub fn aligned(table: &Table) -> String {
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

/// As Markdown, with the same sides.
#[must_use]
pub fn markdown(table: &Table) -> String {
    let mut out = String::new();
    for (number, cells) in table.iter().enumerate() {
        let _ = writeln!(out, "| {} |", cells.join(" | "));
        if number == 0 {
            let others = cells.len().saturating_sub(1);
            let _ = writeln!(out, "|---|{}", "--:|".repeat(others));
        }
    }
    out
}

/// `document` with what stands between `<!-- MARK -->` and the next `<!-- /WORD -->` replaced,
/// where WORD is the first one of the mark; none when they are not there.
#[must_use]
pub fn replaced(document: &str, mark: &str, text: &str) -> Option<String> {
    let word = mark.split(' ').next()?;
    let (begin, end) = (format!("<!-- {mark} -->"), format!("<!-- /{word} -->"));
    let (before, rest) = document.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n\n{text}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_between_the_marks_of_that_name_is_replaced() {
        let document = "a\n<!-- bench x -->\nold\n<!-- /bench -->\nb\n<!-- bench y -->\nkept\n<!-- /bench -->\n";
        assert_eq!(
            replaced(document, "bench x", "new\n").unwrap(),
            "a\n<!-- bench x -->\n\nnew\n<!-- /bench -->\nb\n<!-- bench y -->\nkept\n<!-- /bench -->\n"
        );
        assert_eq!(replaced(document, "bench z", "new"), None);
    }

    #[test]
    fn columns_line_up_under_their_titles() {
        let table = vec![words(&["call", "p50"]), words(&["Decrypt, equal", "7"])];
        assert_eq!(
            aligned(&table),
            "call            p50\nDecrypt, equal    7\n"
        );
        assert_eq!(
            markdown(&table),
            "| call | p50 |\n|---|--:|\n| Decrypt, equal | 7 |\n"
        );
    }
}
