//! Fault rules: what happens to requests and answers, as a plain client sees it.

use std::time::{Duration, Instant};

use bao_dev::testing::{Action, Fault, Holder, Jwt, Listener, When};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::bench::{Bench, Who};
use crate::cases;
use crate::client::Got;

cases![
    waits: "faults",
    bodies: "faults",
    answers_in_the_servers_place: "faults",
    redirects: "faults",
    wrong_content: "faults",
    partial_failures: "faults",
    rotations: "faults",
    leases: "faults",
    logins: "faults",
    holders_and_chance: "faults",
];

async fn encrypt(b: &Bench) -> Got {
    b.post("transit/encrypt/k1", Who::Kms, json!({"plaintext": "aGk="}))
        .await
}

fn once(b: &Bench, action: Action) {
    b.control().fault(Fault::new(action).times(1));
}

fn edit_all(member: &str, value: Option<Value>) -> Action {
    Action::EditAll {
        member: member.to_owned(),
        value,
    }
}

async fn waits(b: &Bench) {
    let took = async || {
        let start = Instant::now();
        encrypt(b).await.data();
        start.elapsed()
    };
    once(b, Action::Delay { ms: 60 });
    assert!(took().await >= Duration::from_millis(60));
    let jitter = Action::Jitter {
        min_ms: 30,
        max_ms: 60,
    };
    once(b, jitter);
    assert!(took().await >= Duration::from_millis(30));
    // One request in four, by the dice of the seed.
    let rule = Fault::new(Action::Delay { ms: 40 }).probability(0.25, 7);
    let id = b.control().fault(rule);
    let mut slow = 0;
    for _ in 0..24 {
        slow += u64::from(took().await >= Duration::from_millis(40));
    }
    let hits = b
        .control()
        .faults()
        .iter()
        .find(|rule| rule.id == id)
        .unwrap()
        .hits;
    b.control().faults_clear();
    assert!((1..16).contains(&hits), "{hits} of 24");
    assert!(slow >= hits, "{slow} slow, {hits} delayed");
}

async fn bodies(b: &Bench) {
    let slow = Action::SlowBody {
        bytes: 40,
        every_ms: 20,
    };
    for alpn in ["http/1.1", "h2"] {
        once(b, slow.clone());
        let client = b.client.with(&[alpn], rustls::DEFAULT_VERSIONS);
        let start = Instant::now();
        let got = client
            .send("GET", "/v1/sys/health", &[], Bytes::new())
            .await
            .unwrap();
        let pauses = got.body.len().div_ceil(40) - 1;
        got.body(200);
        let least = Duration::from_millis(20) * u32::try_from(pauses).unwrap();
        assert!(pauses > 2 && start.elapsed() >= least, "{alpn}: {pauses}");
    }
    let whole = encrypt(b).await.body.len();
    for (bytes, expected) in [(Some(10), 10), (None, whole / 2)] {
        once(b, Action::Truncate { bytes });
        let got = encrypt(b).await;
        assert!(got.body.len().abs_diff(expected) <= 4, "{}", got.body.len());
        assert!(serde_json::from_slice::<Value>(&got.body).is_err());
        assert!(got.body.starts_with(b"{\"request"));
    }
    let headers = [("Content-Type".to_owned(), "text/html".to_owned())].into();
    once(b, Action::Headers { headers });
    let got = encrypt(b).await;
    assert_eq!(got.headers.get_all("content-type").iter().count(), 1);
    assert_eq!(got.headers["content-type"], "text/html");
    got.data();
}

async fn answers_in_the_servers_place(b: &Bench) {
    let text = "request path \"transit/\": rate limit quota exceeded";
    once(b, Action::rate_limited(Some(2)));
    let got = encrypt(b).await;
    assert_eq!(got.headers["retry-after"], "2");
    got.error(429, text);
    once(b, Action::rate_limited(None));
    let got = encrypt(b).await;
    assert!(got.headers.get("retry-after").is_none());
    got.error(429, text);
    once(b, Action::error(500, "internal error"));
    encrypt(b).await.error(500, "internal error");
    once(b, Action::wrapped(500, "internal error"));
    encrypt(b).await.wrapped(500, "internal error");
    for status in [200, 429, 472, 473, 501, 503] {
        let rule = Fault::new(Action::health(status)).path("/v1/sys/health");
        b.control().fault(rule.times(1));
        // The reverse of a failing data path: health says no, and all is well.
        encrypt(b).await.data();
        let health = b.get("sys/health", Who::Nobody).await.body(status);
        assert_eq!(health["initialized"], status != 501);
    }
}

async fn redirects(b: &Bench) {
    let live = b.control().status()["standby_address"].clone();
    for to in [
        live.as_str().unwrap(),
        "https://127.0.0.1:1",
        "https://elsewhere.invalid",
    ] {
        once(b, Action::Redirect { to: to.to_owned() });
        let got = b.get("transit/keys/k1?x=1", Who::Kms).await;
        assert_eq!(
            got.headers["location"],
            format!("{to}/v1/transit/keys/k1?x=1").as_str()
        );
        got.bare(307);
    }
}

async fn wrong_content(b: &Bench) {
    let items = ["aGk=", "aG8=", "aGE="]
        .map(|plaintext| json!({"plaintext": plaintext, "reference": plaintext}));
    let made = b
        .encrypt("k1", json!({"batch_input": items}))
        .await
        .results(200);
    let ciphertext = made[0]["ciphertext"].clone();
    let batch = json!({"batch_input": made.iter().map(|row| json!({"ciphertext": row["ciphertext"],
        "reference": row["reference"]})).collect::<Vec<_>>()});

    once(b, Action::WrongPlaintext);
    let single = b
        .decrypt("k1", json!({"ciphertext": ciphertext}))
        .await
        .data();
    let text = single["plaintext"].as_str().unwrap().to_owned();
    assert!(text != "aGk=" && text.len() == 4, "{text}");
    once(b, Action::WrongPlaintext);
    let rows = b.decrypt("k1", batch.clone()).await.results(200);
    assert!(rows.iter().all(|row| row["plaintext"] != row["reference"]));
    once(b, Action::ReverseBatch);
    let rows = b.decrypt("k1", batch.clone()).await.results(200);
    assert_eq!(rows[0]["plaintext"], "aGE=");

    let is_prefix = |row: &Value| row["ciphertext"].as_str().unwrap().starts_with("vault:v1:");
    once(b, edit_all("key_version", Some(json!(9))));
    let single = encrypt(b).await.data();
    assert!(single["key_version"] == 9 && is_prefix(&single));
    once(b, edit_all("key_version", Some(json!(9))));
    let rows = b
        .encrypt("k1", json!({"batch_input": items}))
        .await
        .results(200);
    assert!(
        rows.iter()
            .all(|row| row["key_version"] == 9 && is_prefix(row))
    );
    once(b, edit_all("ciphertext", None));
    assert!(encrypt(b).await.data().get("ciphertext").is_none());
    once(b, edit_all("plaintext", None));
    let rows = b.decrypt("k1", batch).await.results(200);
    assert!(rows.iter().all(|row| row.get("plaintext").is_none()));
    once(b, Action::Huge { bytes: 2_000_000 });
    assert_eq!(encrypt(b).await.body.len(), 2_000_000);
    once(b, Action::Junk);
    assert!(encrypt(b).await.body.starts_with(b"<html>"));
}

async fn partial_failures(b: &Bench) {
    let items = [json!({"plaintext": "aGk="}), json!({"plaintext": "aG8="})];
    let fail = |status| Action::FailItem {
        index: 1,
        error: "internal error".to_owned(),
        status,
    };
    for (action, asked, status) in [
        (fail(None), None, 400),
        (fail(None), Some(207), 207),
        (fail(Some(500)), Some(207), 500),
    ] {
        b.control().fault(Fault::new(action).batch(true).times(1));
        encrypt(b).await.data();
        let mut body = json!({"batch_input": items});
        if let Some(code) = asked {
            body["partial_failure_response_code"] = json!(code);
        }
        let rows = b.encrypt("k1", body).await.results(status);
        assert!(rows[0]["ciphertext"].is_string());
        assert_eq!(rows[1], json!({"error": "internal error", "reference": ""}));
    }
}

async fn rotations(b: &Bench) {
    b.key("turning", 1).await;
    let rule = |when| {
        let rule = Fault::new(Action::Rotate { when }).path("/v1/transit/*/turning");
        b.control().fault(rule.times(1));
    };
    let version = async || {
        let data = b
            .encrypt("turning", json!({"plaintext": "aGk="}))
            .await
            .data();
        data["key_version"].as_i64().unwrap()
    };
    rule(When::Before);
    assert_eq!(version().await, 2);
    rule(When::After);
    assert_eq!((version().await, version().await), (2, 3));
    // Between a look at the key and the next encrypt.
    rule(When::After);
    let seen = b.get("transit/keys/turning", Who::Root).await.data();
    assert_eq!(seen["latest_version"], 3);
    assert_eq!(version().await, 4);
    rule(When::During);
    let item = json!({"plaintext": "aGk="});
    let batch = json!({"batch_input": [item, item, item]});
    let rows = b.encrypt("turning", batch).await.results(200);
    let versions: Vec<_> = rows
        .iter()
        .map(|row| row["key_version"].as_i64().unwrap())
        .collect();
    assert_eq!(versions, [4, 5, 5]);
}

async fn leases(b: &Bench) {
    let login = Fault::new(Action::Lease {
        ttl: 60,
        promised: Some(3600),
    });
    b.control().fault(login.path("/v1/auth/jwt/login").times(1));
    let auth = b.login("kms", &b.mint(&Jwt::default())).await.auth();
    assert_eq!(auth["lease_duration"], 3600);
    let token = auth["client_token"].as_str().unwrap();
    b.get_as("transit/keys/k1", token).await.data();
    b.control().clock_advance(61);
    let forgotten = b.get_as("transit/keys/k1", token).await;
    b.control().clock_offset(0);
    forgotten.error(403, "permission denied");

    let auth = b.login("kms", &b.mint(&Jwt::default())).await.auth();
    let token = auth["client_token"].as_str().unwrap();
    let renew = "/v1/auth/token/renew-self";
    let less = Fault::new(Action::Lease {
        ttl: 70,
        promised: None,
    });
    b.control().fault(less.path(renew).times(1));
    let granted = b
        .post_as("auth/token/renew-self", token, json!({"increment": 600}))
        .await
        .auth();
    assert_eq!(granted["lease_duration"], 70);
    let left = b.get_as("auth/token/lookup-self", token).await.data()["ttl"]
        .as_i64()
        .unwrap();
    assert!((1..=70).contains(&left), "{left}");
    let refused = Fault::new(Action::error(400, "lease is not renewable"));
    b.control().fault(refused.path(renew).times(1));
    b.post_as("auth/token/renew-self", token, json!({}))
        .await
        .error(400, "lease is not renewable");
    let past = Fault::new(Action::wrapped(500, "past the max TTL, cannot renew"));
    b.control().fault(past.path(renew).times(1));
    b.post_as("auth/token/renew-self", token, json!({}))
        .await
        .wrapped(500, "past the max TTL, cannot renew");
}

async fn logins(b: &Bench) {
    let jwt = b.mint(&Jwt::default());
    let outage = "error validating token: error verifying token signature: fetching keys oidc: get keys failed";
    for status in [400, 500] {
        let rule = Fault::new(Action::error(status, outage)).path("/v1/auth/jwt/login");
        b.control().fault(rule.times(1));
        b.login("kms", &jwt).await.error(status, outage);
        encrypt(b).await.data();
    }
    let hang = Fault::new(Action::Hang).path("/v1/auth/jwt/login").times(1);
    b.control().fault(hang);
    let hung = tokio::time::timeout(Duration::from_millis(100), b.login("kms", &jwt)).await;
    assert!(hung.is_err());
    b.login("kms", &jwt).await.auth();
    // The signing key of the server's own JWTs changes; this fixture trusts another one.
    let control = b.control();
    let id = control.snapshot();
    control.jwt_new_key(true).unwrap();
    let old = b.login("kms", &jwt).await;
    let new = b
        .login("kms", &control.jwt_mint(&Jwt::default()).unwrap())
        .await;
    control.restore(id, false).unwrap();
    let text = "error validating token: error verifying token signature: \
                no known key successfully validated the token signature";
    old.error(400, text);
    new.auth();
}

async fn holders_and_chance(b: &Bench) {
    let refused = || Action::error(503, "by rule");
    let ask = async |token: &str| b.get_as("sys/health", token).await.status;
    let auth = b.login("kms", &b.mint(&Jwt::default())).await.auth();
    let login = auth["client_token"].as_str().unwrap();
    let accessor = auth["accessor"].as_str().unwrap().to_owned();
    let root = b.token(json!({"policies": ["root"]})).await;
    for (holder, expected) in [
        (Holder::None, [503, 200, 200, 200]),
        (Holder::Unknown, [200, 503, 200, 200]),
        (Holder::Root, [200, 200, 503, 200]),
        (Holder::Login, [200, 200, 200, 503]),
        (Holder::Accessor(accessor), [200, 200, 200, 503]),
        (Holder::Policy("kms".to_owned()), [200, 200, 200, 503]),
    ] {
        b.control()
            .fault(Fault::new(refused()).token(holder.clone()));
        let nobody = b.get("sys/health", Who::Nobody).await.status;
        let got = [
            nobody,
            ask("s.made-up").await,
            ask(&root).await,
            ask(login).await,
        ];
        b.control().faults_clear();
        assert_eq!(got, expected, "{holder:?}");
    }
    let run = async || {
        b.control()
            .fault(Fault::new(refused()).probability(0.5, 11));
        let mut hits = Vec::new();
        for _ in 0..12 {
            hits.push(ask(&root).await);
        }
        b.control().faults_clear();
        hits
    };
    let first = run().await;
    assert_eq!(first, run().await);
    assert!(first.contains(&503) && first.contains(&200));
    // A window that has not come, one that is over, and one that is now.
    b.control()
        .fault(Fault::new(refused()).window(3_600_000, 1000));
    b.control().fault(Fault::new(refused()).window(0, 0));
    let outside = ask(&root).await;
    b.control().fault(
        Fault::new(refused())
            .window(0, 3_600_000)
            .listener(Listener::Active),
    );
    let inside = ask(&root).await;
    b.control().faults_clear();
    assert_eq!((outside, inside), (200, 503));
}
