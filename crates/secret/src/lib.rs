//! Bytes and text that cannot leak, files that are checked when opened and replaced atomically.

use zeroize::Zeroizing;

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

impl SecretText {
    /// Takes ownership of `text`.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The one way to the text; greppable.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}
