//! What goes back to the client: the success envelope, and the two shapes of an error.

use serde_json::{Map, Value, json};

use crate::random;

/// A complete answer, before it becomes HTTP.
pub(crate) struct Answer {
    /// HTTP status; 0 never occurs.
    pub(crate) status: u16,
    /// Headers beyond those every answer carries.
    pub(crate) headers: Vec<(String, String)>,
    /// The body; empty for 204, 307 and HEAD.
    pub(crate) body: Vec<u8>,
    /// Whether the answer carries `Cache-Control: no-store` (all but 413 do).
    pub(crate) no_store: bool,
    /// Whether an HTTP/1.1 connection ends after it.
    pub(crate) close: bool,
}

impl Answer {
    /// An answer with a body that is ready.
    pub(crate) fn new(status: u16, body: Vec<u8>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
            no_store: true,
            close: false,
        }
    }

    /// The same with one more header.
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// What a handler gives on success.
pub(crate) enum Reply {
    /// Nothing to say: 204 on a write, 404 on a read.
    Nothing,
    /// `data` of the envelope, with warnings.
    Data(Map<String, Value>, Vec<String>),
    /// `data` with another status; rendered without the final line break.
    Coded(u16, Map<String, Value>, Vec<String>),
    /// `data` whose members are also put in front of the envelope, as old `sys` paths do.
    Doubled(Map<String, Value>),
    /// `auth` of the envelope, with warnings.
    Auth(Map<String, Value>, Vec<String>),
    /// A body that is no envelope.
    Bare(u16, Map<String, Value>),
}

/// Why a request is refused, in the words and the shape of the imitated server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// HTTP status.
    pub(crate) status: u16,
    /// The element of `errors`; none: an empty array.
    pub(crate) text: Option<String>,
}

impl Refusal {
    /// `{"errors":["text"]}`: a backend that gave an error response.
    pub(crate) fn plain(status: u16, text: impl Into<String>) -> Self {
        Self {
            status,
            text: Some(text.into()),
        }
    }

    /// The text inside `1 error occurred:`: a backend that failed without a response.
    pub(crate) fn wrapped(status: u16, text: impl AsRef<str>) -> Self {
        Self::plain(status, wrap(text.as_ref()))
    }

    /// `{"errors":[]}`.
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, text: None }
    }

    /// The answer that says so.
    pub(crate) fn answer(&self) -> Answer {
        let errors: Vec<&String> = self.text.iter().collect();
        Answer::new(self.status, line(&json!({ "errors": errors })))
    }
}

/// The wrapped form of an error text.
pub(crate) fn wrap(text: &str) -> String {
    format!("1 error occurred:\n\t* {text}\n\n")
}

/// What a handler returns.
pub(crate) type Outcome = Result<Reply, Refusal>;

/// An object from members in any order, sorted by name as Go prints maps.
pub(crate) fn sorted<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    let mut members: Vec<_> = members.into_iter().collect();
    members.sort_by_key(|(name, _)| *name);
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Renders a handler's success. `is_read` decides what "nothing" means.
pub(crate) fn render(reply: Reply, is_read: bool) -> Answer {
    match reply {
        Reply::Nothing if is_read => Refusal::empty(404).answer(),
        Reply::Nothing => Answer::new(204, Vec::new()),
        Reply::Data(data, warnings) => {
            Answer::new(200, line(&envelope(Some(&data), &warnings, None)))
        }
        Reply::Coded(status, data, warnings) => {
            let mut body = line(&envelope(Some(&data), &warnings, None));
            body.pop();
            Answer::new(status, body)
        }
        Reply::Doubled(data) => {
            let mut body = data.clone();
            if let Value::Object(rest) = envelope(Some(&data), &[], None) {
                body.extend(rest);
            }
            Answer::new(200, line(&Value::Object(body)))
        }
        Reply::Auth(auth, warnings) => {
            Answer::new(200, line(&envelope(None, &warnings, Some(&auth))))
        }
        Reply::Bare(status, body) => Answer::new(status, line(&Value::Object(body))),
    }
}

fn envelope(
    data: Option<&Map<String, Value>>,
    warnings: &[String],
    auth: Option<&Map<String, Value>>,
) -> Value {
    let warnings = if warnings.is_empty() {
        Value::Null
    } else {
        json!(warnings)
    };
    json!({
        "request_id": random::uuid(),
        "lease_id": "",
        "renewable": false,
        "lease_duration": 0,
        "data": data,
        "wrap_info": null,
        "warnings": warnings,
        "auth": auth,
    })
}

/// JSON as Go's encoder writes it: `<`, `>` and `&` escaped, a line break at the end.
fn line(value: &Value) -> Vec<u8> {
    let text = value.to_string();
    let mut out = Vec::with_capacity(text.len() + 1);
    for byte in text.bytes() {
        match byte {
            b'<' => out.extend_from_slice(br"\u003c"),
            b'>' => out.extend_from_slice(br"\u003e"),
            b'&' => out.extend_from_slice(br"\u0026"),
            _ => out.push(byte),
        }
    }
    out.push(b'\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(answer: &Answer) -> String {
        String::from_utf8(answer.body.clone()).unwrap()
    }

    #[test]
    fn an_envelope_has_its_members_in_the_servers_order() {
        let answer = render(
            Reply::Data(sorted([("b", json!(1)), ("a", json!("<"))]), vec![]),
            true,
        );
        let body = text(&answer);
        assert!(body.ends_with("}\n"));
        assert!(body.contains(r#""data":{"a":"\u003c","b":1}"#), "{body}");
        let value: Map<String, Value> = serde_json::from_str(&body).unwrap();
        let names: Vec<_> = value.keys().map(String::as_str).collect();
        let expected = [
            "request_id",
            "lease_id",
            "renewable",
            "lease_duration",
            "data",
            "wrap_info",
            "warnings",
            "auth",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn nothing_is_204_for_a_write_and_404_for_a_read() {
        let write = render(Reply::Nothing, false);
        assert_eq!((write.status, write.body.len()), (204, 0));
        let read = render(Reply::Nothing, true);
        assert_eq!(
            (read.status, text(&read).as_str()),
            (404, "{\"errors\":[]}\n")
        );
    }

    #[test]
    fn a_wrapped_error_is_one_element() {
        let body = text(&Refusal::wrapped(403, "permission denied").answer());
        assert_eq!(
            body,
            "{\"errors\":[\"1 error occurred:\\n\\t* permission denied\\n\\n\"]}\n"
        );
    }
}
