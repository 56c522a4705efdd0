//! SARIF 2.1.0, as code scanning of forges and editors read it.

use std::{fmt::Write as _, path::Path};

use serde_json::{Value, json};
use yaml::source::{Place, Spot};

use crate::{
    finding::{Checked, Finding},
    report::json::pretty,
    rules::{self, Rule},
    version::VERSION,
};

/// One run. Files below `here`, the working directory, are named from there: that is how a
/// repository knows them. `complete`: every argument could be read.
pub(crate) fn sarif(
    checked: &[Checked],
    here: &Path,
    complete: bool,
) -> Result<String, serde_json::Error> {
    let mut results = Vec::new();
    for one in checked {
        let uri = uri(&one.name, here);
        results.extend(one.findings.iter().map(|finding| result(finding, &uri)));
    }
    pretty(&json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "staticpodd",
                "semanticVersion": VERSION,
                "rules": rules::ALL.iter().map(rule).collect::<Vec<Value>>(),
            }},
            "invocations": [{ "executionSuccessful": complete }],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    }))
}

fn rule(rule: &Rule) -> Value {
    json!({
        "id": rule.name,
        "shortDescription": { "text": rule.about },
        "fullDescription": { "text": rule.about },
        "defaultConfiguration": { "level": rule.level.word() },
    })
}

fn result(finding: &Finding, uri: &str) -> Value {
    let mut result = json!({
        "ruleId": finding.rule,
        "level": finding.level.word(),
        "message": { "text": message(finding) },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": uri },
            "region": region(&finding.fault.place),
        }}],
    });
    let index = rules::ALL.iter().position(|rule| rule.name == finding.rule);
    if let (Some(index), Some(members)) = (index, result.as_object_mut()) {
        let _ = members.insert("ruleIndex".to_owned(), Value::from(index));
    }
    result
}

/// Sentences: here a message stands alone.
fn message(finding: &Finding) -> String {
    let fault = &finding.fault;
    let subject = match &*fault.field {
        "" => "This",
        field => field,
    };
    format!("{subject} {}. Advice: {}.", fault.message, fault.advice)
}

/// The beginning where there is no place: code scanning wants one.
fn region(place: &Place) -> Value {
    let spot = match place {
        Place::Text(spot) => *spot,
        Place::Override(_) | Place::Nowhere => Spot {
            line: 1,
            column: 1,
            width: 0,
        },
    };
    json!({
        "startLine": spot.line,
        "startColumn": spot.column,
        "endLine": spot.line,
        "endColumn": spot.column.saturating_add(spot.width),
    })
}

/// A URL stays what it is; a path becomes a relative reference, or a file URI from elsewhere.
fn uri(name: &str, here: &Path) -> String {
    if name.contains("://") {
        return name.to_owned();
    }
    let path = Path::new(name);
    let path = path.strip_prefix(here).unwrap_or(path);
    let path = path.strip_prefix(".").unwrap_or(path);
    let text = path.to_string_lossy();
    let scheme = if path.is_absolute() { "file://" } else { "" };
    let mut uri = scheme.to_owned();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    if uri.is_empty() { ".".to_owned() } else { uri }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_below_the_working_directory_are_relative() {
        let here = Path::new("/work/repo");
        for (name, expected) in [
            ("pods/a.yaml", "pods/a.yaml"),
            ("./pods/a.yaml", "pods/a.yaml"),
            ("/work/repo/pods/a b.yaml", "pods/a%20b.yaml"),
            ("/etc/kubernetes/a.yaml", "file:///etc/kubernetes/a.yaml"),
            ("../a.yaml", "../a.yaml"),
            ("a:b.yaml", "a%3Ab.yaml"),
            ("ä.yaml", "%C3%A4.yaml"),
            (".", "."),
            ("stdin", "stdin"),
            ("https://x.example/a.yaml", "https://x.example/a.yaml"),
        ] {
            assert_eq!(uri(name, here), expected, "{name}");
        }
    }

    #[test]
    fn what_has_no_place_stands_at_the_beginning() {
        assert_eq!(
            region(&Place::Nowhere),
            json!({"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 1})
        );
        let spot = Spot {
            line: 7,
            column: 3,
            width: 5,
        };
        assert_eq!(
            region(&Place::Text(spot)),
            json!({"startLine": 7, "startColumn": 3, "endLine": 7, "endColumn": 8})
        );
    }
}
