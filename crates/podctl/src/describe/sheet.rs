//! Paper with lines: keys, and what they say in a column of its own.

use std::{
    collections::BTreeMap,
    fmt::{Display, Write as _},
    time::Duration,
};

use pod::api;
use podstatus::age;

use crate::{columns::Columns, document::State};

/// A key with its value, not yet written: keys that stand together are as wide as the widest.
type Line = (String, String);

#[derive(Debug, Default)]
pub(crate) struct Sheet {
    done: String,
    lines: Vec<Line>,
    depth: usize,
}

impl Sheet {
    pub(crate) fn text(mut self) -> String {
        self.flush();
        self.done
    }

    /// `key:  value`; the colon is put in here.
    pub(crate) fn line(&mut self, depth: usize, key: &str, value: impl Display) {
        self.turn_to(depth);
        let value = value.to_string();
        let mut parts = value.lines();
        let first = parts.next().unwrap_or_default().to_owned();
        self.lines.push((format!("{key}:"), first));
        for part in parts {
            self.lines.push((String::new(), part.to_owned()));
        }
    }

    /// A line, if there is anything to say.
    pub(crate) fn some(&mut self, depth: usize, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.line(depth, key, value);
        }
    }

    /// Labels or annotations, one below the other.
    pub(crate) fn pairs(
        &mut self,
        key: &str,
        pairs: Option<&BTreeMap<String, String>>,
        between: char,
    ) {
        let space = match between {
            ':' => " ",
            _ => "",
        };
        let all = pairs.into_iter().flatten();
        let all: Vec<String> = all
            // What is written by programs may be long, and is in `get -o yaml`.
            .map(|(name, value)| format!("{name}{between}{space}{}", short(value)))
            .collect();
        match all.is_empty() {
            true => self.line(0, key, "<none>"),
            false => self.line(0, key, all.join("\n")),
        }
    }

    /// A line of its own.
    pub(crate) fn heading(&mut self, depth: usize, text: &str) {
        self.flush();
        let indent = depth * 2;
        let _ = writeln!(self.done, "{:indent$}{text}", "");
    }

    /// Rows below a heading.
    pub(crate) fn table(&mut self, heading: &str, titles: &[&str], rows: Vec<Vec<String>>) {
        if rows.is_empty() {
            return;
        }
        self.heading(0, heading);
        let titles = titles.iter().map(ToString::to_string).collect();
        let mut all = vec![titles];
        all.extend(rows);
        for line in Columns::default().lines(&all).lines() {
            self.heading(1, line.trim_end());
        }
    }

    fn turn_to(&mut self, depth: usize) {
        if depth != self.depth {
            self.flush();
            self.depth = depth;
        }
    }

    fn flush(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        let width = lines.iter().map(|(key, _)| key.chars().count()).max();
        let width = width.unwrap_or_default() + 2;
        let indent = self.depth * 2;
        for (key, value) in lines {
            let line = format!("{:indent$}{key:width$}{value}", "");
            let _ = writeln!(self.done, "{}", line.trim_end());
        }
    }
}

fn short(value: &str) -> String {
    const LONGEST: usize = 140;
    let line = value.lines().next().unwrap_or_default();
    if line.len() == value.len() && line.chars().count() <= LONGEST {
        return line.to_owned();
    }
    let cut: String = line.chars().take(LONGEST).collect();
    format!("{cut}...")
}

/// `Sat, 21 Nov 2026 22:00:00 +0000`.
pub(crate) fn moment(time: &api::Time) -> String {
    time.0.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

pub(crate) fn since(time: &api::Time, state: &State) -> String {
    let seconds = state.time.0.as_second().saturating_sub(time.0.as_second());
    age(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}
