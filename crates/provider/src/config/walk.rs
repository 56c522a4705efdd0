//! The YAML tree against the schema: every unknown, duplicate, missing and wrongly typed field
//! in one pass.
//!
//! The result is a JSON document that always decodes: where a field was at fault a harmless
//! stand-in takes its place, and the field is remembered as broken, so that the rules that come
//! later judge everything else and keep silent about it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use yaml::{
    fault::{Fault, Show},
    source::Place,
    spelling::closest,
    tree::{Entry, Kind, Node},
};

use super::{
    raw::HIDDEN,
    schema::{Type, properties, range, requires, type_of, words},
};

/// Where each field stands and whether it was reported already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Places {
    located: BTreeMap<String, Located>,
    broken: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Located {
    place: Place,
    show: Show,
}

impl Places {
    /// The place of `field`, or of the nearest section around it that is in the file.
    pub(crate) fn find(&self, field: &str) -> (Place, Show) {
        if let Some(located) = self.located.get(field) {
            return (located.place.clone(), located.show);
        }
        let mut section = field;
        while let Some((outer, _)) = section.rsplit_once('.') {
            section = outer;
            if let Some(located) = self.located.get(&section_key(section)) {
                return (located.place.clone(), located.show);
            }
        }
        (Place::Nowhere, Show::Key)
    }

    /// Whether `field` has a value in the file or from outside.
    pub(crate) fn is_written(&self, field: &str) -> bool {
        self.located.contains_key(field)
    }

    /// Whether `field`, or a part of it, was reported already.
    pub(crate) fn is_broken(&self, field: &str) -> bool {
        let inside = |broken: &String| {
            broken == field
                || broken
                    .strip_prefix(field)
                    .is_some_and(|rest| rest.starts_with(['.', '[']))
                || field
                    .strip_prefix(broken.as_str())
                    .is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        self.broken.iter().any(inside)
    }
}

/// Sections are located by their key; the name keeps them apart from fields.
fn section_key(section: &str) -> String {
    format!("{section}.")
}

/// Compares `root` with `schema`; complaints go to `faults`.
pub(crate) fn walk(root: &Node, schema: &Value, faults: &mut Vec<Fault>) -> (Value, Places) {
    let mut walker = Walker {
        faults,
        places: Places::default(),
    };
    let at = Key {
        field: String::new(),
        place: Place::Nowhere,
    };
    let value = walker.value(root, &at, schema);
    (value, walker.places)
}

/// The key that a value stands behind.
struct Key {
    field: String,
    place: Place,
}

struct Walker<'a> {
    faults: &'a mut Vec<Fault>,
    places: Places,
}

impl Walker<'_> {
    fn value(&mut self, node: &Node, key: &Key, schema: &Value) -> Value {
        let wanted = type_of(schema);
        match (&node.kind, wanted) {
            (Kind::Map(entries), Type::Mapping) => self.mapping(entries, key, schema),
            (Kind::List(items), Type::List) => self.list(items, key, schema),
            (Kind::Scalar { text, plain }, Type::Text | Type::Number | Type::Switch) => {
                self.locate(key, node, schema);
                match scalar(text, *plain, wanted, schema) {
                    Ok(value) => value,
                    Err((message, advice)) => self.wrong(node, key, schema, message, advice),
                }
            }
            (Kind::Broken, _) => {
                self.places.broken.insert(key.field.clone());
                stand_in(schema)
            }
            (Kind::Null, _) if !key.field.is_empty() => {
                self.places.broken.insert(key.field.clone());
                self.faults.push(Fault {
                    field: key.field.clone(),
                    place: key.place.clone(),
                    message: "has no value".to_owned(),
                    advice: "give it a value, or remove the line to get the default".to_owned(),
                    show: Show::Key,
                });
                stand_in(schema)
            }
            _ => {
                let advice = format!("write {}", expected(schema));
                self.wrong(node, key, schema, wrong_type(schema), advice)
            }
        }
    }

    fn mapping(&mut self, entries: &[Entry], key: &Key, schema: &Value) -> Value {
        if !key.field.is_empty() {
            self.places.located.insert(
                section_key(&key.field),
                Located {
                    place: key.place.clone(),
                    show: Show::Key,
                },
            );
        }
        let mut seen: BTreeMap<&str, &Place> = BTreeMap::new();
        let mut values = Map::new();
        for entry in entries {
            let field = join(&key.field, &entry.key);
            if let Some(first) = seen.get(entry.key.as_str()) {
                self.duplicate(field, entry, first);
                continue;
            }
            seen.insert(&entry.key, &entry.key_place);
            let Some((_, schema)) = properties(schema).find(|(name, _)| *name == entry.key) else {
                self.unknown(field, entry, schema);
                continue;
            };
            let inner = Key {
                field,
                place: entry.key_place.clone(),
            };
            values.insert(entry.key.clone(), self.value(&entry.value, &inner, schema));
        }
        for (name, inner) in properties(schema) {
            if requires(schema, name) && !values.contains_key(name) {
                let value = self.missing(join(&key.field, name), key, inner);
                values.insert(name.to_owned(), value);
            }
        }
        Value::Object(values)
    }

    fn list(&mut self, items: &[Node], key: &Key, schema: &Value) -> Value {
        self.places.located.insert(
            key.field.clone(),
            Located {
                place: key.place.clone(),
                show: Show::Key,
            },
        );
        let Some(mut inner) = schema.get("items").cloned() else {
            return Value::Array(Vec::new());
        };
        if hidden(schema)
            && let Some(inner) = inner.as_object_mut()
        {
            inner.insert(HIDDEN.to_owned(), Value::Bool(true));
        }
        let values = items.iter().enumerate().map(|(at, item)| {
            let key = Key {
                field: format!("{}[{at}]", key.field),
                place: item.place.clone(),
            };
            self.value(item, &key, &inner)
        });
        Value::Array(values.collect())
    }

    fn locate(&mut self, key: &Key, node: &Node, schema: &Value) {
        self.places.located.insert(
            key.field.clone(),
            Located {
                place: node.place.clone(),
                show: show(schema),
            },
        );
    }

    fn wrong(
        &mut self,
        node: &Node,
        key: &Key,
        schema: &Value,
        message: String,
        advice: String,
    ) -> Value {
        self.places.broken.insert(key.field.clone());
        self.faults.push(Fault {
            field: key.field.clone(),
            place: node.place.clone(),
            message,
            advice,
            // A whole list or mapping in a scalar's place can hold anything.
            show: if matches!(node.kind, Kind::Scalar { .. }) {
                show(schema)
            } else {
                Show::Hidden
            },
        });
        stand_in(schema)
    }

    fn duplicate(&mut self, field: String, entry: &Entry, first: &Place) {
        let message = match first {
            Place::Text(spot) => format!("is set twice, first on line {}", spot.line),
            Place::Override(_) | Place::Nowhere => "is set twice".to_owned(),
        };
        self.faults.push(Fault {
            field,
            place: entry.key_place.clone(),
            message,
            advice: "remove one of the two".to_owned(),
            show: Show::Key,
        });
    }

    fn unknown(&mut self, field: String, entry: &Entry, schema: &Value) {
        let names: Vec<&str> = properties(schema).map(|(name, _)| name).collect();
        let advice = match closest(&entry.key, &names) {
            Some(name) => format!("did you mean '{name}'?"),
            None => format!("the fields here are: {}", names.join(", ")),
        };
        self.faults.push(Fault {
            field,
            place: entry.key_place.clone(),
            message: "is no known field".to_owned(),
            advice,
            show: Show::Key,
        });
    }

    /// Reports every required field of what is not there.
    fn missing(&mut self, field: String, around: &Key, schema: &Value) -> Value {
        if type_of(schema) == Type::Mapping {
            let key = Key {
                field,
                place: around.place.clone(),
            };
            return self.mapping(&[], &key, schema);
        }
        self.places.broken.insert(field.clone());
        let description = schema
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default();
        self.faults.push(Fault {
            field,
            place: around.place.clone(),
            message: "is required and missing".to_owned(),
            advice: format!("add it: {}", description.trim_end_matches('.')),
            show: Show::Key,
        });
        stand_in(schema)
    }
}

fn join(section: &str, name: &str) -> String {
    if section.is_empty() {
        name.to_owned()
    } else {
        format!("{section}.{name}")
    }
}

fn hidden(schema: &Value) -> bool {
    schema.get(HIDDEN) == Some(&Value::Bool(true))
}

fn show(schema: &Value) -> Show {
    if hidden(schema) {
        Show::Hidden
    } else {
        Show::Value
    }
}

/// Types one scalar. A number or a switch must not be quoted; text may be anything.
fn scalar(
    text: &str,
    plain: bool,
    wanted: Type,
    schema: &Value,
) -> Result<Value, (String, String)> {
    let fault = || Err((wrong_type(schema), format!("write {}", expected(schema))));
    match wanted {
        Type::Text => match words(schema) {
            Some(words) if !words.contains(&text) => fault(),
            _ => Ok(Value::String(text.to_owned())),
        },
        Type::Number | Type::Switch if !plain => Err((
            wrong_type(schema),
            format!("write {} without quotes", expected(schema)),
        )),
        Type::Number => {
            let (low, high) = range(schema);
            let canonical = text == "0" || !text.starts_with('0');
            match text.parse::<u64>() {
                Ok(number)
                    if canonical
                        && text.bytes().all(|byte| byte.is_ascii_digit())
                        && (low..=high).contains(&number) =>
                {
                    Ok(Value::from(number))
                }
                _ => fault(),
            }
        }
        Type::Switch => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => fault(),
        },
        Type::Mapping | Type::List => fault(),
    }
}

fn wrong_type(schema: &Value) -> String {
    format!("must be {}", expected(schema))
}

/// What belongs there, in words.
pub(crate) fn expected(schema: &Value) -> String {
    match type_of(schema) {
        Type::Mapping => "a mapping of fields".to_owned(),
        Type::List => "a list".to_owned(),
        Type::Switch => "true or false".to_owned(),
        Type::Number => {
            let (low, high) = range(schema);
            format!("a whole number from {low} to {high}")
        }
        Type::Text => match words(schema).as_deref() {
            Some([word]) => format!("'{word}'"),
            Some(words) => format!("one of {}", words.join(", ")),
            None if schema.get("format").and_then(Value::as_str) == Some("go-duration") => {
                "a duration such as 30s or 1h30m".to_owned()
            }
            None => "text".to_owned(),
        },
    }
}

/// A value that decodes and breaks no rule by itself.
fn stand_in(schema: &Value) -> Value {
    if let Some(default) = schema.get("default") {
        return default.clone();
    }
    match type_of(schema) {
        Type::Mapping => Value::Object(
            properties(schema)
                .filter(|(name, _)| requires(schema, name))
                .map(|(name, inner)| (name.to_owned(), stand_in(inner)))
                .collect(),
        ),
        Type::List => Value::Array(Vec::new()),
        Type::Number => Value::from(range(schema).0),
        Type::Switch => Value::Bool(false),
        Type::Text => {
            let word = words(schema).and_then(|words| words.first().copied());
            Value::from(word.unwrap_or_default())
        }
    }
}
