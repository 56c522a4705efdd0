//! Encrypt: fails closed, one key per answer, bounded, nothing leaked.

use openbao::{error::Class, transit::Encrypted as Sealed};
use registry::{record::RecordState::*, snapshot::Snapshot};

use super::*;
use crate::testing::{Asked, error, snapshot, view};

fn healthy() -> View {
    view(&[(1, Active)])
}

fn to_request(encrypted: Encrypted) -> DecryptRequest {
    let annotations = encrypted.annotations.into_iter();
    DecryptRequest {
        ciphertext: encrypted.ciphertext.into_bytes(),
        key_id: encrypted.key_id.as_str().to_owned(),
        annotations: annotations
            .map(|(key, value)| (key.to_owned(), value.into_bytes()))
            .collect(),
    }
}

#[tokio::test(start_paused = true)]
async fn what_encrypt_returns_is_named_by_status_and_decrypts() {
    let rig = Rig::new(view(&[(7, Active), (6, Retired)]));
    let encrypted = rig.encrypt(b"seed").await.unwrap();
    let key_id = encrypted.key_id.clone();
    assert_eq!(rig.keyring.status(), Status::Healthy { key_id });
    assert!(encrypted.ciphertext.starts_with("vault:v7:"));
    assert_eq!(encrypted.annotations, snapshot(7).annotations);
    assert_eq!(rig.decrypt(to_request(encrypted)).await.unwrap(), b"seed");
    assert_eq!(rig.signals.live_successes(), 2);
    rig.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_encrypted_while_status_is_unhealthy() {
    let no_key = View {
        active: None,
        ..healthy()
    };
    let definite = View {
        healthy_until: None,
        reasons: vec!["the mount allows upsert"],
        ..healthy()
    };
    let stale = View {
        healthy_until: Some(Duration::ZERO),
        ..healthy()
    };
    let table = [
        (View::default(), "no active key version yet"),
        (no_key, "no active key version yet"),
        (definite, "the mount allows upsert"),
        (stale, "the last good probe is too old"),
    ];
    for (view, reason) in table {
        let rig = Rig::new(view);
        assert_eq!(rig.keyring.status(), Status::Unhealthy);
        let refused = rig.encrypt(b"seed").await;
        assert_eq!(refused, Err(Error::StatusStale(reason)));
        assert_eq!(rig.transit.count(), 0, "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_verdict_that_ends_during_the_call_withholds_the_answer() {
    let rig = Rig::new(View {
        healthy_until: Some(millis(50)),
        ..healthy()
    });
    rig.transit.script().latency = millis(100);
    let refused = rig.encrypt(b"seed").await;
    assert!(matches!(refused, Err(Error::StatusStale(_))), "{refused:?}");
    assert_eq!(rig.transit.count(), 1);
    rig.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn a_verdict_that_ends_while_waiting_for_a_place_stops_the_call_before_transit() {
    let rig = Rig::new(View {
        healthy_until: Some(millis(150)),
        ..healthy()
    });
    rig.transit.script().latency = millis(100);
    let calls = (0..96).map(|_| rig.encrypt(b"seed"));
    let outcomes = futures_util::future::join_all(calls).await;
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 32);
    assert_eq!(rig.transit.count(), 64, "the last 32 were never sent");
    rig.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn a_promotion_during_the_call_is_answered_under_the_new_key() {
    let rig = Rig::new(healthy());
    rig.transit.script().latency = millis(100);
    let promotion = async {
        tokio::time::sleep(millis(50)).await;
        rig.view.store(Arc::new(view(&[(2, Active), (1, Retired)])));
    };
    let (answer, ()) = tokio::join!(rig.encrypt(b"seed"), promotion);
    let key_id = answer.unwrap().key_id;
    assert_eq!(rig.keyring.status(), Status::Healthy { key_id });
    let versions = [Asked::Encrypt { version: 1 }, Asked::Encrypt { version: 2 }];
    assert_eq!(rig.transit.asked(), versions);
}

#[tokio::test(start_paused = true)]
async fn two_promotions_during_one_call_end_it() {
    let rig = Rig::new(healthy());
    rig.transit.script().latency = millis(100);
    let promotions = async {
        for version in [2, 3] {
            tokio::time::sleep(millis(70)).await;
            rig.view.store(Arc::new(view(&[(version, Active)])));
        }
    };
    let (answer, ()) = tokio::join!(rig.encrypt(b"seed"), promotions);
    assert!(matches!(answer, Err(Error::StatusStale(_))), "{answer:?}");
    assert_eq!(rig.transit.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn plaintexts_of_1_to_700_bytes_are_taken() {
    let rig = Rig::new(healthy());
    for (size, taken) in [(0, false), (1, true), (700, true), (701, false)] {
        // What the fake returns for 700 bytes is longer than a real server's answer.
        let answer = Sealed {
            ciphertext: "vault:v1:x".to_owned(),
            key_version: 1,
        };
        rig.transit.script().sealed = [answer].into();
        let before = rig.transit.count();
        let outcome = rig.encrypt(&vec![7; size]).await;
        assert_eq!(outcome.is_ok(), taken, "{size}: {outcome:?}");
        if !taken {
            assert!(matches!(outcome, Err(Error::RequestLimit(_))));
            assert_eq!(rig.transit.count(), before);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_kubernetes_would_discard_or_that_names_another_version_stays_here() {
    let rig = Rig::new(view(&[(3, Active)]));
    let text = |length: usize| format!("vault:v3:{}", "x".repeat(length - 9));
    let table = [
        (String::new(), 3, false),
        (text(1023), 3, true),
        (text(1024), 3, false),
        (text(100), 4, false),
        ("vault:v4:xxxx".to_owned(), 3, false),
        ("vault:v03:xxxx".to_owned(), 3, false),
        ("vault:v3:".to_owned(), 3, false),
        ("bao:v3:xxxx".to_owned(), 3, false),
    ];
    for (ciphertext, key_version, good) in table {
        let shown = ciphertext.clone();
        rig.transit.script().sealed = [Sealed {
            ciphertext,
            key_version,
        }]
        .into();
        let outcome = rig.encrypt(b"seed").await;
        assert_eq!(outcome.is_ok(), good, "{shown}");
        assert_eq!(rig.probe_wanted(), !good, "{shown}");
        if !good {
            assert!(matches!(outcome, Err(Error::ResponseLimit(_))), "{shown}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn annotations_over_640_bytes_are_not_passed_on() {
    let mut view = healthy();
    view.active = Some(Arc::new(Snapshot::new(
        &scope(),
        &"9".repeat(300),
        1,
        1_700_001_000,
    )));
    let outcome = Rig::new(view).encrypt(b"seed").await;
    assert!(
        matches!(outcome, Err(Error::ResponseLimit(_))),
        "{outcome:?}"
    );
    let size = |snapshot: &Snapshot| -> usize {
        let annotations = snapshot.annotations.iter();
        annotations
            .map(|(key, value)| key.len() + value.len())
            .sum()
    };
    assert!(size(&Snapshot::new(&scope(), "10.20.30-rc.1+build", u64::MAX, 1)) <= 640);
}

#[tokio::test(start_paused = true)]
async fn failures_of_every_class_reach_the_caller_and_ask_for_a_deep_probe() {
    let rig = Rig::new(healthy());
    for class in [
        Class::AuthFailed,
        Class::PolicyDenied,
        Class::KeyMissing,
        Class::VersionUnavailable,
        Class::VersionTooNew,
        Class::OwnInput,
        Class::RateLimited,
        Class::Sealed,
        Class::Unavailable,
    ] {
        rig.transit.script().down = Some(error(class));
        let outcome = rig.encrypt(b"seed").await;
        assert_eq!(outcome, Err(Error::Backend(error(class))));
        assert!(rig.probe_wanted(), "{class:?}");
    }
    assert_eq!(rig.signals.live_successes(), 0);
    rig.transit.script().down = Some(error(Class::Deadline));
    assert_eq!(rig.encrypt(b"seed").await, Err(Error::Deadline));
    rig.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn a_hung_transit_costs_the_deadline_and_no_place() {
    let rig = Rig::new(healthy());
    rig.transit.script().hangs = true;
    let start = Instant::now();
    let calls = (0..100).map(|_| rig.encrypt(b"seed"));
    for outcome in futures_util::future::join_all(calls).await {
        assert_eq!(outcome, Err(Error::Deadline));
    }
    assert_eq!(start.elapsed(), Duration::from_secs(10));
    assert!(rig.probe_wanted());
    rig.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn encrypts_wait_in_order_and_the_one_that_finds_no_seat_is_refused_at_once() {
    let rig = Rig::with(healthy(), SETTINGS);
    rig.transit.script().latency = millis(100);
    let order = std::sync::Mutex::new(Vec::new());
    let start = Instant::now();
    let calls = (0..32 + 256 + 3).map(|number| {
        let (rig, order) = (&rig, &order);
        async move {
            let outcome = rig.encrypt(b"seed").await;
            match outcome {
                Ok(_) => order.lock().unwrap().push(number),
                Err(refused) => {
                    assert_eq!(refused, Error::WaitingRoomFull);
                    assert_eq!(start.elapsed(), Duration::ZERO);
                    assert!(number >= 32 + 256);
                }
            }
        }
    });
    futures_util::future::join_all(calls).await;
    assert_eq!(*order.lock().unwrap(), (0..288).collect::<Vec<_>>());
    assert_eq!(rig.transit.flights().1, 32, "served at once");
    rig.assert_counted(r#"grpc_concurrency_rejections_total{method="Encrypt"} 3"#);
    rig.assert_counted(r#"grpc_concurrency_rejections_total{method="Decrypt"} 0"#);
    rig.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn cancelled_encrypts_stop_asking_and_leave_no_place_behind() {
    let rig = Rig::new(healthy());
    rig.transit.script().hangs = true;
    for _ in 0..20 {
        let calls = (0..200).map(|_| rig.encrypt(b"seed"));
        let storm = futures_util::future::join_all(calls);
        assert!(tokio::time::timeout(millis(5), storm).await.is_err());
        rig.assert_idle();
    }
    rig.transit.script().hangs = false;
    assert!(rig.encrypt(b"seed").await.is_ok());
}
