//! Every row of the table of fields, by a manifest that sets that field and nothing else.

use std::collections::VecDeque;

use serde_json::json;
use yaml::{source::Source, tree::read_manifest};

use super::*;
use crate::api;

/// Something that sets a field of this kind. Numbers are port numbers, texts are names.
fn sample(kind: &'static Kind) -> Value {
    match kind {
        Kind::Text | Kind::IntOrText | Kind::Anything => json!("x"),
        Kind::Switch => json!(true),
        Kind::Int32 | Kind::Int64 => json!(1),
        Kind::Quantity => json!("1"),
        Kind::List(inner) => json!([sample(inner)]),
        Kind::Map(inner) => json!({"key": sample(inner)}),
        Kind::Object(object) => {
            let (name, kind) = &object.fields[0];
            json!({ *name: sample(kind) })
        }
    }
}

fn walked(content: &Value) -> Walked {
    let source = Source::new("m", content.to_string());
    let root = read_manifest(&source, &mut Vec::new()).expect("a sound document");
    walk(&root)
}

/// A field, the fields that lead to it from the root, and what the table says.
struct Case {
    road: Vec<(&'static str, &'static Kind)>,
    row: Row,
}

impl Case {
    fn path(&self) -> String {
        let names = self.road.iter().enumerate().map(|(at, (name, kind))| {
            let inner = at + 1 < self.road.len() && matches!(kind, Kind::List(_));
            format!("{name}{}", if inner { "[0]" } else { "" })
        });
        names.collect::<Vec<_>>().join(".")
    }

    fn manifest(&self) -> Value {
        let mut value = Value::Null;
        for (at, (name, kind)) in self.road.iter().enumerate().rev() {
            value = if at + 1 == self.road.len() {
                sample(kind)
            } else if matches!(kind, Kind::List(_)) {
                json!([value])
            } else {
                value
            };
            value = json!({ *name: value });
        }
        value
    }
}

/// Every row, on every road that leads to it through supported fields.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut open = VecDeque::from([(&POD, Vec::new())]);
    while let Some((object, road)) = open.pop_front() {
        for row in rows(object.name).expect(object.name) {
            let kind = object.field(row.field).expect(row.field);
            let mut road: Vec<(&'static str, &'static Kind)> = road.clone();
            road.push((row.field, kind));
            if let Some(inner) = kind.object().filter(|_| row.verdict == Verdict::Supported) {
                open.push_back((inner, road.clone()));
            }
            cases.push(Case { road, row: *row });
        }
    }
    cases
}

#[test]
fn the_reader_does_with_every_field_what_the_document_says() {
    let cases = cases();
    assert!(cases.len() > 500, "{}", cases.len());
    for case in cases {
        let path = case.path();
        let found = walked(&case.manifest());
        let refused = found.faults.iter().any(|fault| fault.field == path);
        let ignored = found
            .warnings
            .iter()
            .any(|warning| warning.fault.field == path);
        let told = match case.row.verdict {
            Verdict::Supported => (false, false),
            Verdict::Reference | Verdict::Refused => (true, false),
            Verdict::Ignored => (false, true),
        };
        assert_eq!((refused, ignored), told, "{path}: {:?}", found.faults);
        let api_server = found.faults.iter().any(|fault| {
            fault.field == path && fault.message.contains("an object of an API server")
        });
        assert_eq!(api_server, case.row.verdict == Verdict::Reference, "{path}");
        assert!(!refused || found.places.is_broken(&path), "{path}");
    }
}

#[test]
fn every_field_that_is_not_refused_reaches_the_pod_with_its_value() {
    for case in cases() {
        // What only an API server writes has times in it, and is not decoded.
        let metadata = case.path().starts_with("metadata.") && case.row.verdict == Verdict::Ignored;
        let refused = matches!(case.row.verdict, Verdict::Reference | Verdict::Refused);
        if refused || metadata || case.road[0].0 == "status" {
            continue;
        }
        let found = walked(&case.manifest());
        if !found.faults.is_empty() {
            // The sample of an object begins with a field that is refused.
            continue;
        }
        let mut content = found.content;
        content["apiVersion"] = json!("v1");
        content["kind"] = json!("Pod");
        let pod: api::Pod = serde_json::from_value(content.clone())
            .unwrap_or_else(|error| panic!("{}: {error}", case.path()));
        let back = serde_json::to_value(&pod).unwrap();
        let pointer = |value: &Value| {
            let road = case.road.iter().map(|(name, kind)| {
                format!(
                    "/{name}{}",
                    if matches!(kind, Kind::List(_)) {
                        "/0"
                    } else {
                        ""
                    }
                )
            });
            value.pointer(&road.collect::<String>()).cloned()
        };
        assert!(pointer(&content).is_some(), "{}: {content}", case.path());
        if case.row.field != "apiVersion" && case.row.field != "kind" {
            let (sent, arrived) = (pointer(&content).unwrap(), pointer(&back));
            let arrived = arrived.unwrap_or_else(|| panic!("{}: lost", case.path()));
            assert!(holds(&arrived, &sent), "{}: {arrived}", case.path());
        }
    }
}

/// Whether everything in `sent` is in `arrived`: required fields may have joined it.
fn holds(arrived: &Value, sent: &Value) -> bool {
    match (arrived, sent) {
        (Value::Object(arrived), Value::Object(sent)) => sent
            .iter()
            .all(|(key, sent)| arrived.get(key).is_some_and(|arrived| holds(arrived, sent))),
        (Value::Array(arrived), Value::Array(sent)) => {
            arrived.len() == sent.len() && arrived.iter().zip(sent).all(|(a, s)| holds(a, s))
        }
        (arrived, sent) => arrived == sent,
    }
}

#[test]
fn every_field_of_the_wrong_type_is_named() {
    for case in cases() {
        if case.row.verdict != Verdict::Supported {
            continue;
        }
        let (_, kind) = case.road[case.road.len() - 1];
        let wrong = match kind {
            Kind::Object(_) | Kind::Map(_) => json!(["x"]),
            _ => json!({"x": "y"}),
        };
        let mut manifest = case.manifest();
        let mut at = &mut manifest;
        for (name, kind) in &case.road[..case.road.len() - 1] {
            at = &mut at[*name];
            if matches!(kind, Kind::List(_)) {
                at = &mut at[0];
            }
        }
        at[case.row.field] = wrong;
        let found = walked(&manifest);
        let path = case.path();
        let named = found.faults.iter().find(|fault| fault.field == path);
        let named = named.unwrap_or_else(|| panic!("{path}: {:?}", found.faults));
        assert!(
            named.message.starts_with("must be "),
            "{path}: {}",
            named.message
        );
    }
}
