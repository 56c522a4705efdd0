//! The tree of a manifest against the fields of a pod: every unknown, duplicate, refused, ignored
//! and wrongly typed field in one pass.
//!
//! The result is a JSON document that always decodes: where a field was at fault a harmless
//! stand-in takes its place, or nothing, and the field is remembered as broken, so that the rules
//! that come later judge everything else and keep silent about it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use yaml::{
    fault::{Fault, Show},
    source::Place,
    tree::{Entry, Kind as Written, Node},
};

use crate::{
    fields::{Row, Verdict, rows},
    places::{Places, join},
    report::Warning,
    shape::{Kind, POD, Type},
    wording,
};

/// More than anybody mends in one go.
const FAULTS: usize = 1_000;

/// What a walk finds.
pub(crate) struct Walked {
    /// Of everything that is in the manifest and sound.
    pub(crate) content: Value,
    pub(crate) places: Places,
    pub(crate) faults: Vec<Fault>,
    pub(crate) warnings: Vec<Warning>,
}

/// Compares a tree with the fields of a v1 Pod.
pub(crate) fn walk(root: &Node) -> Walked {
    let mut walker = Walker {
        places: Places::default(),
        faults: Vec::new(),
        warnings: Vec::new(),
    };
    let at = At {
        field: String::new(),
        place: root.place.clone(),
        show: Show::Value,
        judged: true,
    };
    let content = match &root.kind {
        Written::Map(entries) => walker.object(entries, &at, &POD),
        _ => walker.wrong(root, &at, wording::expected(&Kind::Object(&POD))),
    };
    Walked {
        content: content.unwrap_or_else(|| Value::Object(Map::new())),
        places: walker.places,
        faults: walker.faults,
        warnings: walker.warnings,
    }
}

/// Where a value stands.
struct At {
    field: String,
    /// Of the key, or of the item of a list.
    place: Place,
    show: Show,
    /// Whether the table of fields is asked; not below an ignored field.
    judged: bool,
}

struct Walker {
    places: Places,
    faults: Vec<Fault>,
    warnings: Vec<Warning>,
}

impl Walker {
    /// Nothing where the value is absent or at fault.
    fn value(&mut self, node: &Node, at: &At, kind: &'static Kind) -> Option<Value> {
        match (&node.kind, kind) {
            (Written::Broken, _) => {
                self.places.break_off(at.field.clone());
                None
            }
            (Written::Null, _) => None,
            (Written::Map(entries), Kind::Object(object)) => {
                self.section(at);
                self.object(entries, at, object)
            }
            (Written::Map(entries), Kind::Map(inner)) => {
                self.section(at);
                Some(self.free(entries, at, inner))
            }
            (Written::List(items), Kind::List(inner)) => {
                self.section(at);
                Some(self.list(items, at, inner))
            }
            (_, Kind::Anything) => {
                self.section(at);
                Some(anything(node))
            }
            (Written::Scalar { text, plain }, _) => {
                self.places
                    .locate(at.field.clone(), node.place.clone(), at.show);
                match wording::scalar(text, *plain, kind) {
                    Ok(value) => Some(value),
                    Err(complaint) => self.wrong(node, at, complaint),
                }
            }
            _ => self.wrong(node, at, wording::expected(kind)),
        }
    }

    fn section(&mut self, at: &At) {
        self.places
            .locate(at.field.clone(), at.place.clone(), Show::Key);
    }

    fn object(&mut self, entries: &[Entry], at: &At, object: &'static Type) -> Option<Value> {
        let rows = if at.judged { rows(object.name) } else { None };
        let mut seen = BTreeMap::new();
        let mut values = Map::new();
        for entry in entries {
            let field = join(&at.field, &entry.key);
            if self.is_duplicate(&mut seen, entry, &field) {
                continue;
            }
            let Some(kind) = object.field(&entry.key) else {
                self.fault(
                    field,
                    &entry.key_place,
                    Show::Key,
                    (
                        "is no known field".into(),
                        wording::unknown(&entry.key, object),
                    ),
                );
                continue;
            };
            let row = rows.and_then(|rows| rows.iter().find(|row| row.field == entry.key));
            let mut inner = At {
                field,
                place: entry.key_place.clone(),
                show: show(object, &entry.key, at.show),
                judged: at.judged,
            };
            if let Some(row) = row
                && is_set(&entry.value, row)
            {
                match row.verdict {
                    Verdict::Supported => {}
                    Verdict::Reference | Verdict::Refused => {
                        self.refuse(inner, row);
                        continue;
                    }
                    Verdict::Ignored => {
                        self.ignore(&inner, row);
                        inner.judged = false;
                    }
                }
            }
            if let Some(value) = self.value(&entry.value, &inner, kind) {
                let _ = values.insert(entry.key.clone(), value);
            }
        }
        Some(Value::Object(values))
    }

    /// A mapping whose keys are free, such as labels.
    fn free(&mut self, entries: &[Entry], at: &At, kind: &'static Kind) -> Value {
        let mut seen = BTreeMap::new();
        let mut values = Map::new();
        for entry in entries {
            let field = format!("{}[{}]", at.field, entry.key);
            if self.is_duplicate(&mut seen, entry, &field) {
                continue;
            }
            let inner = At {
                field,
                place: entry.key_place.clone(),
                show: at.show,
                judged: at.judged,
            };
            let value = match (&entry.value.kind, kind) {
                // A kubelet takes a label without a value for an empty one.
                (Written::Null, Kind::Text) => Some(Value::String(String::new())),
                (Written::Null, _) => self.nothing(&inner),
                _ => self.value(&entry.value, &inner, kind),
            };
            if let Some(value) = value {
                let _ = values.insert(entry.key.clone(), value);
            }
        }
        Value::Object(values)
    }

    /// Items at fault leave a stand-in, so that the numbers of the others stay true.
    fn list(&mut self, items: &[Node], at: &At, kind: &'static Kind) -> Value {
        let values = items.iter().enumerate().map(|(number, item)| {
            let inner = At {
                field: format!("{}[{number}]", at.field),
                place: item.place.clone(),
                show: at.show,
                judged: at.judged,
            };
            let value = match item.kind {
                Written::Null => self.nothing(&inner),
                _ => self.value(item, &inner, kind),
            };
            value.unwrap_or_else(|| wording::stand_in(kind))
        });
        Value::Array(values.collect())
    }

    fn is_duplicate<'n>(
        &mut self,
        seen: &mut BTreeMap<&'n str, &'n Place>,
        entry: &'n Entry,
        field: &str,
    ) -> bool {
        let Some(first) = seen.get(entry.key.as_str()).copied() else {
            let _ = seen.insert(&entry.key, &entry.key_place);
            return false;
        };
        let message = match first {
            Place::Text(spot) => format!("is set twice, first on line {}", spot.line),
            Place::Override(_) | Place::Nowhere => "is set twice".to_owned(),
        };
        self.fault(
            field.to_owned(),
            &entry.key_place,
            Show::Key,
            (
                message,
                "remove one of the two; a kubelet takes the last".into(),
            ),
        );
        true
    }

    fn nothing(&mut self, at: &At) -> Option<Value> {
        self.fault(
            at.field.clone(),
            &at.place,
            Show::Key,
            ("has no value".into(), "give it a value or remove it".into()),
        );
        None
    }

    fn wrong(&mut self, node: &Node, at: &At, complaint: (String, String)) -> Option<Value> {
        let (place, show) = match node.kind {
            Written::Scalar { .. } => (&node.place, at.show),
            // A whole list or mapping in a scalar's place can hold anything.
            _ => (&node.place, Show::Hidden),
        };
        self.fault(at.field.clone(), place, show, complaint);
        None
    }

    fn refuse(&mut self, at: At, row: &Row) {
        let complaint = wording::refused(row);
        self.fault(at.field, &at.place, Show::Key, complaint);
    }

    fn ignore(&mut self, at: &At, row: &Row) {
        if self.warnings.len() < FAULTS {
            self.warnings.push(Warning {
                rule: "ignored-field",
                fault: Fault {
                    field: at.field.clone(),
                    place: at.place.clone(),
                    message: format!("has no effect: {}", row.why),
                    advice: "remove it, or keep it for other readers of this file".into(),
                    show: Show::Key,
                },
            });
        }
    }

    fn fault(&mut self, field: String, place: &Place, show: Show, complaint: (String, String)) {
        self.places.break_off(field.clone());
        if self.faults.len() < FAULTS {
            let (message, advice) = complaint;
            self.faults.push(Fault {
                field,
                place: place.clone(),
                message,
                advice,
                show,
            });
        }
    }
}

/// Whether a manifest says something there. A kubelet cannot tell an empty value from none.
fn is_set(node: &Node, row: &Row) -> bool {
    match &node.kind {
        Written::Null => false,
        Written::Scalar { text, plain: false } => !text.is_empty(),
        Written::Scalar { text, plain: true } => {
            yaml::scalar::resolve(text) != yaml::scalar::Scalar::Bool(false)
        }
        Written::List(items) => !items.is_empty(),
        Written::Map(entries) => row.verdict != Verdict::Ignored || !entries.is_empty(),
        Written::Broken => true,
    }
}

/// Values that may be a password are never printed.
fn show(object: &Type, field: &str, around: Show) -> Show {
    match (object.name, field) {
        ("EnvVar" | "HTTPHeader", "value")
        | ("Container" | "ExecAction", "command" | "args")
        | ("ObjectMeta", "annotations") => Show::Hidden,
        _ => around,
    }
}

fn anything(node: &Node) -> Value {
    match &node.kind {
        Written::Null | Written::Broken => Value::Null,
        Written::Scalar { text, .. } => Value::String(text.clone()),
        Written::List(items) => Value::Array(items.iter().map(anything).collect()),
        Written::Map(entries) => Value::Object(
            entries
                .iter()
                .map(|entry| (entry.key.clone(), anything(&entry.value)))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests;
