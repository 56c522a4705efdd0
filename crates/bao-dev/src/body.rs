//! Request bodies: size and complexity limits, JSON and forms, with the server's words for what is wrong.

use serde_json::{Map, Value};

use crate::envelope::Refusal;

/// Largest request body.
pub(crate) const MAX_BODY: usize = 33_554_432;

/// Most strings, keys and values together, in one JSON body.
const MAX_STRINGS: usize = 1000;

/// The members of a request body. Empty and `null` bodies have none.
///
/// # Errors
/// 400 in the server's words for what is no JSON object, or holds too many strings.
pub(crate) fn parse(body: &[u8], content_type: &str) -> Result<Map<String, Value>, Refusal> {
    if content_type.starts_with("application/x-www-form-urlencoded") && !looks_like_json(body) {
        return Ok(form(&String::from_utf8_lossy(body)));
    }
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    let value: Value = serde_json::from_slice(body).map_err(|error| bad_json(body, &error))?;
    if strings(&value) > MAX_STRINGS {
        let text = "refused JSON input due to high complexity: exceeded maximum number of strings";
        return Err(Refusal::plain(400, text));
    }
    match value {
        Value::Null => Ok(Map::new()),
        Value::Object(members) => Ok(members),
        other => {
            let kind = match other {
                Value::Array(_) => "array",
                Value::String(_) => "string",
                Value::Bool(_) => "bool",
                _ => "number",
            };
            Err(refused(&format!(
                "json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
            )))
        }
    }
}

fn refused(reason: &str) -> Refusal {
    Refusal::plain(400, format!("failed to decode JSON input: {reason}"))
}

fn looks_like_json(body: &[u8]) -> bool {
    matches!(
        body.iter().find(|byte| !byte.is_ascii_whitespace()),
        Some(b'{' | b'[')
    )
}

/// The tail of the text is library text; only its start is imitated.
fn bad_json(body: &[u8], error: &serde_json::Error) -> Refusal {
    if error.is_eof() {
        return refused("unexpected EOF");
    }
    let line = body
        .split(|byte| *byte == b'\n')
        .nth(error.line().saturating_sub(1));
    let byte = line
        .and_then(|line| line.get(error.column().saturating_sub(1)))
        .copied();
    let found = char::from(byte.unwrap_or(b'?'));
    refused(&format!(
        "invalid character '{found}' looking for beginning of value"
    ))
}

/// Every key and every string value, at every depth.
fn strings(value: &Value) -> usize {
    match value {
        Value::String(_) => 1,
        Value::Array(items) => items.iter().map(strings).sum(),
        Value::Object(members) => members.values().map(|value| 1 + strings(value)).sum(),
        _ => 0,
    }
}

/// Form or query parameters; of repeated names the last wins.
pub(crate) fn form(text: &str) -> Map<String, Value> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (
                unescape(&name.replace('+', " ")),
                Value::String(unescape(&value.replace('+', " "))),
            )
        })
        .collect()
}

/// Percent-decoding; what is no escape stays as it is.
pub(crate) fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let pair = tail
            .get(..2)
            .and_then(|pair| std::str::from_utf8(pair).ok());
        match (
            first,
            pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()),
        ) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: &str) -> String {
        parse(body.as_bytes(), "").unwrap_err().text.unwrap()
    }

    #[test]
    fn a_body_that_is_no_object_is_refused_in_the_servers_words() {
        let start = "failed to decode JSON input: ";
        assert!(refusal("not json").starts_with(start));
        assert_eq!(
            refusal("{} x"),
            format!("{start}invalid character 'x' looking for beginning of value")
        );
        assert_eq!(refusal("{\"a\":"), format!("{start}unexpected EOF"));
        let array = "json: cannot unmarshal array into Go value of type map[string]interface {}";
        assert_eq!(refusal("[]"), format!("{start}{array}"));
    }

    #[test]
    fn empty_and_null_bodies_have_no_members() {
        for body in ["", " \n", "null", "{}"] {
            assert!(parse(body.as_bytes(), "").unwrap().is_empty(), "{body:?}");
        }
    }

    #[test]
    fn the_last_of_duplicate_members_wins() {
        let members = parse(br#"{"a":1,"a":2}"#, "application/json").unwrap();
        assert_eq!(members.get("a"), Some(&Value::from(2)));
    }

    #[test]
    fn a_thousand_strings_pass_and_one_more_does_not() {
        let with = |count: usize| {
            let items: Vec<_> = (0..count).map(|n| format!("{n}")).collect();
            serde_json::json!({ "a": items }).to_string()
        };
        assert!(parse(with(999).as_bytes(), "").is_ok());
        assert!(refusal(&with(1000)).ends_with("exceeded maximum number of strings"));
    }

    #[test]
    fn forms_are_accepted() {
        let members = parse(
            b"plaintext=aGk%3D&x=a+b",
            "application/x-www-form-urlencoded",
        )
        .unwrap();
        assert_eq!(members.get("plaintext"), Some(&Value::from("aGk=")));
        assert_eq!(members.get("x"), Some(&Value::from("a b")));
        assert_eq!(unescape("%zz%2"), "%zz%2");
    }
}
