//! The version that a Transit ciphertext names.

/// The text is not `vault:vN:...` with a canonical N of at least 1 and something behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ciphertext does not start with vault:v, a canonical version and a colon")]
pub struct MalformedCiphertext;

/// N of `vault:vN:...`. The rest is Transit's own and is not looked at.
///
/// # Errors
/// [`MalformedCiphertext`] unless N is canonical: no sign, no leading zero.
pub fn version_of(ciphertext: &str) -> Result<u64, MalformedCiphertext> {
    let (version, rest) = ciphertext
        .strip_prefix("vault:v")
        .and_then(|tail| tail.split_once(':'))
        .ok_or(MalformedCiphertext)?;
    if rest.is_empty() {
        return Err(MalformedCiphertext);
    }
    canonical_version(version).ok_or(MalformedCiphertext)
}

/// A positive integer in the one decimal form that has no sign and no leading zero.
pub(crate) fn canonical_version(text: &str) -> Option<u64> {
    let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits_only || text.starts_with('0') {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_versions_are_read() {
        assert_eq!(version_of("vault:v1:abc="), Ok(1));
        assert_eq!(version_of("vault:v65536:a:b"), Ok(65536));
        assert_eq!(version_of("vault:v18446744073709551615:x"), Ok(u64::MAX));
    }

    #[test]
    fn anything_but_the_canonical_prefix_is_refused() {
        let table = [
            "",
            "vault",
            "vault:v",
            "vault:v:",
            "vault:v1",
            "vault:v1:",
            "vault:v0:x",
            "vault:v01:x",
            "vault:v+1:x",
            "vault:v-1:x",
            "vault:v 1:x",
            "vault:v1 :x",
            "vault:v1.0:x",
            "vault:v0x1:x",
            "vault:v\u{661}:x",
            "vault:v18446744073709551616:x",
            "Vault:v1:x",
            "vault:V1:x",
            " vault:v1:x",
            "bao:v1:x",
        ];
        for text in table {
            assert_eq!(version_of(text), Err(MalformedCiphertext), "{text}");
        }
    }
}
