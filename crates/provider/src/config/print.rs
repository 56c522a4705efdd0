//! The resolved configuration as text: what the program runs with, defaults and overrides
//! included, in the form of the file itself.

use std::fmt::Write as _;

use serde_json::Value;

use super::settings::Config;

impl Config {
    /// The file as it is in force, as a JSON document in the file's own shape. Holds paths of
    /// secrets, never secrets.
    #[must_use]
    pub fn document(&self) -> Value {
        serde_json::to_value(&self.origin.raw).unwrap_or_default()
    }
}

/// `value` as YAML, two spaces deep, in the order of its members.
pub(crate) fn yaml(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value, 0);
    text
}

fn write(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                let _ = write!(text, "{indent}{}:", scalar(name));
                write_behind(text, value, depth);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let _ = write!(text, "{indent}-");
                write_behind(text, item, depth);
            }
        }
        _ => {
            let _ = writeln!(text, "{indent}{}", flat(value));
        }
    }
}

fn write_behind(text: &mut String, value: &Value, depth: usize) {
    let nested = match value {
        Value::Object(members) => !members.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if nested {
        text.push('\n');
        write(text, value, depth + 1);
    } else {
        let _ = writeln!(text, " {}", flat(value));
    }
}

fn flat(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// Plain where every YAML reader sees the same text in it, else quoted as JSON does, which is
/// a form of YAML's double quotes.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 11] = [
        "true", "false", "null", "yes", "no", "on", "off", "y", "n", "inf", "nan",
    ];
    let harmless = |c: char| c.is_ascii_alphanumeric() || "_-./:".contains(c);
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(harmless)
        && !text.ends_with(':')
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if plain || is_duration(text) {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

/// `30s` cannot be mistaken for a number: it ends with a unit.
fn is_duration(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
        && text.ends_with(['s', 'm', 'h'])
        && pace::parse_duration(text).is_ok()
}
