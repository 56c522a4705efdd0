//! Annotations that became fields.
//!
//! Those of AppArmor are still read by kubelets; those of seccomp and sysctls no longer are. Who
//! writes one relies on it, so none of them is left out silently.

use crate::{api, report::Report};

const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

const NO_LONGER_READ: [&str; 3] = [
    "seccomp.security.alpha.kubernetes.io/",
    "container.seccomp.security.alpha.kubernetes.io/",
    "security.alpha.kubernetes.io/",
];

/// Gives a container the AppArmor profile of its annotation, unless it has one of its own.
pub(crate) fn apply(pod: &mut api::Pod) {
    let (Some(annotations), Some(spec)) = (&pod.metadata.annotations, &mut pod.spec) else {
        return;
    };
    let init = spec.init_containers.iter_mut().flatten();
    for container in init.chain(&mut spec.containers) {
        let annotation = annotations.get(&format!("{APP_ARMOR}{}", container.name));
        if let Some(profile) = annotation.and_then(|value| profile(value)) {
            let context = container.security_context.get_or_insert_default();
            let _ = context.app_armor_profile.get_or_insert(profile);
        }
    }
}

/// Reports annotations that have no effect, or another one than a field.
pub(crate) fn check(pod: &api::Pod, report: &mut Report<'_>) {
    for (key, value) in pod.metadata.annotations.iter().flatten() {
        let field = || format!("metadata.annotations[{key}]");
        if NO_LONGER_READ.iter().any(|prefix| key.starts_with(prefix)) {
            report.error(
                field(),
                "is no longer read: what it asks for would be left out silently",
                "write the field instead: securityContext.seccompProfile or securityContext.sysctls",
            );
        }
        let Some(name) = key.strip_prefix(APP_ARMOR) else {
            continue;
        };
        let Some(wanted) = profile(value) else {
            report.error(
                field(),
                "must be runtime/default, unconfined, or localhost/ and a name",
                "write securityContext.appArmorProfile instead",
            );
            continue;
        };
        let container = pod
            .spec
            .iter()
            .flat_map(|spec| {
                spec.init_containers
                    .iter()
                    .flatten()
                    .chain(&spec.containers)
            })
            .find(|container| container.name == name);
        let own = container
            .and_then(|container| container.security_context.as_ref())
            .and_then(|context| context.app_armor_profile.as_ref());
        if container.is_none() {
            report.error(
                field(),
                "names a container that is not in the pod",
                "remove it, or correct the name",
            );
        } else if own != Some(&wanted) {
            report.error(
                field(),
                "differs from the container's appArmorProfile",
                "remove the annotation: the field counts",
            );
        }
    }
}

fn profile(value: &str) -> Option<api::AppArmorProfile> {
    let (kind, name) = match value {
        "runtime/default" => ("RuntimeDefault", None),
        "unconfined" => ("Unconfined", None),
        other => ("Localhost", Some(other.strip_prefix("localhost/")?)),
    };
    (name != Some("")).then(|| api::AppArmorProfile {
        type_: kind.to_owned(),
        localhost_profile: name.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::Places;
    use serde_json::{Value, json};

    fn pod(annotations: &Value, context: &Value) -> api::Pod {
        let mut pod = serde_json::from_value(json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"annotations": annotations},
            "spec": {
                "initContainers": [{"name": "first"}],
                "containers": [{"name": "web", "securityContext": context}],
            },
        }))
        .unwrap();
        apply(&mut pod);
        pod
    }

    fn said(pod: &api::Pod) -> Vec<String> {
        let places = Places::default();
        let mut report = Report::new(&places);
        check(pod, &mut report);
        let (errors, _) = report.finish();
        errors.into_iter().map(|error| error.message).collect()
    }

    #[test]
    fn annotations_of_app_armor_become_fields() {
        for (value, kind, name) in [
            ("runtime/default", "RuntimeDefault", None),
            ("unconfined", "Unconfined", None),
            ("localhost/mine", "Localhost", Some("mine")),
        ] {
            let key = |name: &str| format!("{APP_ARMOR}{name}");
            let pod = pod(&json!({key("web"): value, key("first"): value}), &json!({}));
            assert_eq!(said(&pod), [""; 0]);
            let spec = pod.spec.unwrap();
            let init = spec.init_containers.unwrap();
            for container in [&spec.containers[0], &init[0]] {
                let context = container.security_context.as_ref().unwrap();
                let profile = context.app_armor_profile.as_ref().unwrap();
                assert_eq!(profile.type_, kind);
                assert_eq!(profile.localhost_profile.as_deref(), name);
            }
        }
    }

    #[test]
    fn no_annotation_about_security_is_left_out_silently() {
        let own = json!({"appArmorProfile": {"type": "Unconfined"}});
        for (key, value, message) in [
            (
                "container.apparmor.security.beta.kubernetes.io/web",
                "runtime/default",
                "differs from",
            ),
            (
                "container.apparmor.security.beta.kubernetes.io/none",
                "unconfined",
                "names a container",
            ),
            (
                "container.apparmor.security.beta.kubernetes.io/web",
                "localhost/",
                "must be",
            ),
            (
                "container.apparmor.security.beta.kubernetes.io/web",
                "mine",
                "must be",
            ),
            (
                "seccomp.security.alpha.kubernetes.io/pod",
                "runtime/default",
                "is no longer read",
            ),
            (
                "container.seccomp.security.alpha.kubernetes.io/web",
                "x",
                "is no longer read",
            ),
            (
                "security.alpha.kubernetes.io/sysctls",
                "a=1",
                "is no longer read",
            ),
        ] {
            let said = said(&pod(&json!({ key: value }), &own));
            assert_eq!(said.len(), 1, "{key}");
            assert!(said[0].starts_with(message), "{key}: {said:?}");
        }
        let same = json!({"container.apparmor.security.beta.kubernetes.io/web": "unconfined"});
        assert_eq!(said(&pod(&same, &own)), [""; 0]);
        assert_eq!(said(&pod(&json!({"example.org/a": "b"}), &own)), [""; 0]);
    }
}
