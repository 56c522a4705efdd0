//! Rate-limit quotas: so many requests per interval under a path.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::envelope::{Answer, Refusal, sorted};
use crate::fields::{Fields, Kind, Params};

const FIELDS: &Fields = &[
    ("rate", Kind::Any),
    ("interval", Kind::Seconds),
    ("block_interval", Kind::Seconds),
    ("path", Kind::Text),
    ("role", Kind::Text),
];

/// One quota and what is left of it. One bucket: every client is on loopback.
#[derive(Debug, Clone)]
struct Quota {
    path: String,
    rate: f64,
    interval: Duration,
    left: f64,
    refill: Duration,
}

/// All quotas.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    by_name: BTreeMap<String, Quota>,
    headers: bool,
}

impl Quotas {
    /// `POST sys/quotas/rate-limit/NAME`.
    pub(crate) fn put(&mut self, name: &str, body: &Map<String, Value>) -> Result<(), Refusal> {
        let params = Params::new(body, FIELDS, &["name"], false)?;
        let rate = match params.raw("rate") {
            Some(Value::String(text)) => text.parse().ok(),
            other => other.and_then(Value::as_f64),
        };
        let Some(rate) = rate.filter(|rate| *rate > 0.0) else {
            return Err(Refusal::plain(400, "'rate' is invalid"));
        };
        let interval = params
            .int("interval")
            .and_then(|seconds| u64::try_from(seconds).ok());
        let quota = Quota {
            path: params.text("path").to_owned(),
            rate,
            interval: Duration::from_secs(interval.filter(|seconds| *seconds > 0).unwrap_or(1)),
            left: rate,
            refill: Duration::ZERO,
        };
        self.by_name.insert(name.to_owned(), quota);
        Ok(())
    }

    /// `GET sys/quotas/rate-limit/NAME`.
    pub(crate) fn read(&self, name: &str) -> Option<Map<String, Value>> {
        let quota = self.by_name.get(name)?;
        Some(sorted([
            ("name", json!(name)),
            ("path", json!(quota.path)),
            ("rate", json!(quota.rate)),
            ("interval", json!(quota.interval.as_secs())),
            ("type", json!("rate-limit")),
        ]))
    }

    /// `DELETE sys/quotas/rate-limit/NAME`.
    pub(crate) fn remove(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    /// `POST sys/quotas/config`.
    pub(crate) fn configure(&mut self, body: &Map<String, Value>) -> Result<(), Refusal> {
        let field = "enable_rate_limit_response_headers";
        self.headers = Params::new(body, &[(field, Kind::Flag)], &[], false)?
            .flag(field)
            .unwrap_or_default();
        Ok(())
    }

    /// Takes one request from the most specific quota; the answer if there is none left.
    /// `path` begins with its namespace, `now` is monotonic.
    pub(crate) fn take(&mut self, path: &str, now: Duration) -> Result<(), Box<Answer>> {
        let headers = self.headers;
        let matching = self
            .by_name
            .values_mut()
            .filter(|quota| path.starts_with(&quota.path));
        let Some(quota) = matching.max_by_key(|quota| quota.path.len()) else {
            return Ok(());
        };
        if now >= quota.refill {
            quota.left = quota.rate;
            quota.refill = now + quota.interval;
        }
        if quota.left >= 1.0 {
            quota.left -= 1.0;
            return Ok(());
        }
        let text = format!("request path \"{path}\": rate limit quota exceeded");
        let mut answer = Refusal::plain(429, text).answer();
        if headers {
            let wait = quota.refill.saturating_sub(now).as_secs().to_string();
            answer = answer
                .header("X-Ratelimit-Limit", quota.rate.to_string())
                .header("X-Ratelimit-Remaining", "0")
                .header("X-Ratelimit-Reset", wait.clone())
                .header("Retry-After", wait);
        }
        Err(Box::new(answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_spent_and_refilled() {
        let mut quotas = Quotas::default();
        let body = json!({"rate": 2, "path": "transit/"});
        assert!(quotas.put("q", body.as_object().unwrap()).is_ok());
        let at = Duration::from_millis;
        assert!(quotas.take("transit/encrypt/k1", at(0)).is_ok());
        assert!(quotas.take("transit/encrypt/k1", at(1)).is_ok());
        assert!(quotas.take("sys/mounts", at(1)).is_ok());
        let refused = quotas.take("transit/encrypt/k1", at(999)).err().unwrap();
        assert_eq!(refused.status, 429);
        assert!(refused.headers.is_empty());
        assert!(quotas.take("transit/encrypt/k1", at(1000)).is_ok());
    }
}
