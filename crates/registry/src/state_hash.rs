//! The hash that chains generations of the state file.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::{annotations::is_hash, scope::b64u};

const PREFIX: &str = "krs1.";

/// `krs1.` and 43 characters: names one content of the state file. Public.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StateHash(String);

impl StateHash {
    /// Over the canonical body, which is the file's JSON without `currentHash`.
    pub(crate) fn of(canonical_body: &str) -> Self {
        Self(format!(
            "{PREFIX}{}",
            b64u(&Sha256::digest(canonical_body.as_bytes()))
        ))
    }

    /// `None` unless `text` is the prefix and 43 characters that decode to 32 bytes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.strip_prefix(PREFIX)
            .is_some_and(is_hash)
            .then(|| Self(text.to_owned()))
    }

    /// The 48 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
