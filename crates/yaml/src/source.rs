//! The text of a file, and places in it.

/// Where a key or a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the file.
    Text(Spot),
    /// A flag or an environment variable, by its name.
    Override(&'static str),
    /// Nowhere: a default, or the file as a whole.
    Nowhere,
}

/// A stretch of one line of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// In characters, on that line; at least 1.
    pub width: usize,
}

/// A file's name and content, kept for messages.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    name: String,
    text: String,
}

impl Source {
    /// A text under the name that messages give it.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All of it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line `number`, counted from 1, without its end.
    #[must_use]
    pub fn line(&self, number: usize) -> Option<&str> {
        self.text.lines().nth(number.checked_sub(1)?)
    }

    /// Whether the last line has no end, as in a file that is still being written.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        !self.text.is_empty() && !self.text.ends_with('\n')
    }
}

// A configuration holds no secret by design, but may by mistake: its text is not for logs.
impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
