//! Random names: tokens, accessors, identifiers of requests; and dice that can be thrown again.

use aws_lc_rs::{digest, rand};

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `N` random bytes from the operating system's generator.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    #[expect(
        clippy::expect_used,
        reason = "a machine without randomness cannot run a key server, not even a fake one"
    )]
    rand::fill(&mut out).expect("the system's random generator answers");
    out
}

/// Numbers that look random and follow from a seed alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dice {
    seed: u64,
    rolls: u64,
}

impl Dice {
    /// Dice that begin at `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, rolls: 0 }
    }

    /// The next number, from 0 to less than 1.
    pub(crate) fn roll(&mut self) -> f64 {
        self.rolls += 1;
        let input = [self.seed.to_be_bytes(), self.rolls.to_be_bytes()].concat();
        let hash = digest::digest(&digest::SHA256, &input);
        let word = hash.as_ref().first_chunk::<4>().copied();
        f64::from(u32::from_be_bytes(word.unwrap_or_default())) / 4_294_967_296.0
    }
}

/// `len` random letters and digits.
pub(crate) fn base62(len: usize) -> String {
    let mut out = String::with_capacity(len);
    while out.len() < len {
        for byte in bytes::<32>() {
            // Values above 247 are dropped, so that every character is equally likely.
            let letter = BASE62.get(usize::from(byte % 62));
            if let (true, Some(letter), true) = (byte < 248, letter, out.len() < len) {
                out.push(char::from(*letter));
            }
        }
    }
    out
}

/// A UUID-shaped random identifier.
pub(crate) fn uuid() -> String {
    let hex = hex(&bytes::<16>());
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_owned();
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}

/// Lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_length_and_the_alphabet_that_was_asked_for() {
        assert_eq!(base62(24).len(), 24);
        assert!(base62(100).bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(base62(24), base62(24));
        let id = uuid();
        assert_eq!(id.len(), 36);
        assert_eq!(id.matches('-').count(), 4);
    }
}
