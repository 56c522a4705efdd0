//! The few fields that a flag or the environment may set. Nothing that bears identity is among
//! them: what data depends on is in one place, the file.

use yaml::{
    source::Place,
    tree::{Entry, Kind, Node},
};

/// A value from outside the file, and the flag or variable that gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The value, not yet checked.
    pub value: String,
    /// `--log-level`, `BAO_KMS_PROVIDER_LOG_LEVEL`: what a message about the value names.
    pub origin: &'static str,
}

/// All fields that can be overridden. What is `None` comes from the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `logging.level`
    pub log_level: Option<Override>,
    /// `server.metricsAddress`
    pub metrics_address: Option<Override>,
    /// `server.healthAddress`
    pub health_address: Option<Override>,
}

impl Overrides {
    /// Sets the fields in the tree, so that they are checked as if they stood in the file.
    pub(crate) fn apply(&self, root: &mut Node) {
        for (section, name, value) in [
            ("logging", "level", &self.log_level),
            ("server", "metricsAddress", &self.metrics_address),
            ("server", "healthAddress", &self.health_address),
        ] {
            if let Some(value) = value {
                set(root, section, name, value);
            }
        }
    }
}

fn set(root: &mut Node, section: &str, name: &str, value: &Override) {
    let place = Place::Override(value.origin);
    let Some(section) = entry(root, section, &place) else {
        return;
    };
    if section.kind == Kind::Null {
        section.kind = Kind::Map(Vec::new());
    }
    if let Some(field) = entry(section, name, &place) {
        *field = Node {
            place,
            kind: Kind::Scalar {
                text: value.value.clone(),
                plain: true,
            },
        };
    }
}

/// The value behind `name`, made when it is missing; nothing when `node` is no mapping, which
/// is reported later.
fn entry<'a>(node: &'a mut Node, name: &str, place: &Place) -> Option<&'a mut Node> {
    let Kind::Map(entries) = &mut node.kind else {
        return None;
    };
    let at = match entries.iter().position(|entry| entry.key == name) {
        Some(at) => at,
        None => {
            entries.push(Entry {
                key: name.to_owned(),
                key_place: place.clone(),
                value: Node {
                    place: place.clone(),
                    kind: Kind::Map(Vec::new()),
                },
            });
            entries.len() - 1
        }
    };
    entries.get_mut(at).map(|entry| &mut entry.value)
}
