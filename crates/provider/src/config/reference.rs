//! The reference page of the configuration, written from the types.

use std::fmt::Write as _;

use serde_json::Value;

use super::{
    schema::{Type, properties, requires, schema, type_of},
    walk::expected,
};

const INTRODUCTION: &str = "\
# Configuration

<!-- Generated from the types of the configuration. To write it again:
     cargo run -p provider -- generate configuration > docs/configuration.md -->

One YAML file, `/etc/openbao-kms/config.yaml`; `--config` or `BAO_KMS_PROVIDER_CONFIG` name
another one. A whole one to start from is in [examples/config.yaml](examples/config.yaml), the
JSON Schema in [config.schema.json](config.schema.json).

- Unknown fields, fields set twice and wrong types are errors. All problems of a file are
  reported at once, each with line, column and field.
- Of YAML, mappings, lists and scalars are used. Anchors, aliases, tags and merge keys are
  refused.
- Durations are written as in Go: `30s`, `1h30m`.
- A secret is never written into this file, onto the command line or into the environment:
  fields that need one name a file. `server.socketPath`, `state.path` and sockets of others are
  absolute paths; the path of a file may be relative to the working directory.
- The file is a regular file of at most 1 MiB, with no write or execute bit for the group and
  no bit for others.
- `BAO_KMS_PROVIDER_LOG_LEVEL`, `BAO_KMS_PROVIDER_SERVER_METRICS_ADDRESS` and
  `BAO_KMS_PROVIDER_SERVER_HEALTH_ADDRESS` win over the file, and the flags `--log-level`,
  `--metrics-address` and `--health-address` over both. A variable that is set but empty counts
  as not set. Any other one that begins with `BAO_KMS_PROVIDER_` is ignored with a warning.
- These bear identity and must never change once data exists: `openbao.instanceId`,
  `openbao.namespace`, `transit.mountPath`, `transit.keyName` and everything under
  `transit.keyIdScope`. `bao-kms-provider config` prints a fingerprint of them, which must be
  equal on all nodes.
- The probe intervals must fit together: `status.statusMaxStaleness` is at least twice
  `status.probeInterval` and longer than `openbao.timeout`, or Status could not stay healthy
  in calm weather.

## Files that fields name

| file | permissions | size |
|---|---|---|
| this file | no bits of 0037 | 1 MiB |
| CA bundle | no bits of 0022 | 1 MiB |
| JWT | no bits of 0037 | 64 KiB |
| client secret, certificate chain, PIN, AppRole ids | no bits of 0037 | 16 KiB |

All are regular files. Credentials and CA bundles may also be symlinks that stay inside their
own directory, when that directory is owned by root and not writable by others, as in projected
volumes. Secret files lose one line end at their end; other white space around them is refused.
";

/// `docs/configuration.md`.
#[must_use]
pub fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    text.push_str("\n## Fields\n");
    section(&mut text, "", schema());
    text
}

/// `docs/config.schema.json`: JSON Schema 2020-12.
#[must_use]
pub fn json_schema() -> String {
    let mut text = serde_json::to_string_pretty(schema()).unwrap_or_default();
    text.push('\n');
    text
}

fn section(text: &mut String, path: &str, schema: &Value) {
    if !path.is_empty() {
        let _ = writeln!(text, "\n### `{path}`\n\n{}", description(schema));
    }
    let fields: Vec<_> = properties(schema)
        .filter(|(_, field)| type_of(field) != Type::Mapping)
        .collect();
    if !fields.is_empty() {
        text.push_str("\n| field | default | value | meaning |\n|---|---|---|---|\n");
    }
    for (name, field) in fields {
        let default = match field.get("default") {
            None if requires(schema, name) => "required".to_owned(),
            None => "-".to_owned(),
            Some(Value::String(text)) if text.is_empty() => "empty".to_owned(),
            Some(Value::String(text)) => format!("`{text}`"),
            Some(other) => format!("`{other}`"),
        };
        let _ = writeln!(
            text,
            "| `{name}` | {default} | {} | {} |",
            value(field),
            description(field)
        );
    }
    for (name, inner) in properties(schema) {
        if type_of(inner) == Type::Mapping {
            let path = if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            };
            section(text, &path, inner);
        }
    }
}

fn value(field: &Value) -> String {
    match (type_of(field), field.get("items")) {
        (Type::List, Some(items)) => format!("list of: {}", expected(items)),
        _ => expected(field).replace(" such as 30s or 1h30m", ""),
    }
}

fn description(schema: &Value) -> &str {
    schema
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default()
}
