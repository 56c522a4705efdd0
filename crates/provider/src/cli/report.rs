//! What report commands print: a stable JSON shape, or text for people.

use std::io::{self, IsTerminal as _, Write};

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Version of all reports' shapes. Fields may be added under it, never changed or taken away.
const API_VERSION: &str = "reports.bao-kms-provider/v1alpha1";

/// `version --output json`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Version {
    /// Version of the program.
    pub(crate) version: &'static str,
    /// Commit it was built from; `unknown` when the build did not say.
    pub(crate) commit: &'static str,
}

/// `config --output json`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Config {
    /// Fingerprint of the identity, equal on all nodes of a cluster.
    pub(crate) identity_fingerprint: String,
    /// Whether it is the expected one; absent when none is expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) identity_expected: Option<bool>,
    /// The configuration in force, in the shape of the file.
    pub(crate) config: Value,
}

/// `probe --output json`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Probe {
    /// The socket that was asked.
    pub(crate) socket: String,
    /// `fail` when one check failed, `warn` when one warned, else `pass`.
    pub(crate) result: Verdict,
    /// Write key that the plugin gives; absent when Status did not give one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_id: Option<String>,
    /// In the order in which they were made.
    pub(crate) checks: Vec<Check>,
}

/// One check of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Check {
    /// Stable name.
    pub(crate) id: &'static str,
    /// How it ended.
    pub(crate) result: Verdict,
    /// One sentence.
    pub(crate) message: String,
    /// Time it took, in microseconds; absent when nothing was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) duration_us: Option<u64>,
}

/// How a check ended. A check whose prerequisite failed is skipped, never passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Pass,
    Warn,
    Fail,
    Skip,
}

impl Verdict {
    /// The verdict over all `checks`.
    pub(crate) fn over(checks: &[Check]) -> Self {
        [Self::Fail, Self::Warn]
            .into_iter()
            .find(|worst| checks.iter().any(|check| check.result == *worst))
            .unwrap_or(Self::Pass)
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }

    /// As [`Verdict::word`], in colour when `colour`.
    pub(crate) fn painted(self, colour: bool) -> String {
        let code = match self {
            Self::Pass => "32",
            Self::Warn => "33",
            Self::Fail => "31",
            Self::Skip => "2",
        };
        if colour {
            format!("\u{1b}[{code}m{}\u{1b}[0m", self.word())
        } else {
            self.word().to_owned()
        }
    }
}

/// `report` as JSON, with its `kind`.
pub(crate) fn json(kind: &str, report: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut members = Map::new();
    members.insert("apiVersion".to_owned(), Value::from(API_VERSION));
    members.insert("kind".to_owned(), Value::from(kind));
    if let Value::Object(rest) = serde_json::to_value(report)? {
        members.extend(rest);
    }
    let mut text = serde_json::to_string_pretty(&Value::Object(members))?;
    text.push('\n');
    Ok(text)
}

/// `docs/reports.schema.json`: JSON Schema 2020-12 of every report.
pub(crate) fn schema() -> String {
    let of = |kind: &str, body: Value| {
        let mut body = body;
        if let Some(object) = body.as_object_mut() {
            object.remove("$schema");
            object.remove("title");
            let mut properties = Map::new();
            properties.insert("apiVersion".to_owned(), json!({ "const": API_VERSION }));
            properties.insert("kind".to_owned(), json!({ "const": kind }));
            if let Some(Value::Object(rest)) = object.remove("properties") {
                properties.extend(rest);
            }
            object.insert("properties".to_owned(), Value::Object(properties));
            if let Some(Value::Array(required)) = object.get_mut("required") {
                required.splice(0..0, [Value::from("apiVersion"), Value::from("kind")]);
            }
        }
        body
    };
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Reports of bao-kms-provider",
        "oneOf": [
            of("Version", body::<Version>()),
            of("Config", body::<Config>()),
            of("Probe", body::<Probe>()),
        ],
    });
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

fn body<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// Writes to standard output. A reader that closed the pipe has seen enough.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// Writes a line to standard error, where nothing can be done about a failure.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether standard output takes colours; `no_color` is the variable NO_COLOR.
pub(crate) fn colour(no_color: Option<&std::ffi::OsStr>) -> bool {
    no_color.is_none_or(std::ffi::OsStr::is_empty) && io::stdout().is_terminal()
}
