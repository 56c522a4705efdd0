use std::collections::BTreeSet;

use super::{OBJECTS, Verdict, document::paths, rows};
use crate::shape::{Kind, POD, Type};

/// Every object that supported fields lead to.
fn reachable() -> Vec<&'static Type> {
    let mut found: Vec<&Type> = vec![&POD];
    let mut at = 0;
    while let Some(object) = found.get(at).copied() {
        at += 1;
        for (field, kind) in object.fields {
            let supported = verdict(object.name, field) == Some(Verdict::Supported);
            if let Some(inner) = kind.object().filter(|_| supported)
                && !found.contains(&inner)
            {
                found.push(inner);
            }
        }
    }
    found
}

fn verdict(object: &str, field: &str) -> Option<Verdict> {
    rows(object)?
        .iter()
        .find(|row| row.field == field)
        .map(|row| row.verdict)
}

#[test]
fn every_field_of_a_pod_has_a_row_and_every_row_a_field() {
    let reachable = reachable();
    for object in &reachable {
        let fields: Vec<&str> = object.fields.iter().map(|(field, _)| *field).collect();
        let told: Vec<&str> = rows(object.name)
            .into_iter()
            .flatten()
            .map(|row| row.field)
            .collect();
        assert_eq!(told, fields, "{}", object.name);
    }
    let objects: BTreeSet<&str> = reachable.iter().map(|object| object.name).collect();
    let told: BTreeSet<&str> = OBJECTS.iter().map(|object| object.name).collect();
    assert_eq!(told, objects);
    assert_eq!(told.len(), OBJECTS.len(), "an object stands twice");
    assert_eq!(paths().len(), OBJECTS.len());
}

#[test]
fn the_verdict_on_a_path_is_that_on_the_first_field_that_is_not_supported() {
    use Verdict::{Ignored, Reference, Refused, Supported};
    for (path, expected) in [
        ("spec.containers[0].image", Some(Supported)),
        ("spec.volumes[1].secret", Some(Reference)),
        (
            "items[3].spec.volumes[1].secret.secretName",
            Some(Reference),
        ),
        (
            "spec.initContainers[0].env[2].valueFrom.configMapKeyRef",
            Some(Reference),
        ),
        ("spec.ephemeralContainers", Some(Refused)),
        ("spec.affinity.nodeAffinity", Some(Ignored)),
        ("metadata.annotations[a.b/c]", Some(Supported)),
        ("metadata.labels.app", Some(Supported)),
        ("spec.containers[0].comand", None),
        ("", None),
        ("items", None),
    ] {
        assert_eq!(super::verdict(path), expected, "{path}");
    }
}

#[test]
fn what_is_refused_or_ignored_says_why_unless_it_is_plainly_a_reference() {
    for object in OBJECTS {
        for row in object.rows {
            let silent = row.why.is_empty();
            let allowed = matches!(row.verdict, Verdict::Supported | Verdict::Reference);
            assert!(!silent || allowed, "{}.{}", object.name, row.field);
            assert!(!row.why.ends_with('.') && !row.why.contains('|'));
        }
    }
}

/// Whoever sets one of these relies on it.
#[test]
fn nothing_that_limits_what_a_container_may_do_is_ignored() {
    let whole = [
        "PodSecurityContext",
        "SecurityContext",
        "Capabilities",
        "SeccompProfile",
        "AppArmorProfile",
        "SELinuxOptions",
        "Sysctl",
        "VolumeMount",
        "HostPathVolumeSource",
        "EmptyDirVolumeSource",
        "DownwardAPIVolumeSource",
        "DownwardAPIVolumeFile",
        "ProjectedVolumeSource",
        "Volume",
        "ResourceRequirements",
    ];
    for object in whole {
        for row in rows(object).expect(object) {
            assert_ne!(row.verdict, Verdict::Ignored, "{object}.{}", row.field);
        }
    }
    for field in [
        "automountServiceAccountToken",
        "ephemeralContainers",
        "hostIPC",
        "hostNetwork",
        "hostPID",
        "hostUsers",
        "imagePullSecrets",
        "os",
        "resources",
        "runtimeClassName",
        "securityContext",
        "serviceAccount",
        "serviceAccountName",
        "shareProcessNamespace",
    ] {
        let verdict = verdict("PodSpec", field).expect(field);
        assert_ne!(verdict, Verdict::Ignored, "{field}");
    }
    assert_ne!(
        verdict("Container", "securityContext"),
        Some(Verdict::Ignored)
    );
    assert_ne!(
        verdict("Container", "volumeDevices"),
        Some(Verdict::Ignored)
    );
}

/// The list of a kubelet with the gate `PreventStaticPodAPIReferences`. Secrets in volumes of
/// other kinds need no row: those kinds are refused as a whole.
#[test]
fn references_are_those_that_a_kubelet_refuses() {
    for (object, field) in [
        ("PodSpec", "serviceAccountName"),
        ("PodSpec", "serviceAccount"),
        ("PodSpec", "imagePullSecrets"),
        ("PodSpec", "resourceClaims"),
        ("EnvVarSource", "secretKeyRef"),
        ("EnvVarSource", "configMapKeyRef"),
        ("EnvFromSource", "secretRef"),
        ("EnvFromSource", "configMapRef"),
        ("Volume", "configMap"),
        ("Volume", "secret"),
        ("Volume", "csi"),
        ("Volume", "glusterfs"),
        ("Volume", "persistentVolumeClaim"),
        ("Volume", "ephemeral"),
        ("Volume", "azureFile"),
        ("VolumeProjection", "configMap"),
        ("VolumeProjection", "secret"),
        ("VolumeProjection", "serviceAccountToken"),
        ("VolumeProjection", "clusterTrustBundle"),
        ("VolumeProjection", "podCertificate"),
        ("ResourceRequirements", "claims"),
    ] {
        assert_eq!(
            verdict(object, field),
            Some(Verdict::Reference),
            "{object}.{field}"
        );
    }
    for kind in [
        "cephfs",
        "cinder",
        "flexVolume",
        "rbd",
        "scaleIO",
        "iscsi",
        "storageos",
    ] {
        assert_eq!(verdict("Volume", kind), Some(Verdict::Refused), "{kind}");
    }
}

#[test]
fn the_shape_knows_lists_within_maps() {
    static TEXTS: Kind = Kind::Map(&Kind::List(&Kind::Object(&POD)));
    assert_eq!(TEXTS.object(), Some(&POD));
}
