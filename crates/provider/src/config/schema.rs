//! The JSON Schema of the file, generated from its types, and what the reader asks of it.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::raw::Raw;

/// JSON Schema 2020-12 of the configuration. Sub-schemas are written in place, so that it can
/// be walked beside a document.
pub(crate) fn schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(generate);
    &SCHEMA
}

fn generate() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
    });
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<Raw>()
        .to_value();
    tidy(&mut schema);
    schema
}

/// Drops what only repeats the fields below (the default of a whole section) and joins the
/// lines of descriptions.
fn tidy(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    if object.get("type").and_then(Value::as_str) == Some("object") {
        object.remove("default");
    }
    if let Some(Value::String(text)) = object.get_mut("description") {
        *text = text.replace('\n', " ");
    }
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        properties.values_mut().for_each(tidy);
    }
}

/// A schema's fields, in the order of the types.
pub(crate) fn properties(schema: &Value) -> impl Iterator<Item = (&str, &Value)> {
    schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::iter)
        .map(|(name, schema)| (name.as_str(), schema))
}

/// Whether the mapping must hold `name`.
pub(crate) fn requires(schema: &Value, name: &str) -> bool {
    schema
        .get("required")
        .and_then(Value::as_array)
        .is_some_and(|names| names.iter().any(|required| required == name))
}

/// The words that a field accepts, when it accepts only some.
pub(crate) fn words(schema: &Value) -> Option<Vec<&str>> {
    match schema.get("enum") {
        Some(Value::Array(words)) => Some(words.iter().filter_map(Value::as_str).collect()),
        _ => Some(vec![schema.get("const")?.as_str()?]),
    }
}

/// Smallest and largest accepted number.
pub(crate) fn range(schema: &Value) -> (u64, u64) {
    let bound = |name| schema.get(name).and_then(Value::as_u64);
    (
        bound("minimum").unwrap_or(0),
        bound("maximum").unwrap_or(u64::from(u32::MAX)),
    )
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Mapping,
    List,
    Text,
    Number,
    Switch,
}

pub(crate) fn type_of(schema: &Value) -> Type {
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => Type::Mapping,
        Some("array") => Type::List,
        Some("integer") => Type::Number,
        Some("boolean") => Type::Switch,
        _ => Type::Text,
    }
}
