//! Changes to a real answer before it leaves.

use serde_json::{Map, Value, json};

use crate::envelope::Answer;
use crate::go;

/// The body as a change of its JSON leaves it. A body that is no JSON stays as it is.
fn changed(body: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let Ok(mut json) = serde_json::from_slice::<Value>(body) else {
        return body.to_vec();
    };
    change(&mut json);
    let mut out = json.to_string().into_bytes();
    out.push(b'\n');
    out
}

/// Replaces or removes what a JSON pointer names.
pub(crate) fn edit(body: &[u8], pointer: &str, value: Option<&Value>) -> Vec<u8> {
    changed(body, |json| {
        let (parent, name) = pointer.rsplit_once('/').unwrap_or(("", pointer));
        match (json.pointer_mut(parent), value) {
            (Some(Value::Object(members)), value) => put(members, name, value),
            (Some(Value::Array(items)), value) => {
                let index = name.parse().ok().filter(|index| *index < items.len());
                match (index, value) {
                    (Some(index), None) => {
                        items.remove(index);
                    }
                    (Some(index), Some(value)) => {
                        if let Some(item) = items.get_mut(index) {
                            *item = value.clone();
                        }
                    }
                    (None, _) => {}
                }
            }
            _ => {}
        }
    })
}

fn put(members: &mut Map<String, Value>, name: &str, value: Option<&Value>) {
    match value {
        Some(value) => {
            members.insert(name.to_owned(), value.clone());
        }
        None => {
            members.shift_remove(name);
        }
    }
}

/// Calls `act` on every object, from the outermost on.
fn each_object(json: &mut Value, act: &mut impl FnMut(&mut Map<String, Value>)) {
    match json {
        Value::Object(members) => {
            act(members);
            for value in members.values_mut() {
                each_object(value, act);
            }
        }
        Value::Array(items) => {
            for item in items {
                each_object(item, act);
            }
        }
        _ => {}
    }
}

/// Replaces or removes a member wherever it stands.
pub(crate) fn edit_all(body: &[u8], member: &str, value: Option<&Value>) -> Vec<u8> {
    changed(body, |json| {
        each_object(json, &mut |members| {
            if members.contains_key(member) {
                put(members, member, value);
            }
        });
    })
}

/// Every plaintext becomes another one of the same length; an empty one stays empty.
pub(crate) fn wrong_plaintext(body: &[u8]) -> Vec<u8> {
    changed(body, |json| {
        each_object(json, &mut |members| {
            let Some(Value::String(text)) = members.get_mut("plaintext") else {
                return;
            };
            if let Ok(mut bytes) = go::decode(text) {
                bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
                *text = go::encode(&bytes);
            }
        });
    })
}

/// The results of a batch in the opposite order.
pub(crate) fn reverse_batch(body: &[u8]) -> Vec<u8> {
    changed(body, |json| {
        if let Some(Value::Array(results)) = json.pointer_mut("/data/batch_results") {
            results.reverse();
        }
    })
}

/// One item of the batch has failed; in the shape of a server of which that is true.
/// `asked` is the request's `partial_failure_response_code`.
pub(crate) fn fail_item(
    answer: &mut Answer,
    index: usize,
    error: &str,
    status: Option<u16>,
    asked: Option<u16>,
) {
    let mut failed = false;
    let mut body = changed(&answer.body, |json| {
        let Some(Value::Array(results)) = json.pointer_mut("/data/batch_results") else {
            return;
        };
        let alone = results.len() == 1;
        let Some(Value::Object(row)) = results.get_mut(index) else {
            return;
        };
        let mut new = Map::new();
        if row.contains_key("plaintext") {
            new.insert("plaintext".to_owned(), json!(""));
        }
        new.insert("error".to_owned(), json!(error));
        if let Some(reference) = row.get("reference") {
            new.insert("reference".to_owned(), reference.clone());
        }
        *row = new;
        // The status a client asks for is for a batch of which something is left.
        answer.status = status.or(asked.filter(|_| !alone)).unwrap_or(400);
        failed = true;
    });
    if failed {
        body.pop();
        answer.body = body;
    }
}

/// The answers to the two halves of a batch, as one.
pub(crate) fn join_batches(first: Answer, second: &Answer) -> Answer {
    if first.status != 200 || second.status != 200 {
        return first;
    }
    let rest = serde_json::from_slice::<Value>(&second.body)
        .ok()
        .and_then(|mut json| json.pointer_mut("/data/batch_results").map(Value::take));
    let body = changed(&first.body, |json| {
        if let (Some(Value::Array(results)), Some(Value::Array(rest))) =
            (json.pointer_mut("/data/batch_results"), rest)
        {
            results.extend(rest);
        }
    });
    Answer { body, ..first }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: &[u8] = br#"{"data":{"batch_results":[{"plaintext":"aGk=","reference":"a"},{"plaintext":"aG8=","reference":"b"}]}}"#;

    fn row(body: &[u8], index: usize) -> Value {
        let json: Value = serde_json::from_slice(body).unwrap();
        json["data"]["batch_results"][index].clone()
    }

    #[test]
    fn one_member_of_an_answer_is_replaced_or_removed() {
        let body = br#"{"data":{"a":1,"b":[1,2]}}"#;
        assert_eq!(
            edit(body, "/data/a", Some(&json!(7))),
            b"{\"data\":{\"a\":7,\"b\":[1,2]}}\n"
        );
        assert_eq!(
            edit(body, "/data/b/1", Some(&json!(9))),
            b"{\"data\":{\"a\":1,\"b\":[1,9]}}\n"
        );
        assert_eq!(
            edit(body, "/data/b/0", None),
            b"{\"data\":{\"a\":1,\"b\":[2]}}\n"
        );
        assert_eq!(edit(body, "/data/b", None), b"{\"data\":{\"a\":1}}\n");
        assert_eq!(edit(b"junk", "/data", None), b"junk");
    }

    #[test]
    fn a_member_is_replaced_or_removed_in_every_item() {
        let replaced = edit_all(BATCH, "reference", Some(&json!("x")));
        assert_eq!(row(&replaced, 0)["reference"], "x");
        assert_eq!(row(&replaced, 1)["reference"], "x");
        let removed = edit_all(BATCH, "plaintext", None);
        assert_eq!(row(&removed, 1), json!({"reference": "b"}));
        assert!(!String::from_utf8(removed).unwrap().contains("aG8="));
    }

    #[test]
    fn a_wrong_plaintext_has_the_length_of_the_right_one() {
        let wrong = wrong_plaintext(BATCH);
        let text = row(&wrong, 0)["plaintext"].as_str().unwrap().to_owned();
        assert_ne!(text, "aGk=");
        assert_eq!(go::decode(&text).unwrap().len(), 2);
        assert_eq!(row(&reverse_batch(BATCH), 0)["reference"], "b");
    }

    #[test]
    fn a_failed_item_has_the_shape_and_the_status_of_a_partial_failure() {
        let failed = |status, asked| {
            let mut answer = Answer::new(200, BATCH.to_vec());
            fail_item(&mut answer, 1, "no", status, asked);
            answer
        };
        let answer = failed(None, None);
        assert_eq!(answer.status, 400);
        assert_eq!(row(&answer.body, 0)["plaintext"], "aGk=");
        assert_eq!(
            row(&answer.body, 1),
            json!({"plaintext": "", "error": "no", "reference": "b"})
        );
        assert_ne!(answer.body.last(), Some(&b'\n'));
        assert_eq!(failed(None, Some(207)).status, 207);
        assert_eq!(failed(Some(500), Some(207)).status, 500);
        let mut single = Answer::new(200, b"{\"data\":{}}\n".to_vec());
        fail_item(&mut single, 0, "no", None, None);
        assert_eq!((single.status, single.body.len()), (200, 12));
    }

    #[test]
    fn two_halves_of_a_batch_become_one() {
        let half = || Answer::new(200, BATCH.to_vec());
        let joined = join_batches(half(), &half());
        assert_eq!(row(&joined.body, 3)["reference"], "b");
        let refused = join_batches(Answer::new(400, Vec::new()), &half());
        assert_eq!(refused.status, 400);
    }
}
