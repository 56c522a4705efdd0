//! Ciphertexts and what they have to decrypt to: a sample of bounded size, of every version.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use fastrand::Rng;

/// What all ciphertexts of one key version have in common.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Family {
    /// Number of the version in Transit.
    pub(crate) version: u64,
    /// Its public name.
    pub(crate) key_id: String,
    /// What Encrypt gave beside each.
    pub(crate) annotations: HashMap<String, Vec<u8>>,
}

/// One ciphertext.
#[derive(Debug)]
pub(crate) struct Sealed {
    /// Of which version.
    pub(crate) family: Arc<Family>,
    /// As Encrypt gave it.
    pub(crate) ciphertext: Vec<u8>,
    /// What went in; random, and worth nothing.
    pub(crate) plaintext: Vec<u8>,
    /// The node that encrypted it.
    pub(crate) node: usize,
}

/// The sample. While there are more ciphertexts than places, each has the same chance.
#[derive(Debug)]
pub(crate) struct Remembered {
    capacity: usize,
    versions: BTreeMap<u64, Version>,
}

#[derive(Debug, Default)]
struct Version {
    offered: usize,
    kept: Vec<Arc<Sealed>>,
}

impl Remembered {
    /// With places for `capacity` ciphertexts in all.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            versions: BTreeMap::new(),
        }
    }

    /// Takes a ciphertext in, or not.
    pub(crate) fn add(&mut self, sealed: Arc<Sealed>, rng: &mut Rng) {
        let known = self.versions.len();
        let version = self.versions.entry(sealed.family.version).or_default();
        version.offered += 1;
        let places = self.capacity / known.max(1);
        if version.kept.len() < places {
            version.kept.push(sealed);
        } else if let Some(place) = version.kept.get_mut(rng.usize(..version.offered)) {
            *place = sealed;
        }
        if self.versions.len() > known {
            self.make_room(rng);
        }
    }

    /// A new version takes places from the others.
    fn make_room(&mut self, rng: &mut Rng) {
        let places = self.capacity / self.versions.len().max(1);
        for version in self.versions.values_mut() {
            if version.kept.len() > places {
                rng.shuffle(&mut version.kept);
                version.kept.truncate(places);
            }
        }
    }

    /// Any ciphertext; half of the time of the newest three versions.
    pub(crate) fn any(&self, rng: &mut Rng) -> Option<Arc<Sealed>> {
        let versions = self.versions.len();
        let back = if rng.bool() {
            versions.min(3)
        } else {
            versions
        };
        if back == 0 {
            return None;
        }
        let version = self.versions.values().rev().nth(rng.usize(..back))?;
        rng.choice(&version.kept).cloned()
    }

    /// The family of a version, once something was encrypted with it.
    pub(crate) fn family(&self, version: u64) -> Option<Arc<Family>> {
        let kept = &self.versions.get(&version)?.kept;
        kept.first().map(|sealed| Arc::clone(&sealed.family))
    }

    /// All that is kept, oldest version first.
    pub(crate) fn all(&self) -> Vec<Arc<Sealed>> {
        let versions = self.versions.values();
        versions.flat_map(|version| version.kept.clone()).collect()
    }

    /// Versions of which something is kept.
    pub(crate) fn versions(&self) -> usize {
        self.versions.len()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sealed(version: u64) -> Arc<Sealed> {
        let annotations = [
            ("key-id-hash.kms.openbao.org", format!("hash-{version}")),
            ("transit-key-hash.kms.openbao.org", "hash".to_owned()),
        ];
        let annotations = annotations.map(|(name, value)| (name.to_owned(), value.into_bytes()));
        let family = Arc::new(Family {
            version,
            key_id: format!("obk2.{version:0>43}"),
            annotations: annotations.into(),
        });
        Arc::new(Sealed {
            family,
            ciphertext: format!("vault:v{version}:AAAABBBBCCCCDDDD").into_bytes(),
            plaintext: vec![7; 32],
            node: 0,
        })
    }

    #[test]
    fn every_version_keeps_a_share_and_the_whole_stays_bounded() {
        let (mut remembered, mut rng) = (Remembered::new(100), Rng::with_seed(1));
        for version in 1..=7 {
            for _ in 0..1000 {
                remembered.add(sealed(version), &mut rng);
                assert!(remembered.all().len() <= 100 + 14);
            }
        }
        assert_eq!(remembered.versions(), 7);
        for version in 1..=7 {
            let kept = remembered.all();
            let kept = kept.iter().filter(|one| one.family.version == version);
            assert!((13..=15).contains(&kept.count()), "version {version}");
        }
        assert!(remembered.any(&mut rng).is_some());
    }
}
