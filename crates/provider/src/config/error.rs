//! Why there is no configuration.

use std::path::PathBuf;

use secret::file::FileError;
use yaml::{
    fault::{Fault, render, summary},
    source::Source,
};

/// The file cannot be used. Every message stands alone; none shows what may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not there, not readable, a symlink, open to others, too large.
    #[error("configuration file")]
    File(#[source] FileError),
    /// Nothing in it, as in the moment between creation and the first write.
    #[error(
        "configuration file {} holds no settings; it may be half-written: write it under another name and rename it",
        path.display()
    )]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Bytes that are no text, as a hole left by a crash.
    #[error(
        "configuration file {} is no text: byte {offset} is no UTF-8; it may be half-written or damaged, restore it",
        path.display()
    )]
    NotText {
        /// The file.
        path: PathBuf,
        /// From 0.
        offset: usize,
    },
    /// Problems with positions.
    #[error(transparent)]
    Faults(#[from] Faults),
}

/// All that is wrong with one file, rendered with positions and advice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Faults {
    text: String,
    summary: String,
    fields: Vec<String>,
}

impl Faults {
    pub(crate) fn new(source: &Source, faults: &[Fault]) -> Self {
        Self {
            text: render(source, faults),
            summary: summary(source, faults),
            fields: faults.iter().map(|fault| fault.field.clone()).collect(),
        }
    }

    /// The last line: how many problems, and where.
    #[must_use]
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// Paths of the fields at fault, as found; empty text for a fault of the file itself.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(String::as_str)
    }
}
