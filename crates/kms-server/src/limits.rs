//! Field limits of a request, checked before anything else looks at it.

use keyring::kms::Error;
use kms_proto::v2;

/// The longest gRPC message in either direction, bytes.
pub(crate) const MESSAGE: usize = 65_536;

/// 731 bytes are the most that still fit a ciphertext of 1023; the rest is left for a version
/// number that grows.
const PLAINTEXT: usize = 700;
const CIPHERTEXT: usize = 1023;
const KEY_ID: usize = 1023;
const UID: usize = 1024;
/// Keys and values together stay below this.
const ANNOTATIONS: usize = 32_768;

/// Whether an Encrypt may go on.
pub(crate) fn encrypt(request: &v2::EncryptRequest) -> Result<(), Error> {
    uid(&request.uid)?;
    match request.plaintext.len() {
        0 => Err(Error::RequestLimit("the plaintext is empty")),
        1..=PLAINTEXT => Ok(()),
        _ => Err(Error::RequestLimit(
            "the plaintext is longer than 700 bytes",
        )),
    }
}

/// Whether a Decrypt may go on.
pub(crate) fn decrypt(request: &v2::DecryptRequest) -> Result<(), Error> {
    uid(&request.uid)?;
    if request.ciphertext.is_empty() {
        return Err(Error::RequestLimit("the ciphertext is empty"));
    }
    if request.ciphertext.len() > CIPHERTEXT {
        return Err(Error::RequestLimit(
            "the ciphertext is longer than 1023 bytes",
        ));
    }
    if request.key_id.is_empty() {
        return Err(Error::KeyIdMalformed);
    }
    if request.key_id.len() > KEY_ID {
        return Err(Error::RequestLimit("the key_id is longer than 1023 bytes"));
    }
    let sizes = request.annotations.iter();
    let total: usize = sizes.map(|(key, value)| key.len() + value.len()).sum();
    if total >= ANNOTATIONS {
        return Err(Error::RequestLimit(
            "the annotations add up to 32768 bytes or more",
        ));
    }
    Ok(())
}

/// Whether an answer of Encrypt is one that the API server would accept.
pub(crate) fn encrypted(response: &v2::EncryptResponse) -> Result<(), Error> {
    let sizes = response.annotations.iter();
    let total: usize = sizes.map(|(key, value)| key.len() + value.len()).sum();
    if !(1..=CIPHERTEXT).contains(&response.ciphertext.len())
        || !(1..=KEY_ID).contains(&response.key_id.len())
        || total >= ANNOTATIONS
    {
        return Err(Error::ResponseLimit("a field is longer than KMS v2 allows"));
    }
    Ok(())
}

/// Whether an answer of Decrypt fits a message: tag, length and the bytes.
pub(crate) fn decrypted(plaintext: &[u8]) -> Result<(), Error> {
    if plaintext.len() > MESSAGE - 8 {
        return Err(Error::ResponseLimit("the plaintext does not fit a message"));
    }
    Ok(())
}

fn uid(uid: &str) -> Result<(), Error> {
    if uid.len() > UID {
        return Err(Error::RequestLimit("the uid is longer than 1024 bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plaintext(length: usize) -> v2::EncryptRequest {
        let mut request = v2::EncryptRequest::default();
        request.plaintext = vec![1; length];
        request
    }

    fn valid() -> v2::DecryptRequest {
        v2::DecryptRequest {
            ciphertext: b"vault:v1:x".to_vec(),
            uid: "u".into(),
            key_id: "k".into(),
            annotations: [("a.example".to_owned(), b"b".to_vec())].into(),
        }
    }

    #[test]
    fn e06_e07_e08_plaintext_is_1_to_700_bytes() {
        assert!(matches!(
            encrypt(&plaintext(0)),
            Err(Error::RequestLimit(_))
        ));
        for length in [1, 16, 31, 32, 33, 64, 512, 700] {
            assert_eq!(encrypt(&plaintext(length)), Ok(()), "{length}");
        }
        for length in [701, 732, 60_000] {
            let refused = encrypt(&plaintext(length));
            assert!(matches!(refused, Err(Error::RequestLimit(_))), "{length}");
        }
    }

    #[test]
    fn e09_e10_uid_may_be_empty_and_at_most_1_kib() {
        for (length, fits) in [(0, true), (36, true), (1024, true), (1025, false)] {
            let mut sealing = plaintext(32);
            sealing.uid = "u".repeat(length);
            let mut opening = valid();
            opening.uid = "u".repeat(length);
            assert_eq!(encrypt(&sealing).is_ok(), fits, "{length}");
            assert_eq!(decrypt(&opening).is_ok(), fits, "{length}");
        }
    }

    #[test]
    fn d07_ciphertext_is_1_to_1023_bytes() {
        for (length, fits) in [(0, false), (1, true), (1023, true), (1024, false)] {
            let mut request = valid();
            request.ciphertext = vec![b'c'; length];
            assert_eq!(decrypt(&request).is_ok(), fits, "{length}");
        }
    }

    #[test]
    fn d04_key_id_is_1_to_1023_bytes_and_an_empty_one_is_malformed() {
        for (length, expected) in [
            (0, Err(Error::KeyIdMalformed)),
            (1, Ok(())),
            (1023, Ok(())),
            (
                1024,
                Err(Error::RequestLimit("the key_id is longer than 1023 bytes")),
            ),
        ] {
            let mut request = valid();
            request.key_id = "k".repeat(length);
            assert_eq!(decrypt(&request), expected, "{length}");
        }
    }

    #[test]
    fn d09_annotations_stay_below_32768_bytes_in_total() {
        for (length, fits) in [(0, true), (32_764, true), (32_765, false)] {
            let mut request = valid();
            request.annotations = [("abc".to_owned(), vec![0; length])].into();
            assert_eq!(decrypt(&request).is_ok(), fits, "{length}");
        }
        let mut request = valid();
        request.annotations = (0..10_000)
            .map(|n| (format!("{n:05}"), Vec::new()))
            .collect();
        assert!(matches!(decrypt(&request), Err(Error::RequestLimit(_))));
    }

    #[test]
    fn an_answer_that_the_api_server_would_throw_away_is_withheld() {
        let good = v2::EncryptResponse {
            ciphertext: vec![b'c'; 1023],
            key_id: "k".into(),
            annotations: [("a".to_owned(), vec![0; 640])].into(),
        };
        assert_eq!(encrypted(&good), Ok(()));
        let mut long = good.clone();
        long.ciphertext.push(b'c');
        let mut empty = good.clone();
        empty.ciphertext.clear();
        let mut nameless = good.clone();
        nameless.key_id.clear();
        let mut chatty = good;
        chatty.annotations = [("a".to_owned(), vec![0; 32_767])].into();
        for bad in [long, empty, nameless, chatty] {
            assert!(matches!(encrypted(&bad), Err(Error::ResponseLimit(_))));
        }
        assert_eq!(decrypted(&[1; 32]), Ok(()));
        assert!(decrypted(&vec![1; MESSAGE]).is_err());
    }
}
