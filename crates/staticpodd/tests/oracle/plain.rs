//! Takes out of a text what differs from run to run, and from machine to machine.

use std::fs;

use serde_json::{Map, Value};

use crate::{ground::Ground, watch::Watch};

/// What stands for what.
pub(crate) struct Plain {
    pairs: Vec<(String, String)>,
}

impl Plain {
    pub(crate) fn new(ground: &Ground, watch: &Watch, pod: &str) -> Self {
        let mut pairs = Vec::new();
        let home = ground.home.to_string_lossy();
        let place = |name: &str| format!("{home}/{name}");
        pairs.push((place("root/"), "<root>/".to_owned()));
        pairs.push((place("log/pods"), "<logs>".to_owned()));
        pairs.push((home.to_string(), "<home>".to_owned()));
        if let Some(rig) = ground.home.parent() {
            pairs.push((rig.to_string_lossy().into_owned(), "<runtime>".to_owned()));
        }
        if ground.cgroups() != "/kubepods" {
            pairs.push((format!("{}/", ground.cgroups()), "/".to_owned()));
        }
        for (number, uid) in watch.pods(pod).into_iter().enumerate() {
            let name = match number {
                0 => "<uid>".to_owned(),
                more => format!("<uid {}>", more + 1),
            };
            pairs.push((uid, name));
        }
        for seen in watch.of(pod) {
            pairs.push((seen.id.clone(), format!("<{}>", watch.label(seen))));
            if !seen.ip.is_empty() {
                pairs.push((seen.ip.clone(), "<pod's ip>".to_owned()));
            }
        }
        let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
        if !hosts.trim().is_empty() {
            pairs.push((hosts, "<hosts of the node>\n".to_owned()));
        }
        // What holds another comes before it.
        pairs.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
        Self { pairs }
    }

    pub(crate) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (from, to) in &self.pairs {
            text = text.replace(from, to);
        }
        without_random(&without_digests(&text))
    }

    /// Every text in it, with the keys in order.
    pub(crate) fn value(&self, value: &Value) -> Value {
        match value {
            // The order of keys in such a text says nothing.
            Value::String(text) => match serde_json::from_str(text) {
                Ok(inner @ (Value::Object(_) | Value::Array(_))) => self.value(&inner),
                _ => Value::String(self.text(text)),
            },
            Value::Array(list) => list.iter().map(|item| self.value(item)).collect(),
            Value::Object(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_by_key(|(key, _)| *key);
                let plain = |(key, value): (&String, &Value)| {
                    let value = match key.as_str() {
                        "kubernetes.io/config.seen" => Value::from("<time>"),
                        "io.kubernetes.container.hash" => Value::from("<hash>"),
                        "staticpodd/revision" => Value::from("<revision>"),
                        "staticpodd/owner" => Value::from("<owner>"),
                        "staticpodd/boot" => Value::from("<boot>"),
                        _ => self.value(value),
                    };
                    (self.text(key), value)
                };
                entries.into_iter().map(plain).collect::<Map<_, _>>().into()
            }
            other => other.clone(),
        }
    }
}

fn without_digests(text: &str) -> String {
    const MARK: &str = "sha256:";
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(MARK) {
        let (before, after) = rest.split_at(at + MARK.len());
        let digits = after.bytes().take_while(u8::is_ascii_hexdigit).count();
        out.push_str(before);
        out.push_str(if digits == 64 {
            "<digest>"
        } else {
            &after[..digits]
        });
        rest = &after[digits..];
    }
    out + rest
}

/// Files for last words have names by chance, in the folder of their container.
fn without_random(text: &str) -> String {
    const MARK: &str = "/containers/";
    let Some(at) = text.find(MARK) else {
        return text.to_owned();
    };
    let (before, after) = text.split_at(at + MARK.len());
    let Some((container, rest)) = after.split_once('/') else {
        return text.to_owned();
    };
    let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
    match digits {
        8 => format!("{before}{container}/<random>{}", &rest[8..]),
        _ => text.to_owned(),
    }
}
