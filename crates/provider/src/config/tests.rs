//! The configuration as a whole: every rule, every diagnostic, every default.

use yaml::source::Source;

use super::{
    error::ConfigError,
    load::parse,
    overrides::{Override, Overrides},
    settings::Config,
};

mod diagnostics;
mod document;
mod files;
mod rules;
mod sound;

/// A whole valid file; lines of it are replaced by the tests.
const VALID: &str = include_str!("tests/valid.yaml");

fn read(text: &str) -> Result<Config, ConfigError> {
    parse(Source::new("/c.yaml", text), &Overrides::default())
}

/// The message about `text`, which must be refused.
fn refusal(text: &str) -> String {
    match read(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => error.to_string(),
    }
}

/// [`VALID`] with the line of the dotted `field` replaced by `value` (or removed, when `value`
/// is empty), and the position at which that value stands.
fn with(field: &str, value: &str) -> (String, String) {
    let name = field.rsplit('.').next().unwrap();
    let depth = field.matches('.').count() * 2;
    let start = format!("{}{name}:", " ".repeat(depth));
    let mut position = String::new();
    let mut path: Vec<String> = Vec::new();
    let mut lines = Vec::new();
    for (at, line) in VALID.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let key = line.trim_start().split(':').next().unwrap();
        path.truncate(indent / 2);
        path.push(key.to_owned());
        if path.join(".") == field && line.starts_with(&start) {
            position = format!("/c.yaml:{}:{}", at + 1, start.len() + 2);
            if !value.is_empty() {
                lines.push(format!("{start} {value}"));
            }
        } else {
            lines.push(line.to_owned());
        }
    }
    assert!(!position.is_empty(), "{field} is not in the valid file");
    (lines.join("\n") + "\n", position)
}

fn overridden(value: &str, origin: &'static str) -> Option<Override> {
    Some(Override {
        value: value.to_owned(),
        origin,
    })
}
