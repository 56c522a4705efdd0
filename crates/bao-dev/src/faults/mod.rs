//! Faults: a table of rules, each with what it matches, how often it acts, and what it does.
//!
//! The table only decides; the server carries the decision out.

mod matcher;

mod action;

mod alter;

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

pub use action::{Action, When};
pub(crate) use alter::{edit, edit_all, fail_item, join_batches, reverse_batch, wrong_plaintext};
pub use matcher::{Holder, Listener, Matcher};
pub(crate) use matcher::{Presented, Seen};

use crate::random::Dice;

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// How likely it acts on a matching request, 0 to 1; none: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Where its dice begin: the same seed, the same decisions. None: the rule's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Acts only from so many milliseconds after it was made.
    #[serde(default)]
    pub from_ms: u64,
    /// And only for so many milliseconds; none: without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// What happens.
    #[serde(deserialize_with = "strict_action")]
    pub action: Action,
}

/// An action, refused with members it does not have even where it has none.
fn strict_action<'de, D: Deserializer<'de>>(from: D) -> Result<Action, D::Error> {
    use serde::de::Error as _;
    let value = Value::deserialize(from)?;
    let stranger = value
        .as_object()
        .and_then(|members| members.keys().find(|name| *name != "kind"))
        .cloned();
    let action: Action = serde_json::from_value(value).map_err(D::Error::custom)?;
    match stranger.filter(|_| action.is_bare()) {
        Some(name) => Err(D::Error::custom(format!("unknown field `{name}`"))),
        None => Ok(action),
    }
}

impl Fault {
    /// A rule about every request, until removed.
    #[must_use]
    pub fn new(action: Action) -> Self {
        Self {
            matcher: Matcher::default(),
            skip: 0,
            count: None,
            probability: None,
            seed: None,
            from_ms: 0,
            for_ms: None,
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

    /// Only requests with such a token.
    #[must_use]
    pub fn token(mut self, holder: Holder) -> Self {
        self.matcher.token = Some(holder);
        self
    }

    /// Only requests with `batch_input`, or only those without.
    #[must_use]
    pub fn batch(mut self, batch: bool) -> Self {
        self.matcher.batch = Some(batch);
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

    /// Only on some requests: `probability` 0 to 1; the same seed gives the same decisions.
    #[must_use]
    pub fn probability(mut self, probability: f64, seed: u64) -> Self {
        (self.probability, self.seed) = (Some(probability), Some(seed));
        self
    }

    /// Only for a while, in milliseconds after the rule was made.
    #[must_use]
    pub fn window(mut self, from_ms: u64, for_ms: u64) -> Self {
        (self.from_ms, self.for_ms) = (from_ms, Some(for_ms));
        self
    }

    /// What is wrong with a rule that was read.
    pub(crate) fn flaw(&self) -> Option<String> {
        if let Some(probability) = self.probability
            && !(0.0..=1.0).contains(&probability)
        {
            return Some(format!("probability {probability}: must be 0 to 1"));
        }
        match &self.action {
            Action::Jitter { min_ms, max_ms } if min_ms > max_ms => {
                Some(format!("min_ms {min_ms}: must not exceed max_ms {max_ms}"))
            }
            Action::SlowBody { bytes: 0, .. } => Some(String::from("bytes 0: must be 1 or more")),
            Action::Answer { status, .. } if !(100..=999).contains(status) => {
                Some(format!("status {status}: must be 100 to 999"))
            }
            _ => None,
        }
    }

    /// Whether its time has come and is not over; `age` since it was made.
    fn is_awake(&self, age: Duration) -> bool {
        let from = Duration::from_millis(self.from_ms);
        let until = self
            .for_ms
            .map(|ms| from.saturating_add(Duration::from_millis(ms)));
        age >= from && until.is_none_or(|until| age < until)
    }
}

/// A rule and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ActiveFault {
    /// Its number.
    pub id: u64,
    /// How often it acted.
    pub hits: u64,
    /// What it says.
    pub rule: Fault,
    /// When it was made, monotonic.
    #[serde(skip)]
    born: Duration,
    #[serde(skip)]
    dice: Dice,
}

impl ActiveFault {
    /// Whether it acts on a request that it matches; counts what there is to count.
    fn acts(&mut self) -> bool {
        if self.rule.skip > 0 {
            self.rule.skip -= 1;
            return false;
        }
        if let Some(probability) = self.rule.probability
            && self.dice.roll() >= probability
        {
            return false;
        }
        self.hits += 1;
        true
    }

    /// How long it makes a request wait; nothing if it does something else.
    fn wait(&mut self) -> Option<Duration> {
        match self.rule.action {
            Action::Delay { ms } => Some(Duration::from_millis(ms)),
            Action::Jitter { min_ms, max_ms } => {
                let (min, max) = (min_ms as f64, max_ms as f64);
                let ms = min + (max - min).max(0.0) * self.dice.roll();
                Some(Duration::from_micros((ms * 1000.0) as u64))
            }
            _ => None,
        }
    }
}

/// What is to be done to one request.
#[derive(Debug, Default, PartialEq)]
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
    /// Adds a rule; gives its number. `mono` is the monotonic time.
    pub(crate) fn add(&mut self, rule: Fault, mono: Duration) -> u64 {
        self.last_id += 1;
        self.rules.push(ActiveFault {
            id: self.last_id,
            hits: 0,
            born: mono,
            dice: Dice::new(rule.seed.unwrap_or(self.last_id)),
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

    /// What to do to a request, and counts it. Waits add up; of all others the first acts.
    pub(crate) fn plan(&mut self, seen: &Seen<'_>, mono: Duration) -> Plan {
        let mut plan = Plan::default();
        for active in &mut self.rules {
            let spent = active.rule.count.is_some_and(|count| active.hits >= count);
            let awake = active.rule.is_awake(mono.saturating_sub(active.born));
            if spent || !awake || !active.rule.matcher.matches(seen) {
                continue;
            }
            if !active.rule.action.is_wait() && plan.action.is_some() {
                continue;
            }
            if !active.acts() {
                continue;
            }
            match active.wait() {
                Some(wait) => plan.delay += wait,
                None => {
                    plan.action = Some(active.rule.action.clone());
                    plan.fault = Some(active.id);
                }
            }
        }
        plan
    }
}
