//! Documents as YAML, for people who would rather read that than JSON.

use std::fmt::Write as _;

use serde_json::Value;

/// A document. Whatever reads YAML 1.1 or 1.2 reads the same values from it.
#[must_use]
pub fn text(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(fields) if !fields.is_empty() => mapping(fields, 0, &mut text),
        Value::Array(items) if !items.is_empty() => sequence(items, 0, &mut text),
        scalar_value => {
            scalar(scalar_value, 0, &mut text);
            text.push('\n');
        }
    }
    text
}

fn mapping(fields: &serde_json::Map<String, Value>, depth: usize, text: &mut String) {
    for (at, (key, value)) in fields.iter().enumerate() {
        if at > 0 {
            indent(depth, text);
        }
        word(key, text);
        text.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                text.push('\n');
                indent(depth + 1, text);
                mapping(inner, depth + 1, text);
            }
            // As kubectl does: the dashes stand below the key.
            Value::Array(items) if !items.is_empty() => {
                text.push('\n');
                indent(depth, text);
                sequence(items, depth, text);
            }
            other => {
                text.push(' ');
                scalar(other, depth + 1, text);
                text.push('\n');
            }
        }
    }
}

fn sequence(items: &[Value], depth: usize, text: &mut String) {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            indent(depth, text);
        }
        text.push_str("- ");
        match item {
            Value::Object(inner) if !inner.is_empty() => mapping(inner, depth + 1, text),
            Value::Array(inner) if !inner.is_empty() => sequence(inner, depth + 1, text),
            other => {
                scalar(other, depth + 1, text);
                text.push('\n');
            }
        }
    }
}

fn indent(depth: usize, text: &mut String) {
    for _ in 0..depth {
        text.push_str("  ");
    }
}

/// Without the end of its last line.
fn scalar(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::String(said) if is_block(said) => block(said, depth, text),
        Value::String(said) => word(said, text),
        Value::Object(_) => text.push_str("{}"),
        Value::Array(_) => text.push_str("[]"),
        other => {
            let _ = write!(text, "{other}");
        }
    }
}

/// Several lines that can stand as they are.
fn is_block(said: &str) -> bool {
    let plain = |letter: char| letter == '\n' || (!letter.is_control() && letter != '\u{feff}');
    said.trim_end_matches('\n').contains('\n')
        && said.chars().all(plain)
        && !said.starts_with([' ', '\n'])
        && said.lines().all(|line| !line.ends_with(' '))
}

fn block(said: &str, depth: usize, text: &mut String) {
    let bare = said.trim_end_matches('\n');
    let ends = said.len() - bare.len();
    text.push_str(match ends {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    for line in bare.split('\n') {
        text.push('\n');
        if !line.is_empty() {
            indent(depth, text);
            text.push_str(line);
        }
    }
    for _ in 1..ends {
        text.push('\n');
    }
}

/// Bare where every reader takes it for a text, in quotes otherwise: what JSON writes in quotes
/// means the same in YAML.
fn word(said: &str, text: &mut String) {
    let first = |letter: char| letter.is_ascii_alphabetic() || matches!(letter, '/' | '_');
    let inner = |letter: char| {
        letter.is_ascii_alphanumeric()
            || matches!(
                letter,
                '-' | '_' | '.' | '/' | ' ' | ':' | '=' | ',' | '(' | ')' | '@' | '+'
            )
    };
    let taken = [
        "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf",
    ];
    let bare = said.starts_with(first)
        && said.chars().all(inner)
        && !said.ends_with([' ', ':'])
        && !said.contains(": ")
        && !taken.contains(&said.to_ascii_lowercase().as_str());
    if bare {
        text.push_str(said);
    } else {
        let _ = write!(text, "{}", Value::String(said.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use yaml::{
        scalar::{Scalar, resolve},
        source::Source,
        tree::{Entry, Kind, Node, read},
    };

    use super::*;

    #[test]
    fn documents_look_as_kubectl_prints_them() {
        let value = json!({
            "kind": "Pod",
            "metadata": {"labels": {}, "name": "web-n1"},
            "spec": {"containers": [
                {"args": ["out=hello", "1", "no", ""], "name": "web", "ports": [{"port": 80}]},
                {"name": "b"},
            ]},
            "text": "one\ntwo\n",
            "time": "2026-11-21T22:00:00Z",
        });
        let expected = "kind: Pod
metadata:
  labels: {}
  name: web-n1
spec:
  containers:
  - args:
    - out=hello
    - \"1\"
    - \"no\"
    - \"\"
    name: web
    ports:
    - port: 80
  - name: b
text: |
  one
  two
time: \"2026-11-21T22:00:00Z\"
";
        assert_eq!(text(&value), expected);
    }

    #[test]
    fn every_text_is_read_back_as_it_was() {
        for said in [
            "a: b",
            "a #b",
            "- a",
            "true",
            "Off",
            "0x1",
            "1_000",
            "~",
            "é",
            "a\tb",
            "a\nb",
            "a\nb\n\n",
            "\n\na",
            " a",
            "a ",
            "a\r\nb",
            "{a}",
            "*a",
            "&a",
            "!a",
            "%a",
            "@a",
            "`a",
            "'a'",
            "\"a\"",
            "a:",
            ":a",
            "1e3",
            "a\u{85}b",
            "a \nb",
            "2026-11-21",
            ".inf",
            "=",
            "<<",
            "null",
            "y",
            "a\n\n  b\nc",
        ] {
            let value = json!({"a": [said, {"b": said}]});
            let text = text(&value);
            let mut faults = Vec::new();
            let tree = read(&Source::new("a", &*text), &mut faults);
            assert!(faults.is_empty(), "{said:?}:\n{text}");
            assert_eq!(back(&tree.unwrap()), value, "{said:?}:\n{text}");
        }
    }

    fn back(node: &Node) -> Value {
        match &node.kind {
            Kind::Scalar { text, plain: false } => json!(text),
            Kind::Scalar { text, plain: true } => match resolve(text) {
                Scalar::Text(text) => json!(text),
                other => panic!("{text} is read as {other:?}"),
            },
            Kind::List(items) => items.iter().map(back).collect(),
            Kind::Map(entries) => {
                let field = |entry: &Entry| (entry.key.clone(), back(&entry.value));
                Value::Object(entries.iter().map(field).collect())
            }
            Kind::Null | Kind::Broken => Value::Null,
        }
    }
}
