//! Control operations on tokens.

use serde::Serialize;

use super::{Control, ControlError};

/// What may be told about a token. Not the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenFacts {
    /// Names it without being it.
    pub accessor: String,
    /// Path of its namespace, `""` for root.
    pub namespace: String,
    /// What it may do.
    pub policies: Vec<String>,
    /// Where it came from, as `auth/jwt/login`.
    pub path: String,
    /// When it ends, Unix seconds; none: never.
    pub expires_unix: Option<i64>,
}

impl Control {
    /// All tokens that live, in no order that means anything.
    #[must_use]
    pub fn tokens(&self) -> Vec<TokenFacts> {
        let world = self.shared.world();
        let now = self.shared.now(&world).wall;
        let living = world
            .state
            .tokens
            .iter()
            .filter(|token| token.expires.is_none_or(|end| now < end));
        let facts = living.map(|token| TokenFacts {
            accessor: token.accessor.clone(),
            namespace: token.namespace.clone(),
            policies: token.policies.clone(),
            path: token.path.clone(),
            expires_unix: token.expires,
        });
        facts.collect()
    }

    /// Ends the token with this accessor, and its children.
    ///
    /// # Errors
    /// When there is none.
    pub fn tokens_revoke(&self, accessor: &str) -> Result<(), ControlError> {
        let mut world = self.shared.world();
        let found = world.state.tokens.by_accessor(accessor);
        let id = found.map(|token| token.id.clone());
        let id = id.ok_or_else(|| ControlError::NoToken(accessor.to_owned()))?;
        world.state.tokens.revoke(&id);
        Ok(())
    }

    /// Ends all tokens but the root token; gives how many.
    pub fn tokens_revoke_all(&self) -> usize {
        self.shared.world().state.tokens.revoke_all()
    }

    /// Lets a token live for `ttl` seconds at most, whatever its holder was told; no accessor: all
    /// but the root token. Gives how many.
    pub fn tokens_shorten(&self, accessor: Option<&str>, ttl: i64) -> usize {
        let mut world = self.shared.world();
        let until = self.shared.now(&world).wall.saturating_add(ttl);
        world.state.tokens.end_at(accessor, until)
    }
}
