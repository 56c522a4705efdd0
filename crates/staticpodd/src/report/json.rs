//! For programs, with a stable shape.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::Serialize;
use serde_json::{Map, Value};
use yaml::source::Place;

use crate::{
    finding::{self, Level, Status},
    report::{Outcome, Summary},
    version::{COMMIT, VERSION},
};

/// Version of all reports' shapes. Fields may be added under it, never changed or taken away.
const API_VERSION: &str = "reports.staticpodd/v1alpha1";

/// `version --output json`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Version {
    /// Version of the program.
    version: &'static str,
    /// Commit it was built from; `unknown` when the build did not say.
    commit: &'static str,
}

/// `check --output json`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Check<'a> {
    /// `fail` with errors, and with warnings under `--strict`; `warn` with warnings; else `pass`.
    result: Outcome,
    /// How many of each.
    summary: Summary,
    /// Files, URLs and standard input in the order of the arguments; files of a directory by
    /// name, and the directory behind them.
    files: Vec<File<'a>>,
}

/// A file, a directory, a URL or standard input.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    /// As it was named, or found in a directory that was; `stdin` for standard input.
    path: &'a str,
    /// What became of it.
    status: Status,
    /// Pods whose names could be read.
    pods: Vec<Pod<'a>>,
    /// In the order of the text.
    findings: Vec<Finding<'a>>,
}

/// A pod, without the node's name.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Pod<'a> {
    /// `default` unless the manifest says otherwise.
    namespace: &'a str,
    /// As in the manifest.
    name: &'a str,
}

/// One thing that is wrong, unwise or worth knowing.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Finding<'a> {
    /// How much it matters.
    level: Level,
    /// Stable name of the rule.
    rule: &'a str,
    /// Path of the field, for example `spec.containers[0].image`; absent for the text as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    /// From 1; absent for the text as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// In characters, from 1; absent for the text as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    /// How many characters of the line; absent for the text as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<usize>,
    /// What is wrong: a predicate of the field, or of the text.
    message: &'a str,
    /// What to do.
    advice: &'a str,
}

impl<'a> Finding<'a> {
    fn of(finding: &'a finding::Finding) -> Self {
        let fault = &finding.fault;
        let spot = match &fault.place {
            Place::Text(spot) => Some(*spot),
            Place::Override(_) | Place::Nowhere => None,
        };
        Self {
            level: finding.level,
            rule: finding.rule,
            field: Some(&*fault.field).filter(|field| !field.is_empty()),
            line: spot.map(|spot| spot.line),
            column: spot.map(|spot| spot.column),
            width: spot.map(|spot| spot.width),
            message: &fault.message,
            advice: &fault.advice,
        }
    }
}

/// The report of a check.
pub(crate) fn json(
    checked: &[finding::Checked],
    summary: &Summary,
    strict: bool,
) -> Result<String, serde_json::Error> {
    let files = checked.iter().map(|one| File {
        path: &one.name,
        status: one.status,
        pods: one
            .pods
            .iter()
            .map(|key| Pod {
                namespace: &key.namespace,
                name: &key.name,
            })
            .collect(),
        findings: one.findings.iter().map(Finding::of).collect(),
    });
    let report = Check {
        result: summary.outcome(strict),
        summary: *summary,
        files: files.collect(),
    };
    document("Check", &report)
}

/// The report of `version`.
pub(crate) fn version() -> Result<String, serde_json::Error> {
    document(
        "Version",
        &Version {
            version: VERSION,
            commit: COMMIT,
        },
    )
}

fn document(kind: &str, report: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut members = Map::new();
    members.insert("apiVersion".to_owned(), Value::from(API_VERSION));
    members.insert("kind".to_owned(), Value::from(kind));
    if let Value::Object(rest) = serde_json::to_value(report)? {
        members.extend(rest);
    }
    pretty(&Value::Object(members))
}

/// With a line end.
pub(crate) fn pretty(value: &Value) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    Ok(text)
}

/// `docs/staticpodd-reports.schema.json`: JSON Schema 2020-12 of every report.
pub(crate) fn schema() -> Result<String, serde_json::Error> {
    pretty(&serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Reports of staticpodd",
        "oneOf": [
            shape("Version", body::<Version>()),
            shape("Check", body::<Check<'_>>()),
        ],
    }))
}

/// The schema of a report with the members that all have.
fn shape(kind: &str, mut body: Value) -> Value {
    if let Some(object) = body.as_object_mut() {
        object.remove("$schema");
        object.remove("title");
        let mut properties = Map::new();
        properties.insert(
            "apiVersion".to_owned(),
            serde_json::json!({ "const": API_VERSION }),
        );
        properties.insert("kind".to_owned(), serde_json::json!({ "const": kind }));
        if let Some(Value::Object(rest)) = object.remove("properties") {
            properties.extend(rest);
        }
        object.insert("properties".to_owned(), Value::Object(properties));
        if let Some(Value::Array(required)) = object.get_mut("required") {
            required.splice(0..0, [Value::from("apiVersion"), Value::from("kind")]);
        }
    }
    body
}

fn body<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}
