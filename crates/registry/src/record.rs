//! One key version as the registry remembers it.

use crate::key_id::KeyId;

/// What may be done with a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordState {
    /// The one write key.
    Active,
    /// Seen, counted, not promoted yet. Decrypts.
    Pending,
    /// Older. Decrypts.
    Retired,
    /// Seen, then confirmed gone before promotion. Kept, not used.
    Rejected,
    /// Taken out of decryption by an operator. Kept, not used.
    Removed,
}

impl RecordState {
    /// Whether Decrypt may use the version.
    #[must_use]
    pub fn decrypts(self) -> bool {
        matches!(self, Self::Active | Self::Pending | Self::Retired)
    }

    /// The word in the state file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pending => "pending",
            Self::Retired => "retired",
            Self::Rejected => "rejected",
            Self::Removed => "removed",
        }
    }

    /// The state of a word in the state file.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [
            Self::Active,
            Self::Pending,
            Self::Retired,
            Self::Rejected,
            Self::Removed,
        ]
        .into_iter()
        .find(|state| state.as_str() == word)
    }
}

/// A record without its scope, which is the same for all records of a document.
///
/// Zero in the last four fields means "not set", as in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Transit key version, at least 1.
    pub version: u64,
    /// Creation time of the version, Unix seconds, above 0.
    pub created_unix: i64,
    /// The id derived from scope, version and creation time.
    pub key_id: KeyId,
    /// What may be done with it.
    pub state: RecordState,
    /// First seen, Unix seconds.
    pub observed_unix: i64,
    /// Agreeing observations so far.
    pub stable_count: u32,
    /// When the count was reached, Unix seconds.
    pub stable_unix: i64,
    /// When it became the write key, Unix seconds.
    pub promoted_unix: i64,
}
