//! The plugin's answers, judged as the API server judges them.

use std::collections::HashMap;

use kms_proto::v2::{EncryptResponse, StatusResponse};

/// Longest key_id and longest ciphertext that the API server takes.
const FIELD_BYTES: usize = 1024;

/// Keys and values of all annotations together.
const ANNOTATION_BYTES: usize = 32 * 1024;

/// Version, health, key_id.
pub(super) fn status(answer: &StatusResponse) -> Result<(), String> {
    // The older name was sent by early plugins and is still taken.
    if answer.version != "v2" && answer.version != "v2beta1" {
        return Err("Status gives another version than v2".to_owned());
    }
    if answer.healthz != "ok" {
        return Err(
            "the plugin says that it is not healthy; its log and /ready say why".to_owned(),
        );
    }
    key_id(&answer.key_id, "Status")
}

/// Limits, and the key_id that Status gave.
pub(super) fn encrypt(answer: &EncryptResponse, status_key_id: &str) -> Result<(), String> {
    key_id(&answer.key_id, "Encrypt")?;
    if answer.key_id != status_key_id {
        return Err(
            "Encrypt gives another key_id than Status; when the key was rotated just now, probe again"
                .to_owned(),
        );
    }
    match answer.ciphertext.len() {
        0 => return Err("Encrypt gives no ciphertext".to_owned()),
        1..=FIELD_BYTES => {}
        _ => return Err(format!("the ciphertext is over {FIELD_BYTES} bytes")),
    }
    if annotation_bytes(&answer.annotations) > ANNOTATION_BYTES {
        return Err(format!("the annotations are over {ANNOTATION_BYTES} bytes"));
    }
    if answer.annotations.keys().all(|key| is_domain(key)) {
        Ok(())
    } else {
        Err("an annotation's key is no fully qualified domain name".to_owned())
    }
}

/// Keys and values together.
pub(super) fn annotation_bytes(annotations: &HashMap<String, Vec<u8>>) -> usize {
    annotations
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum()
}

fn key_id(key_id: &str, method: &str) -> Result<(), String> {
    match key_id.len() {
        0 => Err(format!("{method} gives no key_id")),
        1..=FIELD_BYTES => Ok(()),
        _ => Err(format!("{method} gives a key_id over {FIELD_BYTES} bytes")),
    }
}

/// A lower-case DNS name of at least two labels; one dot at its end does not count.
fn is_domain(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let edge = |byte: Option<u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let label = |label: &str| {
        label.len() <= 63
            && edge(label.bytes().next())
            && edge(label.bytes().next_back())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    name.len() <= 253 && name.contains('.') && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn healthy() -> StatusResponse {
        StatusResponse {
            version: "v2".into(),
            healthz: "ok".into(),
            key_id: "k".into(),
        }
    }

    fn sealed() -> EncryptResponse {
        EncryptResponse {
            ciphertext: vec![1],
            key_id: "k".into(),
            annotations: HashMap::from([("a.example.com".to_owned(), vec![1, 2])]),
        }
    }

    #[test]
    fn a_good_answer_passes_up_to_the_last_byte_of_each_limit() {
        assert_eq!(status(&healthy()), Ok(()));
        let longest = "k".repeat(1024);
        let answer = EncryptResponse {
            ciphertext: vec![0; 1024],
            key_id: longest.clone(),
            annotations: HashMap::from([("a.b".to_owned(), vec![0; 32 * 1024 - 3])]),
        };
        assert_eq!(encrypt(&answer, &longest), Ok(()));
    }

    #[test]
    fn what_the_api_server_refuses_in_a_status_fails() {
        for answer in [
            StatusResponse {
                version: "v1".into(),
                ..healthy()
            },
            StatusResponse {
                healthz: "unhealthy".into(),
                ..healthy()
            },
            StatusResponse {
                key_id: String::new(),
                ..healthy()
            },
            StatusResponse {
                key_id: "k".repeat(1025),
                ..healthy()
            },
        ] {
            assert!(status(&answer).is_err(), "{answer:?}");
        }
    }

    #[test]
    fn what_the_api_server_refuses_in_an_encrypt_answer_fails() {
        let over = HashMap::from([("a.b".to_owned(), vec![0; 32 * 1024 - 2])]);
        for answer in [
            EncryptResponse {
                ciphertext: Vec::new(),
                ..sealed()
            },
            EncryptResponse {
                ciphertext: vec![0; 1025],
                ..sealed()
            },
            EncryptResponse {
                key_id: "another".into(),
                ..sealed()
            },
            EncryptResponse {
                key_id: String::new(),
                ..sealed()
            },
            EncryptResponse {
                annotations: over,
                ..sealed()
            },
            EncryptResponse {
                annotations: HashMap::from([("Bad/Key".to_owned(), Vec::new())]),
                ..sealed()
            },
        ] {
            assert!(encrypt(&answer, "k").is_err());
        }
    }

    #[test]
    fn annotation_keys_are_judged_as_the_api_server_judges_them() {
        for name in [
            "a.com",
            "dev.k8s.io.",
            "10.0.0.1",
            "hyphens-are-good.k8s.io",
        ] {
            assert!(is_domain(name), "{name}");
        }
        for name in [
            "com",
            ".",
            ".com",
            "",
            "Dev.k8s.io",
            "under_score.k8s.io",
            "*.x.com",
            "a@b.com",
            "a.com/b",
            "a.com:1",
            "-a.com",
            "a-.com",
            "a..com",
        ] {
            assert!(!is_domain(name), "{name}");
        }
        assert!(!is_domain(&format!("{}.com", "a".repeat(64))));
        assert!(!is_domain(&"a.".repeat(128)));
    }
}
