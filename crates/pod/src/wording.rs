//! Scalars of a manifest as values of the API, and what is said where they do not fit.

use serde_json::{Map, Value};
use yaml::{
    scalar::{Scalar, resolve},
    spelling::closest,
};

use crate::{
    fields::{OBJECTS, Row, Verdict},
    quantity::Amount,
    shape::{Kind, Type},
};

/// What is wrong, and what to do.
pub(crate) type Complaint = (String, String);

/// More names than this are no advice.
const NAMES: usize = 16;

/// One scalar as the kind of value that its field holds.
pub(crate) fn scalar(text: &str, plain: bool, kind: &Kind) -> Result<Value, Complaint> {
    let read = if plain {
        resolve(text)
    } else {
        Scalar::Text(text)
    };
    match (kind, read) {
        (Kind::Text, Scalar::Text(text)) => Ok(Value::from(text)),
        (Kind::Text, other) => Err(no_text(other)),
        (Kind::Switch, Scalar::Bool(value)) => Ok(Value::Bool(value)),
        (Kind::Int32, other) => whole(other, i64::from(i32::MIN), i64::from(i32::MAX), kind),
        (Kind::Int64, other) => whole(other, i64::MIN, i64::MAX, kind),
        (Kind::IntOrText, Scalar::Text(text)) => Ok(Value::from(text)),
        (Kind::IntOrText, other) => whole(other, i64::from(i32::MIN), i64::from(i32::MAX), kind),
        (Kind::Quantity, read) => quantity(text, read),
        _ => Err(expected(kind)),
    }
}

fn whole(read: Scalar<'_>, low: i64, high: i64, kind: &Kind) -> Result<Value, Complaint> {
    let value = match read {
        Scalar::Int(value) => Some(value),
        // A kubelet reads 1.0 and 1e3 as whole numbers.
        Scalar::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => {
            format!("{value:.0}").parse().ok()
        }
        Scalar::Text(text) if matches!(resolve(text), Scalar::Int(_)) => {
            let (message, _) = expected(kind);
            return Err((message, "remove the quotes".into()));
        }
        _ => None,
    };
    match value {
        Some(value) if (low..=high).contains(&value) => Ok(Value::from(value)),
        Some(_) | None => Err(expected(kind)),
    }
}

/// A number is as good as a text here: `cpu: 1` and `cpu: "1"` are the same.
fn quantity(text: &str, read: Scalar<'_>) -> Result<Value, Complaint> {
    let text = match read {
        Scalar::Int(value) => value.to_string(),
        Scalar::Float(value) if value.is_finite() => value.to_string(),
        Scalar::Huge | Scalar::Text(_) => text.to_owned(),
        Scalar::Null | Scalar::Bool(_) | Scalar::Float(_) => return Err(expected(&Kind::Quantity)),
    };
    match text.parse::<Amount>() {
        Ok(_) => Ok(Value::String(text)),
        Err(_) => Err(expected(&Kind::Quantity)),
    }
}

fn no_text(read: Scalar<'_>) -> Complaint {
    let what = match read {
        Scalar::Null => "nothing",
        Scalar::Bool(_) => "true or false",
        Scalar::Int(_) | Scalar::Huge | Scalar::Float(_) => "a number",
        Scalar::Text(_) => "text",
    };
    (
        format!("must be text, and is read as {what}"),
        "put it in quotes".into(),
    )
}

/// What belongs there.
pub(crate) fn expected(kind: &Kind) -> Complaint {
    let (what, advice) = match kind {
        Kind::Text => (
            "text",
            "write text, in quotes where it looks like something else",
        ),
        Kind::Switch => ("true or false", "write true or false, without quotes"),
        Kind::Int32 => (
            "a whole number of at most 32 bits",
            "write a number, without quotes",
        ),
        Kind::Int64 => (
            "a whole number of at most 64 bits",
            "write a number, without quotes",
        ),
        Kind::Quantity => (
            "a quantity",
            "write a number with an optional suffix, such as 100m, 0.5, 64Mi or 1G",
        ),
        Kind::IntOrText => (
            "a whole number of at most 32 bits or a name",
            "write a port's number, or its name",
        ),
        Kind::List(_) => ("a list", "begin each item with '- '"),
        Kind::Map(_) => ("a mapping", "write 'key: value' lines below it"),
        Kind::Object(_) => ("a mapping of fields", "write 'field: value' lines below it"),
        Kind::Anything => ("a value", "write a value"),
    };
    (format!("must be {what}"), advice.into())
}

/// Decodes, and breaks no rule that matters: its field is remembered as broken.
pub(crate) fn stand_in(kind: &Kind) -> Value {
    match kind {
        Kind::Text | Kind::IntOrText | Kind::Anything => Value::from(""),
        Kind::Quantity => Value::from("0"),
        Kind::Switch => Value::Bool(false),
        Kind::Int32 | Kind::Int64 => Value::from(0),
        Kind::List(_) => Value::Array(Vec::new()),
        Kind::Map(_) | Kind::Object(_) => Value::Object(Map::new()),
    }
}

/// For a field that an object does not have.
pub(crate) fn unknown(key: &str, object: &Type) -> String {
    let names: Vec<&str> = object.fields.iter().map(|(name, _)| *name).collect();
    if let Some(name) = closest(key, &names) {
        return format!("did you mean '{name}'?");
    }
    let elsewhere = OBJECTS
        .iter()
        .find(|other| other.rows.iter().any(|row| row.field == key));
    match elsewhere {
        Some(other) => format!("it belongs to {}; check the indentation", other.name),
        None if names.len() <= NAMES => format!("the fields here are: {}", names.join(", ")),
        None => format!("look it up in the reference of {}", object.name),
    }
}

/// For a field that the table refuses.
pub(crate) fn refused(row: &Row) -> Complaint {
    match (row.verdict, row.why) {
        (Verdict::Reference, "") => (
            "refers to an object of an API server, which a static pod cannot".into(),
            "remove it; give values in the manifest and files through a hostPath".into(),
        ),
        (Verdict::Reference, why) => (
            format!("refers to an object of an API server, which a static pod cannot: {why}"),
            "remove it".into(),
        ),
        (_, why) => (format!("is not supported: {why}"), "remove it".into()),
    }
}
