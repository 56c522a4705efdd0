//! A server in a bad state: sealed, without audit, behind, with keys and tokens lost.

use bao_dev::testing::{Action, Audit, Fault, Jwt, KeyConfig, Listener, StandbyChange};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::bench::{Bench, Who};
use crate::cases;
use crate::client::Got;

cases![
    seal_and_initialisation: "control",
    audit: "control",
    stale_standby: "control",
    lost_and_restricted_keys: "control",
    tokens: "control",
    mistakes_over_http: "control",
];

async fn encrypt(b: &Bench) -> Got {
    b.post("transit/encrypt/k1", Who::Kms, json!({"plaintext": "aGk="}))
        .await
}

async fn seal_and_initialisation(b: &Bench) {
    b.control().seal();
    let sealed = (b.get("sys/health", Who::Nobody).await, encrypt(b).await);
    b.control().unseal();
    assert_eq!(sealed.0.body(503)["initialized"], true);
    sealed.1.error(503, "Vault is sealed");
    b.control().initialized(false);
    let (health, data) = (b.get("sys/health", Who::Nobody).await, encrypt(b).await);
    let (init, seal) = (
        b.get("sys/init", Who::Nobody).await,
        b.get("sys/seal-status", Who::Nobody).await,
    );
    b.control().initialized(true);
    let health = health.body(501);
    assert_eq!(
        (&health["initialized"], &health["sealed"]),
        (&json!(false), &json!(true))
    );
    data.error(503, "Vault is sealed");
    assert_eq!(init.body(200)["initialized"], false);
    assert_eq!(seal.body(200)["initialized"], false);
    encrypt(b).await.data();
}

async fn audit(b: &Bench) {
    b.key("audited", 1).await;
    let login = json!({"role": "kms", "jwt": b.mint(&Jwt::default())});
    b.control().audit(Audit::RequestFails);
    let refused = [
        encrypt(b).await,
        b.get("transit/keys/k1", Who::Kms).await,
        b.post("auth/jwt/login", Who::Nobody, login).await,
        b.get_as("transit/keys/k1", "s.made-up").await,
        b.root_post("transit/keys/audited/rotate", json!({})).await,
    ];
    let health = b.get("sys/health", Who::Nobody).await;
    let standby = b.standby.as_ref().unwrap();
    let headers = [("x-vault-token", b.kms_token())];
    let there = standby
        .send("GET", "/v1/transit/keys/k1", &headers, Bytes::new())
        .await
        .unwrap();
    b.control().audit(Audit::ResponseFails);
    let lost = b.root_post("transit/keys/audited/rotate", json!({})).await;
    b.control().audit(Audit::Works);
    for got in refused.iter().chain([&there, &lost]) {
        got.error(500, "internal error");
    }
    health.body(200);
    // Of the two rotations only the second was carried out.
    assert_eq!(
        b.get("transit/keys/audited", Who::Root).await.data()["latest_version"],
        2
    );
}

async fn stale_standby(b: &Bench) {
    let root = b.token(json!({"policies": ["root"]})).await;
    let ask = async |method: &str, path: &str, body: Value| {
        let client = b.standby.as_ref().unwrap();
        let headers = [("x-vault-token", root.as_str())];
        let body = Bytes::from(body.to_string());
        client
            .send(method, &format!("/v1/{path}"), &headers, body)
            .await
            .unwrap()
    };
    let key = b.control().with_key(&b.key("stale", 1).await);
    b.control().lag(true);
    key.rotate().unwrap();
    b.key("stale2", 1).await;
    let new = b.ciphertext("stale").await;
    let (old, missing) = (
        ask("GET", "transit/keys/stale", json!({})).await,
        ask("GET", "transit/keys/stale2", json!({})).await,
    );
    let too_new = ask("POST", "transit/decrypt/stale", json!({"ciphertext": new})).await;
    b.control().standby(StandbyChange {
        lag: Some(false),
        ..StandbyChange::default()
    });
    assert_eq!(old.data()["latest_version"], 1);
    missing.no_errors(404);
    too_new.error(400, "invalid ciphertext: version is too new");
    let gone = Action::Edit {
        pointer: "/data/keys/2".to_owned(),
        value: None,
    };
    let rule = Fault::new(gone).listener(Listener::Standby).times(1);
    b.control().fault(rule);
    let untimed = ask("GET", "transit/keys/stale", json!({})).await.data();
    assert_eq!(
        (&untimed["latest_version"], untimed["keys"].get("2")),
        (&json!(2), None)
    );
    assert!(untimed["keys"]["1"].is_number());
}

async fn lost_and_restricted_keys(b: &Bench) {
    let key = b.control().with_key(&b.key("lost2", 1).await);
    let first = b.ciphertext("lost2").await;
    let id = b.control().snapshot();
    key.rotate().unwrap();
    let second = b.ciphertext("lost2").await;
    let decrypt =
        async |ciphertext: &str| b.decrypt("lost2", json!({"ciphertext": ciphertext})).await;
    let set = |config| key.key_config(&config).unwrap();
    set(KeyConfig {
        min_decryption_version: Some(2),
        ..KeyConfig::default()
    });
    decrypt(&first).await.error(
        400,
        "ciphertext or signature version is disallowed by policy (too old)",
    );
    set(KeyConfig {
        min_decryption_version: Some(1),
        soft_deleted: Some(true),
        ..KeyConfig::default()
    });
    decrypt(&second)
        .await
        .error(400, "refusing to use soft-deleted key");
    set(KeyConfig {
        soft_deleted: Some(false),
        ..KeyConfig::default()
    });
    decrypt(&second).await.data();
    b.control().restore(id, false).unwrap();
    decrypt(&second)
        .await
        .error(400, "invalid ciphertext: version is too new");
    decrypt(&first).await.data();
    key.key_recreate().unwrap();
    decrypt(&first)
        .await
        .error(400, "cipher: message authentication failed");
    key.key_delete().unwrap();
    decrypt(&first).await.error(400, "encryption key not found");
    b.get("transit/keys/lost2", Who::Root).await.no_errors(404);
}

async fn tokens(b: &Bench) {
    let auth = b.login("kms", &b.mint(&Jwt::default())).await.auth();
    let (token, accessor) = (
        auth["client_token"].as_str().unwrap(),
        auth["accessor"].as_str().unwrap(),
    );
    let facts = || {
        b.control()
            .tokens()
            .into_iter()
            .find(|facts| facts.accessor == accessor)
    };
    let known = facts().unwrap();
    assert_eq!(known.path, "auth/jwt/login");
    assert!(known.policies.contains(&"kms".to_owned()) && known.expires_unix.is_some());
    assert!(!format!("{:?}", b.control().tokens()).contains(token));
    assert_eq!(b.control().tokens_shorten(Some(accessor), 30), 1);
    assert!(facts().unwrap().expires_unix.unwrap() <= b.control().unix_now() + 30);
    b.get_as("transit/keys/k1", token).await.data();
    b.control().tokens_revoke(accessor).unwrap();
    b.get_as("transit/keys/k1", token)
        .await
        .error(403, "permission denied");
    assert!(facts().is_none());
    let again = b.control().tokens_revoke(accessor).unwrap_err();
    assert_eq!(
        again.to_string(),
        format!("accessor '{accessor}': no such token")
    );
    encrypt(b).await.data();
}

async fn mistakes_over_http(b: &Bench) {
    b.control().faults_clear();
    for (name, body) in [
        ("listener", r#"{"listener":"standby","mode":"open"}"#),
        ("tls", r#"{"listener":"standby","mode":"good"}"#),
        ("connections/close", r#"{"listener":"standby","how":"rst"}"#),
        ("connections/close-idle", r#"{"how":"graceful"}"#),
        ("idle-timeout", r#"{"ms":300000}"#),
        ("audit", r#"{"audit":"works"}"#),
        ("initialized", r#"{"initialized":true}"#),
        ("tokens/shorten", r#"{"accessor":"nobody","ttl":5}"#),
        ("faults", r#"{"count":0,"action":{"kind":"lease","ttl":1}}"#),
    ] {
        let (status, answer) = b.steer("POST", name, body).await;
        assert_eq!(status, 200, "{name}: {answer}");
        let (status, answer) = b
            .steer("POST", name, &body.replacen('{', r#"{"extra":1,"#, 1))
            .await;
        let text = answer["error"].as_str().unwrap();
        assert!(
            status == 400 && text.contains("unknown field `extra`"),
            "{name}: {answer}"
        );
    }
    for (name, body, words) in [
        ("listener", r#"{"mode":"ajar"}"#, "unknown variant `ajar`"),
        ("restart", r#"{"sealed":true}"#, "missing field `down_ms`"),
        (
            "faults",
            r#"{"action":{"kind":"hang","ms":1}}"#,
            "unknown field `ms`",
        ),
        (
            "faults",
            r#"{"action":{"kind":"hang"},"probability":2}"#,
            "probability 2: must be 0 to 1",
        ),
        (
            "faults",
            r#"{"action":{"kind":"hang"},"match":{"token":"s.x"}}"#,
            "unknown variant `s.x`",
        ),
    ] {
        let (status, answer) = b.steer("POST", name, body).await;
        let text = answer["error"].as_str().unwrap();
        assert!(status == 400 && text.contains(words), "{name}: {answer}");
    }
    let (status, _) = b
        .steer("POST", "tokens/revoke", r#"{"accessor":"nobody"}"#)
        .await;
    assert_eq!(status, 404);
    let (_, tokens) = b.steer("GET", "tokens", "").await;
    assert!(tokens["tokens"].as_array().unwrap().len() > 1);
    let (_, rule) = b.steer("GET", "faults", "").await;
    assert_eq!(
        rule["faults"][0]["rule"]["action"],
        json!({"kind": "lease", "ttl": 1})
    );
    b.control().faults_clear();
}
