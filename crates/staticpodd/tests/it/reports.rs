//! What programs read: the report's own shape, and SARIF 2.1.0.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{GOOD, folder, run, run_in};

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&run(arguments).out).unwrap()
}

/// Every member of `value` is described, and every required one is there.
fn fits(value: &Value, schema: &Value, at: &str) {
    if let Some(constant) = schema.get("const") {
        assert_eq!(value, constant, "{at}");
    }
    if let Some(words) = schema.get("oneOf").and_then(Value::as_array) {
        let known = words.iter().any(|word| word["const"] == *value);
        assert!(known, "{at}: {value}");
    }
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let schema = schema["properties"].get(name);
                let schema = schema.unwrap_or_else(|| panic!("{at}.{name} is not in the schema"));
                fits(member, schema, &format!("{at}.{name}"));
            }
            for name in schema["required"].as_array().unwrap() {
                assert!(members.contains_key(name.as_str().unwrap()), "{at}.{name}");
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                fits(item, &schema["items"], &format!("{at}[{number}]"));
            }
        }
        _ => assert!(
            schema.get("type").is_some()
                || schema.get("const").is_some()
                || schema.get("oneOf").is_some(),
            "{at}: {schema}"
        ),
    }
}

#[test]
fn the_json_report_has_the_shape_that_its_schema_says() {
    let report = json(&["check", "--no-host", "-o", "json", "."]);
    let schema = include_str!("../../../../docs/staticpodd-reports.schema.json");
    let schema: Value = serde_json::from_str(schema).unwrap();
    fits(&report, &schema["oneOf"][1], "report");
    assert_eq!(report["result"], "fail");
    let file = |path: &str| {
        let mut files = report["files"].as_array().unwrap().iter();
        files.find(|file| file["path"] == path).unwrap()
    };
    let comand = file("./comand.yaml");
    assert_eq!(comand["status"], "refused");
    assert_eq!(comand["pods"][0]["namespace"], "default");
    assert_eq!(comand["pods"][0]["name"], "comand");
    let finding = &comand["findings"][0];
    assert_eq!(finding["level"], "error");
    assert_eq!(finding["rule"], "invalid-pod");
    assert_eq!(finding["field"], "spec.containers[0].comand");
    assert_eq!(finding["line"], 11);
    assert_eq!(finding["column"], 7);
    assert_eq!(finding["width"], 6);
    assert_eq!(finding["advice"], "did you mean 'command'?");
    assert_eq!(file("./good.yaml")["status"], "ok");
    assert_eq!(file("./good.yaml.bak")["status"], "ignored");
    assert_eq!(file("./old")["status"], "ignored");
    assert_eq!(
        json(&["check", "-o", "json", "nowhere"])["files"][0]["status"],
        "unreadable"
    );
}

#[test]
fn the_result_of_the_json_report_follows_the_exit_code() {
    for (arguments, result) in [
        (
            &["check", "--no-host", "-o", "json", "good.yaml"][..],
            "pass",
        ),
        (&["check", "--no-host", "-o", "json", "kms.yaml"], "warn"),
        (
            &["check", "--no-host", "-o", "json", "--strict", "kms.yaml"],
            "fail",
        ),
        (&["check", "--no-host", "-o", "json", "tab.yaml"], "fail"),
    ] {
        assert_eq!(json(arguments)["result"], result, "{arguments:?}");
    }
}

/// The members that SARIF 2.1.0 knows, of the objects that are written here.
const SARIF: [(&str, &[&str]); 10] = [
    ("", &["$schema", "version", "runs"]),
    ("runs", &["tool", "invocations", "columnKind", "results"]),
    ("tool", &["driver"]),
    ("driver", &["name", "semanticVersion", "rules"]),
    (
        "rules",
        &[
            "id",
            "shortDescription",
            "fullDescription",
            "defaultConfiguration",
        ],
    ),
    (
        "results",
        &["ruleId", "ruleIndex", "level", "message", "locations"],
    ),
    ("locations", &["physicalLocation"]),
    ("physicalLocation", &["artifactLocation", "region"]),
    ("artifactLocation", &["uri"]),
    (
        "region",
        &["startLine", "startColumn", "endLine", "endColumn"],
    ),
];

/// Objects hold exactly what they may hold, by the name of the member that holds them.
fn sarif_knows(value: &Value, name: &str) {
    match value {
        Value::Object(members) => {
            if let Some((_, known)) = SARIF.iter().find(|(object, _)| *object == name) {
                let found: BTreeSet<&str> = members.keys().map(String::as_str).collect();
                assert_eq!(found, known.iter().copied().collect(), "{name}");
            }
            for (name, member) in members {
                sarif_knows(member, name);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| sarif_knows(item, name)),
        _ => {}
    }
}

#[test]
fn sarif_has_what_code_scanning_needs_and_nothing_that_it_does_not_know() {
    let log = json(&["check", "--no-host", "-o", "sarif", "."]);
    sarif_knows(&log, "");
    assert_eq!(log["version"], "2.1.0");
    assert!(log["$schema"].as_str().unwrap().contains("sarif-2.1.0"));
    let run = &log["runs"][0];
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    assert_eq!(run["invocations"][0]["executionSuccessful"], true);
    let driver = &run["tool"]["driver"];
    assert_eq!(driver["name"], "staticpodd");
    for rule in driver["rules"].as_array().unwrap() {
        assert!(
            !rule["shortDescription"]["text"]
                .as_str()
                .unwrap()
                .is_empty()
        );
    }
    let results = run["results"].as_array().unwrap();
    assert!(results.len() > 20, "{}", results.len());
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(driver["rules"][index]["id"], result["ruleId"]);
        let level = result["level"].as_str().unwrap();
        assert!(["error", "warning", "note"].contains(&level));
        assert!(result["message"]["text"].as_str().unwrap().ends_with('.'));
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(!uri.starts_with("./") && !uri.starts_with('/'), "{uri}");
        let number = |name: &str| place["region"][name].as_u64().unwrap();
        assert!(number("startLine") >= 1 && number("startColumn") >= 1);
        assert_eq!(number("endLine"), number("startLine"));
        assert!(number("endColumn") >= number("startColumn"));
    }
    let comand = results
        .iter()
        .find(|result| {
            let place = &result["locations"][0]["physicalLocation"];
            place["artifactLocation"]["uri"] == "comand.yaml"
        })
        .unwrap();
    assert_eq!(
        comand["locations"][0]["physicalLocation"]["region"],
        serde_json::json!({"startLine": 11, "startColumn": 7, "endLine": 11, "endColumn": 13})
    );
}

#[test]
fn sarif_names_files_from_the_working_directory_and_says_when_it_is_incomplete() {
    let home = folder(&[("a b.yaml", &GOOD.replace("name: good", "naem: good"))]);
    let whole = home.path().canonicalize().unwrap().join("a b.yaml");
    let whole = whole.to_str().unwrap();
    let run = run_in(home.path(), &["check", "-o", "sarif", whole, "none"], "");
    assert_eq!(run.code, 2);
    let log: Value = serde_json::from_str(&run.out).unwrap();
    let run = &log["runs"][0];
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    let place = &run["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "a%20b.yaml");
}
