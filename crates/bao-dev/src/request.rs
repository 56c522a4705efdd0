//! A request as the pure part sees it.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

/// A request with its whole body. No Debug: it carries a token.
pub(crate) struct Request {
    /// As sent.
    pub(crate) method: String,
    /// Path, not decoded, from the first `/` on.
    pub(crate) path: String,
    /// Without the `?`; may be empty.
    pub(crate) query: String,
    /// All of them.
    pub(crate) headers: HeaderMap,
    /// Empty if it was too large.
    pub(crate) body: Bytes,
    /// Whether the body was larger than the limit.
    pub(crate) too_large: bool,
}

impl Request {
    /// A header's text; `""` when absent or not text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(http::HeaderValue::as_bytes)
            .and_then(|value| std::str::from_utf8(value).ok())
            .unwrap_or_default()
    }

    /// Path and query, as sent.
    pub(crate) fn target(&self) -> String {
        if self.query.is_empty() {
            return self.path.clone();
        }
        format!("{}?{}", self.path, self.query)
    }

    /// The body, if it is JSON.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The status it wants of a batch of which only a part has failed.
    pub(crate) fn partial_failure_code(&self) -> Option<u16> {
        let code = self
            .json()?
            .get("partial_failure_response_code")?
            .as_u64()?;
        u16::try_from(code)
            .ok()
            .filter(|code| (100..=599).contains(code))
    }

    /// The same request twice, each with one half of the batch; none without a batch of two.
    pub(crate) fn halves(&self) -> Option<(Self, Self)> {
        let json = self.json()?;
        let items = json.get("batch_input")?.as_array()?;
        let (first, second) = items.split_at_checked(items.len() / 2)?;
        if first.is_empty() {
            return None;
        }
        let with = |items: &[Value]| {
            let mut json = json.clone();
            if let Some(input) = json.get_mut("batch_input") {
                *input = Value::Array(items.to_vec());
            }
            Self {
                method: self.method.clone(),
                path: self.path.clone(),
                query: self.query.clone(),
                headers: self.headers.clone(),
                body: json.to_string().into(),
                too_large: self.too_large,
            }
        };
        Some((with(first), with(second)))
    }

    /// The token: its own header first, then `Authorization: Bearer`.
    pub(crate) fn token(&self) -> &str {
        let own = self.header("x-vault-token");
        if !own.is_empty() {
            return own;
        }
        self.header("authorization")
            .strip_prefix("Bearer ")
            .unwrap_or_default()
    }
}

/// What a request wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// GET.
    Read,
    /// LIST, and GET with `?list=true`.
    List,
    /// SCAN.
    Scan,
    /// POST and PUT.
    Update,
    /// DELETE.
    Delete,
    /// PATCH.
    Patch,
}

/// The name under which a request is counted.
pub(crate) fn name_of(method: &str, path: &str) -> &'static str {
    let path = path
        .strip_prefix("/v1/")
        .unwrap_or(path)
        .trim_end_matches('/');
    let segments: Vec<&str> = path.split('/').collect();
    let write = matches!(method, "POST" | "PUT");
    match segments.as_slice() {
        [.., "auth", _, "login"] => "login",
        [.., "auth", "token", "renew-self"] => "renew-self",
        [.., "auth", "token", "lookup-self"] => "lookup-self",
        [.., "auth", "token", "revoke-self"] => "revoke-self",
        [.., "auth", "token", "create"] => "token-create",
        [.., "sys", "health"] => "health",
        [.., "sys", "seal-status"] => "seal-status",
        [.., "sys", "leader"] => "leader",
        [.., "sys", "capabilities-self"] => "capabilities-self",
        [.., "encrypt", _] if write => "encrypt",
        [.., "decrypt", _] if write => "decrypt",
        [.., "rewrap", _] if write => "rewrap",
        [.., "config", "keys"] if write => "write-config-keys",
        [.., "config", "keys"] => "read-config-keys",
        [.., "keys", _, "rotate"] => "rotate",
        [.., "keys", _, "config"] => "config-key",
        [.., "keys"] => "list-keys",
        [.., "keys", _] if write => "create-key",
        [.., "keys", _] if method == "DELETE" => "delete-key",
        [.., "keys", _] => "read-key",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_under_names() {
        for (method, path, name) in [
            ("POST", "/v1/transit/encrypt/k", "encrypt"),
            ("PUT", "/v1/ns1/transit/decrypt/k", "decrypt"),
            ("GET", "/v1/transit/keys/k", "read-key"),
            ("LIST", "/v1/transit/keys/", "list-keys"),
            ("GET", "/v1/transit/config/keys", "read-config-keys"),
            ("POST", "/v1/transit/keys/k/rotate", "rotate"),
            ("POST", "/v1/auth/jwt/login", "login"),
            ("POST", "/v1/auth/token/renew-self", "renew-self"),
            ("GET", "/v1/sys/health", "health"),
            ("GET", "/", "other"),
        ] {
            assert_eq!(name_of(method, path), name, "{method} {path}");
        }
    }
}
