//! The bytes of a manifest to pods, or to every fault in them.
//!
//! Everything that a kubelet drops without a word is a fault here: unknown fields, duplicate keys,
//! a second document.

use serde_json::{Map, Value};
use yaml::{
    fault::{Fault, Show},
    source::{Place, Source, Spot},
    tree::{Entry, Kind, Node, read_manifest},
};

use crate::{
    advice, api, canonical, defaults, gates,
    identity::{Origin, PodKey},
    legacy,
    reading::{Item, MAX_BYTES, Manifest, Reading},
    refusals,
    report::Report,
    validate,
    walk::{Walked, walk},
};

/// Reads one text. `name` is what messages call it; `origin` becomes part of the identity.
///
/// A file holds one Pod; a URL may answer with a `PodList`, too, whose pods are read one by one.
#[must_use]
pub fn read(origin: &Origin, name: &str, bytes: &[u8]) -> Reading {
    if bytes.len() > MAX_BYTES {
        return unreadable(
            Source::new(name, ""),
            fault(
                Place::Nowhere,
                "is larger than 10 MiB",
                "no pod is that large; look at what was put there",
            ),
        );
    }
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let sound = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let place = end_of(&String::from_utf8_lossy(sound));
            let source = Source::new(name, String::from_utf8_lossy(bytes));
            let fault = fault(place, "is not UTF-8 here", "save the file as UTF-8 text");
            return unreadable(source, fault);
        }
    };
    let source = Source::new(name, text);
    let mut faults = Vec::new();
    let root = read_manifest(&source, &mut faults);
    let Some(root) = root else {
        if faults.is_empty() {
            faults.push(fault(
                Place::Nowhere,
                "holds no pod: it is empty, or nothing but comments",
                "write a manifest, or remove the file",
            ));
        }
        return Reading {
            source,
            faults,
            items: Vec::new(),
        };
    };
    let items = match what(&root, origin, &mut faults) {
        What::Pod => vec![item(origin, &root, None)],
        What::Pods(items) => {
            let numbered = items.iter().enumerate();
            numbered
                .map(|(number, node)| item(origin, node, Some(number)))
                .collect()
        }
        What::Neither => Vec::new(),
    };
    settle(source, faults, items)
}

/// A text with faults of its own gives no pods: its items keep only what is wrong with them.
fn settle(source: Source, mut faults: Vec<Fault>, items: Vec<Item>) -> Reading {
    if faults.is_empty() {
        return Reading {
            source,
            faults,
            items,
        };
    }
    for item in items {
        faults.extend(item.manifest.err().into_iter().flatten());
    }
    Reading {
        source,
        faults,
        items: Vec::new(),
    }
}

fn unreadable(source: Source, fault: Fault) -> Reading {
    Reading {
        source,
        faults: vec![fault],
        items: Vec::new(),
    }
}

fn fault(place: Place, message: &str, advice: &str) -> Fault {
    Fault {
        field: String::new(),
        place,
        message: message.to_owned(),
        advice: advice.to_owned(),
        show: Show::Hidden,
    }
}

/// The place behind a text.
fn end_of(text: &str) -> Place {
    let line = text.matches('\n').count() + 1;
    let last = text.rsplit('\n').next().unwrap_or_default();
    Place::Text(Spot {
        line,
        column: last.chars().count() + 1,
        width: 1,
    })
}

enum What<'a> {
    Pod,
    Pods(&'a [Node]),
    /// Reported.
    Neither,
}

/// What a document says it is.
fn what<'a>(root: &'a Node, origin: &Origin, faults: &mut Vec<Fault>) -> What<'a> {
    let Kind::Map(entries) = &root.kind else {
        faults.push(fault(
            root.place.clone(),
            "is no mapping of fields",
            "begin with 'apiVersion: v1' and 'kind: Pod'",
        ));
        return What::Neither;
    };
    let kind = entry(entries, "kind").and_then(text);
    match (kind, origin) {
        (Some("PodList"), Origin::Url(_)) => {
            judge_version(root, entries, true, faults);
            pods(root, entries, faults)
        }
        (Some("Pod"), _) => {
            judge_version(root, entries, true, faults);
            What::Pod
        }
        (Some(kind), _) => {
            faults.push(other_kind(entries, kind, origin));
            What::Neither
        }
        (None, _) => {
            let place = entry(entries, "kind").map_or(&root.place, |entry| &entry.key_place);
            faults.push(Fault {
                field: "kind".to_owned(),
                ..fault(place.clone(), "is required and missing", "add 'kind: Pod'")
            });
            judge_version(root, entries, true, faults);
            // Without any sign of a pod, its fields would all be unknown.
            if entry(entries, "spec").is_some() {
                What::Pod
            } else {
                What::Neither
            }
        }
    }
}

fn entry<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.key == key)
}

fn text(entry: &Entry) -> Option<&str> {
    match &entry.value.kind {
        Kind::Scalar { text, .. } if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn judge_version(root: &Node, entries: &[Entry], required: bool, faults: &mut Vec<Fault>) {
    let found = entry(entries, "apiVersion");
    match found.and_then(text) {
        Some("v1") => {}
        None if !required && found.is_none() => {}
        None => faults.push(Fault {
            field: "apiVersion".to_owned(),
            ..fault(
                found.map_or(&root.place, |entry| &entry.key_place).clone(),
                "is required and missing",
                "add 'apiVersion: v1'",
            )
        }),
        Some(_) => faults.push(Fault {
            field: "apiVersion".to_owned(),
            show: Show::Value,
            ..fault(
                found
                    .map_or(&root.place, |entry| &entry.value.place)
                    .clone(),
                "must be v1",
                "write 'apiVersion: v1': pods have no other version",
            )
        }),
    }
}

/// A word that is a kind is no secret; anything else is not repeated.
fn other_kind(entries: &[Entry], kind: &str, origin: &Origin) -> Fault {
    let place = entry(entries, "kind").map_or(Place::Nowhere, |entry| entry.value.place.clone());
    let is_name = kind.len() <= 63 && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let (message, advice) = match kind {
        "PodList" | "List" if matches!(origin, Origin::File(_)) => (
            format!("is {kind}, and a file holds one Pod"),
            "write each pod to a file of its own",
        ),
        "List" => (
            "is List, and a URL answers with a Pod or a PodList".to_owned(),
            "write 'kind: PodList'",
        ),
        _ if kind.eq_ignore_ascii_case("pod") => (
            "must be Pod".to_owned(),
            "write 'kind: Pod', with a capital letter",
        ),
        "Deployment" | "DaemonSet" | "StatefulSet" | "ReplicaSet" | "Job" | "CronJob" => (
            format!("is {kind}, and only Pods run without an API server"),
            "write a manifest of its pod template: 'kind: Pod' with metadata and spec",
        ),
        _ if is_name => (
            format!("is {kind}, and only Pods run without an API server"),
            "move the file out of here, or write a Pod",
        ),
        _ => (
            "must be Pod".to_owned(),
            "write 'kind: Pod': only Pods run without an API server",
        ),
    };
    Fault {
        field: "kind".to_owned(),
        place,
        message,
        advice: advice.to_owned(),
        show: if is_name { Show::Value } else { Show::Hidden },
    }
}

/// The pods of a list. That there are none must be said, since it stops pods.
fn pods<'a>(root: &Node, entries: &'a [Entry], faults: &mut Vec<Fault>) -> What<'a> {
    for other in entries {
        if !matches!(&*other.key, "apiVersion" | "kind" | "metadata" | "items") {
            faults.push(Fault {
                field: other.key.clone(),
                show: Show::Key,
                ..fault(
                    other.key_place.clone(),
                    "is no known field",
                    "a PodList holds items",
                )
            });
        }
    }
    let items = entry(entries, "items");
    if let Some(second) = entries.iter().filter(|entry| entry.key == "items").nth(1) {
        faults.push(Fault {
            field: "items".to_owned(),
            show: Show::Key,
            ..fault(
                second.key_place.clone(),
                "is set twice",
                "put all pods into one list",
            )
        });
    }
    if let Some(Entry {
        value: Node {
            kind: Kind::List(items),
            ..
        },
        ..
    }) = items
    {
        return What::Pods(items);
    }
    faults.push(Fault {
        field: "items".to_owned(),
        ..fault(
            items.map_or(&root.place, |entry| &entry.key_place).clone(),
            "must be a list of pods",
            "list the pods, or write 'items: []' to say that there are none",
        )
    });
    What::Neither
}

/// One pod, by itself or as an item of a list, where kind and version may be left out.
fn item(origin: &Origin, node: &Node, number: Option<usize>) -> Item {
    let Walked {
        mut content,
        places,
        mut faults,
        mut warnings,
    } = walk(node);
    if number.is_some() {
        judge_item(node, &mut faults);
    }
    let form = canonical::form(&content);
    let mut pod = decode(&mut content, node, &mut faults);
    legacy::apply(&mut pod);
    defaults::apply(&mut pod);
    let mut report = Report::new(&places);
    legacy::check(&pod, &mut report);
    refusals::check(&pod, &mut report);
    gates::check(&pod, &mut report);
    validate::check(&pod, &mut report);
    advice::check(&pod, &mut report);
    let (errors, advised) = report.finish();
    faults.extend(errors);
    warnings.extend(advised);
    if let Some(number) = number {
        let advised = warnings.iter_mut().map(|warning| &mut warning.fault);
        for fault in faults.iter_mut().chain(advised) {
            fault.field = crate::places::join(&format!("items[{number}]"), &fault.field);
        }
    }
    let metadata = &pod.metadata;
    let given = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
    let key = PodKey {
        namespace: given(&metadata.namespace).unwrap_or_else(|| "default".to_owned()),
        name: given(&metadata.name).unwrap_or_default(),
    };
    let manifest = if faults.is_empty() {
        Ok(Manifest {
            origin: origin.clone(),
            key: key.clone(),
            uid: given(&metadata.uid).unwrap_or_else(|| canonical::uid(&form, origin)),
            revision: canonical::revision(&form),
            pod,
            places,
        })
    } else {
        Err(faults)
    };
    Item {
        key,
        manifest,
        warnings,
    }
}

fn judge_item(node: &Node, faults: &mut Vec<Fault>) {
    let Kind::Map(entries) = &node.kind else {
        return;
    };
    judge_version(node, entries, false, faults);
    if let Some(kind) = entry(entries, "kind")
        && text(kind) != Some("Pod")
    {
        faults.push(Fault {
            field: "kind".to_owned(),
            show: Show::Value,
            ..fault(
                kind.value.place.clone(),
                "must be Pod",
                "a PodList holds pods and nothing else",
            )
        });
    }
}

/// The walk has typed every value, so that decoding cannot fail; if it does, that is said.
fn decode(content: &mut Value, node: &Node, faults: &mut Vec<Fault>) -> api::Pod {
    if let Value::Object(fields) = content {
        drop_unread(fields);
        let _ = fields.insert("apiVersion".to_owned(), Value::from("v1"));
        let _ = fields.insert("kind".to_owned(), Value::from("Pod"));
    }
    serde_json::from_value(content.take()).unwrap_or_else(|_| {
        faults.push(fault(
            node.place.clone(),
            "does not decode as a v1 Pod",
            "this is a defect of the reader: please report it",
        ));
        api::Pod::default()
    })
}

/// What only an API server writes is not carried along.
fn drop_unread(fields: &mut Map<String, Value>) {
    let _ = fields.remove("status");
    if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
        metadata.retain(|field, _| {
            matches!(
                field.as_str(),
                "annotations" | "labels" | "name" | "namespace" | "uid"
            )
        });
    }
}

#[cfg(test)]
mod tests;
