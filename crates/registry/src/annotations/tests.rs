use super::*;
use crate::snapshot::Snapshot;

fn scope(namespace: &str) -> Scope {
    Scope {
        openbao_namespace: namespace.into(),
        ..Scope::sample()
    }
}

fn snapshot(namespace: &str) -> Snapshot {
    Snapshot::new(&scope(namespace), "0.1.0", 7, 1_700_000_000)
}

fn given(snapshot: &Snapshot) -> HashMap<String, Vec<u8>> {
    snapshot
        .annotations
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone().into_bytes()))
        .collect()
}

fn with(key: &str, value: impl Into<Vec<u8>>) -> HashMap<String, Vec<u8>> {
    let mut given = given(&snapshot("ns"));
    given.insert(key.to_owned(), value.into());
    given
}

#[track_caller]
fn assert_invalid(given: &HashMap<String, Vec<u8>>, key: &str) {
    match snapshot("ns").check_annotations(given) {
        Err(AnnotationFault::Invalid { key: named, .. }) => assert_eq!(named, key),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_mismatch(snapshot: &Snapshot, given: &HashMap<String, Vec<u8>>, key: &'static str) {
    assert_eq!(
        snapshot.check_annotations(given),
        Err(AnnotationFault::Mismatch { key })
    );
}

#[test]
fn what_encrypt_returned_is_accepted_with_and_without_a_namespace() {
    for namespace in ["", "team-1"] {
        let snapshot = snapshot(namespace);
        assert_eq!(snapshot.check_annotations(&given(&snapshot)), Ok(()));
    }
}

#[test]
fn no_annotations_at_all_are_a_fault_of_their_own() {
    assert_eq!(
        snapshot("").check_annotations(&HashMap::new()),
        Err(AnnotationFault::Absent)
    );
}

#[test]
fn each_required_annotation_must_be_there_and_not_empty() {
    for key in REQUIRED {
        let mut missing = given(&snapshot("ns"));
        missing.remove(key);
        assert_invalid(&missing, key);
        assert_invalid(&with(key, ""), key);
    }
    let mut only_foreign = HashMap::new();
    only_foreign.insert("a.example.com".to_owned(), b"x".to_vec());
    assert_invalid(&only_foreign, PROVIDER);
}

#[test]
fn malformed_values_are_refused_before_anything_is_compared() {
    for hash_key in [KEY_ID_HASH, MOUNT_HASH, KEY_HASH, NAMESPACE_HASH] {
        let good = hash("x");
        let long = format!("{good}A");
        let padded = format!("{good}=");
        let plus = format!("+{}", &good[1..]);
        let trailing_bits = format!("{}B", "A".repeat(42));
        for value in ["", &good[1..], &*long, &*padded, &*plus, &*trailing_bits] {
            assert_invalid(&with(hash_key, value), hash_key);
        }
    }
    for value in [
        "0",
        "07",
        "+7",
        "-7",
        "7 ",
        " 7",
        "7.0",
        "0x7",
        "seven",
        "18446744073709551616",
    ] {
        assert_invalid(&with(KEY_VERSION, value), KEY_VERSION);
    }
    for value in ["v2", "V1", "v1 ", "1"] {
        assert_invalid(&with(AAD_VERSION, value), AAD_VERSION);
    }
    for value in ["openbao", "Openbao-transit", "openbao-transit "] {
        assert_invalid(&with(PROVIDER, value), PROVIDER);
    }
    assert_invalid(&with(PLUGIN_VERSION, b"\xff".to_vec()), "annotation key");
}

#[test]
fn well_formed_values_of_another_version_or_scope_do_not_match() {
    let here = snapshot("ns");
    for key in [KEY_ID_HASH, MOUNT_HASH, KEY_HASH, NAMESPACE_HASH] {
        assert_mismatch(&here, &with(key, hash("another")), key);
    }
    assert_mismatch(&here, &with(KEY_VERSION, "8"), KEY_VERSION);
}

#[test]
fn the_namespace_hash_is_there_if_and_only_if_there_is_a_namespace() {
    let mut without = given(&snapshot("ns"));
    without.remove(NAMESPACE_HASH);
    assert_mismatch(&snapshot("ns"), &without, NAMESPACE_HASH);
    let root = snapshot("");
    let mut with_one = given(&root);
    with_one.insert(NAMESPACE_HASH.to_owned(), hash("").into_bytes());
    assert_mismatch(&root, &with_one, NAMESPACE_HASH);
}

#[test]
fn another_build_may_have_encrypted_and_extras_under_valid_names_are_ignored() {
    let here = snapshot("ns");
    assert_eq!(
        here.check_annotations(&with(PLUGIN_VERSION, "v9.9.9+x")),
        Ok(())
    );
    for key in [
        "a.com",
        "dev.k8s.io.",
        "10.0.0.1",
        "hyphens-are-good.k8s.io",
    ] {
        assert_eq!(here.check_annotations(&with(key, "")), Ok(()), "{key}");
    }
}

#[test]
fn a_key_that_the_api_server_would_refuse_is_refused() {
    let long_label = format!("{}.com", "a".repeat(64));
    let long_name = format!("{}com", "a.".repeat(126));
    let table = [
        "",
        "com",
        ".",
        "..",
        ".com",
        "a..com",
        "a.com..",
        "Dev.k8s.io",
        "under_score.k8s.io",
        "*.x.com",
        "a@b.com",
        "a.com/x",
        "a.com:1",
        "-a.com",
        "a-.com",
        "a.-com",
        "z\u{fc}rich.com",
        " a.com",
        &*long_label,
        &*long_name,
    ];
    for key in table {
        assert_invalid(&with(key, "x"), "annotation key");
    }
    assert!(is_fqdn(&format!("{}.com", "a".repeat(63))));
    assert!(is_fqdn(&format!("{}a.", "a.".repeat(126))));
}

#[test]
fn only_the_hash_of_the_key_id_itself_names_it() {
    let here = snapshot("");
    assert!(names_key_id(&given(&here), &here.key_id));
    assert!(!names_key_id(&with(KEY_ID_HASH, hash("x")), &here.key_id));
    assert!(!names_key_id(&HashMap::new(), &here.key_id));
}

#[test]
fn the_largest_annotations_stay_within_640_bytes() {
    let build = "v".repeat(64);
    let largest = Snapshot::new(&scope("ns"), &build, u64::MAX, i64::MAX);
    let bytes: usize = largest
        .annotations
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    assert!(bytes <= 640, "{bytes}");
}
