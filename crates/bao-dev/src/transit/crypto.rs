//! The bytes: 12 random bytes of nonce, the sealed plaintext, 16 bytes of tag.

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};

use super::key::{Cipher, Key, Version};
use crate::envelope::Refusal;
use crate::random;

/// Bytes of nonce in front of the sealed bytes.
const NONCE: usize = 12;

/// Seals `plaintext`; gives nonce, sealed bytes and tag.
pub(super) fn seal(
    key: &Key,
    version: &Version,
    context: &[u8],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, Refusal> {
    let sealing = sealing_key(key, version, context)?;
    let nonce = random::bytes::<NONCE>();
    let mut sealed = plaintext.to_vec();
    sealing
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(aad),
            &mut sealed,
        )
        .map_err(|_| internal())?;
    Ok([&nonce[..], &sealed].concat())
}

/// Opens what `seal` made.
pub(super) fn open(
    key: &Key,
    version: &Version,
    context: &[u8],
    aad: &[u8],
    payload: &[u8],
) -> Result<Vec<u8>, Refusal> {
    let cipher = if key.cipher == Cipher::ChaCha {
        "chacha20poly1305"
    } else {
        "cipher"
    };
    let forged = || Refusal::plain(400, format!("{cipher}: message authentication failed"));
    let Some((nonce, sealed)) = payload.split_first_chunk::<NONCE>() else {
        return Err(forged());
    };
    let opening = sealing_key(key, version, context)?;
    let mut sealed = sealed.to_vec();
    let plaintext = opening
        .open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(aad),
            &mut sealed,
        )
        .map_err(|_| forged())?;
    Ok(plaintext.to_vec())
}

/// Whether a payload is long enough to hold a nonce.
pub(super) fn has_nonce(payload: &[u8]) -> bool {
    payload.len() >= NONCE
}

fn internal() -> Refusal {
    Refusal::wrapped(500, "internal error")
}

fn sealing_key(key: &Key, version: &Version, context: &[u8]) -> Result<LessSafeKey, Refusal> {
    let algorithm = match key.cipher {
        Cipher::Aes128 => &AES_128_GCM,
        Cipher::Aes256 => &AES_256_GCM,
        Cipher::ChaCha => &CHACHA20_POLY1305,
    };
    let material = version.material.expose_secret();
    let bytes = if key.derived {
        derive(material, context)?
    } else {
        material.to_vec()
    };
    let unbound = UnboundKey::new(algorithm, &bytes).map_err(|_| internal())?;
    Ok(LessSafeKey::new(unbound))
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-SHA256 without salt, the context as info.
fn derive(material: &[u8], context: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut out = vec![0; material.len()];
    Salt::new(HKDF_SHA256, &[])
        .extract(material)
        .expand(&[context], Length(out.len()))
        .and_then(|derived| derived.fill(&mut out))
        .map_err(|_| internal())?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_opens_only_with_its_own_aad_and_context() {
        for cipher in [Cipher::Aes128, Cipher::Aes256, Cipher::ChaCha] {
            let mut key = Key::new("k", cipher, 0);
            key.derived = true;
            let version = key.usable(1).unwrap();
            let payload = seal(&key, version, b"context", b"aad", b"text").unwrap();
            assert_eq!(payload.len(), 12 + 4 + 16);
            assert_eq!(
                open(&key, version, b"context", b"aad", &payload).unwrap(),
                b"text"
            );
            assert!(open(&key, version, b"context", b"other", &payload).is_err());
            assert!(open(&key, version, b"other", b"aad", &payload).is_err());
        }
    }
}
