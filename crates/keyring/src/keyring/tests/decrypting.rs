//! Decrypt: the order of its checks, and nothing at Transit before the last of them.

use openbao::error::Class;
use registry::{
    annotations::{AAD_VERSION, KEY_ID_HASH, KEY_VERSION, MOUNT_HASH, PROVIDER},
    record::RecordState::*,
};

use super::*;
use crate::testing::{error, snapshot, view};

fn rig() -> Rig {
    Rig::new(view(&[
        (5, Pending),
        (4, Active),
        (3, Retired),
        (2, Rejected),
        (1, Removed),
    ]))
}

type Spoil = fn(&mut DecryptRequest);
type Expected = fn(&Error) -> bool;

fn spoil_key_id(request: &mut DecryptRequest) {
    request.key_id.push('x');
}

fn spoil_shape(request: &mut DecryptRequest) {
    let annotations = &mut request.annotations;
    annotations.insert(AAD_VERSION.to_owned(), b"v2".to_vec());
}

fn spoil_match(request: &mut DecryptRequest) {
    let other = registry::scope::hash("another mount").into_bytes();
    request.annotations.insert(MOUNT_HASH.to_owned(), other);
}

fn spoil_prefix(request: &mut DecryptRequest) {
    let text = String::from_utf8(request.ciphertext.clone()).unwrap();
    let (_, tail) = text.split_at("vault:v4".len());
    request.ciphertext = format!("vault:v3{tail}").into_bytes();
}

fn spoil_record(request: &mut DecryptRequest) {
    request.key_id = snapshot(1).key_id.as_str().to_owned();
}

fn nothing(_: &mut DecryptRequest) {}

#[tokio::test(start_paused = true)]
async fn of_several_faults_the_first_in_order_is_reported_and_transit_is_not_asked() {
    let rig = rig();
    let order: [(Spoil, Expected); 5] = [
        (spoil_key_id, |e| *e == Error::KeyIdMalformed),
        (spoil_record, |e| *e == Error::KeyVersionRemoved),
        (spoil_shape, |e| {
            matches!(
                e,
                Error::AnnotationInvalid {
                    key: AAD_VERSION,
                    ..
                }
            )
        }),
        (spoil_match, |e| *e == Error::AadMismatch(MOUNT_HASH)),
        (spoil_prefix, |e| {
            *e == Error::AadMismatch("the ciphertext names another key version")
        }),
    ];
    for (first, (spoil, expected)) in order.iter().enumerate() {
        let later = order.iter().skip(first + 1).map(|(spoil, _)| *spoil);
        for other in later.chain([nothing as Spoil]) {
            let mut request = request(4, b"seed");
            other(&mut request);
            // Last, so that it spoils what the later one has put there.
            spoil(&mut request);
            let refused = rig.decrypt(request).await.unwrap_err();
            assert!(expected(&refused), "{first}: {refused:?}");
        }
    }
    assert_eq!(rig.transit.count(), 0);
    rig.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn annotations_that_are_absent_altogether_have_an_error_of_their_own() {
    let rig = rig();
    let mut bare = request(4, b"seed");
    bare.annotations.clear();
    assert_eq!(rig.decrypt(bare).await, Err(Error::AadMissing));
    rig.assert_counted(r#"aad_validation_errors_total{reason="missing"} 1"#);
    assert_eq!(rig.transit.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn every_state_but_rejected_and_removed_decrypts_and_its_last_use_is_shown() {
    let rig = rig();
    tokio::time::advance(Duration::from_secs(7)).await;
    for version in [5, 4, 3] {
        assert_eq!(
            rig.decrypt(request(version, b"seed")).await.unwrap(),
            b"seed"
        );
        rig.assert_counted(&format!(
            r#"key_version_last_decrypt_timestamp_seconds{{version="{version}"}} {}"#,
            crate::testing::WALL + 7
        ));
    }
    let before = rig.transit.count();
    assert_eq!(
        rig.decrypt(request(1, b"seed")).await,
        Err(Error::KeyVersionRemoved)
    );
    assert_eq!(rig.transit.count(), before);
    rig.assert_counted(r#"decrypt_key_id_errors_total{reason="removed"} 1"#);
}

#[tokio::test(start_paused = true)]
async fn decrypt_works_whatever_status_says() {
    let rig = rig();
    let unhealthy = View {
        active: None,
        healthy_until: None,
        reasons: vec!["sealed"],
        ..(**rig.view.load()).clone()
    };
    rig.view.store(Arc::new(unhealthy));
    assert_eq!(rig.keyring.status(), Status::Unhealthy);
    assert_eq!(rig.decrypt(request(3, b"seed")).await.unwrap(), b"seed");
}

#[tokio::test(start_paused = true)]
async fn each_annotation_is_held_against_the_record() {
    let rig = rig();
    let foreign = request(3, b"seed").annotations;
    for key in [KEY_ID_HASH, KEY_VERSION] {
        let mut mixed = request(4, b"seed");
        mixed
            .annotations
            .insert(key.to_owned(), foreign[key].clone());
        assert_eq!(rig.decrypt(mixed).await, Err(Error::AadMismatch(key)));
    }
    for key in snapshot(4).annotations.iter().map(|(key, _)| *key) {
        let mut lacking = request(4, b"seed");
        lacking.annotations.remove(key);
        assert!(rig.decrypt(lacking).await.is_err(), "{key}");
    }
    assert_eq!(rig.transit.count(), 0);
    let mut more = request(4, b"seed");
    let extra = ("note.example.com".to_owned(), b"kept".to_vec());
    more.annotations.extend([extra]);
    assert_eq!(rig.decrypt(more).await.unwrap(), b"seed");
}

#[tokio::test(start_paused = true)]
async fn a_ciphertext_that_is_none_of_transits_is_refused_here() {
    let rig = rig();
    for bytes in [
        &b""[..],
        b"vault",
        b"vault:v04:x.y",
        b"vault:v4:",
        b"k8s:enc",
        b"\xff\xfe",
    ] {
        let mut odd = request(4, b"seed");
        odd.ciphertext = bytes.to_vec();
        let refused = rig.decrypt(odd).await;
        assert!(matches!(refused, Err(Error::AadMismatch(_))), "{bytes:?}");
    }
    assert_eq!(rig.transit.count(), 0);
    rig.assert_counted(r#"aad_validation_errors_total{reason="mismatch"} 6"#);
}

#[tokio::test(start_paused = true)]
async fn what_transit_cannot_authenticate_is_the_callers_fault_and_no_reason_to_probe() {
    let rig = rig();
    let mut tampered = request(4, b"seed");
    tampered.ciphertext.push(b'0');
    let refused = rig.decrypt(tampered).await;
    assert_eq!(refused, Err(Error::AadMismatch(REJECTED_BY_TRANSIT)));
    assert!(!rig.probe_wanted());
    assert_eq!(rig.signals.live_successes(), 0);
    rig.assert_counted(r#"aad_validation_errors_total{reason="rejected_by_transit"} 1"#);
}

#[tokio::test(start_paused = true)]
async fn other_failures_of_transit_are_reasons_to_probe() {
    let rig = rig();
    let table = [
        (Class::Sealed, true),
        (Class::Unavailable, true),
        (Class::PolicyDenied, true),
        (Class::VersionTooNew, true),
        (Class::VersionUnavailable, false),
    ];
    for (class, probes) in table {
        rig.transit.script().down = Some(error(class));
        let failed = rig.decrypt(request(4, b"seed")).await;
        assert_eq!(failed, Err(Error::Backend(error(class))));
        assert_eq!(rig.probe_wanted(), probes, "{class:?}");
    }
    // One word for time that ran out, wherever it did.
    rig.transit.script().down = Some(error(Class::Deadline));
    let late = rig.decrypt(request(4, b"seed")).await;
    assert_eq!(late, Err(Error::Deadline));
    assert!(rig.probe_wanted());
}

#[tokio::test(start_paused = true)]
async fn every_fault_of_a_caller_is_counted_from_zero() {
    let rig = rig();
    for reason in ["malformed", "unknown", "removed", "metadata_refresh"] {
        rig.assert_counted(&format!(
            "decrypt_key_id_errors_total{{reason=\"{reason}\"}} 0"
        ));
    }
    for reason in [
        "missing",
        "annotation_invalid",
        "mismatch",
        "rejected_by_transit",
    ] {
        rig.assert_counted(&format!(
            "aad_validation_errors_total{{reason=\"{reason}\"}} 0"
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_plaintext_is_never_passed_on() {
    let rig = rig();
    rig.transit.script().empty = true;
    let refused = rig.decrypt(request(4, b"seed")).await;
    assert!(
        matches!(refused, Err(Error::ResponseLimit(_))),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn malformed_and_unknown_key_ids_are_two_errors() {
    let rig = rig();
    for text in ["", "obk2.", "obk1.AAAA", "vault"] {
        let mut odd = request(4, b"seed");
        odd.key_id = text.to_owned();
        assert_eq!(rig.decrypt(odd).await, Err(Error::KeyIdMalformed), "{text}");
    }
    // A well-formed id with the annotations of another is not one that Encrypt returned.
    let mut unknown = request(4, b"seed");
    unknown.key_id = snapshot(99).key_id.as_str().to_owned();
    assert_eq!(rig.decrypt(unknown).await, Err(Error::KeyIdForeign));
    assert_eq!(rig.transit.count(), 0);
    rig.assert_counted(r#"decrypt_key_id_errors_total{reason="malformed"} 4"#);
    rig.assert_counted(r#"decrypt_key_id_errors_total{reason="unknown"} 1"#);
    let provider = PROVIDER.to_owned();
    let mut foreign = request(4, b"seed");
    foreign.annotations.insert(provider, b"aws-kms".to_vec());
    assert!(matches!(
        rig.decrypt(foreign).await,
        Err(Error::AnnotationInvalid { key: PROVIDER, .. })
    ));
}
