//! The verdict over a state file and its checkpoint.

use crate::{
    checkpoint::Checkpoint, document::Document, scope::Scope, statefile::Intact, verdict::LoadError,
};

/// How the checkpoint of a pair that loads relates to its state file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointStatus {
    /// Same generation, same hash.
    Current,
    /// The state file is newer: a crash came between the two writes.
    Behind,
    /// A state file without a checkpoint.
    Missing,
    /// Neither: no registry yet.
    Absent,
}

impl CheckpointStatus {
    /// The stable word for reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Behind => "behind",
            Self::Missing => "missing",
            Self::Absent => "absent",
        }
    }
}

/// A pair that loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// `None` before the first generation.
    pub document: Option<Document>,
    /// How the checkpoint relates to it.
    pub checkpoint: CheckpointStatus,
}

/// Judges the contents of both files; `None` is a file that does not exist.
///
/// # Errors
/// Corrupt files come first, then a rollback, then a foreign scope. An older state of our
/// own is thus never taken for somebody else's, nor damage for either.
pub fn judge(
    state: Option<&[u8]>,
    checkpoint: Option<&[u8]>,
    scope: &Scope,
) -> Result<Pair, LoadError> {
    let state = state.map(Intact::parse).transpose()?;
    let checkpoint = checkpoint.map(Checkpoint::parse).transpose()?;
    let Some(state) = state else {
        return match checkpoint {
            Some(_) => Err(LoadError::StateMissing),
            None => Ok(Pair {
                document: None,
                checkpoint: CheckpointStatus::Absent,
            }),
        };
    };
    let checkpoint = match checkpoint {
        None => CheckpointStatus::Missing,
        Some(checkpoint) => compare(&state, &checkpoint)?,
    };
    Ok(Pair {
        document: Some(Document::bind(state, scope)?),
        checkpoint,
    })
}

fn compare(state: &Intact, checkpoint: &Checkpoint) -> Result<CheckpointStatus, LoadError> {
    if state.generation < checkpoint.generation {
        return Err(LoadError::Rollback {
            state: state.generation,
            checkpoint: checkpoint.generation,
        });
    }
    if state.generation > checkpoint.generation {
        return Ok(CheckpointStatus::Behind);
    }
    if state.current_hash != checkpoint.current_hash {
        return Err(LoadError::Forked {
            generation: state.generation,
        });
    }
    Ok(CheckpointStatus::Current)
}
