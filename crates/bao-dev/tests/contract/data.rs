//! T55 to T86: encrypt, decrypt, rewrap, one by one and in batches.

use serde_json::{Value, json};

use crate::bench::{Bench, Who};
use crate::cases;

cases![
    t55,
    t56,
    t57_t58,
    t59_t60,
    t61,
    t62,
    t63,
    t64,
    t65,
    t66,
    t67,
    t68,
    t69,
    t70,
    t71,
    t72,
    t73,
    t74,
    t75,
    t76,
    t77,
    t78,
    t79,
    t80,
    t81,
    t82,
    t83,
    t84,
    t85,
    t86,
    aad_in_batch,
    partial_codes,
];

const FORGED: &str = "cipher: message authentication failed";
const BAD_AAD: &str = "unable to get associated_data/additional_data from factory[0]: illegal base64 data at input byte";

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

async fn t55(b: &Bench) {
    let plaintext = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let data = b
        .encrypt("k1", json!({"plaintext": plaintext}))
        .await
        .data();
    let payload = text(&data["ciphertext"]).strip_prefix("vault:v1:").unwrap();
    assert_eq!(payload.len(), 80);
    let back = b
        .decrypt("k1", json!({"ciphertext": data["ciphertext"]}))
        .await
        .data();
    assert_eq!(back, json!({"plaintext": plaintext}));
}

async fn t56(b: &Bench) {
    let data = b
        .encrypt(
            "k1",
            json!({"plaintext": "aGk=", "associated_data": "YWFk"}),
        )
        .await
        .data();
    let body = json!({"ciphertext": data["ciphertext"], "associated_data": "YWFk"});
    assert_eq!(b.decrypt("k1", body).await.data()["plaintext"], "aGk=");
}

/// T57 and T58: associated data missing, different, or too much.
async fn t57_t58(b: &Bench) {
    let bound = b
        .encrypt(
            "k1",
            json!({"plaintext": "aGk=", "associated_data": "YWFk"}),
        )
        .await
        .data();
    let bound = &bound["ciphertext"];
    b.decrypt("k1", json!({"ciphertext": bound}))
        .await
        .error(400, FORGED);
    b.decrypt(
        "k1",
        json!({"ciphertext": bound, "associated_data": "YWFl"}),
    )
    .await
    .error(400, FORGED);
    let free = b.ciphertext("k1").await;
    b.decrypt("k1", json!({"ciphertext": free, "associated_data": "YWFk"}))
        .await
        .error(400, FORGED);
}

/// T59 and T60: associated data that is no base64, and which error comes first.
async fn t59_t60(b: &Bench) {
    b.encrypt("k1", json!({"plaintext": "aGk=", "associated_data": "%%%"}))
        .await
        .wrapped_start(500, BAD_AAD);
    let good = b.ciphertext("k1").await;
    let decrypt = async |text: &str| {
        b.decrypt("k1", json!({"ciphertext": text, "associated_data": "%%%"}))
            .await
    };
    decrypt(&good).await.wrapped_start(500, BAD_AAD);
    decrypt("vault:v1:AAAA").await.wrapped_start(500, BAD_AAD);
    decrypt("nope")
        .await
        .error(400, "invalid ciphertext: no prefix");
}

async fn t61(b: &Bench) {
    let data = b.encrypt("k1", json!({"plaintext": ""})).await.data();
    assert_eq!(text(&data["ciphertext"]).len(), "vault:v1:".len() + 40);
    assert_eq!(
        b.decrypt("k1", json!({"ciphertext": data["ciphertext"]}))
            .await
            .data(),
        json!({"plaintext": ""})
    );
}

async fn t62(b: &Bench) {
    b.encrypt("k1", json!({"plaintext": "###"}))
        .await
        .error_start(400, "illegal base64 data at input byte");
}

async fn t63(b: &Bench) {
    b.key("t63", 3).await;
    let encrypt = async |version: Value| {
        b.encrypt("t63", json!({"plaintext": "aGk=", "key_version": version}))
            .await
    };
    for version in [json!(1), json!("1")] {
        let data = encrypt(version).await.data();
        assert!(text(&data["ciphertext"]).starts_with("vault:v1:"));
        assert_eq!(data["key_version"], 1);
    }
    assert_eq!(encrypt(json!(0)).await.data()["key_version"], 3);
    let start = "requested version for encryption is";
    encrypt(json!(4))
        .await
        .error(400, &format!("{start} higher than the latest key version"));
    encrypt(json!(-1))
        .await
        .error(400, &format!("{start} negative"));
}

async fn t64(b: &Bench) {
    b.key("t64", 3).await;
    b.configure("t64", json!({"min_encryption_version": 2}))
        .await
        .data();
    let got = b
        .encrypt("t64", json!({"plaintext": "aGk=", "key_version": 1}))
        .await;
    got.error(
        400,
        "requested version for encryption is less than the minimum encryption key version",
    );
}

async fn t65(b: &Bench) {
    b.key("t65", 3).await;
    b.configure("t65", json!({"min_decryption_version": 2}))
        .await
        .data();
    let got = b
        .encrypt("t65", json!({"plaintext": "aGk=", "key_version": 1}))
        .await;
    got.error(400, "no such key version");
}

async fn t66(b: &Bench) {
    b.key("t66", 1).await;
    let old = b.ciphertext("t66").await;
    b.key("t66", 2).await;
    b.configure("t66", json!({"min_decryption_version": 2}))
        .await
        .data();
    let got = b.decrypt("t66", json!({"ciphertext": old})).await;
    got.error(
        400,
        "ciphertext or signature version is disallowed by policy (too old)",
    );
}

async fn t67(b: &Bench) {
    b.key("t67", 1).await;
    let old = b.ciphertext("t67").await;
    b.key("t67", 2).await;
    assert_eq!(
        b.decrypt("t67", json!({"ciphertext": old})).await.data()["plaintext"],
        "aGk="
    );
}

async fn t68(b: &Bench) {
    let got = b
        .decrypt("k1", json!({"ciphertext": "vault:v9:AAAA"}))
        .await;
    got.error(400, "invalid ciphertext: version is too new");
}

async fn t69(b: &Bench) {
    for (ciphertext, reason) in [
        ("nope:v1:AA==", ": no prefix"),
        ("vault:v1", ": wrong number of fields"),
        ("vault:vX:AA==", ": version number could not be decoded"),
        ("vault:v1:@@", ": could not decode base64"),
        ("vault:v1:AAAA", " length"),
    ] {
        let got = b.decrypt("k1", json!({"ciphertext": ciphertext})).await;
        got.error(400, &format!("invalid ciphertext{reason}"));
    }
}

async fn t70(b: &Bench) {
    let good = b.ciphertext("k1").await;
    // 2 + 28 bytes are 40 characters without padding: the last one holds payload bits.
    let last = if good.ends_with('A') { 'B' } else { 'A' };
    let bad = format!("{}{last}", &good[..good.len() - 1]);
    b.decrypt("k1", json!({"ciphertext": bad}))
        .await
        .error(400, FORGED);
    let other = b.ciphertext("k2").await;
    b.decrypt("k1", json!({"ciphertext": other}))
        .await
        .error(400, FORGED);
}

async fn t71(b: &Bench) {
    let good = b.ciphertext("k1").await;
    for version in ["v0", "v01", "v+1"] {
        let same = good.replacen("v1", version, 1);
        assert_eq!(
            b.decrypt("k1", json!({"ciphertext": same})).await.data()["plaintext"],
            "aGk=",
            "{version}"
        );
    }
    b.decrypt("k1", json!({"ciphertext": format!("{good}\n")}))
        .await
        .data();
}

async fn t72(b: &Bench) {
    for body in [json!({}), json!({"ciphertext": ""})] {
        b.decrypt("k1", body)
            .await
            .error(400, "missing ciphertext to decrypt");
    }
}

async fn t73(b: &Bench) {
    let got = b
        .decrypt("none", json!({"ciphertext": "vault:v1:AAAA"}))
        .await;
    got.error(400, "encryption key not found");
}

async fn t74(b: &Bench) {
    let got = b
        .post(
            "transit/encrypt/none",
            Who::Kms,
            json!({"plaintext": "aGk="}),
        )
        .await;
    got.wrapped(403, "permission denied");
}

async fn t75(b: &Bench) {
    b.post(
        "transit/encrypt/t75",
        Who::Creator,
        json!({"plaintext": "aGk="}),
    )
    .await
    .data();
    assert_eq!(
        b.get("transit/keys/t75", Who::Root).await.data()["type"],
        "aes256-gcm96"
    );
}

async fn t76(b: &Bench) {
    b.root_post("transit/config/keys", json!({"disable_upsert": true}))
        .await
        .data();
    let got = b
        .post(
            "transit/encrypt/t76",
            Who::Creator,
            json!({"plaintext": "aGk="}),
        )
        .await;
    b.root_post("transit/config/keys", json!({"disable_upsert": false}))
        .await
        .data();
    got.error(400, "encryption key not found");
}

async fn t77(b: &Bench) {
    let start = "error converting input for field";
    b.encrypt("k1", json!({"plaintext": {}}))
        .await
        .error_start(400, &format!("{start} \"plaintext\""));
    let start = format!("Field validation failed: {start} \"ciphertext\"");
    b.decrypt("k1", json!({"ciphertext": {}}))
        .await
        .error_start(400, &start);
}

fn three(middle: &str) -> Value {
    json!({"batch_input": [
        {"plaintext": "YQ==", "reference": "a"},
        {"plaintext": middle, "reference": "b"},
        {"plaintext": "Yw==", "reference": "c"},
    ]})
}

async fn t78(b: &Bench) {
    let results = b.encrypt("k1", three("Yg==")).await.results(200);
    let names: Vec<_> = results
        .iter()
        .map(|item| item["reference"].clone())
        .collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(
        results
            .iter()
            .all(|item| item.get("error").is_none() && item["key_version"] == 1)
    );
    let items: Vec<_> = results
        .iter()
        .map(|item| json!({"ciphertext": item["ciphertext"]}))
        .collect();
    let back = b
        .decrypt("k1", json!({"batch_input": items}))
        .await
        .results(200);
    let back: Vec<_> = back.iter().map(|item| item["plaintext"].clone()).collect();
    assert_eq!(back, ["YQ==", "Yg==", "Yw=="]);
}

fn one_bad(results: &[Value]) {
    assert!(text(&results[1]["error"]).starts_with("illegal base64 data at input byte"));
    assert!(results[1].get("ciphertext").is_none());
    assert!(results[0]["ciphertext"].is_string() && results[2]["ciphertext"].is_string());
}

async fn t79(b: &Bench) {
    let got = b.encrypt("k1", three("###")).await;
    one_bad(&got.results(400));
    assert_eq!(got.body.last(), Some(&b'}'));
}

async fn t80(b: &Bench) {
    let mut body = three("###");
    body["partial_failure_response_code"] = json!(207);
    one_bad(&b.encrypt("k1", body).await.results(207));
}

async fn t81(b: &Bench) {
    let body = json!({"batch_input": [{"plaintext": "#"}, {"plaintext": "#"}], "partial_failure_response_code": 207});
    assert!(
        b.encrypt("k1", body)
            .await
            .results(400)
            .iter()
            .all(|item| item["error"].is_string())
    );
}

async fn t82(b: &Bench) {
    b.encrypt("k1", json!({"batch_input": []}))
        .await
        .error(400, "missing batch input to process");
}

async fn t83(b: &Bench) {
    let start = "failed to parse batch input:";
    let empty = json!({"batch_input": [{}]});
    let text = format!("{start} '[0].plaintext' missing plaintext to encrypt");
    b.encrypt("k1", empty.clone()).await.wrapped(500, &text);
    let text = format!("{start} '[0].ciphertext' missing ciphertext to decrypt");
    b.decrypt("k1", empty).await.wrapped(500, &text);
    let got = b.encrypt("k1", json!({"batch_input": [null]})).await;
    got.wrapped(500, &format!("{start} [0] expected a map, got '<nil>'"));
    let got = b.encrypt("k1", json!({"batch_input": "x"})).await;
    got.wrapped_start(
        500,
        &format!("{start} source data must be an array or slice, got"),
    );
    let got = b
        .encrypt(
            "k1",
            json!({"batch_input": [{"plaintext": "", "key_version": "1"}]}),
        )
        .await;
    let text = "'[0].key_version' expected type 'int', got unconvertible type 'string'";
    got.wrapped(500, &format!("{start} {text}"));
}

async fn t84(b: &Bench) {
    let good = b.ciphertext("k1").await;
    let body = json!({"batch_input": [{"ciphertext": good}, {"ciphertext": ""}]});
    let results = b.decrypt("k1", body).await.results(400);
    assert_eq!(results[0]["plaintext"], "aGk=");
    let expected =
        json!({"plaintext": "", "error": "missing ciphertext to decrypt", "reference": ""});
    assert_eq!(results[1], expected);
}

async fn t85(b: &Bench) {
    let body = json!({"batch_input": [{"plaintext": "aGk="}], "associated_data": "YWFk"});
    let results = b.encrypt("k1", body).await.results(200);
    let got = b
        .decrypt("k1", json!({"ciphertext": results[0]["ciphertext"]}))
        .await;
    assert_eq!(got.data()["plaintext"], "aGk=");
}

async fn t86(b: &Bench) {
    b.key("t86", 1).await;
    let old = b.ciphertext("t86").await;
    let bound = b
        .encrypt(
            "t86",
            json!({"plaintext": "aGk=", "associated_data": "YWFk"}),
        )
        .await
        .data();
    b.key("t86", 2).await;
    let new = b
        .root_post("transit/rewrap/t86", json!({"ciphertext": old}))
        .await
        .data();
    assert!(text(&new["ciphertext"]).starts_with("vault:v2:"));
    assert_eq!(new["key_version"], 2);
    assert_eq!(
        b.decrypt("t86", json!({"ciphertext": new["ciphertext"]}))
            .await
            .data()["plaintext"],
        "aGk="
    );
    b.root_post(
        "transit/rewrap/t86",
        json!({"ciphertext": bound["ciphertext"]}),
    )
    .await
    .error(400, FORGED);
}

async fn aad_in_batch(b: &Bench) {
    let body = json!({"batch_input": [{"plaintext": "aGk="}, {"plaintext": "aGk=", "associated_data": "%%%"}]});
    let results = b.encrypt("k1", body).await.results(500);
    assert!(results[0]["ciphertext"].is_string());
    assert!(
        text(&results[1]["error"]).starts_with(BAD_AAD),
        "{results:?}"
    );
}

async fn partial_codes(b: &Bench) {
    for code in [600, 0, -1] {
        let mut body = three("###");
        body["partial_failure_response_code"] = json!(code);
        let got = b.encrypt("k1", body).await;
        one_bad(&got.results(400));
        let text = "invalid HTTP response code override from partial_failure_response_code, reverting to 400";
        assert_eq!(got.warnings(), [text], "{code}");
    }
}
