//! Manifests as tables: what is read, what is said about it, and who the pod is.

mod corpus;
mod identity;
mod upstream;

use proptest::prelude::*;
use yaml::{fault::render, source::Place};

use super::*;

fn file() -> Origin {
    Origin::File("/m/web.yaml".into())
}

fn from_file(text: &str) -> Reading {
    read(&file(), "web.yaml", text.as_bytes())
}

fn from_url(text: &str) -> Reading {
    read(
        &Origin::Url("https://example.org/".into()),
        "url",
        text.as_bytes(),
    )
}

/// The pod of a text that has to be sound.
fn manifest(text: &str) -> Manifest {
    let reading = from_file(text);
    assert!(
        reading.is_sound(),
        "{}",
        render(&reading.source, &reading.errors())
    );
    reading.items.into_iter().next().unwrap().manifest.unwrap()
}

/// Each error as `line:column field: message`, in the order of the text.
fn said(reading: &Reading) -> Vec<String> {
    let mut faults = reading.errors();
    faults.sort_by_key(|fault| match fault.place {
        Place::Text(spot) => (spot.line, spot.column),
        _ => (0, 0),
    });
    faults
        .iter()
        .map(|fault| match fault.place {
            Place::Text(spot) => {
                format!(
                    "{}:{} {}: {}",
                    spot.line, spot.column, fault.field, fault.message
                )
            }
            _ => format!("{}: {}", fault.field, fault.message),
        })
        .collect()
}

/// A pod with one container, and more fields of that container.
fn web(more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n  - name: web\n    \
         image: web:1\n{more}"
    )
}

#[test]
fn every_fault_of_a_manifest_is_found_in_one_run_with_its_place() {
    let text = "\
apiVersion: v1
kind: Pod
metadata:
  name: web
  lables:
    app: web
  annotations:
    number: 1
spec:
  hostNetwork: \"true\"
  restartPolcy: Never
  terminationGracePeriodSeconds: soon
  serviceAccountName: web
  containers:
  - name: web
    image: web:1
    image: web:2
    args: --verbose
    env:
    - name: PORT
      value: 8080
    - name: KEY
      valueFrom:
        secretKeyRef: {name: a, key: b}
    resources:
      limits:
        cpu: lots
    livenessProbe:
      periodSeconds: 5000000000
      tcpSocket:
        port: 1.5
  - image: web:1
    name:
      - web
  volumes:
    name: data
";
    assert_eq!(
        said(&from_file(text)),
        [
            "5:3 metadata.lables: is no known field",
            "8:13 metadata.annotations[number]: must be text, and is read as a number",
            "10:16 spec.hostNetwork: must be true or false",
            "11:3 spec.restartPolcy: is no known field",
            "12:34 spec.terminationGracePeriodSeconds: must be a whole number of at most 64 bits",
            "13:3 spec.serviceAccountName: refers to an object of an API server, which a static pod cannot",
            "17:5 spec.containers[0].image: is set twice, first on line 16",
            "18:11 spec.containers[0].args: must be a list",
            "21:14 spec.containers[0].env[0].value: must be text, and is read as a number",
            "24:9 spec.containers[0].env[1].valueFrom.secretKeyRef: refers to an object of an API server, which a static pod cannot",
            "27:14 spec.containers[0].resources.limits[cpu]: must be a quantity",
            "29:22 spec.containers[0].livenessProbe.periodSeconds: must be a whole number of at most 32 bits",
            "31:15 spec.containers[0].livenessProbe.tcpSocket.port: must be a whole number of at most 32 bits or a name",
            "34:7 spec.containers[1].name: must be text",
            "36:5 spec.volumes: must be a list",
        ]
    );
}

#[test]
fn a_typing_error_is_answered_with_what_was_meant() {
    for (line, advice) in [
        ("    comand: []\n", "did you mean 'command'?"),
        (
            "    volumeMounts: [{name: a, mountPath: /a, readonly: true}]\n",
            "did you mean 'readOnly'?",
        ),
        (
            "    readOnlyRootFilesystem: true\n",
            "it belongs to SecurityContext; check the indentation",
        ),
        (
            "    ports: [{conainer: 80}]\n",
            "the fields here are: containerPort, hostIP, hostPort, name, protocol",
        ),
        (
            "    colour: red\n",
            "look it up in the reference of Container",
        ),
    ] {
        let reading = from_file(&web(line));
        let unknown: Vec<_> = reading
            .errors()
            .into_iter()
            .filter(|fault| fault.message == "is no known field")
            .map(|fault| fault.advice)
            .collect();
        assert_eq!(unknown, [advice], "{line}");
    }
}

#[test]
fn scalars_are_read_as_kubelets_read_them() {
    let text = web(
        "    stdin: yes\n    tty: off\n    terminationMessagePath: \"yes\"\n    \
         ports: [{containerPort: 0x50}, {containerPort: 0o121}, {containerPort: 82.0}]\n    \
         resources: {limits: {cpu: 1, memory: 0644, ephemeral-storage: 1.5}}\n  volumes:\n  \
         - name: facts\n    downwardAPI: {defaultMode: 0600}\n",
    );
    let spec = manifest(&text).pod.spec.unwrap();
    let container = &spec.containers[0];
    assert_eq!((container.stdin, container.tty), (Some(true), Some(false)));
    assert_eq!(container.termination_message_path.as_deref(), Some("yes"));
    let ports: Vec<i32> = container
        .ports
        .iter()
        .flatten()
        .map(|port| port.container_port)
        .collect();
    assert_eq!(ports, [80, 81, 82]);
    let limits = container
        .resources
        .as_ref()
        .unwrap()
        .limits
        .as_ref()
        .unwrap();
    assert_eq!(limits["cpu"].0, "1");
    assert_eq!(limits["memory"].0, "420");
    assert_eq!(limits["ephemeral-storage"].0, "1.5");
    let facts = spec.volumes.unwrap()[0].downward_api.clone().unwrap();
    assert_eq!(facts.default_mode, Some(0o600));
}

#[test]
fn nothing_is_what_a_kubelet_takes_for_nothing() {
    let text = "\
apiVersion: v1
kind: Pod
metadata:
  name: web
  creationTimestamp: null
  labels: {app: }
spec:
  serviceAccountName: \"\"
  imagePullSecrets: []
  automountServiceAccountToken: false
  nodeSelector: {}
  hostname:
  volumes: ~
  containers:
  - name: web
    image: web:1
    command: null
status: {}
";
    let reading = from_file(text);
    assert_eq!(said(&reading), [""; 0]);
    assert!(
        reading
            .warnings()
            .all(|warning| warning.rule != "ignored-field")
    );
    let pod = manifest(text).pod;
    assert_eq!(pod.metadata.labels.unwrap()["app"], "");
    assert_eq!(pod.spec.unwrap().hostname, None);
}

#[test]
fn what_has_no_effect_is_said_and_what_is_below_it_is_not_judged_again() {
    let text =
        web("  schedulerName: mine\n  affinity:\n    nodeAffinity: {}\nstatus: {phase: Running}\n");
    let reading = from_file(&text);
    assert_eq!(said(&reading), [""; 0]);
    let ignored: Vec<&str> = reading
        .warnings()
        .filter(|warning| warning.rule == "ignored-field")
        .map(|warning| warning.fault.field.as_str())
        .collect();
    assert_eq!(ignored, ["spec.schedulerName", "spec.affinity", "status"]);
}

#[test]
fn a_field_that_is_ignored_is_still_typed() {
    let text = web("  affinity:\n    nodeAfinity: {}\n    podAffinity: 1\n");
    assert_eq!(
        said(&from_file(&text)),
        [
            "10:5 spec.affinity.nodeAfinity: is no known field",
            "11:18 spec.affinity.podAffinity: must be a mapping of fields",
        ]
    );
}

#[test]
fn texts_that_are_no_manifest_say_what_they_are() {
    for (bytes, message) in [
        (
            &b""[..],
            "holds no pod: it is empty, or nothing but comments",
        ),
        (
            b"# nothing\n",
            "holds no pod: it is empty, or nothing but comments",
        ),
        (
            b"---\n...\n",
            "holds no pod: it is empty, or nothing but comments",
        ),
        (
            b"null\n",
            "holds no pod: it is empty, or nothing but comments",
        ),
        (
            b"\xef\xbb\xbf",
            "holds no pod: it is empty, or nothing but comments",
        ),
        (b"a: \xff\n", "is not UTF-8 here"),
        (b"\xff\xfea\0", "is not UTF-8 here"),
        (b"- a\n", "is no mapping of fields"),
        (b"text\n", "is no mapping of fields"),
        (
            b"{\"kind\": 1",
            "is no valid JSON here: the text ends in the middle",
        ),
        (b"a: b: c\n", "is no valid YAML here: "),
        (b"kind: Pod\n\tapiVersion: v1\n", "is no valid YAML here: "),
    ] {
        let reading = read(&file(), "m", bytes);
        assert_eq!(reading.items.len(), 0, "{bytes:?}");
        let found = &reading.faults[0].message;
        assert!(found.starts_with(message), "{bytes:?}: {found}");
        assert!(!reading.is_sound());
    }
    let reading = read(&file(), "m", b"kind: Pod\nname: a\xffb\n");
    assert_eq!(said(&reading), ["2:8 : is not UTF-8 here"]);
}

#[test]
fn a_text_of_more_than_ten_mebibytes_is_not_looked_into() {
    let mut bytes = web("").into_bytes();
    bytes.resize(MAX_BYTES, b'\n');
    assert!(read(&file(), "m", &bytes).is_sound());
    bytes.push(b'\n');
    let reading = read(&file(), "m", &bytes);
    assert_eq!(reading.faults[0].message, "is larger than 10 MiB");
    assert_eq!(reading.source.text(), "");
}

#[test]
fn line_ends_and_marks_of_other_systems_change_nothing() {
    let plain = manifest(&web(""));
    for other in [
        web("").replace('\n', "\r\n"),
        format!("\u{feff}{}", web("")),
        format!("---\n{}", web("")),
        format!("# comment\n---\n{}...\n---\n", web("")),
        format!("%YAML 1.1\n---\n{}", web("")),
    ] {
        let other = manifest(&other);
        assert_eq!(other.pod, plain.pod);
        assert_eq!(
            (other.uid, other.revision),
            (plain.uid.clone(), plain.revision.clone())
        );
    }
}

#[test]
fn a_second_document_is_a_fault_and_nothing_of_the_first_runs() {
    let text = format!("{}---\n{}", web(""), web(""));
    let reading = from_file(&text);
    assert_eq!(said(&reading), ["10:1 : starts a second document"]);
    assert_eq!(reading.items.len(), 0);
}

#[test]
fn kinds_and_versions_other_than_v1_pod_are_named() {
    for (head, said_of_it) in [
        ("kind: Pod\n", "1:1 apiVersion: is required and missing"),
        ("apiVersion: v1\n", "1:1 kind: is required and missing"),
        (
            "apiVersion: v1\nkind:\n",
            "2:1 kind: is required and missing",
        ),
        (
            "apiVersion: v1\nkind: \"\"\n",
            "2:1 kind: is required and missing",
        ),
        ("apiVersion: v2\nkind: Pod\n", "1:13 apiVersion: must be v1"),
        ("apiVersion: v1\nkind: pod\n", "2:7 kind: must be Pod"),
        (
            "apiVersion: apps/v1\nkind: Deployment\n",
            "2:7 kind: is Deployment, and only Pods run without an API server",
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\n",
            "2:7 kind: is ConfigMap, and only Pods run without an API server",
        ),
        (
            "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n",
            "2:7 kind: is EncryptionConfiguration, and only Pods run without an API server",
        ),
        (
            "apiVersion: v1\nkind: List\n",
            "2:7 kind: is List, and a file holds one Pod",
        ),
        (
            "apiVersion: v1\nkind: PodList\n",
            "2:7 kind: is PodList, and a file holds one Pod",
        ),
        (
            "apiVersion: v1\nkind: not a kind\n",
            "2:7 kind: must be Pod",
        ),
    ] {
        let text = format!(
            "{head}metadata: {{name: web}}\nspec: {{containers: [{{name: a, image: \"a:1\"}}]}}\n"
        );
        assert_eq!(said(&from_file(&text)), [said_of_it], "{head}");
    }
    // What is not a pod at all is not compared with one.
    assert_eq!(said(&from_file("a: 1\n")).len(), 2);
}

#[test]
fn values_that_may_be_secrets_are_never_shown() {
    let text = web(
        "    command: {a: hunter2}\n    args: [hunter2, {b: hunter2}, 7]\n    env:\n    \
         - {name: A, value: [hunter2]}\n    - {name: A, value: 424242}\n    \
         livenessProbe: {httpGet: {port: 1, httpHeaders: [{name: a, value: 424242}]}}\n",
    );
    let reading = from_file(&text);
    let shown = render(&reading.source, &reading.errors());
    assert!(reading.errors().len() >= 6, "{shown}");
    for secret in ["hunter2", "424242"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn faults_of_aliases_are_shown_where_the_value_stands() {
    let text = web("    env:\n    - &a {name: A, value: 1}\n    - *a\n");
    let lines = said(&from_file(&text));
    assert_eq!(
        lines,
        [
            "10:27 spec.containers[0].env[0].value: must be text, and is read as a number",
            "10:27 spec.containers[0].env[1].value: must be text, and is read as a number",
        ]
    );
}

#[test]
fn hostile_texts_end_early() {
    let many_unknown: String = (0..20_000)
        .map(|number| format!("x{number}: 1\n"))
        .collect();
    let reading = from_file(&format!("{many_unknown}{}", web("")));
    assert_eq!(reading.errors().len(), 1_000);
    let many_items = format!("{}    env: [{}]\n", web(""), "~,".repeat(4_000));
    assert!(from_file(&many_items).errors().len() <= 1_100);
}

/// Pieces of manifests, put together at random: more of them get past the first line than of
/// random bytes.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("apiVersion: v1\n"),
        Just("kind: Pod\n"),
        Just("kind: PodList\n"),
        Just("items:\n"),
        Just("- "),
        Just("  "),
        Just("metadata:\n"),
        Just("name: a\n"),
        Just("spec:\n"),
        Just("containers:\n"),
        Just("initContainers: &a\n"),
        Just("*a\n"),
        Just("<<: *a\n"),
        Just("image: a\n"),
        Just("env: [{name: a}]\n"),
        Just("ports: [{containerPort: 1}]\n"),
        Just("resources: {limits: {cpu: 1}}\n"),
        Just("volumes: [{name: a, emptyDir: {}}]\n"),
        Just("livenessProbe: {httpGet: {port: a}}\n"),
        Just("hostNetwork: yes\n"),
        Just("status: {}\n"),
        Just("{"),
        Just("}"),
        Just("[]\n"),
        Just("\"\\ud83d\""),
        Just("0x"),
        Just("\t"),
        Just("---\n"),
        Just("é"),
        Just("creationTimestamp: never\n"),
        Just("managedFields: [{time: 1}]\n"),
    ];
    proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&file(), "m", &bytes);
    }

    #[test]
    fn no_pieces_of_manifests_break_the_reader_and_whatever_is_typed_decodes(text in pieces()) {
        for reading in [from_file(&text), from_url(&text)] {
            for fault in reading.errors() {
                prop_assert!(!fault.message.contains("does not decode"), "{}", text);
            }
            let _ = render(&reading.source, &reading.errors());
        }
    }

    #[test]
    fn a_manifest_cut_anywhere_never_breaks_the_reader(at in 0_usize..400) {
        let text = web("    env: [{name: A, value: \"é\"}]\n    ports:\n    - containerPort: 80\n");
        let bytes = text.as_bytes();
        let _ = read(&file(), "m", &bytes[..at.min(bytes.len())]);
    }
}
