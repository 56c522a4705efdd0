//! Batches: their items in, their results out, and the status of the whole.

use serde_json::{Map, Value, json};

use crate::envelope::{Outcome, Refusal, Reply, sorted};
use crate::fields::Params;
use crate::go;

/// One thing to encrypt or decrypt. Texts as they came.
#[derive(Default)]
pub(super) struct Item {
    /// `plaintext` or `ciphertext`.
    pub(super) input: String,
    pub(super) associated_data: String,
    pub(super) context: String,
    /// 0: the latest.
    pub(super) key_version: i64,
    pub(super) reference: String,
}

/// Reads `batch_input`; `member` is the required one.
///
/// # Errors
/// 500, wrapped: what cannot be parsed. 400 for an empty batch.
pub(super) fn items(input: &Value, member: &str, verb: &str) -> Result<Vec<Item>, Refusal> {
    let refused =
        |reason: &str| Refusal::wrapped(500, format!("failed to parse batch input: {reason}"));
    let Value::Array(items) = input else {
        let got = go::type_name(input);
        return Err(refused(&format!(
            "source data must be an array or slice, got {got}"
        )));
    };
    if items.is_empty() {
        return Err(Refusal::plain(400, "missing batch input to process"));
    }
    let (mut parsed, mut faults) = (Vec::with_capacity(items.len()), Vec::new());
    for (index, item) in items.iter().enumerate() {
        match item {
            Value::Object(members) => parsed.push(one(members, index, member, verb, &mut faults)),
            other => faults.push(format!(
                "[{index}] expected a map, got '{}'",
                go::type_name(other)
            )),
        }
    }
    if faults.is_empty() {
        Ok(parsed)
    } else {
        Err(refused(&faults.join("\n")))
    }
}

fn one(
    members: &Map<String, Value>,
    index: usize,
    member: &str,
    verb: &str,
    faults: &mut Vec<String>,
) -> Item {
    let mut wrong = |name: &str, wanted: &str, value: &Value| {
        let got = go::type_name(value);
        faults.push(format!(
            "'[{index}].{name}' expected type '{wanted}', got unconvertible type '{got}'"
        ));
    };
    let mut text = |name: &str| match members.get(name) {
        Some(Value::String(text)) => text.clone(),
        None => String::new(),
        Some(other) => {
            wrong(name, "string", other);
            String::new()
        }
    };
    let mut item = Item {
        input: text(member),
        associated_data: text("associated_data"),
        context: text("context"),
        reference: text("reference"),
        key_version: 0,
    };
    match members
        .get("key_version")
        .map(|value| (value, value.as_i64()))
    {
        None => {}
        Some((_, Some(version))) => item.key_version = version,
        Some((other, None)) => wrong("key_version", "int", other),
    }
    if !members.contains_key(member) {
        faults.push(format!("'[{index}].{member}' missing {member} to {verb}"));
    }
    item
}

/// What came of one item.
pub(super) type Result1 = Result<Made, Refusal>;

/// A ciphertext and its version, or a plaintext.
pub(super) enum Made {
    Ciphertext(String, i64),
    Plaintext(String),
}

/// The answer to a single request.
pub(super) fn single(result: Result1, warnings: Vec<String>) -> Outcome {
    let data = match result? {
        Made::Ciphertext(text, version) => {
            sorted([("ciphertext", json!(text)), ("key_version", json!(version))])
        }
        Made::Plaintext(text) => sorted([("plaintext", json!(text))]),
    };
    Ok(Reply::Data(data, warnings))
}

/// The answer to a batch: 400 if a caller's error is among the results, else 500 if any
/// error, else 200; a partial failure may ask for another status.
pub(super) fn whole(
    items: &[Item],
    results: Vec<Result1>,
    params: &mut Params,
    decrypts: bool,
) -> Outcome {
    let worst = results
        .iter()
        .filter_map(|result| result.as_ref().err())
        .map(|refusal| refusal.status)
        .min();
    let any_good = results.iter().any(Result::is_ok);
    let rows = items
        .iter()
        .zip(results)
        .map(|(item, result)| row(item, result, decrypts));
    let data = sorted([("batch_results", rows.collect())]);
    let mut warnings = std::mem::take(&mut params.warnings);
    let Some(worst) = worst else {
        return Ok(Reply::Data(data, warnings));
    };
    let status = match params
        .int("partial_failure_response_code")
        .filter(|_| any_good)
    {
        None => worst,
        // Go's HTTP server cannot send less than 100.
        Some(code @ 100..=599) => u16::try_from(code).unwrap_or(worst),
        Some(_) => {
            warnings.push(format!(
                "invalid HTTP response code override from partial_failure_response_code, reverting to {worst}"
            ));
            worst
        }
    };
    Ok(Reply::Coded(status, data, warnings))
}

fn row(item: &Item, result: Result1, decrypts: bool) -> Value {
    let mut row = Map::new();
    let mut put = |name: &str, value: Value| row.insert(name.to_owned(), value);
    match result {
        Ok(Made::Ciphertext(text, version)) => {
            put("ciphertext", json!(text));
            put("key_version", json!(version));
        }
        Ok(Made::Plaintext(text)) => {
            put("plaintext", json!(text));
        }
        Err(refusal) => {
            if decrypts {
                put("plaintext", json!(""));
            }
            let text = refusal.text.unwrap_or_default();
            put("error", json!(unwrap(&text)));
        }
    }
    put("reference", json!(item.reference));
    Value::Object(row)
}

/// Inside a batch an error stands as it is.
fn unwrap(text: &str) -> &str {
    let inner = text
        .strip_prefix("1 error occurred:\n\t* ")
        .and_then(|rest| rest.strip_suffix("\n\n"));
    inner.unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(input: &Value) -> String {
        items(input, "plaintext", "encrypt")
            .err()
            .unwrap()
            .text
            .unwrap()
    }

    #[test]
    fn every_fault_of_a_batch_is_named_in_one_text() {
        let text = fault(&json!([{}, null, 3, {"plaintext": null, "key_version": "1"}]));
        let lines = "failed to parse batch input: '[0].plaintext' missing plaintext to encrypt\n\
                     [1] expected a map, got '<nil>'\n[2] expected a map, got 'json.Number'\n\
                     '[3].plaintext' expected type 'string', got unconvertible type '<nil>'\n\
                     '[3].key_version' expected type 'int', got unconvertible type 'string'";
        assert_eq!(text, crate::envelope::wrap(lines));
        assert!(fault(&json!("x")).contains("source data must be an array or slice, got string"));
        assert_eq!(fault(&json!([])), "missing batch input to process");
    }
}
