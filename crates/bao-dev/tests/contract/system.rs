//! T01 to T29: the HTTP layer and the endpoints without a token.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::bench::{Bench, Who};
use crate::cases;

cases![
    t01, t02, t03, t04, t05, t06, t07, t08, t09, t10, t11, t12, t13, t14, t15, t16, t17, t18, t19,
    t20, t21, t22, t23, t24, t25, t26, t27, t28, t29, methods, paths, bodies, transport,
];

fn hello() -> Value {
    json!({"plaintext": "aGk="})
}

fn is_health(body: &Value) {
    assert_eq!(body["initialized"], true);
    assert_eq!(body["sealed"], false);
    assert_eq!(body["standby"], false);
    assert!(body["version"].is_string());
    assert!(body.get("request_id").is_none());
}

async fn t01(b: &Bench) {
    is_health(&b.get("sys/health", Who::Nobody).await.body(200));
}

async fn t02(b: &Bench) {
    b.send("HEAD", "sys/health", Who::Nobody, "")
        .await
        .bare(200);
}

async fn t03(b: &Bench) {
    is_health(
        &b.get("sys/health?activecode=218", Who::Nobody)
            .await
            .body(218),
    );
}

async fn t04(b: &Bench) {
    b.get("sys/health?standbycode=abc", Who::Nobody)
        .await
        .no_errors(400);
}

async fn t05(b: &Bench) {
    for (namespace, status) in [("root", 400), ("/", 400), ("", 200)] {
        let got = b
            .raw("GET", "sys/health", &[("x-vault-namespace", namespace)], "")
            .await;
        assert_eq!(got.status, status, "{namespace:?}");
        if status == 400 {
            got.error(400, "operation unavailable in namespaces");
        }
    }
}

async fn t06(b: &Bench) {
    for headers in [&[][..], &[("x-vault-namespace", "nosuch")]] {
        let body = b.raw("GET", "sys/seal-status", headers, "").await.body(200);
        for name in [
            "type",
            "initialized",
            "sealed",
            "t",
            "n",
            "progress",
            "nonce",
            "version",
        ] {
            assert!(body.get(name).is_some(), "{name}");
        }
    }
}

async fn t07(b: &Bench) {
    assert!(b.get("sys/leader", Who::Nobody).await.body(200)["ha_enabled"].is_boolean());
}

async fn t08(b: &Bench) {
    b.post("sys/health", Who::Nobody, json!({}))
        .await
        .no_errors(405);
}

async fn t09(b: &Bench) {
    b.client
        .send("GET", "/nosuch", &[], Bytes::new())
        .await
        .unwrap()
        .no_errors(404);
}

async fn t10(b: &Bench) {
    b.post("transit/encrypt/k1", Who::Nobody, hello())
        .await
        .error(403, "permission denied");
}

async fn t11(b: &Bench) {
    b.post_as("transit/encrypt/k1", "nonsense", hello())
        .await
        .error(403, "permission denied");
    b.post_as("transit/encrypt/k1", "b.***", hello())
        .await
        .error_start(
            500,
            "error performing token check: illegal base64 data at input byte",
        );
}

async fn t12(b: &Bench) {
    let bearer = format!("Bearer {}", b.kms_token());
    let got = b
        .raw(
            "POST",
            "transit/encrypt/k1",
            &[("authorization", &bearer)],
            &hello().to_string(),
        )
        .await;
    let data = got.data();
    assert!(data["ciphertext"].is_string() && data["key_version"].is_i64());
}

async fn t13(b: &Bench) {
    b.root_post("nosuch/x", json!({})).await.error(
        404,
        "no handler for route \"nosuch/x\". route entry not found.",
    );
}

async fn t14(b: &Bench) {
    b.post("nosuch/x", Who::Kms, json!({}))
        .await
        .wrapped(403, "permission denied");
}

async fn t15(b: &Bench) {
    b.root_post("transit/nosuch", json!({}))
        .await
        .wrapped(404, "unsupported path");
}

async fn t16(b: &Bench) {
    b.root_post("transit/encrypt/bad/name", hello())
        .await
        .wrapped(404, "unsupported path");
}

async fn t17(b: &Bench) {
    b.get("transit/encrypt/k1", Who::Root)
        .await
        .wrapped(405, "unsupported operation");
}

async fn t18(b: &Bench) {
    b.get("transit/encrypt/k1", Who::Kms)
        .await
        .wrapped(403, "permission denied");
}

async fn t19(b: &Bench) {
    b.root_post("transit/encrypt/k1/", hello())
        .await
        .error(400, "cannot write to a path ending in '/'");
}

async fn t20(b: &Bench) {
    let got = b
        .send("POST", "transit/encrypt/k1", Who::Nobody, "not json")
        .await;
    got.error_start(400, "failed to decode JSON input: ");
}

async fn t21(b: &Bench) {
    let got = b.send("POST", "transit/encrypt/k1", Who::Kms, "").await;
    got.error(400, "missing plaintext to encrypt");
}

fn batch(count: usize) -> Value {
    json!({"batch_input": vec![json!({"plaintext": "aGk=", "associated_data": "aGk="}); count]})
}

async fn t22(b: &Bench) {
    let text = "refused JSON input due to high complexity: exceeded maximum number of strings";
    b.post("transit/encrypt/k1", Who::Kms, batch(250))
        .await
        .error(400, text);
}

async fn t23(b: &Bench) {
    assert_eq!(
        b.post("transit/encrypt/k1", Who::Kms, batch(249))
            .await
            .results(200)
            .len(),
        249
    );
}

async fn t24(b: &Bench) {
    let body = Bytes::from(vec![b'x'; 33_554_433]);
    let headers = [("x-vault-token", b.kms_token())];
    let got = b
        .client
        .send("POST", "/v1/transit/encrypt/k1", &headers, body)
        .await
        .unwrap();
    got.error(413, "http: request body too large");
    assert_eq!(got.headers.get("connection").unwrap(), "close");
    assert!(got.headers.get("cache-control").is_none());
}

async fn t25(b: &Bench) {
    let token = b.token(json!({"policies": ["root"]})).await;
    let headers = [
        ("x-vault-token", token.as_str()),
        ("x-vault-namespace", "nosuch"),
    ];
    let got = b
        .raw("POST", "transit/encrypt/k1", &headers, &hello().to_string())
        .await;
    got.error(404, "namespace not found");
}

async fn t26(b: &Bench) {
    let got = b
        .encrypt("k1", json!({"plaintext": "aGk=", "foo": 1, "bar": 2}))
        .await;
    assert_eq!(
        got.warnings(),
        ["Endpoint ignored these unrecognized parameters: [bar foo]"]
    );
}

async fn t27(b: &Bench) {
    let got = b
        .encrypt("k1", json!({"plaintext": "aGk=", "name": "x"}))
        .await;
    let warnings = got.warnings();
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].ends_with("captured from the endpoint's path: [name]"),
        "{warnings:?}"
    );
}

async fn t28(b: &Bench) {
    let got = b.encrypt("k1", hello()).await;
    let header = |name: &str| got.headers.get(name).unwrap().to_str().unwrap();
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(
        header("strict-transport-security"),
        "max-age=31536000; includeSubDomains"
    );
    let body = got.body(200);
    let names: Vec<_> = body
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let order = [
        "request_id",
        "lease_id",
        "renewable",
        "lease_duration",
        "data",
        "wrap_info",
        "warnings",
        "auth",
    ];
    assert_eq!(names, order);
    assert_eq!(got.body.last(), Some(&b'\n'));
}

async fn t29(b: &Bench) {
    let got = b
        .send("PUT", "transit/encrypt/k1", Who::Kms, &hello().to_string())
        .await;
    assert!(got.data()["ciphertext"].is_string());
}

async fn methods(b: &Bench) {
    b.send("BREW", "transit/keys/k1", Who::Root, "")
        .await
        .no_errors(405);
    b.send("HEAD", "transit/keys/k1", Who::Root, "")
        .await
        .bare(405);
    let options = b.send("OPTIONS", "transit/keys/k1", Who::Root, "").await;
    options.error(400, "cannot handle internal-only request operation");
    b.send("PATCH", "transit/encrypt/k1", Who::Root, "{}")
        .await
        .error(400, "mime: no media type");
    b.get("auth/jwt/login", Who::Nobody)
        .await
        .error(405, "unsupported operation");
}

async fn paths(b: &Bench) {
    for (path, clean) in [
        ("transit/../sys/health", "/v1/sys/health"),
        ("transit//keys/k1", "/v1/transit/keys/k1"),
    ] {
        let got = b.get(path, Who::Root).await;
        assert_eq!(got.status, 307, "{path}");
        assert_eq!(got.headers.get("location").unwrap(), clean);
    }
    b.get("transit/%2e%2e/keys/k1", Who::Root)
        .await
        .error(400, "relative paths not supported");
    for own in ["sys", "auth/x", "identity", "cubbyhole"] {
        b.root_post(&format!("sys/mounts/{own}"), json!({"type": "transit"}))
            .await
            .error(400, &format!("cannot mount \"{own}/\""));
    }
}

async fn bodies(b: &Bench) {
    let start = "failed to decode JSON input: ";
    let encrypt = async |body: &str| b.send("POST", "transit/encrypt/k1", Who::Kms, body).await;
    encrypt("null")
        .await
        .error(400, "missing plaintext to encrypt");
    encrypt(r#"{"Plaintext":"aGk="}"#)
        .await
        .error(400, "missing plaintext to encrypt");
    encrypt(r#"{"plaintext":null}"#).await.data();
    encrypt(r#"{"plaintext":1234}"#).await.data();
    encrypt(r#"{"plaintext":"%","plaintext":"aGk="}"#)
        .await
        .data();
    let text = format!("{start}invalid character 'x' looking for beginning of value");
    encrypt(r#"{"plaintext":"aGk="} x"#).await.error(400, &text);
    encrypt(r#"{"plaintext":"#)
        .await
        .error(400, &format!("{start}unexpected EOF"));
    let text = "json: cannot unmarshal array into Go value of type map[string]interface {}";
    encrypt("[]").await.error(400, &format!("{start}{text}"));
}

async fn transport(b: &Bench) {
    for (alpn, version) in [
        ("h2", &rustls::version::TLS13),
        ("http/1.1", &rustls::version::TLS12),
    ] {
        let client = b.client.with(&[alpn], &[version]);
        let stream = client.connect().await;
        let connection = stream.get_ref().1;
        assert_eq!(connection.alpn_protocol(), Some(alpn.as_bytes()));
        assert_eq!(connection.protocol_version(), Some(version.version));
        drop(stream);
        let got = client
            .send("GET", "/v1/sys/health", &[], Bytes::new())
            .await
            .unwrap();
        is_health(&got.body(200));
    }
}
