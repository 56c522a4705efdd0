//! The table as text.

use std::{fmt::Write as _, time::Duration};

use super::case::Row;

const HEAD: &str = "\
| | what happens | what the pods do | what you see | well again | measured |
|---|---|---|---|---|---|
";

/// All cells but the last.
pub(super) fn promise(row: &Row, seen: &[String]) -> String {
    let Row {
        id,
        what,
        pods,
        well,
        ..
    } = row;
    let seen = seen.join("; ");
    format!("| {id} | {what} | {pods} | {seen} | {well} |")
}

/// The table of what was measured.
pub(super) fn table(rows: &[(String, Option<Duration>)]) -> String {
    let mut text = HEAD.to_owned();
    for (promise, well) in rows {
        let measured = match well {
            Some(well) => format!("{:.2} s", well.as_secs_f64()),
            None => String::new(),
        };
        writeln!(text, "{promise} {measured} |").unwrap();
    }
    text
}
