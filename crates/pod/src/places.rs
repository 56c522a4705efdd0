//! Where each field of a manifest stands in its text.
//!
//! Fields are named as the API server names them in its complaints:
//! `spec.containers[0].image`, and `metadata.annotations[example.org/key]` for keys of free
//! mappings.

use std::collections::{BTreeMap, BTreeSet};

use yaml::{fault::Show, source::Place};

/// Where each field stands and whether it was reported already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    located: BTreeMap<String, (Place, Show)>,
    broken: BTreeSet<String>,
}

impl Places {
    /// The place of `field`, or of the nearest section around it that is in the text: a rule may
    /// name a field that is missing.
    #[must_use]
    pub fn find(&self, field: &str) -> (Place, Show) {
        let mut path = Some(field);
        while let Some(at) = path {
            if let Some((place, show)) = self.located.get(at) {
                return (place.clone(), *show);
            }
            path = around(at);
        }
        (Place::Nowhere, Show::Key)
    }

    /// Whether `field` itself is in the text.
    #[must_use]
    pub fn holds(&self, field: &str) -> bool {
        self.located.contains_key(field)
    }

    /// Whether `field`, a part of it or a section around it was reported already: a second
    /// complaint about a stand-in would only confuse.
    #[must_use]
    pub fn is_broken(&self, field: &str) -> bool {
        if self.broken.is_empty() {
            return false;
        }
        // The root around everything has no name.
        if self.broken.contains("") {
            return true;
        }
        let mut path = Some(field);
        while let Some(at) = path {
            if self.broken.contains(at) {
                return true;
            }
            path = around(at);
        }
        self.broken
            .range(field.to_owned()..)
            .take_while(|broken| broken.starts_with(field))
            .any(|broken| {
                broken
                    .get(field.len()..)
                    .is_some_and(|rest| rest.starts_with(['.', '[']))
            })
    }

    /// Remembers where `field` stands and whether its line may be shown.
    pub fn locate(&mut self, field: String, place: Place, show: Show) {
        let _ = self.located.insert(field, (place, show));
    }

    /// Remembers that `field` was reported: rules keep silent about it.
    pub fn break_off(&mut self, field: String) {
        let _ = self.broken.insert(field);
    }
}

/// The section around a field: `a.b[1]` is in `a.b`, which is in `a`. A key in brackets may
/// itself hold dots and brackets.
fn around(field: &str) -> Option<&str> {
    let end = if field.ends_with(']') {
        let mut depth = 0_usize;
        field.char_indices().rev().find_map(|(at, letter)| {
            match letter {
                ']' => depth += 1,
                '[' => depth -= 1,
                _ => {}
            }
            (depth == 0).then_some(at)
        })
    } else {
        field.rfind('.')
    };
    field.get(..end?)
}

/// The path of a field in a section; the root has no name.
#[must_use]
pub fn join(section: &str, name: &str) -> String {
    if section.is_empty() {
        name.to_owned()
    } else {
        format!("{section}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use yaml::source::Spot;

    fn at(line: usize) -> Place {
        Place::Text(Spot {
            line,
            column: 1,
            width: 1,
        })
    }

    fn places() -> Places {
        let mut places = Places::default();
        places.locate("spec".into(), at(1), Show::Key);
        places.locate("spec.containers".into(), at(2), Show::Key);
        places.locate("spec.containers[0]".into(), at(3), Show::Key);
        places.locate("metadata.annotations".into(), at(9), Show::Key);
        places
    }

    #[test]
    fn what_is_missing_is_looked_for_in_the_section_around_it() {
        let places = places();
        for (field, line) in [
            ("spec", 1),
            ("spec.containers[0].image", 3),
            ("spec.containers[0].ports[1].name", 3),
            ("spec.containers[1].image", 2),
            ("spec.volumes[3]", 1),
            ("metadata.annotations[a.b/c]", 9),
            ("metadata.annotations[a[0].b]", 9),
        ] {
            assert_eq!(places.find(field).0, at(line), "{field}");
        }
        for nowhere in ["", "metadata", "kind", "]", "a]", "]]"] {
            assert_eq!(places.find(nowhere).0, Place::Nowhere, "{nowhere}");
        }
    }

    #[test]
    fn a_broken_root_breaks_everything() {
        let mut places = Places::default();
        places.break_off(String::new());
        assert!(places.is_broken("spec.containers") && places.is_broken("metadata"));
    }

    #[test]
    fn a_broken_field_breaks_what_is_in_it_and_around_it() {
        let mut places = places();
        places.break_off("spec.containers[0].ports[0]".into());
        for broken in [
            "spec.containers[0].ports[0]",
            "spec.containers[0].ports[0].name",
            "spec.containers[0].ports",
            "spec.containers[0]",
            "spec",
        ] {
            assert!(places.is_broken(broken), "{broken}");
        }
        for sound in [
            "spec.containers[0].ports[1]",
            "spec.contain",
            "metadata",
            "spec.containers[0].port",
        ] {
            assert!(!places.is_broken(sound), "{sound}");
        }
    }
}
