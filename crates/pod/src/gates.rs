//! Our own annotations: what a pod waits for, and how often it runs.
//!
//! A typing error here would start a pod too early and nobody would notice, so that whatever is
//! not understood is a fault of the manifest.

use std::time::Duration;

use yaml::spelling::closest;

use crate::{
    api,
    identity::PodKey,
    marks::{PREFIX, WRITTEN},
    report::Report,
};

const AFTER_PODS: &str = "staticpodd/after-pods";
const AFTER_PATHS: &str = "staticpodd/after-paths";
const AFTER_TIMEOUT: &str = "staticpodd/after-timeout";
const AFTER_OVERRIDE: &str = "staticpodd/after-override";
const ONCE_PER_BOOT: &str = "staticpodd/once-per-boot";

/// What manifests may say.
const KNOWN: [&str; 5] = [
    AFTER_PODS,
    AFTER_PATHS,
    AFTER_TIMEOUT,
    AFTER_OVERRIDE,
    ONCE_PER_BOOT,
];

/// What a pod waits for, and how often it runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gates {
    /// Pods that must be ready first, by the names of their manifests: without a node's suffix
    /// unless it is written out.
    pub pods: Vec<PodKey>,
    /// Paths that must exist on the host first.
    pub paths: Vec<String>,
    /// How long to wait; for ever unless set.
    pub limit: Option<Duration>,
    /// Whether the pod starts when the limit has passed; it fails otherwise.
    pub start_at_limit: bool,
    /// Whether a pod that ended runs again after a reboot.
    pub once_per_boot: bool,
}

/// An annotation that means nothing: its key, what is wrong, and what to do.
type Complaint = (String, &'static str, String);

/// What the annotations of a pod say. A manifest that was read without errors says nothing else.
#[must_use]
pub fn gates(pod: &api::Pod) -> Gates {
    understand(pod).0
}

/// Reports annotations of ours that mean nothing.
pub(crate) fn check(pod: &api::Pod, report: &mut Report<'_>) {
    let (gates, complaints) = understand(pod);
    for (key, message, advice) in complaints {
        report.error(format!("metadata.annotations[{key}]"), message, advice);
    }
    let waits = !gates.pods.is_empty() || !gates.paths.is_empty();
    let annotations = pod.metadata.annotations.iter().flatten();
    for (key, _) in annotations {
        if matches!(key.as_str(), AFTER_TIMEOUT | AFTER_OVERRIDE) && !waits {
            report.warn(
                "gate-without-condition",
                format!("metadata.annotations[{key}]"),
                "has no effect: the pod waits for nothing",
                format!("add {AFTER_PODS} or {AFTER_PATHS}, or remove it"),
            );
        }
    }
}

fn understand(pod: &api::Pod) -> (Gates, Vec<Complaint>) {
    let mut gates = Gates::default();
    let mut complaints = Vec::new();
    for (key, value) in pod.metadata.annotations.iter().flatten() {
        let told = match key.as_str() {
            AFTER_PODS => pods(value, &mut gates),
            AFTER_PATHS => paths(value, &mut gates),
            AFTER_TIMEOUT => limit(value, &mut gates),
            AFTER_OVERRIDE => {
                word(value, "start", "fail").map(|start| gates.start_at_limit = start)
            }
            ONCE_PER_BOOT => word(value, "true", "false").map(|once| gates.once_per_boot = once),
            other if WRITTEN.contains(&other) => Err((
                "is written by the agent and not by a manifest",
                "remove it".to_owned(),
            )),
            other if other.starts_with(PREFIX) => Err(("is no known annotation", spelling(other))),
            _ => Ok(()),
        };
        if let Err((message, advice)) = told {
            complaints.push((key.clone(), message, advice));
        }
    }
    (gates, complaints)
}

type Told<T> = Result<T, (&'static str, String)>;

fn spelling(key: &str) -> String {
    match closest(key, &KNOWN) {
        Some(known) => format!("did you mean '{known}'?"),
        None => format!("known are {}", KNOWN.join(", ")),
    }
}

/// The items of a list with commas; an empty list is as good as none.
fn items(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

fn pods(value: &str, gates: &mut Gates) -> Told<()> {
    for item in items(value) {
        let (namespace, name) = item.split_once('/').unwrap_or(("default", item));
        let is_name = |text: &str| {
            !text.is_empty()
                && text.len() <= 253
                && text.bytes().all(|byte| {
                    byte.is_ascii_lowercase()
                        || byte.is_ascii_digit()
                        || matches!(byte, b'-' | b'.')
                })
        };
        if !is_name(namespace) || !is_name(name) {
            return Err((
                "must be names of pods",
                "write namespace/name, with commas between several".to_owned(),
            ));
        }
        gates.pods.push(PodKey {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        });
    }
    Ok(())
}

fn paths(value: &str, gates: &mut Gates) -> Told<()> {
    for item in items(value) {
        if !item.starts_with('/') || item.split('/').any(|part| part == "..") {
            return Err((
                "must be absolute paths of the host",
                "begin each with '/', without '..', with commas between several".to_owned(),
            ));
        }
        gates.paths.push(item.to_owned());
    }
    Ok(())
}

fn limit(value: &str, gates: &mut Gates) -> Told<()> {
    let limit = pace::parse_duration(value.trim());
    gates.limit = Some(limit.map_err(|_| {
        (
            "must be a duration",
            "write a number and a unit, such as 30s, 5m or 1h30m".to_owned(),
        )
    })?);
    Ok(())
}

fn word(value: &str, yes: &str, no: &str) -> Told<bool> {
    match value.trim() {
        word if word == yes => Ok(true),
        word if word == no => Ok(false),
        _ => Err((
            "is not one of its two words",
            format!("write \"{yes}\" or \"{no}\""),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{places::Places, report::Warning};
    use serde_json::{Value, json};
    use yaml::fault::Fault;

    fn pod(annotations: &Value) -> api::Pod {
        let metadata = json!({"annotations": annotations});
        serde_json::from_value(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata}))
            .unwrap()
    }

    fn said(annotations: &Value) -> (Vec<Fault>, Vec<Warning>) {
        let places = Places::default();
        let mut report = Report::new(&places);
        check(&pod(annotations), &mut report);
        report.finish()
    }

    fn key(namespace: &str, name: &str) -> PodKey {
        PodKey {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    #[test]
    fn annotations_say_what_a_pod_waits_for() {
        let annotations = json!({
            "staticpodd/after-pods": "kube-system/etcd, web,",
            "staticpodd/after-paths": "/run/a.sock,/run/b",
            "staticpodd/after-timeout": "1m30s",
            "staticpodd/after-override": "start",
            "staticpodd/once-per-boot": "true",
            "example.org/after-pods": "!",
        });
        assert_eq!(said(&annotations), (vec![], vec![]));
        assert_eq!(
            gates(&pod(&annotations)),
            Gates {
                pods: vec![key("kube-system", "etcd"), key("default", "web")],
                paths: vec!["/run/a.sock".into(), "/run/b".into()],
                limit: Some(Duration::from_secs(90)),
                start_at_limit: true,
                once_per_boot: true,
            }
        );
        assert_eq!(gates(&pod(&json!({}))), Gates::default());
    }

    #[test]
    fn what_means_nothing_is_a_fault() {
        for (name, value, advice) in [
            (
                "after-pods",
                "a/b/c",
                "write namespace/name, with commas between several",
            ),
            (
                "after-pods",
                "A",
                "write namespace/name, with commas between several",
            ),
            (
                "after-pods",
                "/a",
                "write namespace/name, with commas between several",
            ),
            (
                "after-paths",
                "run/a",
                "begin each with '/', without '..', with commas between several",
            ),
            (
                "after-paths",
                "/run/../etc",
                "begin each with '/', without '..', with commas between several",
            ),
            (
                "after-timeout",
                "5",
                "write a number and a unit, such as 30s, 5m or 1h30m",
            ),
            (
                "after-timeout",
                "-5m",
                "write a number and a unit, such as 30s, 5m or 1h30m",
            ),
            ("after-override", "go", "write \"start\" or \"fail\""),
            ("once-per-boot", "yes", "write \"true\" or \"false\""),
            ("after-pod", "a", "did you mean 'staticpodd/after-pods'?"),
            ("owner", "me", "remove it"),
            ("revision", "1", "remove it"),
            ("boot", "1", "remove it"),
            ("source", "/a", "remove it"),
            ("sidecar", "1", "remove it"),
        ] {
            let (errors, _) = said(&json!({ format!("staticpodd/{name}"): value }));
            let advices: Vec<&str> = errors.iter().map(|error| error.advice.as_str()).collect();
            assert_eq!(advices, [advice], "{name}: {value}");
            assert_eq!(
                errors[0].field,
                format!("metadata.annotations[staticpodd/{name}]")
            );
            assert!(!errors[0].message.contains(value) || value.len() < 3);
        }
        let (errors, _) = said(&json!({"staticpodd/colour": "red"}));
        assert!(
            errors[0]
                .advice
                .starts_with("known are staticpodd/after-pods, ")
        );
    }

    #[test]
    fn a_limit_without_a_condition_is_pointless() {
        let (errors, warnings) = said(&json!({
            "staticpodd/after-timeout": "5m",
            "staticpodd/after-override": "fail",
        }));
        assert_eq!(errors, []);
        assert_eq!(warnings.len(), 2);
        assert!(
            warnings
                .iter()
                .all(|warning| warning.rule == "gate-without-condition")
        );
    }
}
