//! Access policies: the language they are written in, and what a set of them allows.

mod acl;
mod hcl;

pub(crate) use acl::{Acl, Capability};
pub(crate) use hcl::{PolicyError, Rule, parse};

/// A named policy: its text and what was read from it.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    /// The text, as it was written.
    pub(crate) text: String,
    /// Its rules.
    pub(crate) rules: Vec<Rule>,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// What is wrong with the text, and where.
    pub(crate) fn read(text: &str) -> Result<Self, PolicyError> {
        Ok(Self {
            text: text.to_owned(),
            rules: parse(text)?,
        })
    }
}

/// What every token may do unless it was made without the policy `default`.
pub(crate) const DEFAULT_POLICY: &str = r#"# What a token may do with itself.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}
path "sys/capabilities-self" {
  capabilities = ["update"]
}
"#;
