//! What a server, or something before it, may answer.

use std::{collections::BTreeMap, time::Duration};

use bao_dev::testing::{Action, Fault, KeyConfig, Listener, StandbyChange};
use openbao::{
    error::Class,
    settings::Endpoint,
    transit::{DecryptItem, Transit as _},
};
use tokio::time::Instant;

use crate::rig::{Client, Rig, item, within};

fn answer(status: u16, body: &str) -> Action {
    Action::Answer {
        status,
        error: None,
        wrapped: None,
        body: Some(body.to_owned()),
        headers: BTreeMap::new(),
    }
}

#[tokio::test]
async fn what_is_encrypted_is_decrypted_and_tampering_is_noticed() {
    let rig = Rig::start().await;
    let client = rig.client();
    let sealed = client.encrypt("hello").await.unwrap();
    assert_eq!(sealed.key_version, 1);
    assert_eq!(client.decrypt(&sealed.ciphertext).await.unwrap(), b"hello");
    let other = DecryptItem {
        associated_data: "b3RoZXI=".to_owned(),
        ..item(&sealed.ciphertext)
    };
    let error = client.bao.decrypt(&other, within(1000)).await;
    assert_eq!(error.err().unwrap().class, Class::CiphertextRejected);
    let error = client.decrypt("vault:v1:AAAA").await.unwrap_err();
    assert_eq!(error.class, Class::CiphertextRejected);
    let error = client.decrypt("vault:v9:AAAA").await.unwrap_err();
    assert_eq!(error.class, Class::VersionTooNew);
}

#[tokio::test]
async fn a_batch_gives_each_item_its_own_result() {
    let rig = Rig::start().await;
    let client = rig.client();
    let mut items = Vec::new();
    for n in 0..62 {
        let sealed = client.encrypt(&format!("secret {n}")).await.unwrap();
        items.push(item(&sealed.ciphertext));
    }
    items.push(item("vault:v1:AAAA"));
    items.push(item("vault:v9:AAAA"));
    let results = client
        .bao
        .decrypt_batch(&items, within(3000))
        .await
        .unwrap();
    assert_eq!(results.len(), 64);
    for (n, result) in results.iter().take(62).enumerate() {
        let plaintext = result.as_ref().ok().unwrap().expose_secret();
        assert_eq!(plaintext, format!("secret {n}").as_bytes());
    }
    let class = |n: usize| results[n].as_ref().err().unwrap().class;
    assert_eq!(class(62), Class::CiphertextRejected);
    assert_eq!(class(63), Class::VersionTooNew);
}

#[tokio::test]
async fn a_batch_whose_shape_is_refused_is_asked_item_by_item() {
    let rig = Rig::start().await;
    let client = rig.client();
    let sealed = client.encrypt("hello").await.unwrap();
    let text = "failed to parse batch input: [0] expected a map, got 'string'";
    let fault = Fault::new(Action::wrapped(500, text)).path("/v1/transit/decrypt/*");
    rig.control().fault(fault.times(1));
    let items = [item(&sealed.ciphertext), item("vault:v1:AAAA")];
    let results = client
        .bao
        .decrypt_batch(&items, within(3000))
        .await
        .unwrap();
    assert_eq!(results[0].as_ref().ok().unwrap().expose_secret(), b"hello");
    assert_eq!(
        results[1].as_ref().err().unwrap().class,
        Class::CiphertextRejected
    );
    assert_eq!(rig.control().count("decrypt"), 3);
}

#[tokio::test]
async fn the_states_of_a_key_have_their_classes() {
    let rig = Rig::start().await;
    let client = rig.client();
    let sealed = client.encrypt("hello").await.unwrap();
    rig.control().rotate().unwrap();
    let old = KeyConfig {
        min_decryption_version: Some(2),
        min_encryption_version: Some(2),
        ..KeyConfig::default()
    };
    rig.control().key_config(&old).unwrap();
    let error = client.decrypt(&sealed.ciphertext).await.unwrap_err();
    assert_eq!(error.class, Class::VersionUnavailable);
    let error = client.encrypt("hello").await.unwrap_err();
    assert_eq!(error.class, Class::VersionUnavailable);
    rig.control().key_delete().unwrap();
    let error = client.decrypt(&sealed.ciphertext).await.unwrap_err();
    assert_eq!((error.class, error.status), (Class::KeyMissing, Some(400)));
    let error = client.bao.read_key(within(1000)).await.unwrap_err();
    assert_eq!((error.class, error.status), (Class::KeyMissing, Some(404)));
    // With `update` only, Encrypt on a missing key is a denial.
    let error = client.encrypt("hello").await.unwrap_err();
    assert_eq!(
        (error.class, error.status),
        (Class::PolicyDenied, Some(403))
    );
}

#[tokio::test]
async fn a_sealed_server_is_named_and_the_end_of_it_is_noticed() {
    let rig = Rig::start().await;
    let client = rig.client();
    assert_eq!(client.read().await, Ok(true));
    rig.control().seal();
    assert_eq!(client.class().await, Class::Sealed);
    rig.control().unseal();
    assert_eq!(client.read().await, Ok(true));
    assert_eq!(rig.control().count("login"), 1);
}

#[tokio::test]
async fn faults_that_pass_cost_one_repetition_and_no_call() {
    let rig = Rig::start().await;
    let client = rig.client();
    assert_eq!(client.read().await, Ok(true));
    for action in [
        Action::error(503, "Vault is sealed"),
        Action::error(500, "internal error"),
        Action::error(
            500,
            "local node not active but active cluster node not found",
        ),
        Action::error(502, "x"),
        Action::error(412, "x"),
        Action::error(429, "rate limit quota exceeded"),
        Action::Reset,
        Action::LoseAnswer,
        Action::Redirect {
            to: "https://127.0.0.1:1".to_owned(),
        },
    ] {
        let name = format!("{action:?}");
        rig.control().counts_reset();
        rig.control().fault(Fault::new(action).times(1));
        assert_eq!(client.read().await, Ok(true), "{name}");
        assert_eq!(rig.control().count("read-config-keys"), 2, "{name}");
    }
}

#[tokio::test]
async fn faults_that_stay_have_their_class_and_are_not_repeated_for_ever() {
    let rig = Rig::start().await;
    let client = rig.client();
    assert_eq!(client.read().await, Ok(true));
    for (action, class, requests) in [
        (Action::error(429, "x"), Class::RateLimited, 2),
        (Action::error(500, "internal error"), Class::Unavailable, 2),
        (Action::Reset, Class::ConnectionFailed, 2),
        (Action::ResetMidBody, Class::ConnectionFailed, 1),
        (Action::Junk, Class::Unavailable, 1),
        (answer(200, r#"{"data":{}}"#), Class::Unavailable, 1),
        (answer(404, "<html>no</html>"), Class::Unavailable, 1),
        (
            Action::Redirect {
                to: rig.server.standby_address().to_owned(),
            },
            Class::Unavailable,
            2,
        ),
    ] {
        let name = format!("{action:?}");
        rig.control().counts_reset();
        let id = rig.control().fault(Fault::new(action));
        assert_eq!(client.class().await, class, "{name}");
        assert_eq!(rig.control().count("read-config-keys"), requests, "{name}");
        rig.control().fault_remove(id).unwrap();
    }
    // A redirect was answered, not followed.
    let standby = |entry: &bao_dev::testing::Entry| entry.listener == Listener::Standby;
    assert!(!rig.control().requests().iter().any(standby));
    assert_eq!(client.read().await, Ok(true));
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_limit_and_one_byte_past_it_refused() {
    let rig = Rig::start().await;
    let client = rig.client();
    assert_eq!(client.read().await, Ok(true));
    let padded = |status: u16, size: usize| {
        let body = r#"{"data":{"disable_upsert":true},"pad":""#;
        let pad = "x".repeat(size - body.len() - 2);
        answer(status, &format!("{body}{pad}\"}}"))
    };
    for (status, limit) in [(200, 4 << 20), (404, 64 << 10)] {
        for (size, too_large) in [(limit, false), (limit + 1, true)] {
            let id = rig.control().fault(Fault::new(padded(status, size)));
            let text = match client.read().await {
                Ok(_) => String::new(),
                Err(error) => error.to_string(),
            };
            assert_eq!(
                text.contains("larger than allowed"),
                too_large,
                "{status} {size}"
            );
            rig.control().fault_remove(id).unwrap();
        }
    }
    rig.control()
        .fault(Fault::new(Action::Huge { bytes: 300_000 }));
    let error = client.decrypt("vault:v1:AAAA").await.unwrap_err();
    assert!(error.reason.contains("larger than allowed"), "{error}");
}

#[tokio::test]
async fn a_slow_server_is_waited_for_up_to_the_timeout_or_the_deadline() {
    let rig = Rig::start().await;
    let mut settings = rig.settings();
    settings.timeout = Duration::from_millis(150);
    let client = Client::start(settings);
    assert_eq!(client.read().await, Ok(true));
    let id = rig.control().fault(Fault::new(Action::Delay { ms: 50 }));
    assert_eq!(client.read().await, Ok(true));
    rig.control().fault_remove(id).unwrap();

    rig.control().fault(Fault::new(Action::Hang));
    let began = Instant::now();
    assert_eq!(client.class().await, Class::Unavailable);
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert!(began.elapsed() < Duration::from_millis(1500));
    let began = Instant::now();
    let error = client.bao.read_key(within(80)).await.unwrap_err();
    assert_eq!(error.class, Class::Deadline);
    assert!(began.elapsed() < Duration::from_millis(1000));
    rig.control().faults_clear();
    assert_eq!(client.read().await, Ok(true));
}

#[tokio::test]
async fn a_lagging_standby_is_asked_no_second_time_where_another_node_knows_more() {
    let rig = Rig::start().await;
    let active = rig.client();
    let endpoints = [rig.server.standby_address(), rig.server.address()];
    let mut settings = rig.settings();
    settings.endpoints = endpoints.map(|url| Endpoint::parse(url).unwrap()).to_vec();
    let client = Client::start(settings);
    assert_eq!(client.read().await, Ok(true));

    rig.control().standby(StandbyChange {
        lag: Some(true),
        ..StandbyChange::default()
    });
    rig.control().rotate().unwrap();
    let plaintext = secret::SecretBytes::new(b"new".to_vec());
    let sealed = active
        .bao
        .encrypt(2, &plaintext, crate::rig::AAD, within(2000))
        .await;
    let sealed = sealed.unwrap().ciphertext;
    assert_eq!(client.decrypt(&sealed).await.unwrap(), b"new");
    let encrypted = client
        .bao
        .encrypt(2, &plaintext, crate::rig::AAD, within(2000))
        .await;
    assert_eq!(encrypted.unwrap().key_version, 2);
}
