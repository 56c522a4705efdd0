//! T109 to T120: quotas, sealing, namespaces, the standby.

use bao_dev::testing::{Jwt, StandbyChange};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::bench::{Bench, Who};
use crate::cases;
use crate::client::Got;

cases![
    t109, t110,
    t111: "a real server needs its unseal keys",
    t112,
    t115: "a real server needs a second node",
    t116: "a real server needs a second node",
    t117: "a real server needs a second node",
    t120,
    lag: "needs the lag on command",
];

/// More requests than one second allows, so that one is refused.
async fn burst(b: &Bench) -> Got {
    for _ in 0..50 {
        let got = b
            .post("transit/encrypt/k1", Who::Kms, json!({"plaintext": "aGk="}))
            .await;
        if got.status != 200 {
            return got;
        }
    }
    panic!("no request was refused");
}

async fn t109(b: &Bench) {
    b.root_post(
        "sys/quotas/rate-limit/t109",
        json!({"rate": 1, "path": "transit/"}),
    )
    .await
    .bare(204);
    let got = burst(b).await;
    b.send("DELETE", "sys/quotas/rate-limit/t109", Who::Root, "")
        .await
        .bare(204);
    got.error(
        429,
        "request path \"transit/encrypt/k1\": rate limit quota exceeded",
    );
    assert!(got.headers.get("retry-after").is_none());
}

async fn t110(b: &Bench) {
    let headers = async |on: bool| {
        let body = json!({"enable_rate_limit_response_headers": on});
        b.root_post("sys/quotas/config", body).await.bare(204);
    };
    headers(true).await;
    b.root_post(
        "sys/quotas/rate-limit/t110",
        json!({"rate": 1, "path": "transit/"}),
    )
    .await
    .bare(204);
    let got = burst(b).await;
    b.send("DELETE", "sys/quotas/rate-limit/t110", Who::Root, "")
        .await
        .bare(204);
    headers(false).await;
    for name in [
        "retry-after",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
    ] {
        let value = got
            .headers
            .get(name)
            .unwrap_or_else(|| panic!("{name}"))
            .to_str()
            .unwrap();
        assert!(value.parse::<u64>().is_ok(), "{name}: {value}");
    }
}

async fn t111(b: &Bench) {
    b.root_post("sys/seal", json!({})).await.bare(204);
    let encrypt = b
        .post("transit/encrypt/k1", Who::Kms, json!({"plaintext": "aGk="}))
        .await;
    let health = b.get("sys/health", Who::Nobody).await;
    let status = b.get("sys/seal-status", Who::Nobody).await;
    let leader = b.get("sys/leader", Who::Nobody).await;
    let unsealed = b
        .post("sys/unseal", Who::Nobody, json!({"key": "any"}))
        .await;
    encrypt.error(503, "Vault is sealed");
    let health = health.body(503);
    assert_eq!(
        (&health["sealed"], &health["standby"]),
        (&json!(true), &json!(true))
    );
    assert!(health.get("cluster_id").is_none());
    assert_eq!(status.body(200)["sealed"], true);
    leader.error(503, "Vault is sealed");
    assert_eq!(unsealed.body(200)["sealed"], false);
    b.post("transit/encrypt/k1", Who::Kms, json!({"plaintext": "aGk="}))
        .await
        .data();
}

async fn t112(b: &Bench) {
    b.root_post("sys/namespaces/ns1", json!({})).await.data();
    let root = b.token(json!({"policies": ["root"]})).await;
    let inside = async |method: &str, path: &str, body: Value| {
        let headers = [
            ("x-vault-token", root.as_str()),
            ("x-vault-namespace", "ns1"),
        ];
        b.raw(method, path, &headers, &body.to_string()).await
    };
    inside("POST", "sys/mounts/transit", json!({"type": "transit"})).await;
    inside("POST", "transit/keys/t112", json!({})).await.data();
    let by_header = inside("GET", "transit/keys/t112", json!({})).await;
    assert_eq!(by_header.headers.get("x-vault-namespace").unwrap(), "ns1");
    let by_path = b.get_as("ns1/transit/keys/t112", &root).await;
    assert_eq!(by_header.data(), by_path.data());
    inside("GET", "transit/keys/k1", json!({}))
        .await
        .no_errors(404);
    b.get_as("transit/keys/t112", &root).await.no_errors(404);
    // A token of the root namespace has no rights here but those of its policies, and its own paths.
    let headers = [
        ("x-vault-token", b.kms_token()),
        ("x-vault-namespace", "ns1"),
    ];
    let capabilities = b
        .raw(
            "POST",
            "sys/capabilities-self",
            &headers,
            "{\"paths\":[\"x\"]}",
        )
        .await;
    capabilities.wrapped(403, "permission denied");
    b.raw("GET", "auth/token/lookup-self", &headers, "")
        .await
        .data();
    b.raw("GET", "transit/keys/t112", &headers, "")
        .await
        .wrapped(403, "permission denied");
}

/// A request to the standby.
async fn standby(
    b: &Bench,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Value,
) -> Got {
    let client = b.standby.as_ref().unwrap();
    let headers: Vec<_> = headers
        .iter()
        .copied()
        .chain([("x-vault-token", b.kms_token())])
        .collect();
    let body = if body.is_null() {
        Bytes::new()
    } else {
        Bytes::from(body.to_string())
    };
    client
        .send(method, &format!("/v1/{path}"), &headers, body)
        .await
        .unwrap()
}

async fn t115(b: &Bench) {
    let health = standby(b, "GET", "sys/health", &[], Value::Null)
        .await
        .body(429);
    assert_eq!(
        (&health["standby"], &health["sealed"]),
        (&json!(true), &json!(false))
    );
    let ciphertext = b.ciphertext("k1").await;
    let got = standby(
        b,
        "POST",
        "transit/decrypt/k1",
        &[],
        json!({"ciphertext": ciphertext}),
    )
    .await;
    assert_eq!(got.data()["plaintext"], "aGk=");
    let login = json!({"role": "kms", "jwt": b.mint(&Jwt::default())});
    standby(b, "POST", "auth/jwt/login", &[], login)
        .await
        .auth();
    assert!(
        standby(b, "GET", "sys/leader", &[], Value::Null)
            .await
            .body(200)
            .get("is_self")
            .is_none()
    );
}

async fn t116(b: &Bench) {
    let stay = [("x-vault-no-request-forwarding", "true")];
    let forwarded = |got: Got, path: &str| {
        got.bare(307);
        let location = got.headers.get("location").unwrap().to_str().unwrap();
        assert!(location.ends_with(path), "{location}");
    };
    // With reads, only what would write is redirected.
    let encrypt = json!({"plaintext": "aGk="});
    standby(b, "POST", "transit/encrypt/k1", &stay, encrypt.clone())
        .await
        .data();
    let renew = standby(b, "POST", "auth/token/renew-self?x=1", &stay, json!({})).await;
    forwarded(renew, "/v1/auth/token/renew-self?x=1");
    b.control().standby(StandbyChange {
        reads: Some(false),
        ..StandbyChange::default()
    });
    let redirected = standby(b, "POST", "transit/encrypt/k1", &stay, encrypt.clone()).await;
    let sent_on = standby(b, "POST", "transit/encrypt/k1", &[], encrypt.clone()).await;
    b.control().standby(StandbyChange {
        leader_known: Some(false),
        ..StandbyChange::default()
    });
    let leaderless = standby(b, "POST", "transit/encrypt/k1", &[], encrypt).await;
    let back = StandbyChange {
        reads: Some(true),
        leader_known: Some(true),
        ..StandbyChange::default()
    };
    b.control().standby(back);
    forwarded(redirected, "/v1/transit/encrypt/k1");
    sent_on.data();
    leaderless.error(
        500,
        "local node not active but active cluster node not found",
    );
}

async fn t117(b: &Bench) {
    let key = b.control().with_key(&b.key("t117", 1).await);
    b.control().lag(true);
    let version = key.rotate().unwrap();
    assert_eq!(version, 2);
    let ciphertext = b.ciphertext("t117").await;
    let root = b.token(json!({"policies": ["root"]})).await;
    let decrypt = async || {
        let client = b.standby.as_ref().unwrap();
        let body = Bytes::from(json!({"ciphertext": ciphertext}).to_string());
        let headers = [("x-vault-token", root.as_str())];
        client
            .send("POST", "/v1/transit/decrypt/t117", &headers, body)
            .await
            .unwrap()
    };
    let behind = decrypt().await;
    b.control().lag(false);
    behind.error(400, "invalid ciphertext: version is too new");
    decrypt().await.data();
}

async fn lag(b: &Bench) {
    let root = b.token(json!({"policies": ["root"]})).await;
    let ask = async |method: &str, path: &str, token: &str, body: Value| {
        let client = b.standby.as_ref().unwrap();
        let headers = [("x-vault-token", token)];
        client
            .send(
                method,
                &format!("/v1/{path}"),
                &headers,
                Bytes::from(body.to_string()),
            )
            .await
            .unwrap()
    };
    b.key("lag1", 1).await;
    b.control().lag(true);
    b.control().with_key("lag1").rotate().unwrap();
    b.key("lag2", 1).await;
    let old = ask("GET", "transit/keys/lag1", &root, json!({})).await;
    let missing = ask("GET", "transit/keys/lag2", &root, json!({})).await;
    // The policy of the fixture grants only `update` on this name.
    b.key("none", 1).await;
    let denied = ask(
        "POST",
        "transit/encrypt/none",
        b.kms_token(),
        json!({"plaintext": "aGk="}),
    )
    .await;
    let forwarded = ask(
        "POST",
        "transit/encrypt/lag2",
        &root,
        json!({"plaintext": "aGk="}),
    )
    .await;
    let still_missing = ask("GET", "transit/keys/lag2", &root, json!({})).await;
    // A lag with an end ends.
    b.control().standby(StandbyChange {
        lag_ms: Some(0),
        ..StandbyChange::default()
    });
    let caught_up = ask("GET", "transit/keys/lag2", &root, json!({})).await;
    b.control().with_key("none").key_delete().unwrap();
    assert_eq!(old.data()["latest_version"], 1);
    missing.no_errors(404);
    denied.wrapped(403, "permission denied");
    forwarded.data();
    still_missing.no_errors(404);
    caught_up.data();
}

/// A probe of the real server, an assertion about ours: a failed encrypt leaves no key behind.
async fn t120(b: &Bench) {
    let bad = [
        json!({"plaintext": "###"}),
        json!({"plaintext": "aGk=", "associated_data": "%%%"}),
    ];
    for (body, status) in bad.into_iter().zip([400, 500]) {
        let got = b.post("transit/encrypt/t120", Who::Creator, body).await;
        assert_eq!(got.status, status);
        let read = b.get("transit/keys/t120", Who::Root).await;
        let listed = b.send("LIST", "transit/keys", Who::Root, "").await.data()["keys"].clone();
        println!(
            "T120: read {}, listed {}",
            read.status,
            listed.to_string().contains("t120")
        );
        if b.is_emulator() {
            read.no_errors(404);
            assert!(!listed.to_string().contains("t120"));
        }
    }
}
