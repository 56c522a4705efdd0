//! Request fields: weakly typed as the server's framework has them, with its warnings about strangers.

use pace::GoDuration;
use serde_json::{Map, Value};

use crate::envelope::Refusal;
use crate::go;

/// The type a field is coerced to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text; numbers and booleans become text.
    Text,
    /// A whole number; decimal text counts.
    Int,
    /// A boolean; numbers and `"true"` count.
    Flag,
    /// Seconds, or a Go duration; becomes whole seconds.
    Seconds,
    /// Texts; one text is split at commas.
    List,
    /// Taken as it is.
    Any,
}

/// The fields an endpoint knows.
pub(crate) type Fields = [(&'static str, Kind)];

/// The coerced fields of one request.
#[derive(Default)]
pub(crate) struct Params {
    values: Map<String, Value>,
    /// What the framework remarks about members it did not use.
    pub(crate) warnings: Vec<String>,
}

impl Params {
    /// Coerces `members` to what `fields` declares. `captured` are the names taken from the path.
    /// `checked`: the path has an existence check, which words its refusal differently.
    pub(crate) fn new(
        members: &Map<String, Value>,
        fields: &Fields,
        captured: &[&str],
        checked: bool,
    ) -> Result<Self, Refusal> {
        let mut params = Self::default();
        let (mut ignored, mut replaced) = (Vec::new(), Vec::new());
        for (name, value) in members {
            let Some((_, kind)) = fields.iter().find(|(known, _)| known == name) else {
                let list = if captured.contains(&name.as_str()) {
                    &mut replaced
                } else {
                    &mut ignored
                };
                list.push(name.as_str());
                continue;
            };
            let value = coerce(value, *kind).map_err(|reason| {
                let start = if checked {
                    ""
                } else {
                    "Field validation failed: "
                };
                let text = format!("{start}error converting input for field \"{name}\": {reason}");
                Refusal::plain(400, text)
            })?;
            params.values.insert(name.clone(), value);
        }
        params.remark("Endpoint ignored these unrecognized parameters", ignored);
        let text = "Endpoint replaced the value of these parameters with the values captured from the \
                    endpoint's path";
        params.remark(text, replaced);
        Ok(params)
    }

    fn remark(&mut self, text: &str, mut names: Vec<&str>) {
        if !names.is_empty() {
            names.sort_unstable();
            self.warnings.push(format!("{text}: [{}]", names.join(" ")));
        }
    }

    /// Whether the member is there, whatever its value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The value as it came.
    pub(crate) fn raw(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// A text; `""` when absent.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.raw(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A whole number, or a duration in seconds.
    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        self.raw(name).and_then(Value::as_i64)
    }

    /// A boolean.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.raw(name).and_then(Value::as_bool)
    }

    /// A list of texts.
    pub(crate) fn list(&self, name: &str) -> Option<Vec<String>> {
        self.raw(name).map(texts)
    }
}

/// The texts of an array; one text is a list of one.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items
            .iter()
            .filter_map(|item| item.as_str().map(ToOwned::to_owned))
            .collect(),
        Value::String(text) => vec![text.clone()],
        _ => Vec::new(),
    }
}

fn coerce(value: &Value, kind: Kind) -> Result<Value, String> {
    match kind {
        Kind::Text => text(value).map(Value::from),
        Kind::Int => int(value).map(Value::from),
        Kind::Flag => flag(value).map(Value::from),
        Kind::Seconds => seconds(value).map(Value::from),
        Kind::List => list(value),
        Kind::Any => Ok(value.clone()),
    }
}

fn unconvertible(value: &Value, wanted: &str) -> String {
    let got = go::type_name(value);
    format!("'' expected type '{wanted}', got unconvertible type '{got}'")
}

fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(String::from(if *flag { "1" } else { "0" })),
        Value::Array(_) | Value::Object(_) => Err(unconvertible(value, "string")),
    }
}

fn int(value: &Value) -> Result<i64, String> {
    use std::num::IntErrorKind;
    let parse = |text: &str| {
        text.parse::<i64>().map_err(|error| {
            let reason = match error.kind() {
                IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            format!("'' cannot parse value as 'int': strconv.ParseInt: {reason}")
        })
    };
    match value {
        Value::Null => Ok(0),
        Value::Bool(flag) => Ok(i64::from(*flag)),
        Value::Number(number) => parse(&number.to_string()),
        Value::String(text) if text.is_empty() => Ok(0),
        Value::String(text) => parse(text),
        Value::Array(_) | Value::Object(_) => Err(unconvertible(value, "int")),
    }
}

fn flag(value: &Value) -> Result<bool, String> {
    match value {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(*flag),
        Value::Number(number) => Ok(number.as_f64() != Some(0.0)),
        Value::String(text) => match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            _ => Err(String::from(
                "'' cannot parse value as 'bool': strconv.ParseBool: invalid syntax",
            )),
        },
        Value::Array(_) | Value::Object(_) => Err(unconvertible(value, "bool")),
    }
}

fn seconds(value: &Value) -> Result<i64, String> {
    let refused = || format!("could not parse duration from '{value}'");
    let seconds = match value {
        Value::Null => 0,
        Value::Number(number) => number.as_i64().ok_or_else(refused)?,
        Value::String(text) => match text.parse::<i64>() {
            _ if text.is_empty() => 0,
            Ok(seconds) => seconds,
            Err(_) => {
                let (sign, text) = text
                    .strip_prefix('-')
                    .map_or((1, text.as_str()), |rest| (-1, rest));
                let duration = GoDuration::parse(text)
                    .and_then(GoDuration::to_std)
                    .map_err(|_| refused())?;
                sign * i64::try_from(duration.as_secs()).map_err(|_| refused())?
            }
        },
        _ => return Err(refused()),
    };
    if seconds < 0 {
        return Err(format!("cannot provide negative value '{seconds}'"));
    }
    Ok(seconds)
}

fn list(value: &Value) -> Result<Value, String> {
    match value {
        Value::Null => Ok(Value::Array(Vec::new())),
        Value::String(text) => Ok(text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(Value::from)
            .collect()),
        Value::Array(items) => items
            .iter()
            .map(|item| text(item).map(Value::from))
            .collect(),
        other => text(other).map(|one| Value::Array(vec![Value::from(one)])),
    }
}

/// Whether the server has a route for a key or role of this name: word characters, and `-` and `.`
/// between them.
pub(crate) fn is_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(word)
        && name.ends_with(word)
        && name.chars().all(|c| word(c) || matches!(c, '-' | '.'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FIELDS: &Fields = &[
        ("text", Kind::Text),
        ("int", Kind::Int),
        ("flag", Kind::Flag),
        ("ttl", Kind::Seconds),
        ("list", Kind::List),
    ];

    fn params(members: &Value) -> Result<Params, Refusal> {
        Params::new(members.as_object().unwrap(), FIELDS, &["name"], true)
    }

    #[test]
    fn scalars_are_coerced_weakly() {
        let params =
            params(&json!({"text": 1234, "int": "7", "flag": "true", "ttl": "5m", "list": "a, b"}));
        let params = params.unwrap();
        assert_eq!(params.text("text"), "1234");
        assert_eq!(params.int("int"), Some(7));
        assert_eq!(params.flag("flag"), Some(true));
        assert_eq!(params.int("ttl"), Some(300));
        assert_eq!(params.list("list").unwrap(), ["a", "b"]);
        let null = Params::new(
            json!({"text": null}).as_object().unwrap(),
            FIELDS,
            &[],
            true,
        )
        .unwrap();
        assert!(null.has("text"));
        assert_eq!(null.text("text"), "");
    }

    #[test]
    fn what_cannot_be_coerced_names_the_field() {
        let text = |members| params(&members).err().unwrap().text.unwrap();
        let start = "error converting input for field";
        let object = "'' expected type 'string', got unconvertible type 'map[string]interface {}'";
        assert_eq!(
            text(json!({"text": {}})),
            format!("{start} \"text\": {object}")
        );
        assert!(text(json!({"int": "x"})).ends_with("strconv.ParseInt: invalid syntax"));
        assert!(text(json!({"int": 99_999_999_999_999_999_999_f64})).contains("strconv.ParseInt"));
        assert!(text(json!({"ttl": -5})).ends_with("cannot provide negative value '-5'"));
        let unchecked = Params::new(json!({"int": []}).as_object().unwrap(), FIELDS, &[], false);
        let unchecked = unchecked.err().unwrap().text.unwrap();
        assert!(
            unchecked
                .starts_with("Field validation failed: error converting input for field \"int\"")
        );
    }

    #[test]
    fn strangers_are_remarked_in_order_of_name() {
        let params = params(&json!({"z": 1, "a": 1, "name": "x"})).unwrap();
        assert_eq!(
            params.warnings,
            [
                "Endpoint ignored these unrecognized parameters: [a z]",
                "Endpoint replaced the value of these parameters with the values captured from the endpoint's \
                 path: [name]",
            ]
        );
    }

    #[test]
    fn names_are_word_characters_with_inner_dashes_and_dots() {
        for (name, good) in [
            ("k8s-etcd", true),
            ("a.b", true),
            ("a", true),
            ("-a", false),
            ("a.", false),
            ("", false),
            ("a/b", false),
            ("é", false),
        ] {
            assert_eq!(is_name(name), good, "{name:?}");
        }
    }
}
