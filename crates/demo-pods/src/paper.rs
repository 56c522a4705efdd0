//! The terminal, or a file that must stay readable.

use std::{
    env,
    io::{IsTerminal as _, Write as _, stdout},
    time::Duration,
};

const BOLD: &str = "1";
const GREEN: &str = "32";
const RED: &str = "31";
const DIM: &str = "2";

/// What is told, line by line.
pub(crate) struct Paper {
    colour: bool,
}

/// A row of the table at the end.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Until all was well again, where something had to become well.
    pub(crate) well: Option<Duration>,
    pub(crate) facts: Vec<String>,
}

impl Paper {
    pub(crate) fn new() -> Self {
        let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colour: stdout().is_terminal() && !plain,
        }
    }

    pub(crate) fn say(&self, line: &str) {
        // Who has closed the terminal does not read on.
        let _ = writeln!(stdout(), "{line}");
    }

    pub(crate) fn title(&self, text: &str) {
        self.say(&self.paint(BOLD, text));
    }

    pub(crate) fn heading(&self, number: usize, of: usize, title: &str) {
        let number = self.paint(DIM, &format!("[{number}/{of}]"));
        self.say(&format!("\n{number} {}", self.paint(BOLD, title)));
    }

    pub(crate) fn checked(&self, fact: &str) {
        self.say(&format!("  {} {fact}", self.paint(GREEN, "ok")));
    }

    /// What a program has said.
    pub(crate) fn quote(&self, text: &str) {
        for line in text.lines() {
            self.say(&format!("    {}", self.paint(DIM, line)));
        }
    }

    pub(crate) fn failure(&self, step: &str, why: &str) {
        self.say(&format!("\n{} {step}\n  {why}", self.paint(RED, "FAILED:")));
    }

    /// Every step, how long until all was well, and what was checked.
    pub(crate) fn table(&self, rows: &[Row]) {
        let names = rows.iter().map(|row| row.name.len());
        let width = names.max().unwrap_or_default();
        let head = format!("{:<width$}  {:>7}  checked", "what happened", "well in");
        self.say(&format!("\n{}", self.paint(BOLD, &head)));
        for row in rows {
            let well = row.well.map_or_else(String::new, seconds);
            let mut front = (row.name, well.as_str());
            for fact in &row.facts {
                self.say(&format!("{:<width$}  {:>7}  {fact}", front.0, front.1));
                front = ("", "");
            }
        }
    }

    fn paint(&self, style: &str, text: &str) -> String {
        match self.colour {
            true => format!("\x1b[{style}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
