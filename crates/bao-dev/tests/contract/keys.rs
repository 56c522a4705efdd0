//! T30 to T54: keys and the settings of a mount.

use serde_json::{Value, json};

use crate::bench::{Bench, Who};
use crate::cases;

cases![
    t30, t31, t32, t33, t34, t35, t36, t37, t38, t39, t40, t41_t42, t43, t44, t45, t46, t47, t48,
    t49_t50, t51, t52, t53_t54, export, cache,
];

/// The members of a symmetric key, sorted.
const MEMBERS: [&str; 18] = [
    "allow_plaintext_backup",
    "auto_rotate_period",
    "deletion_allowed",
    "derived",
    "exportable",
    "imported_key",
    "keys",
    "latest_version",
    "min_available_version",
    "min_decryption_version",
    "min_encryption_version",
    "name",
    "soft_deleted",
    "supports_decryption",
    "supports_derivation",
    "supports_encryption",
    "supports_signing",
    "type",
];

fn versions(data: &Value) -> Vec<String> {
    data["keys"].as_object().unwrap().keys().cloned().collect()
}

fn is_key(data: &Value) {
    let names: Vec<_> = data
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(names, MEMBERS);
    assert!(
        data["keys"]
            .as_object()
            .unwrap()
            .values()
            .all(Value::is_i64)
    );
}

async fn t30(b: &Bench) {
    let data = b.root_post("transit/keys/t30", json!({})).await.data();
    is_key(&data);
    for (name, fresh) in [
        ("latest_version", json!(1)),
        ("min_available_version", json!(0)),
        ("min_decryption_version", json!(1)),
        ("min_encryption_version", json!(0)),
        ("auto_rotate_period", json!(0)),
        ("type", json!("aes256-gcm96")),
        ("name", json!("t30")),
        ("supports_encryption", json!(true)),
        ("supports_signing", json!(false)),
        ("exportable", json!(false)),
        ("soft_deleted", json!(false)),
    ] {
        assert_eq!(data[name], fresh, "{name}");
    }
}

async fn t31(b: &Bench) {
    b.key("t31", 1).await;
    let got = b
        .root_post("transit/keys/t31", json!({"type": "rsa-2048"}))
        .await;
    assert_eq!(got.data()["type"], "aes256-gcm96");
    assert_eq!(got.json()["warnings"], Value::Null);
}

async fn t32(b: &Bench) {
    b.root_post("transit/keys/t32", json!({"type": "nope"}))
        .await
        .error(400, "unknown key type nope");
}

async fn t33(b: &Bench) {
    let text = "auto rotate period must be 0 to disable or at least an hour";
    b.root_post("transit/keys/t33", json!({"auto_rotate_period": 60}))
        .await
        .error(400, text);
    let text = "convergent encryption requires derivation to be enabled";
    b.root_post("transit/keys/t33", json!({"convergent_encryption": true}))
        .await
        .error(400, text);
}

async fn t34(b: &Bench) {
    is_key(&b.get("transit/keys/k1", Who::Kms).await.data());
}

async fn t35(b: &Bench) {
    b.get("transit/keys/none", Who::Root).await.no_errors(404);
}

async fn t36(b: &Bench) {
    for got in [
        b.send("LIST", "transit/keys", Who::Root, "").await,
        b.send("LIST", "transit/keys/", Who::Root, "").await,
        b.get("transit/keys?list=true", Who::Root).await,
    ] {
        let keys: Vec<String> = serde_json::from_value(got.data()["keys"].clone()).unwrap();
        assert!(
            keys.is_sorted() && keys.contains(&String::from("k1")),
            "{keys:?}"
        );
    }
    let got = b
        .get("transit/keys?list=true&after=k1&limit=1", Who::Root)
        .await;
    assert_eq!(got.data()["keys"], json!(["k2"]));
}

async fn t37(b: &Bench) {
    b.root_post("sys/mounts/t37", json!({"type": "transit"}))
        .await
        .bare(204);
    b.root_post("sys/mounts/t37", json!({"type": "transit"}))
        .await
        .error(400, "path is already in use at t37/");
    b.send("LIST", "t37/keys", Who::Root, "")
        .await
        .no_errors(404);
    b.send("DELETE", "sys/mounts/t37", Who::Root, "")
        .await
        .bare(204);
    b.get("t37/keys/x", Who::Root)
        .await
        .error_start(404, "no handler for route");
}

async fn t38(b: &Bench) {
    b.key("t38", 1).await;
    let data = b
        .root_post("transit/keys/t38/rotate", json!({}))
        .await
        .data();
    assert_eq!(data["latest_version"], 2);
    assert_eq!(versions(&data), ["1", "2"]);
}

async fn t39(b: &Bench) {
    b.root_post("transit/keys/none/rotate", json!({}))
        .await
        .error(400, "key not found");
}

async fn t40(b: &Bench) {
    b.post("transit/keys/k1/rotate", Who::Kms, json!({}))
        .await
        .wrapped(403, "permission denied");
}

/// T41 and T42: an archived version is not listed, and comes back.
async fn t41_t42(b: &Bench) {
    b.key("t41", 2).await;
    assert_eq!(
        versions(
            &b.configure("t41", json!({"min_decryption_version": 2}))
                .await
                .data()
        ),
        ["2"]
    );
    assert_eq!(
        versions(
            &b.configure("t41", json!({"min_decryption_version": 1}))
                .await
                .data()
        ),
        ["1", "2"]
    );
}

async fn t43(b: &Bench) {
    b.key("t43", 2).await;
    let text = |kind: &str| format!("cannot set min {kind} version of 9, latest key version is 2");
    b.configure("t43", json!({"min_decryption_version": 9}))
        .await
        .error(400, &text("decryption"));
    b.configure("t43", json!({"min_encryption_version": 9}))
        .await
        .error(400, &text("encryption"));
    b.configure("t43", json!({"min_decryption_version": -1}))
        .await
        .error(400, "min decryption version cannot be negative");
}

async fn t44(b: &Bench) {
    b.key("t44", 2).await;
    let got = b
        .configure("t44", json!({"min_decryption_version": 0}))
        .await;
    assert_eq!(got.data()["min_decryption_version"], 1);
    let text = "since Vault 0.3 (prior to the OpenBao fork), transit key numbering starts at 1; forcing minimum \
                to 1";
    assert_eq!(got.warnings(), [text]);
}

async fn t45(b: &Bench) {
    b.key("t45", 3).await;
    let got = b
        .configure(
            "t45",
            json!({"min_encryption_version": 1, "min_decryption_version": 2}),
        )
        .await;
    let text = "cannot set min encryption/decryption values; min encryption version of 1 must be greater than or \
                equal to min decryption version of 2";
    got.error(400, text);
}

async fn t46(b: &Bench) {
    b.configure("none", json!({}))
        .await
        .error(400, "no existing key named none could be found");
}

async fn t47(b: &Bench) {
    b.key("t47", 2).await;
    let trim = async |body: Value| b.root_post("transit/keys/t47/trim", body).await;
    let start = "minimum available version";
    trim(json!({}))
        .await
        .error(400, "missing min_available_version");
    let text = format!("{start} cannot be set when minimum encryption version is not set");
    trim(json!({"min_available_version": 1}))
        .await
        .error(400, &text);
    let text = format!("{start} cannot be decremented");
    trim(json!({"min_available_version": -1}))
        .await
        .error(400, &text);
    b.root_post(
        "transit/keys/none/trim",
        json!({"min_available_version": 1}),
    )
    .await
    .error(400, "invalid key name");
}

async fn t48(b: &Bench) {
    b.key("t48", 1).await;
    let old = b.ciphertext("t48").await;
    b.key("t48", 2).await;
    b.configure(
        "t48",
        json!({"min_encryption_version": 2, "min_decryption_version": 2}),
    )
    .await
    .data();
    let data = b
        .root_post("transit/keys/t48/trim", json!({"min_available_version": 2}))
        .await
        .data();
    assert_eq!(data["min_available_version"], 2);
    let text = "ciphertext or signature version is disallowed by policy (too old)";
    b.decrypt("t48", json!({"ciphertext": old}))
        .await
        .error(400, text);
}

/// T49 and T50: a key is deleted only after that was allowed.
async fn t49_t50(b: &Bench) {
    b.key("t49", 1).await;
    let delete = async || b.send("DELETE", "transit/keys/t49", Who::Root, "").await;
    delete().await.error(
        400,
        "error deleting policy t49: deletion is not allowed for this key",
    );
    b.configure("t49", json!({"deletion_allowed": true}))
        .await
        .data();
    delete().await.bare(204);
    b.get("transit/keys/t49", Who::Root).await.no_errors(404);
    delete().await.error(
        400,
        "error deleting policy t49: could not delete key; not found",
    );
}

async fn t51(b: &Bench) {
    let text = "refusing to use soft-deleted key";
    b.key("t51", 1).await;
    let old = b.ciphertext("t51").await;
    let deleted = b
        .send("DELETE", "transit/keys/t51/soft-delete", Who::Root, "")
        .await
        .data();
    assert_eq!(deleted["soft_deleted"], true);
    b.get("transit/keys/t51", Who::Root).await.data();
    b.encrypt("t51", json!({"plaintext": "aGk="}))
        .await
        .error(400, text);
    b.decrypt("t51", json!({"ciphertext": old}))
        .await
        .error(400, text);
    b.root_post("transit/keys/t51/rotate", json!({}))
        .await
        .wrapped(500, text);
    let restored = b
        .root_post("transit/keys/t51/soft-delete-restore", json!({}))
        .await
        .data();
    assert_eq!(restored["soft_deleted"], false);
    b.decrypt("t51", json!({"ciphertext": old})).await.data();
    b.send("DELETE", "transit/keys/none/soft-delete", Who::Root, "")
        .await
        .bare(204);
}

async fn t52(b: &Bench) {
    let read = async || b.get("transit/config/keys", Who::Root).await.data();
    let write = async |body: Value| b.root_post("transit/config/keys", body).await.data();
    assert_eq!(read().await, json!({"disable_upsert": false}));
    assert_eq!(
        write(json!({"disable_upsert": true})).await,
        json!({"disable_upsert": true})
    );
    assert_eq!(read().await, json!({"disable_upsert": true}));
    assert_eq!(write(json!({})).await, json!({"disable_upsert": false}));
}

/// T53 and T54: what is not exportable is neither exported nor backed up.
async fn t53_t54(b: &Bench) {
    b.get("transit/export/encryption-key/k1", Who::Root)
        .await
        .error(400, "private key material is not exportable");
    b.get("transit/export/encryption-key/none", Who::Root)
        .await
        .no_errors(404);
    b.get("transit/backup/k1", Who::Root)
        .await
        .wrapped(500, "exporting is disallowed on the policy");
    b.get("transit/backup/none", Who::Root)
        .await
        .wrapped(500, "key \"none\" not found");
}

async fn export(b: &Bench) {
    b.key("exported", 2).await;
    b.configure(
        "exported",
        json!({"exportable": true, "min_decryption_version": 2}),
    )
    .await
    .data();
    let data = b
        .get("transit/export/encryption-key/exported", Who::Root)
        .await
        .data();
    assert_eq!(versions(&data), ["2"]);
    assert_eq!(data["keys"]["2"].as_str().unwrap().len(), 44);
    let version = async |version: &str| {
        b.get(
            &format!("transit/export/encryption-key/exported/{version}"),
            Who::Root,
        )
        .await
    };
    version("1").await.error(
        400,
        "version for export is below minimum decryption version",
    );
    version("3")
        .await
        .error(400, "version does not exist or cannot be found");
    let refused = b.get("transit/backup/exported", Who::Root).await;
    refused.wrapped(500, "plaintext backup is disallowed on the policy");
}

async fn cache(b: &Bench) {
    assert_eq!(
        b.get("transit/cache-config", Who::Root).await.data(),
        json!({"size": 0})
    );
    let text = "size must be 0 or a value greater or equal to 10";
    b.root_post("transit/cache-config", json!({"size": 5}))
        .await
        .error(400, text);
}
