//! The cases of the kubelet's own tests of its manifest sources, under their names.

use super::*;

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: test
  namespace: mynamespace
  uid: '12345'
spec:
  restartPolicy: Always
  terminationGracePeriodSeconds: 30
  containers:
  - name: image
    image: test/image
    imagePullPolicy: IfNotPresent
    terminationMessagePath: /dev/termination-log
    securityContext: {}
";

fn indented(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("  {line}\n")).collect();
    lines.concat().replacen("  ", "- ", 1)
}

fn list(items: &[&str]) -> String {
    let items: String = items.iter().map(|item| indented(item)).collect();
    format!("apiVersion: v1\nkind: PodList\nitems:\n{items}")
}

fn with_volume(volume: &str) -> String {
    format!("{POD}  volumes:\n  - name: v\n    {volume}\n")
}

fn fields(reading: &Reading) -> Vec<String> {
    let faults = reading.errors();
    faults.into_iter().map(|fault| fault.field).collect()
}

#[test]
fn test_decode_single_pod_as_yaml_and_as_json() {
    let yaml = manifest(POD);
    assert_eq!(yaml.key.to_string(), "mynamespace/test");
    assert_eq!(yaml.uid, "12345");
    let spec = yaml.pod.spec.clone().unwrap();
    assert_eq!(spec.dns_policy.as_deref(), Some("ClusterFirst"));
    assert_eq!(spec.scheduler_name.as_deref(), Some("default-scheduler"));
    assert_eq!(spec.enable_service_links, Some(true));
    assert_eq!(
        spec.security_context,
        Some(api::PodSecurityContext::default())
    );
    let json = serde_json::json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "test", "namespace": "mynamespace", "uid": "12345"},
        "spec": {
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
            "containers": [{
                "name": "image", "image": "test/image", "imagePullPolicy": "IfNotPresent",
                "terminationMessagePath": "/dev/termination-log", "securityContext": {},
            }],
        },
    });
    let json = manifest(&json.to_string());
    assert_eq!(json.pod, yaml.pod);
    assert_eq!((json.uid, json.revision), (yaml.uid, yaml.revision));
}

#[test]
fn test_decode_single_pod_rejects_cluster_trust_bundle_volumes() {
    let text =
        with_volume("projected: {sources: [{clusterTrustBundle: {name: my-ctb, path: ctb-path}}]}");
    assert_eq!(
        said(&from_file(&text)),
        [
            "18:28 spec.volumes[0].projected.sources[0].clusterTrustBundle: refers to an object of an API server, which a static pod cannot"
        ]
    );
}

#[test]
fn test_decode_single_pod_rejects_resource_claims() {
    let text = format!("{POD}  resourceClaims:\n  - name: a\n    resourceClaimName: b\n");
    assert_eq!(
        said(&from_file(&text)),
        [
            "16:3 spec.resourceClaims: refers to an object of an API server, which a static pod cannot"
        ]
    );
}

/// The kubelet's gate `PreventStaticPodAPIReferences` has no switch here.
#[test]
fn test_static_pod_references_to_api_objects_are_rejected() {
    for (more, field) in [
        ("  serviceAccountName: a\n", "spec.serviceAccountName"),
        ("  serviceAccount: a\n", "spec.serviceAccount"),
        (
            "  automountServiceAccountToken: true\n",
            "spec.automountServiceAccountToken",
        ),
        ("  imagePullSecrets: [{name: a}]\n", "spec.imagePullSecrets"),
        (
            "    env: [{name: A, valueFrom: {secretKeyRef: {name: a, key: b}}}]\n",
            "spec.containers[0].env[0].valueFrom.secretKeyRef",
        ),
        (
            "    env: [{name: A, valueFrom: {configMapKeyRef: {name: a, key: b}}}]\n",
            "spec.containers[0].env[0].valueFrom.configMapKeyRef",
        ),
        (
            "    envFrom: [{secretRef: {name: a}}]\n",
            "spec.containers[0].envFrom[0].secretRef",
        ),
        (
            "    envFrom: [{configMapRef: {name: a}}]\n",
            "spec.containers[0].envFrom[0].configMapRef",
        ),
        (
            "    resources: {claims: [{name: a}]}\n",
            "spec.containers[0].resources.claims",
        ),
        (
            "  initContainers: [{name: i, image: \"a:1\", envFrom: [{secretRef: {name: a}}]}]\n",
            "spec.initContainers[0].envFrom[0].secretRef",
        ),
    ] {
        let reading = from_file(&format!("{POD}{more}"));
        assert_eq!(fields(&reading), [field], "{more}");
        assert!(reading.errors()[0].message.contains("API server"));
    }
    for (volume, kind) in [
        ("configMap: {name: a}", "configMap"),
        ("secret: {secretName: a}", "secret"),
        ("csi: {driver: a}", "csi"),
        ("glusterfs: {endpoints: a, path: b}", "glusterfs"),
        (
            "persistentVolumeClaim: {claimName: a}",
            "persistentVolumeClaim",
        ),
        ("ephemeral: {volumeClaimTemplate: {spec: {}}}", "ephemeral"),
        ("azureFile: {secretName: a, shareName: b}", "azureFile"),
        (
            "projected: {sources: [{secret: {name: a}}]}",
            "projected.sources[0].secret",
        ),
        (
            "projected: {sources: [{configMap: {name: a}}]}",
            "projected.sources[0].configMap",
        ),
        (
            "projected: {sources: [{serviceAccountToken: {path: a}}]}",
            "projected.sources[0].serviceAccountToken",
        ),
        (
            "projected: {sources: [{podCertificate: {signerName: a, keyType: b}}]}",
            "projected.sources[0].podCertificate",
        ),
    ] {
        let reading = from_file(&with_volume(volume));
        assert_eq!(
            fields(&reading),
            [format!("spec.volumes[0].{kind}")],
            "{volume}"
        );
        assert!(reading.errors()[0].message.contains("API server"));
    }
}

#[test]
fn test_static_pod_volumes_without_api_objects_are_accepted_or_refused_by_name() {
    for volume in [
        "hostPath: {path: /a}",
        "emptyDir: {}",
        "emptyDir: {medium: Memory, sizeLimit: 1Mi}",
        "downwardAPI: {items: [{path: a, fieldRef: {fieldPath: metadata.name}}]}",
        "projected: {sources: [{downwardAPI: {items: [{path: a, fieldRef: {fieldPath: metadata.name}}]}}]}",
    ] {
        let _ = manifest(&with_volume(volume));
    }
    for (volume, field) in [
        ("nfs: {server: a, path: /b}", "spec.volumes[0].nfs"),
        ("image: {reference: a}", "spec.volumes[0].image"),
        (
            "emptyDir: {medium: HugePages}",
            "spec.volumes[0].emptyDir.medium",
        ),
        ("unheardOf: {}", "spec.volumes[0].unheardOf"),
    ] {
        assert_eq!(
            fields(&from_file(&with_volume(volume))),
            [field],
            "{volume}"
        );
    }
}

#[test]
fn test_decode_pod_list() {
    let second = POD
        .replace("name: test", "name: other")
        .replace("'12345'", "'6'");
    let reading = from_url(&list(&[POD, &second]));
    assert!(reading.is_sound(), "{:?}", said(&reading));
    let keys: Vec<String> = reading
        .items
        .iter()
        .map(|item| item.key.to_string())
        .collect();
    assert_eq!(keys, ["mynamespace/test", "mynamespace/other"]);
    let bare = POD.replace("apiVersion: v1\nkind: Pod\n", "");
    assert!(from_url(&list(&[&bare])).is_sound());
    let foreign = POD.replace("kind: Pod", "kind: Service");
    assert_eq!(
        said(&from_url(&list(&[&foreign]))),
        ["5:9 items[0].kind: must be Pod"]
    );
}

#[test]
fn test_extract_pods_from_http_one_bad_item_keeps_its_own_faults() {
    let bad = POD.replace("image: test/image", "image: 5");
    let reading = from_url(&list(&[POD, &bad]));
    assert!(!reading.is_sound());
    assert!(reading.items[0].manifest.is_ok());
    assert_eq!(reading.items[1].key.to_string(), "mynamespace/test");
    let faults = reading.items[1].manifest.as_ref().unwrap_err();
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].field, "items[1].spec.containers[0].image");
}

#[test]
fn test_extract_pods_from_http_only_an_explicit_empty_list_is_empty() {
    let reading = from_url("apiVersion: v1\nkind: PodList\nitems: []\n");
    assert!(reading.is_sound() && reading.items.is_empty());
    for (text, message) in [
        (
            "apiVersion: v1\nkind: PodList\n",
            "1:1 items: must be a list of pods",
        ),
        (
            "apiVersion: v1\nkind: PodList\nitems:\n",
            "3:1 items: must be a list of pods",
        ),
        (
            "apiVersion: v1\nkind: PodList\nitems: {}\n",
            "3:1 items: must be a list of pods",
        ),
        (
            "apiVersion: v1\nkind: PodList\nitems: []\npods: []\n",
            "4:1 pods: is no known field",
        ),
        (
            "apiVersion: v1\nkind: PodList\nitems: []\nitems: []\n",
            "4:1 items: is set twice",
        ),
        (
            "kind: PodList\nitems: []\n",
            "1:1 apiVersion: is required and missing",
        ),
        (
            "apiVersion: v1\nkind: List\nitems: []\n",
            "2:7 kind: is List, and a URL answers with a Pod or a PodList",
        ),
        ("", ": holds no pod: it is empty, or nothing but comments"),
    ] {
        let reading = from_url(text);
        assert!(!reading.is_sound(), "{text}");
        assert_eq!(said(&reading), [message], "{text}");
    }
}

#[test]
fn test_extract_from_bad_data_file_and_invalid_pods() {
    for text in [
        "bad data",
        "{\"kind\": \"Pod\"}",
        "apiVersion: v1\nkind: Pod\nmetadata: {generateName: a}\nspec: {containers: [{name: a, image: b}]}\n",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {}\n",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: A_b}\nspec: {containers: [{name: a, image: b}]}\n",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a}]}\n",
    ] {
        assert!(!from_file(text).is_sound(), "{text}");
    }
}

#[test]
fn an_ephemeral_container_is_refused() {
    let text = format!("{POD}  ephemeralContainers: [{{name: a, image: b}}]\n");
    assert_eq!(
        said(&from_file(&text)),
        [
            "16:3 spec.ephemeralContainers: is not supported: they are added to running pods by an API server"
        ]
    );
}
