//! Why a state pair does not load. One word each, in the order in which they are judged:
//! corrupt, rollback, scope; and `state_missing`.

use std::fmt;

use crate::records::RecordsFault;

/// Which file of the pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairFile {
    /// The registry itself.
    State,
    /// Its generation and hash, written after it.
    Checkpoint,
}

impl fmt::Display for PairFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::State => "state file",
            Self::Checkpoint => "checkpoint",
        })
    }
}

/// Why the contents of a pair are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// A file is damaged or was edited by hand.
    #[error("the {file} is corrupt: {fault}")]
    Corrupt {
        /// Which one.
        file: PairFile,
        /// The rule that it breaks.
        fault: Corruption,
    },
    /// The state file is older than its checkpoint.
    #[error(
        "the state file is at generation {state} and its checkpoint at {checkpoint}: an older \
         state file was put back"
    )]
    Rollback {
        /// Generation of the state file.
        state: u64,
        /// Generation of the checkpoint.
        checkpoint: u64,
    },
    /// Both files name the same generation and different contents.
    #[error("the state file and its checkpoint have different hashes for generation {generation}")]
    Forked {
        /// Generation of both.
        generation: u64,
    },
    /// A record belongs to another key, cluster or AAD mode than the configuration.
    #[error("{field} of version {version} in the state file is not the configured one")]
    Scope {
        /// Transit key version of the record.
        version: u64,
        /// Name in the state file.
        field: &'static str,
    },
    /// There is a checkpoint, so there was a registry; starting afresh would forget it.
    #[error("the state file is gone, but its checkpoint is there")]
    StateMissing,
}

impl LoadError {
    /// The stable word for reports: `corrupt`, `rollback`, `scope` or `state_missing`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Corrupt { .. } => "corrupt",
            Self::Rollback { .. } | Self::Forked { .. } => "rollback",
            Self::Scope { .. } => "scope",
            Self::StateMissing => "state_missing",
        }
    }
}

/// The rule that a corrupt file breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Corruption {
    /// Nothing in it.
    #[error("it is empty")]
    Empty,
    /// More than any writer produces.
    #[error("it is larger than {0} bytes")]
    TooLarge(u64),
    /// It ends in the middle of a value.
    #[error("it ends too early, so its writer was interrupted ({0})")]
    CutOff(String),
    /// Not JSON, trailing content, an unknown, missing or repeated member, a wrong type.
    #[error("{0}")]
    Json(String),
    /// Written by another program or another release.
    #[error("its schemaVersion is not {0}")]
    SchemaVersion(&'static str),
    /// Generations start at 1.
    #[error("its generation is 0")]
    GenerationZero,
    /// The content is not what was hashed.
    #[error("its content does not match its currentHash")]
    Hash,
    /// Not a hash of ours.
    #[error("its {0} is malformed")]
    MalformedHash(&'static str),
    /// `activeKeyId` is not that of the active record.
    #[error("its activeKeyId is not the key_id of the active record")]
    ActiveKeyId,
    /// A word that is none of the five record states.
    #[error("version {0} has an unknown record state")]
    RecordState(u64),
    /// A name or id without which no key_id can be derived.
    #[error("{field} of version {version} is empty")]
    EmptyIdentity {
        /// Transit key version.
        version: u64,
        /// Name in the state file.
        field: &'static str,
    },
    /// The records contradict themselves or each other.
    #[error(transparent)]
    Records(#[from] RecordsFault),
}
