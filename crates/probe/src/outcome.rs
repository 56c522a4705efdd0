//! What came of one attempt.

/// At most this much of an answer is read and of an output kept, bytes.
pub const MOST: usize = 10 * 1024;

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be.
    Success,
    /// As it should be, with something to say.
    Warning(String),
    /// Not as it should be: what was seen, for an event.
    Failure(String),
    /// The probe itself could not be made; says nothing about the container.
    Broken(String),
}

/// Text from a container, for people: short and without what a terminal would obey.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let bytes = bytes.get(..MOST).unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes);
    let harmless = |c: char| {
        if c.is_control() && c != '\n' && c != '\t' {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    text.trim_end().chars().map(harmless).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_short_and_harmless() {
        assert_eq!(shown(b"bad\x1b[31m\tx\n"), "bad\u{fffd}[31m\tx");
        assert_eq!(shown(b"\xff"), "\u{fffd}");
        assert_eq!(shown(&vec![b'x'; MOST + 1]).len(), MOST);
    }
}
