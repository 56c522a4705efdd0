//! The text of a configuration file, and places in it.

/// Where a key or a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the file.
    Text(Spot),
    /// A flag or an environment variable, by its name.
    Override(&'static str),
    /// Nowhere: a default, or the file as a whole.
    Nowhere,
}

/// A stretch of one line of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    /// From 1.
    pub(crate) line: usize,
    /// In characters, from 1.
    pub(crate) column: usize,
    /// In characters, on that line; at least 1.
    pub(crate) width: usize,
}

/// A file's name and content, kept for messages.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Source {
    name: String,
    text: String,
}

impl Source {
    pub(crate) fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Line `number`, counted from 1, without its end.
    pub(crate) fn line(&self, number: usize) -> Option<&str> {
        self.text.lines().nth(number.checked_sub(1)?)
    }

    /// Whether the last line has no end, as in a file that is still being written.
    pub(crate) fn is_cut_off(&self) -> bool {
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
