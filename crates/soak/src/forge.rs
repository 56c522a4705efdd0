//! Requests that must never be answered: remembered ones with something changed.

use std::collections::HashMap;

use fastrand::Rng;

use crate::remembered::{Family, Sealed};

/// A Decrypt that has to be refused.
#[derive(Debug, Clone)]
pub(crate) struct Forged {
    /// What was changed.
    pub(crate) how: &'static str,
    /// The classes it may be refused with when nothing else is wrong.
    pub(crate) classes: &'static [&'static str],
    /// Whether it is refused the same way whatever the backend does.
    pub(crate) locally: bool,
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) key_id: String,
    pub(crate) annotations: HashMap<String, Vec<u8>>,
}

const KEY_HASH: &str = "transit-key-hash.kms.openbao.org";
const KEY_VERSION: &str = "transit-key-version.kms.openbao.org";
const PROVIDER: &str = "provider.kms.openbao.org";

/// Where a node does not know a version yet, only a key_id with its own hash beside it entitles to
/// a look at the key's metadata.
const UNKNOWN_YET: &str = "key_id_unknown";

/// Ways to forge.
pub(crate) const WAYS: usize = 11;

/// Changes `sealed` in way number `way` (below [`WAYS`]); `other` is a family besides its own.
pub(crate) fn forge(sealed: &Sealed, other: Option<&Family>, way: usize, rng: &mut Rng) -> Forged {
    let mut forged = Forged {
        how: "",
        classes: &["aad_mismatch"],
        locally: false,
        ciphertext: sealed.ciphertext.clone(),
        key_id: sealed.family.key_id.clone(),
        annotations: sealed.family.annotations.clone(),
    };
    match (way, other) {
        (1, _) => {
            forged.how = "key_id cut short";
            (forged.classes, forged.locally) = (&["key_id_malformed"], true);
            forged.key_id.pop();
        }
        (2, _) => {
            forged.how = "key_id of nobody";
            (forged.classes, forged.locally) = (&["key_id_unknown"], true);
            let tail: String = std::iter::repeat_with(|| rng.alphanumeric())
                .take(42)
                .collect();
            forged.key_id = format!("obk2.{tail}A");
        }
        (3, _) => {
            forged.how = "another annotation value";
            forged.classes = &["aad_mismatch", "annotation_invalid"];
            if let Some(value) = forged.annotations.get_mut(KEY_HASH) {
                other_character(value, 0);
            }
        }
        (4, _) => {
            forged.how = "an annotation missing";
            forged.classes = &["annotation_invalid"];
            forged.annotations.remove(PROVIDER);
        }
        (5, _) => {
            forged.how = "no annotations";
            forged.classes = &["aad_missing", UNKNOWN_YET];
            forged.annotations.clear();
        }
        (6, _) => {
            forged.how = "no ciphertext";
            (forged.classes, forged.locally) = (&["protocol_limit"], true);
            forged.ciphertext.clear();
        }
        (7, _) => {
            forged.how = "a ciphertext over the limit";
            (forged.classes, forged.locally) = (&["protocol_limit"], true);
            forged.ciphertext.resize(1024, b'A');
        }
        (8, Some(other)) => {
            forged.how = "key_id of another version";
            forged.key_id.clone_from(&other.key_id);
            forged.classes = &["aad_mismatch", UNKNOWN_YET];
        }
        (9, Some(other)) => {
            forged.how = "key_id and annotations of another version";
            forged.key_id.clone_from(&other.key_id);
            forged.annotations.clone_from(&other.annotations);
        }
        (10, Some(other)) => {
            forged.how = "everything of another version";
            forged.key_id.clone_from(&other.key_id);
            forged.annotations.clone_from(&other.annotations);
            let text = String::from_utf8_lossy(&sealed.ciphertext);
            let body = text.splitn(3, ':').nth(2).unwrap_or_default();
            forged.ciphertext = format!("vault:v{}:{body}", other.version).into_bytes();
        }
        (8.., None) => {
            forged.how = "another version number";
            forged.classes = &["aad_mismatch", "annotation_invalid"];
            let version = (sealed.family.version + 1).to_string().into_bytes();
            forged.annotations.insert(KEY_VERSION.to_owned(), version);
        }
        _ => {
            forged.how = "a ciphertext with a character changed";
            let prefix = format!("vault:v{}:", sealed.family.version).len();
            // Neither in the prefix nor where padding may follow.
            let last = sealed.ciphertext.len().saturating_sub(5).max(prefix + 1);
            other_character(&mut forged.ciphertext, rng.usize(prefix..last));
        }
    }
    forged
}

fn other_character(text: &mut [u8], place: usize) {
    if let Some(character) = text.get_mut(place) {
        *character = if *character == b'A' { b'B' } else { b'A' };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remembered::tests::sealed;

    #[test]
    fn every_way_changes_something_and_has_a_name_of_its_own() {
        let (own, other) = (sealed(3), sealed(4));
        let mut rng = Rng::with_seed(1);
        let mut names = Vec::new();
        for way in 0..WAYS {
            for other in [Some(&*other.family), None] {
                let forged = forge(&own, other, way, &mut rng);
                let same = forged.ciphertext == own.ciphertext
                    && forged.key_id == own.family.key_id
                    && forged.annotations == own.family.annotations;
                // The sample has no provider annotation that could be left out.
                assert!(!same || way == 4, "{}", forged.how);
                names.push(forged.how);
            }
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), WAYS + 1);
    }

    #[test]
    fn whoever_leaves_the_hash_of_the_key_id_out_may_hear_that_the_version_is_unknown() {
        let (own, other) = (sealed(3), sealed(4));
        let mut rng = Rng::with_seed(1);
        for way in 0..WAYS {
            let forged = forge(&own, Some(&other.family), way, &mut rng);
            let named = matches!(
                forged.how,
                "no annotations" | "key_id of another version" | "key_id of nobody"
            );
            assert_eq!(
                forged.classes.contains(&UNKNOWN_YET),
                named,
                "{}",
                forged.how
            );
        }
    }
}
