//! Values that can be passed on but neither printed, copied nor forgotten in memory.

use zeroize::{Zeroize as _, Zeroizing};

/// Secret bytes: no Debug, Display, Serialize or Clone; wiped on drop.
#[derive(Default)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes ownership of `bytes`.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The one way to the bytes; greppable.
    #[must_use]
    pub fn expose_secret(&self) -> &[u8] {
        &self.0
    }
}

/// Secret text: no Debug, Display, Serialize or Clone; wiped on drop.
#[derive(Default)]
pub struct SecretText(Zeroizing<String>);

/// Why the content of a file is no secret text. Says nothing about the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextFault {
    /// Nothing, or nothing but a line end.
    #[error("is empty, as if its writer was interrupted")]
    Empty,
    /// Some byte sequence is no text.
    #[error("is not UTF-8 text")]
    NotUtf8,
    /// White space at either end, beyond one final line end.
    #[error("begins or ends with white space other than one final line end")]
    SurroundingSpace,
}

impl SecretText {
    /// Takes ownership of `text`.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text of a secret file: one final LF or CRLF is an editor's habit and is dropped;
    /// any other surrounding white space is more likely a mistake than part of a secret.
    ///
    /// # Errors
    /// [`TextFault`]; the bytes are wiped then.
    pub fn from_file(bytes: Vec<u8>) -> Result<Self, TextFault> {
        let text = String::from_utf8(bytes).map_err(|error| {
            error.into_bytes().zeroize();
            TextFault::NotUtf8
        })?;
        let mut text = Zeroizing::new(text);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let content = match line.strip_suffix('\r') {
            Some(content) if line.len() < text.len() => content,
            _ => line,
        };
        if content.is_empty() {
            return Err(TextFault::Empty);
        }
        if content.trim().len() != content.len() {
            return Err(TextFault::SurroundingSpace);
        }
        let length = content.len();
        text.truncate(length);
        Ok(Self(text))
    }

    /// The one way to the text; greppable.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<String, TextFault> {
        SecretText::from_file(bytes.to_vec()).map(|text| text.expose_secret().to_owned())
    }

    #[test]
    fn one_final_line_end_is_dropped() {
        for bytes in ["s3cret", "s3cret\n", "s3cret\r\n"] {
            assert_eq!(read(bytes.as_bytes()), Ok("s3cret".to_owned()), "{bytes:?}");
        }
        assert_eq!(
            read(b"two words\nand lines\n"),
            Ok("two words\nand lines".to_owned())
        );
    }

    #[test]
    fn other_surrounding_space_is_refused() {
        for bytes in [
            "s\n\n", "s\r", "s \n", "s\t", " s", "\ns", "s\r\r\n", "s\u{a0}", "s\n\r\n",
        ] {
            assert_eq!(
                read(bytes.as_bytes()),
                Err(TextFault::SurroundingSpace),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn empty_files_and_other_encodings_have_their_own_faults() {
        for bytes in ["", "\n", "\r\n"] {
            assert_eq!(read(bytes.as_bytes()), Err(TextFault::Empty), "{bytes:?}");
        }
        assert_eq!(read(b"\r"), Err(TextFault::SurroundingSpace));
        assert_eq!(read(b"s\xff"), Err(TextFault::NotUtf8));
    }
}
