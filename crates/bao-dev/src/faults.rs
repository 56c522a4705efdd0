//! Faults: a table of rules, each with what it matches, how often it acts, and what it does.
//!
//! The table only decides; the server carries the decision out.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::envelope::{Answer, Refusal};
use crate::jwt::glob;
use crate::state::Node;

/// Which listener a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Listener {
    /// The leader's.
    Active,
    /// The standby's.
    Standby,
}

impl From<Node> for Listener {
    fn from(node: Node) -> Self {
        match node {
            Node::Active => Self::Active,
            Node::Standby => Self::Standby,
        }
    }
}

/// Which requests a rule is about. What is absent matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Matcher {
    /// HTTP method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Path from `/v1/` on; `*` stands for any run of characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Where the request came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<Listener>,
}

impl Matcher {
    fn matches(&self, method: &str, path: &str, listener: Listener) -> bool {
        self.method.as_deref().is_none_or(|wanted| wanted == method)
            && self.path.as_deref().is_none_or(|wanted| glob(wanted, path))
            && self.listener.is_none_or(|wanted| wanted == listener)
    }
}

/// What a rule does to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Waits, then lets it pass.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// Answers in the server's place.
    Answer {
        /// HTTP status.
        status: u16,
        /// The one element of `errors`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// The same, inside `1 error occurred:`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wrapped: Option<String>,
        /// Any body instead.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<String>,
        /// Any headers besides.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, String>,
    },
    /// Ends the connection before an answer.
    Reset,
    /// Carries the request out, then ends the connection.
    LoseAnswer,
    /// Carries the request out, then ends the connection after half of the body.
    ResetMidBody,
    /// Never answers.
    Hang,
    /// 307 to another origin.
    Redirect {
        /// Scheme, host and port.
        to: String,
    },
    /// 200 with a body that is no JSON.
    Junk,
    /// 200 with a body of this size.
    Huge {
        /// Bytes.
        bytes: usize,
    },
    /// Replaces one member of the real answer.
    Edit {
        /// JSON pointer, as `/data/key_version`.
        pointer: String,
        /// The new value; none: the member is removed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<Value>,
    },
}

impl Action {
    /// `status` with `{"errors":["text"]}`.
    #[must_use]
    pub fn error(status: u16, text: &str) -> Self {
        Self::Answer {
            status,
            error: Some(text.to_owned()),
            wrapped: None,
            body: None,
            headers: BTreeMap::new(),
        }
    }

    /// `status` with the wrapped form of `text`.
    #[must_use]
    pub fn wrapped(status: u16, text: &str) -> Self {
        Self::Answer {
            status,
            error: None,
            wrapped: Some(text.to_owned()),
            body: None,
            headers: BTreeMap::new(),
        }
    }

    /// The answer of an action that gives one without the server. `target` is path and query.
    pub(crate) fn answer(&self, target: &str) -> Option<Answer> {
        Some(match self {
            Self::Answer {
                status,
                error,
                wrapped,
                body,
                headers,
            } => {
                let mut answer = match (error, wrapped, body) {
                    (_, _, Some(body)) => Answer::new(*status, body.clone().into_bytes()),
                    (_, Some(text), None) => Refusal::wrapped(*status, text).answer(),
                    (Some(text), None, None) => Refusal::plain(*status, text).answer(),
                    (None, None, None) => Refusal::empty(*status).answer(),
                };
                answer.headers.extend(headers.clone());
                answer
            }
            Self::Redirect { to } => {
                Answer::new(307, Vec::new()).header("Location", format!("{to}{target}"))
            }
            Self::Junk => Answer::new(200, b"<html>it works!</html>\n".to_vec()),
            Self::Huge { bytes } => {
                let filler = "x".repeat(bytes.saturating_sub(18));
                Answer::new(
                    200,
                    format!("{{\"data\":{{\"a\":\"{filler}\"}}}}\n").into_bytes(),
                )
            }
            _ => return None,
        })
    }
}

/// Replaces or removes one member of a JSON body. A body that is no JSON stays as it is.
pub(crate) fn edit(body: &[u8], pointer: &str, value: Option<&Value>) -> Vec<u8> {
    let Ok(mut json) = serde_json::from_slice::<Value>(body) else {
        return body.to_vec();
    };
    let (parent, name) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    match (json.pointer_mut(parent), value) {
        (Some(Value::Object(members)), Some(value)) => {
            members.insert(name.to_owned(), value.clone());
        }
        (Some(Value::Object(members)), None) => {
            members.shift_remove(name);
        }
        (Some(Value::Array(items)), Some(value)) => {
            if let Some(item) = name
                .parse::<usize>()
                .ok()
                .and_then(|index| items.get_mut(index))
            {
                *item = value.clone();
            }
        }
        _ => {}
    }
    let mut out = json.to_string().into_bytes();
    out.push(b'\n');
    out
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which requests.
    #[serde(rename = "match", default)]
    pub matcher: Matcher,
    /// So many matching requests pass first.
    #[serde(default)]
    pub skip: u64,
    /// Spent after so many hits; none: stays until removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// What happens.
    pub action: Action,
}

impl Fault {
    /// A rule about every request, until removed.
    #[must_use]
    pub fn new(action: Action) -> Self {
        Self {
            matcher: Matcher::default(),
            skip: 0,
            count: None,
            action,
        }
    }

    /// Only paths that fit; `*` stands for any run of characters.
    #[must_use]
    pub fn path(mut self, pattern: &str) -> Self {
        self.matcher.path = Some(pattern.to_owned());
        self
    }

    /// Only this method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.matcher.method = Some(method.to_owned());
        self
    }

    /// Only requests to this listener.
    #[must_use]
    pub fn listener(mut self, listener: Listener) -> Self {
        self.matcher.listener = Some(listener);
        self
    }

    /// Only so many times.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// Only after so many matching requests.
    #[must_use]
    pub fn after(mut self, skip: u64) -> Self {
        self.skip = skip;
        self
    }
}

/// A rule and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ActiveFault {
    /// Its number.
    pub id: u64,
    /// How often it acted.
    pub hits: u64,
    /// What it says.
    pub rule: Fault,
}

/// What is to be done to one request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) delay: Duration,
    pub(crate) action: Option<Action>,
    /// Number of the rule whose action it is.
    pub(crate) fault: Option<u64>,
}

/// All rules, in the order they were made.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Vec<ActiveFault>,
    last_id: u64,
}

impl Faults {
    /// Adds a rule; gives its number.
    pub(crate) fn add(&mut self, rule: Fault) -> u64 {
        self.last_id += 1;
        self.rules.push(ActiveFault {
            id: self.last_id,
            hits: 0,
            rule,
        });
        self.last_id
    }

    /// Removes a rule; false if there is none of that number.
    pub(crate) fn remove(&mut self, id: u64) -> bool {
        let before = self.rules.len();
        self.rules.retain(|rule| rule.id != id);
        self.rules.len() < before
    }

    /// Removes all rules.
    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    /// All rules, spent ones included.
    pub(crate) fn list(&self) -> &[ActiveFault] {
        &self.rules
    }

    /// What to do to a request, and counts it. Delays add up; of all others the first acts.
    pub(crate) fn plan(&mut self, method: &str, path: &str, listener: Listener) -> Plan {
        let mut plan = Plan::default();
        for active in &mut self.rules {
            let spent = active.rule.count.is_some_and(|count| active.hits >= count);
            if spent || !active.rule.matcher.matches(method, path, listener) {
                continue;
            }
            let is_delay = matches!(active.rule.action, Action::Delay { .. });
            if !is_delay && plan.action.is_some() {
                continue;
            }
            if active.rule.skip > 0 {
                active.rule.skip -= 1;
                continue;
            }
            active.hits += 1;
            match &active.rule.action {
                Action::Delay { ms } => plan.delay += Duration::from_millis(*ms),
                other => (plan.action, plan.fault) = (Some(other.clone()), Some(active.id)),
            }
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn acts(faults: &mut Faults, path: &str) -> bool {
        faults.plan("POST", path, Listener::Active).action.is_some()
    }

    #[test]
    fn a_rule_skips_acts_so_many_times_and_is_spent() {
        let mut faults = Faults::default();
        faults.add(
            Fault::new(Action::Reset)
                .path("/v1/transit/*")
                .after(1)
                .times(2),
        );
        let hits: Vec<_> = (0..5)
            .map(|_| acts(&mut faults, "/v1/transit/decrypt/k"))
            .collect();
        assert_eq!(hits, [false, true, true, false, false]);
        assert!(!acts(&mut faults, "/v1/sys/health"));
    }

    #[test]
    fn delays_add_up_and_the_first_other_rule_acts() {
        let mut faults = Faults::default();
        faults.add(Fault::new(Action::Delay { ms: 5 }));
        let first = faults.add(Fault::new(Action::Reset).times(1));
        let second = faults.add(Fault::new(Action::Hang).listener(Listener::Active));
        faults.add(Fault::new(Action::Delay { ms: 7 }));
        let plan = faults.plan("GET", "/", Listener::Active);
        assert_eq!(
            (plan.delay, plan.fault),
            (Duration::from_millis(12), Some(first))
        );
        assert_eq!(
            faults.plan("GET", "/", Listener::Active).fault,
            Some(second)
        );
        assert_eq!(faults.plan("GET", "/", Listener::Standby).fault, None);
    }

    #[test]
    fn rules_are_read_from_json_and_strangers_are_refused() {
        let rule = json!({"match": {"method": "POST", "path": "/v1/*", "listener": "active"}, "count": 3,
            "action": {"kind": "answer", "status": 503, "error": "Vault is sealed"}});
        let read: Fault = serde_json::from_value(rule).unwrap();
        let made = Fault::new(Action::error(503, "Vault is sealed"))
            .method("POST")
            .path("/v1/*");
        assert_eq!(read, made.listener(Listener::Active).times(3));
        for bad in [
            json!({"action": {"kind": "fly"}}),
            json!({"action": {"kind": "reset"}, "coutn": 1}),
        ] {
            assert!(serde_json::from_value::<Fault>(bad).is_err());
        }
        let kebab: Fault =
            serde_json::from_value(json!({"action": {"kind": "reset-mid-body"}})).unwrap();
        assert_eq!(kebab.action, Action::ResetMidBody);
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
        assert_eq!(edit(body, "/data/b", None), b"{\"data\":{\"a\":1}}\n");
        assert_eq!(edit(b"junk", "/data", None), b"junk");
    }
}
