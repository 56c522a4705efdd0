//! The faults and the control endpoint: not of the contract, but on the same bench.

use bao_dev::testing::{Action, Fault};
use serde_json::{Value, json};

use crate::bench::{Bench, Who};
use crate::cases;

cases![
    error_bursts: "faults",
    broken_connections: "faults",
    odd_answers: "faults",
    counts: "counts",
    snapshots: "snapshots",
    keys_changed: "control",
    tokens_and_policies: "control",
    over_http: "control",
];

async fn encrypt(b: &Bench) -> crate::client::Got {
    b.post("transit/encrypt/k1", Who::Kms, json!({"plaintext": "aGk="}))
        .await
}

async fn error_bursts(b: &Bench) {
    let rule = Fault::new(Action::error(503, "Vault is sealed"))
        .path("/v1/transit/encrypt/*")
        .times(2);
    b.control().fault(rule);
    encrypt(b).await.error(503, "Vault is sealed");
    b.get("transit/keys/k1", Who::Kms).await.data();
    encrypt(b).await.error(503, "Vault is sealed");
    encrypt(b).await.data();
    b.control()
        .fault(Fault::new(Action::wrapped(403, "permission denied")).times(1));
    encrypt(b).await.wrapped(403, "permission denied");
    assert!(
        b.control()
            .faults()
            .iter()
            .all(|fault| fault.hits == fault.rule.count.unwrap())
    );
    b.control().faults_clear();
}

async fn broken_connections(b: &Bench) {
    for action in [Action::Reset, Action::LoseAnswer, Action::ResetMidBody] {
        b.control().fault(Fault::new(action.clone()).times(2));
        for alpn in ["http/1.1", "h2"] {
            let client = b.client.with(&[alpn], rustls::DEFAULT_VERSIONS);
            let got = client
                .send("GET", "/v1/sys/health", &[], bytes::Bytes::new())
                .await;
            assert!(got.is_err(), "{action:?} {alpn}");
        }
        b.get("sys/health", Who::Nobody).await.body(200);
    }
    b.key("lost", 1).await;
    b.control().fault(
        Fault::new(Action::LoseAnswer)
            .path("/v1/transit/keys/lost/rotate")
            .times(1),
    );
    let root = b.token(json!({"policies": ["root"]})).await;
    let headers = [("x-vault-token", root.as_str())];
    let lost = b.client.send(
        "POST",
        "/v1/transit/keys/lost/rotate",
        &headers,
        "{}".into(),
    );
    assert!(lost.await.is_err());
    assert_eq!(
        b.get("transit/keys/lost", Who::Root).await.data()["latest_version"],
        2
    );
    b.control().fault(Fault::new(Action::Hang).times(1));
    let hung = tokio::time::timeout(std::time::Duration::from_millis(200), encrypt(b)).await;
    assert!(hung.is_err());
    b.control().faults_clear();
}

async fn odd_answers(b: &Bench) {
    b.control().fault(
        Fault::new(Action::Redirect {
            to: "https://127.0.0.1:1".into(),
        })
        .times(1),
    );
    let got = encrypt(b).await;
    got.bare(307);
    assert_eq!(
        got.headers.get("location").unwrap(),
        "https://127.0.0.1:1/v1/transit/encrypt/k1"
    );
    b.control().fault(Fault::new(Action::Junk).times(1));
    assert!(serde_json::from_slice::<Value>(&encrypt(b).await.body).is_err());
    b.control()
        .fault(Fault::new(Action::Huge { bytes: 300_000 }).times(1));
    assert_eq!(encrypt(b).await.body.len(), 300_000);
    let edit = Action::Edit {
        pointer: "/data/key_version".into(),
        value: Some(json!(7)),
    };
    b.control().fault(Fault::new(edit).times(1));
    assert_eq!(encrypt(b).await.data()["key_version"], 7);
    b.control()
        .fault(Fault::new(Action::Delay { ms: 5 }).times(1));
    encrypt(b).await.data();
    b.control().faults_clear();
}

async fn counts(b: &Bench) {
    b.control().counts_reset();
    encrypt(b).await.data();
    encrypt(b).await.data();
    let item = json!({"plaintext": "aGk="});
    b.encrypt("k1", json!({"batch_input": [item, item, item]}))
        .await
        .results(200);
    b.control()
        .fault(Fault::new(Action::error(500, "internal error")).times(1));
    encrypt(b).await.error(500, "internal error");
    assert_eq!(b.control().count("encrypt"), 4);
    let requests = b.control().requests();
    let seen: Vec<_> = requests
        .iter()
        .map(|entry| (entry.items, entry.status))
        .collect();
    assert_eq!(seen, [(1, 200), (1, 200), (3, 200), (1, 500)]);
    assert!(requests[3].fault.is_some());
    b.control().faults_clear();
}

async fn snapshots(b: &Bench) {
    let key = b.control().with_key(&b.key("snap", 1).await);
    let token = b.token(json!({"policies": ["kms"]})).await;
    let id = b.control().snapshot();
    key.rotate().unwrap();
    b.key("lost-key", 1).await;
    b.control().restore(id, false).unwrap();
    assert_eq!(
        b.get("transit/keys/snap", Who::Root).await.data()["latest_version"],
        1
    );
    b.get("transit/keys/lost-key", Who::Root)
        .await
        .no_errors(404);
    b.get_as("transit/keys/k1", &token).await.data();
    assert!(b.control().restore(999, false).is_err());
}

async fn keys_changed(b: &Bench) {
    let key = b.control().with_key(&b.key("changed", 2).await);
    let old = b.ciphertext("changed").await;
    key.key_created(2, 1234).unwrap();
    assert_eq!(
        b.get("transit/keys/changed", Who::Root).await.data()["keys"]["2"],
        1234
    );
    key.key_drop_versions(1).unwrap();
    let got = b.decrypt("changed", json!({"ciphertext": old})).await;
    got.error(400, "invalid ciphertext: version is too new");
    let first = b.ciphertext("changed").await;
    key.key_recreate().unwrap();
    let got = b.decrypt("changed", json!({"ciphertext": first})).await;
    got.error(400, "cipher: message authentication failed");
    key.key_delete().unwrap();
    assert!(
        key.rotate()
            .unwrap_err()
            .to_string()
            .contains("no such key")
    );
    b.control().upsert(false).unwrap();
    let settings = b.get("transit/config/keys", Who::Root).await.data();
    b.control().upsert(true).unwrap();
    assert_eq!(settings, json!({"disable_upsert": true}));
}

async fn tokens_and_policies(b: &Bench) {
    let id = b.control().snapshot();
    let token = b.token(json!({"policies": ["kms"]})).await;
    b.control().policy_remove("kms");
    let denied = b.get_as("transit/keys/k1", &token).await;
    assert!(b.control().tokens_revoke_all() > 0);
    let gone = b.get_as("transit/keys/k1", &token).await;
    b.get("auth/token/lookup-self", Who::Root).await.data();
    b.control().restore(id, true).unwrap();
    denied.wrapped(403, "permission denied");
    gone.error(403, "permission denied");
    encrypt(b).await.data();
}

async fn over_http(b: &Bench) {
    b.key("over-http", 1).await;
    let (status, answer) = b.steer("POST", "rotate", r#"{"key":"over-http"}"#).await;
    assert_eq!((status, answer), (200, json!({"latest_version": 2})));
    let (status, answer) = b.steer("POST", "rotate", r#"{"kye":"x"}"#).await;
    assert_eq!(status, 400, "{answer}");
    let (status, _) = b.steer("POST", "rotate", r#"{"key":"nosuch"}"#).await;
    assert_eq!(status, 404);
    let rule =
        r#"{"match":{"path":"/v1/sys/*"},"count":1,"action":{"kind":"answer","status":501}}"#;
    let (status, made) = b.steer("POST", "faults", rule).await;
    assert_eq!(status, 200, "{made}");
    b.get("sys/health", Who::Nobody).await.no_errors(501);
    let (_, listed) = b.steer("GET", "faults", "").await;
    assert_eq!(listed["faults"][0]["hits"], 1);
    let (status, _) = b
        .steer("DELETE", &format!("faults/{}", made["id"]), "")
        .await;
    assert_eq!(status, 200);
    let (_, clock) = b.steer("POST", "clock", r#"{"advance_seconds":60}"#).await;
    assert_eq!(clock, json!({"offset_seconds": 60}));
    b.control().clock_offset(0);
    for (name, body) in [
        ("seal", ""),
        ("unseal", ""),
        ("standby", r#"{"lag_ms":1}"#),
        ("counts/reset", ""),
        ("jwt/mint", r#"{"expires_in":null,"claims":{"x":1}}"#),
    ] {
        assert_eq!(b.steer("POST", name, body).await.0, 200, "{name}");
    }
    b.control().lag(false);
    assert_eq!(b.steer("GET", "status", "").await.1["sealed"], false);
}
