//! A Transit key or mount that changes under the provider: unhealthy for the exact reason, reads
//! go on, and all is well when the change is undone.

use bao_dev::testing::{Control, KeyConfig};
use futures_util::future::join_all;
use tonic::Code;

use super::{
    child::Provider,
    world::{SOUND, Sealed, World, refused},
};

/// What happens in OpenBao.
type Act = fn(&Control);

struct Case {
    change: Act,
    undo: Act,
    /// In `/ready`.
    word: &'static str,
    /// In the log.
    finding: &'static str,
    /// What Decrypt says meanwhile; nothing when it works.
    decrypt: Option<(Code, &'static str)>,
}

fn set(control: &Control, config: &KeyConfig) {
    control.key_config(config).unwrap();
}

/// A member of the key that has no business being what it is.
const fn profile(change: Act, finding: &'static str) -> Case {
    Case {
        change,
        undo: |control| set(control, &SOUND),
        word: "key_profile",
        finding,
        decrypt: None,
    }
}

async fn unhealthy_until_undone(case: Case) {
    let world = World::new().await;
    let (provider, sealed) = world.with_data().await;
    let pair = world.stage.pair();
    (case.change)(world.control());

    provider.unhealthy(case.word).await;
    let line = provider
        .logged("status.changed", "findings", case.finding)
        .await;
    assert_eq!(
        (&line["level"], &line["healthz"]),
        (&"warn".into(), &"unhealthy".into())
    );
    let (_, ready) = provider.ready().await;
    let told = ready["findings"].as_array().unwrap().iter().map(|told| {
        let text = |name: &str| told[name].as_str().unwrap();
        let logged = format!("{} [{}]", text("sentence"), text("at_stake"));
        (text("reason"), logged)
    });
    let is_it =
        |(word, logged): &(&str, String)| *word == case.word && logged.contains(case.finding);
    let found = told.clone().find(is_it);
    let (_, logged) = found.unwrap_or_else(|| panic!("{} is not in {ready}", case.finding));
    assert!(
        line["findings"].as_str().unwrap().contains(&logged),
        "{logged}"
    );
    let page = provider.http("health", "GET", "/").await.body;
    assert!(page.contains("class=\"bad said\">"), "{page}");
    let mut client = provider.client().await;
    let encrypted = refused(Sealed::try_make(&mut client).await);
    assert_eq!(encrypted, (Code::FailedPrecondition, "status_stale".into()));
    match case.decrypt {
        None => sealed.open(&mut client).await.unwrap(),
        Some((code, class)) => {
            assert_eq!(
                refused(sealed.open(&mut client).await),
                (code, class.into())
            );
        }
    }

    (case.undo)(world.control());
    assert_eq!(provider.healthy().await, sealed.key_id);
    sealed.open(&mut client).await.unwrap();
    Sealed::make(&mut client)
        .await
        .open(&mut client)
        .await
        .unwrap();
    assert_eq!(
        world.stage.pair(),
        pair,
        "{}: the registry was changed",
        case.finding
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_not_as_it_must_be_stops_writes_and_no_read() {
    let cases = [
        profile(
            |c| {
                set(
                    c,
                    &KeyConfig {
                        exportable: Some(true),
                        ..SOUND
                    },
                );
            },
            "is exportable, so its bytes may be outside of OpenBao; use another key [cryptographic_safety]",
        ),
        profile(
            |c| {
                set(
                    c,
                    &KeyConfig {
                        allow_plaintext_backup: Some(true),
                        ..SOUND
                    },
                );
            },
            "allows plaintext backups; use another key [cryptographic_safety]",
        ),
        profile(
            |c| {
                set(
                    c,
                    &KeyConfig {
                        deletion_allowed: Some(true),
                        ..SOUND
                    },
                );
            },
            "set deletion_allowed=false on it [api_server_availability]",
        ),
        profile(
            |c| {
                set(
                    c,
                    &KeyConfig {
                        min_encryption_version: Some(9),
                        ..SOUND
                    },
                );
            },
            "min_encryption_version 9 is above the latest version 1",
        ),
        profile(
            |c| {
                set(
                    c,
                    &KeyConfig {
                        min_available_version: Some(9),
                        ..SOUND
                    },
                );
            },
            "min_available_version 9 is above the latest version 1",
        ),
    ];
    join_all(cases.map(unhealthy_until_undone)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mount_or_key_that_changes_its_nature_is_named_and_forgiven() {
    let cases = [
        Case {
            change: |control| control.upsert(true).unwrap(),
            undo: |control| control.upsert(false).unwrap(),
            word: "upsert_allowed",
            finding: "set disable_upsert=true in its config/keys [cryptographic_safety]",
            decrypt: None,
        },
        Case {
            change: |control| control.key_created(1, created(control) + 7).unwrap(),
            undo: |control| control.key_created(1, created(control) - 7).unwrap(),
            word: "identity_drift",
            finding: "it is another key under the same number",
            decrypt: None,
        },
        Case {
            decrypt: Some((Code::FailedPrecondition, "transit_version_unavailable")),
            ..profile(
                |c| {
                    set(
                        c,
                        &KeyConfig {
                            min_decryption_version: Some(9),
                            ..SOUND
                        },
                    );
                },
                "min_decryption_version 9 is above the latest version 1",
            )
        },
        Case {
            decrypt: Some((Code::FailedPrecondition, "transit_version_unavailable")),
            ..profile(
                |c| {
                    set(
                        c,
                        &KeyConfig {
                            soft_deleted: Some(true),
                            ..SOUND
                        },
                    );
                },
                "is soft-deleted; restore it with soft-delete-restore",
            )
        },
        Case {
            change: |control| {
                assert_eq!(control.snapshot(), 1);
                control.key_delete().unwrap();
            },
            undo: |control| control.restore(1, false).unwrap(),
            word: "key_missing",
            finding: "the Transit key does not exist",
            decrypt: Some((Code::NotFound, "transit_key_missing")),
        },
    ];
    join_all(cases.map(unhealthy_until_undone)).await;
}

/// The creation second of version 1.
fn created(control: &Control) -> i64 {
    let key = control.key_config(&KeyConfig::default()).unwrap();
    key["keys"]["1"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_with_a_key_that_will_not_do_waits_and_writes_no_registry() {
    let cases: [(Act, Act, &str); 3] = [
        (
            |c| c.upsert(true).unwrap(),
            |c| c.upsert(false).unwrap(),
            "upsert_allowed",
        ),
        (
            |c| c.key_delete().unwrap(),
            |c| c.key_recreate().unwrap(),
            "key_missing",
        ),
        (
            |c| {
                set(
                    c,
                    &KeyConfig {
                        exportable: Some(true),
                        ..SOUND
                    },
                );
            },
            |c| set(c, &SOUND),
            "key_profile",
        ),
    ];
    join_all(cases.map(async |(change, undo, word)| {
        let world = World::new().await;
        change(world.control());
        let provider = Provider::start(&world.stage);
        provider.unhealthy(word).await;
        assert_eq!(
            world.stage.pair(),
            [None, None],
            "{word}: a key that will not do was recorded"
        );
        undo(world.control());
        provider.healthy().await;
        Sealed::make(&mut provider.client().await).await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_with_a_past_and_no_registry_is_not_guessed_about() {
    let mut world = World::new().await;
    world.control().rotate().unwrap();
    world.stage.set("bootstrap.graceTimeout", "500ms");
    let provider = Provider::start(&world.stage);
    provider.unhealthy("registry_missing").await;
    let line = provider
        .logged(
            "status.changed",
            "findings",
            "there is no registry on this node",
        )
        .await;
    let findings = line["findings"].as_str().unwrap();
    assert!(findings.contains("docs/recovery.md"), "{findings}");
    for planned in ["init", "doctor", "recover-state"] {
        assert!(!findings.contains(planned), "{findings}");
    }
    assert_eq!(world.stage.pair(), [None, None]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_raised_minimum_that_shuts_out_a_retired_version_is_unhealthy_and_names_it() {
    let world = World::new().await;
    let (provider, old) = world.with_data().await;
    world.control().rotate().unwrap();
    provider.logged("rotation.promoted", "level", "info").await;
    let mut client = provider.client().await;
    provider.healthy().await;
    let new = Sealed::make(&mut client).await;
    assert_ne!(new.key_id, old.key_id);

    world
        .control()
        .key_config(&KeyConfig {
            min_decryption_version: Some(2),
            ..SOUND
        })
        .unwrap();
    provider.unhealthy("version_shut_out").await;
    let line = provider
        .logged("status.changed", "findings", "shuts out version 1")
        .await;
    assert!(
        line["findings"]
            .as_str()
            .unwrap()
            .contains("min_decryption_version 2"),
        "{line}"
    );
    new.open(&mut client).await.unwrap();
    let lost = refused(old.open(&mut client).await);
    assert_eq!(
        lost,
        (
            Code::FailedPrecondition,
            "transit_version_unavailable".into()
        )
    );

    set(world.control(), &SOUND);
    assert_eq!(provider.healthy().await, new.key_id);
    old.open(&mut client).await.unwrap();
}
