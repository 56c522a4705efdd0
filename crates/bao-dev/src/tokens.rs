//! Tokens: what they carry, how long they live, how they end.

use std::collections::BTreeMap;

use crate::{go, random};

/// What the system grants when nobody says otherwise, and the most it grants: 768 h.
pub(crate) const SYSTEM_TTL: i64 = 768 * 3600;

/// One token. Times are Unix seconds, spans are seconds, 0 means "not set".
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) accessor: String,
    /// Path of its namespace, `""` for root.
    pub(crate) namespace: String,
    pub(crate) policies: Vec<String>,
    /// Where it came from, as `auth/jwt/login`.
    pub(crate) path: String,
    pub(crate) meta: BTreeMap<String, String>,
    pub(crate) display_name: String,
    pub(crate) entity_id: String,
    pub(crate) orphan: bool,
    pub(crate) parent: Option<String>,
    pub(crate) batch: bool,
    pub(crate) renewable: bool,
    pub(crate) created: i64,
    pub(crate) creation_ttl: i64,
    pub(crate) ttl: i64,
    pub(crate) max_ttl: i64,
    pub(crate) explicit_max_ttl: i64,
    pub(crate) period: i64,
    /// None: lives for ever and has no lease.
    pub(crate) expires: Option<i64>,
    pub(crate) last_renewal: Option<i64>,
    /// Uses left; 0: without limit.
    pub(crate) num_uses: i64,
    /// The role that logged it in.
    pub(crate) role: Option<String>,
}

impl Token {
    /// A service token with nothing but a random name.
    pub(crate) fn new(namespace: &str, namespace_id: &str, batch: bool, now: i64) -> Self {
        let suffix = if namespace.is_empty() {
            String::new()
        } else {
            format!(".{namespace_id}")
        };
        let id = if batch {
            let bytes = random::bytes::<72>();
            let text = go::encode(&bytes).replace('+', "-").replace('/', "_");
            format!("b.{text}")
        } else {
            format!("s.{}{suffix}", random::base62(24))
        };
        Self {
            id,
            accessor: if batch {
                String::new()
            } else {
                format!("{}{suffix}", random::base62(24))
            },
            namespace: namespace.to_owned(),
            policies: Vec::new(),
            path: String::new(),
            meta: BTreeMap::new(),
            display_name: String::from("token"),
            entity_id: String::new(),
            orphan: true,
            parent: None,
            batch,
            renewable: !batch,
            created: now,
            creation_ttl: 0,
            ttl: 0,
            max_ttl: 0,
            explicit_max_ttl: 0,
            period: 0,
            expires: None,
            last_renewal: None,
            num_uses: 0,
            role: None,
        }
    }

    /// Whether it may do everything.
    pub(crate) fn is_root(&self) -> bool {
        self.policies.iter().any(|policy| policy == "root")
    }

    /// Whether the server keeps a lease for it: for every token but the one of the initialisation.
    pub(crate) fn has_lease(&self) -> bool {
        self.path != ROOT_PATH
    }

    /// Grants a first lease from the token's own limits; gives the warning about a capped one.
    pub(crate) fn grant_first_lease(&mut self, now: i64) -> Option<String> {
        let lease = lease(self, 0, now).ok()?;
        self.ttl = lease.seconds;
        self.creation_ttl = lease.seconds;
        self.expires = Some(now.saturating_add(lease.seconds));
        lease.warning
    }
}

/// Where the token comes from that a server's initialisation makes.
pub(crate) const ROOT_PATH: &str = "auth/token/root";

/// A granted span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) seconds: i64,
    pub(crate) warning: Option<String>,
}

/// Why a lease cannot be extended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PastMaximum;

/// How long a token lives from `now`, when `increment` seconds are asked for (0: no wish).
/// A periodic token ignores the wish.
pub(crate) fn lease(token: &Token, increment: i64, now: i64) -> Result<Lease, PastMaximum> {
    let limits = [token.max_ttl, token.explicit_max_ttl];
    let limit = limits
        .into_iter()
        .filter(|limit| *limit > 0)
        .fold(SYSTEM_TTL, i64::min);
    let left_of = |limit: i64| token.created.saturating_add(limit).saturating_sub(now);
    let (wish, left) = if token.period > 0 {
        let left = if token.explicit_max_ttl > 0 {
            left_of(token.explicit_max_ttl)
        } else {
            SYSTEM_TTL
        };
        (token.period, left)
    } else if increment > 0 {
        (increment, left_of(limit))
    } else {
        (
            if token.ttl > 0 { token.ttl } else { SYSTEM_TTL },
            left_of(limit),
        )
    };
    if left <= 0 {
        return Err(PastMaximum);
    }
    if wish <= left {
        return Ok(Lease {
            seconds: wish,
            warning: None,
        });
    }
    let warning = format!(
        "TTL of \"{}\" exceeded the effective max_ttl of \"{}\"; TTL value is capped accordingly",
        go::duration(wish),
        go::duration(left)
    );
    Ok(Lease {
        seconds: left,
        warning: Some(warning),
    })
}

/// All tokens of a server, by their name.
#[derive(Clone, Default)]
pub(crate) struct Tokens(BTreeMap<String, Token>);

impl Tokens {
    /// Adds a token.
    pub(crate) fn insert(&mut self, token: Token) {
        self.0.insert(token.id.clone(), token);
    }

    /// A living token.
    pub(crate) fn get(&self, id: &str, now: i64) -> Option<&Token> {
        self.0
            .get(id)
            .filter(|token| token.expires.is_none_or(|expires| now < expires))
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Token> {
        self.0.get_mut(id)
    }

    /// The name of the token with this accessor.
    pub(crate) fn by_accessor(&self, accessor: &str) -> Option<&Token> {
        self.0
            .values()
            .find(|token| !accessor.is_empty() && token.accessor == accessor)
    }

    /// Lets a token end at `until` at the latest, or all but the root tokens; gives how many.
    pub(crate) fn end_at(&mut self, accessor: Option<&str>, until: i64) -> usize {
        let wanted = |token: &&mut Token| {
            !token.is_root() && accessor.is_none_or(|accessor| token.accessor == accessor)
        };
        let tokens = self.0.values_mut().filter(wanted);
        let ends = tokens.map(|token| &mut token.expires);
        ends.map(|end| *end = Some(end.map_or(until, |end| end.min(until))))
            .count()
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Token> {
        self.0.values()
    }

    /// Ends a token and its children.
    pub(crate) fn revoke(&mut self, id: &str) {
        self.0.remove(id);
        let children: Vec<_> = self
            .0
            .values()
            .filter(|token| token.parent.as_deref() == Some(id))
            .map(|token| token.id.clone())
            .collect();
        for child in children {
            self.revoke(&child);
        }
    }

    /// Ends all but the root tokens; gives how many.
    pub(crate) fn revoke_all(&mut self) -> usize {
        let before = self.0.len();
        self.0.retain(|_, token| token.is_root());
        before - self.0.len()
    }

    /// Forgets tokens that ended long ago, so that a long test does not pile them up.
    pub(crate) fn sweep(&mut self, now: i64) {
        self.0.retain(|_, token| {
            token
                .expires
                .is_none_or(|expires| now < expires.saturating_add(3600))
        });
    }
}

/// Policies as a token carries them: lower case, sorted, once each, with `default` unless unwanted.
pub(crate) fn policy_names(wanted: &[String], with_default: bool) -> Vec<String> {
    let mut names: Vec<_> = wanted
        .iter()
        .map(|name| name.trim().to_lowercase())
        .collect();
    if with_default && !names.iter().any(|name| name == "root") {
        names.push(String::from("default"));
    }
    names.retain(|name| !name.is_empty());
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(ttl: i64, max_ttl: i64, period: i64) -> Token {
        let mut token = Token::new("", "root", false, 1000);
        (token.ttl, token.max_ttl, token.period) = (ttl, max_ttl, period);
        token
    }

    #[test]
    fn a_lease_never_outlives_the_maximum() {
        let token = token(600, 1800, 0);
        assert_eq!(lease(&token, 300, 1000).unwrap().seconds, 300);
        assert_eq!(lease(&token, 0, 1000).unwrap().seconds, 600);
        let capped = lease(&token, 3600, 1060).unwrap();
        assert_eq!(capped.seconds, 1740);
        assert_eq!(
            capped.warning.unwrap(),
            "TTL of \"1h\" exceeded the effective max_ttl of \"29m\"; TTL value is capped accordingly"
        );
        assert_eq!(lease(&token, 1, 2800), Err(PastMaximum));
    }

    #[test]
    fn a_periodic_token_ignores_the_increment() {
        assert_eq!(
            lease(&token(600, 1800, 120), 3600, 9_000_000)
                .unwrap()
                .seconds,
            120
        );
    }

    #[test]
    fn an_expired_token_is_no_token_and_a_revoked_one_takes_its_children_along() {
        let mut tokens = Tokens::default();
        let mut parent = token(600, 0, 0);
        parent.grant_first_lease(1000);
        let mut child = token(600, 0, 0);
        child.parent = Some(parent.id.clone());
        let (parent_id, child_id) = (parent.id.clone(), child.id.clone());
        tokens.insert(parent);
        tokens.insert(child);
        assert!(tokens.get(&parent_id, 1599).is_some());
        assert!(tokens.get(&parent_id, 1600).is_none());
        tokens.revoke(&parent_id);
        assert!(tokens.get(&child_id, 1000).is_none());
    }

    #[test]
    fn policy_names_are_lower_case_sorted_and_unique() {
        let names = [
            String::from("KMS"),
            String::from("kms"),
            String::from(" a "),
        ];
        assert_eq!(policy_names(&names, true), ["a", "default", "kms"]);
        assert_eq!(policy_names(&names, false), ["a", "kms"]);
    }
}
