//! Which requests a rule is about.

use serde::{Deserialize, Serialize};

use crate::jwt::glob;
use crate::state::Node;
use crate::tokens::Token;

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

/// Whose token a request carries. A rule never holds a token itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holder {
    /// No token at all, as a login.
    None,
    /// A token the server does not know: expired, revoked or made up.
    Unknown,
    /// A token that may do everything.
    Root,
    /// A token that a login gave.
    Login,
    /// The token with this accessor.
    Accessor(String),
    /// A token that carries this policy.
    Policy(String),
}

/// What a request presents.
#[derive(Clone, Copy)]
pub(crate) enum Presented<'a> {
    /// No token.
    Nothing,
    /// One the server does not know.
    Unknown,
    /// One of its own.
    Known(&'a Token),
}

impl Holder {
    fn matches(&self, presented: Presented<'_>) -> bool {
        match (self, presented) {
            (Self::None, Presented::Nothing) | (Self::Unknown, Presented::Unknown) => true,
            (Self::Root, Presented::Known(token)) => token.is_root(),
            (Self::Login, Presented::Known(token)) => token.path.ends_with("/login"),
            (Self::Accessor(accessor), Presented::Known(token)) => token.accessor == *accessor,
            (Self::Policy(policy), Presented::Known(token)) => token.policies.contains(policy),
            _ => false,
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
    /// Whose token it carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Holder>,
    /// Whether it has `batch_input`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<bool>,
}

/// What a rule sees of a request.
pub(crate) struct Seen<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) listener: Listener,
    pub(crate) token: Presented<'a>,
    pub(crate) batch: bool,
}

impl Matcher {
    pub(super) fn matches(&self, seen: &Seen<'_>) -> bool {
        self.method
            .as_deref()
            .is_none_or(|wanted| wanted == seen.method)
            && self
                .path
                .as_deref()
                .is_none_or(|wanted| glob(wanted, seen.path))
            && self.listener.is_none_or(|wanted| wanted == seen.listener)
            && self.batch.is_none_or(|wanted| wanted == seen.batch)
            && self
                .token
                .as_ref()
                .is_none_or(|wanted| wanted.matches(seen.token))
    }
}
