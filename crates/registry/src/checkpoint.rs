//! The file beside the state file that tells whether it is the newest one.

use serde::Deserialize;

use crate::{
    gojson::Value,
    state_hash::StateHash,
    strict,
    verdict::{Corruption, LoadError, PairFile},
};

const SCHEMA: &str = "keyregistry.openbao-kms/checkpoint/v1alpha1";
/// Room for any white space that a reader accepts; a written one has 170 bytes.
pub(crate) const MAX_BYTES: u64 = 64 << 10;

/// Generation and hash of the state file that was written just before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// At least 1.
    pub generation: u64,
    /// `currentHash` of that generation.
    pub current_hash: StateHash,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CheckpointFile {
    schema_version: String,
    generation: u64,
    current_hash: String,
}

impl Checkpoint {
    /// Reads a checkpoint as strictly as the state file.
    ///
    /// # Errors
    /// [`LoadError::Corrupt`] only.
    pub fn parse(bytes: &[u8]) -> Result<Self, LoadError> {
        Self::judge(bytes).map_err(|fault| LoadError::Corrupt {
            file: PairFile::Checkpoint,
            fault,
        })
    }

    fn judge(bytes: &[u8]) -> Result<Self, Corruption> {
        let file: CheckpointFile = strict::read(bytes, MAX_BYTES)?;
        if file.schema_version != SCHEMA {
            return Err(Corruption::SchemaVersion(SCHEMA));
        }
        if file.generation == 0 {
            return Err(Corruption::GenerationZero);
        }
        Ok(Self {
            generation: file.generation,
            current_hash: StateHash::parse(&file.current_hash)
                .ok_or(Corruption::MalformedHash("currentHash"))?,
        })
    }

    /// The file's bytes.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        Value::Object(vec![
            ("schemaVersion", Value::Text(SCHEMA)),
            ("generation", Value::Integer(i128::from(self.generation))),
            ("currentHash", Value::Text(self.current_hash.as_str())),
        ])
        .indented()
        .into_bytes()
    }
}
