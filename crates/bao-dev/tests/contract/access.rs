//! T87 to T106: capabilities, logins, tokens, policies.

use bao_dev::testing::Jwt;
use serde_json::{Value, json};

use crate::bench::{Bench, Who};
use crate::cases;

cases![
    t87, t88, t89, t90, t91, t92, t93, t94, t95, t96, t97, t98, t99, t100, t101,
    t102: "needs the server's clock",
    t103, t104, t105, t106, algorithms, times, bound_claims, role_gone, accessors, batch_login, children,
];

const DENIED: &str = "permission denied";

async fn capabilities(b: &Bench, who: Who, paths: Value) -> Value {
    b.post("sys/capabilities-self", who, json!({"paths": paths}))
        .await
        .body(200)
}

async fn t87(b: &Bench) {
    let body = capabilities(
        b,
        Who::Kms,
        json!(["transit/encrypt/k1", "transit/keys/k1/rotate"]),
    )
    .await;
    for place in [&body, &body["data"]] {
        assert_eq!(place["transit/encrypt/k1"], json!(["update"]));
        assert_eq!(place["transit/keys/k1/rotate"], json!(["deny"]));
        assert!(place.get("capabilities").is_none());
    }
}

async fn t88(b: &Bench) {
    let body = capabilities(b, Who::Creator, json!(["transit/encrypt/k1"])).await;
    assert_eq!(body["capabilities"], json!(["create", "update"]));
    assert_eq!(body["data"]["capabilities"], json!(["create", "update"]));
    assert_eq!(
        capabilities(b, Who::Root, json!(["x"])).await["capabilities"],
        json!(["root"])
    );
}

async fn t89(b: &Bench) {
    b.post("sys/capabilities-self", Who::Kms, json!({}))
        .await
        .error(400, "paths must be supplied");
}

async fn t90(b: &Bench) {
    b.post(
        "sys/capabilities-self",
        Who::NoDefault,
        json!({"paths": ["x"]}),
    )
    .await
    .wrapped(403, DENIED);
    b.get("auth/token/lookup-self", Who::NoDefault)
        .await
        .wrapped(403, DENIED);
}

async fn t91(b: &Bench) {
    let auth = b.login("kms", &b.mint(&Jwt::default())).await.auth();
    assert_eq!(auth["lease_duration"], 600);
    assert_eq!(auth["policies"], json!(["default", "kms"]));
    assert_eq!(auth["metadata"]["role"], "kms");
    assert_eq!(auth["token_type"], "service");
    assert_eq!(auth["orphan"], true);
    assert_eq!(auth["num_uses"], 0);
    assert_eq!(auth["renewable"], true);
    assert!(auth["client_token"].as_str().unwrap().starts_with("s."));
    assert!(b.login("KMS", &b.mint(&Jwt::default())).await.auth()["client_token"].is_string());
}

fn with(change: impl FnOnce(&mut Jwt)) -> Jwt {
    let mut jwt = Jwt::default();
    change(&mut jwt);
    jwt
}

async fn t92(b: &Bench) {
    let unsigned =
        "error verifying token signature: no known key successfully validated the token signature";
    for (jwt, reason) in [
        (
            with(|jwt| jwt.issuer = "x".into()),
            "invalid issuer (iss) claim",
        ),
        (
            with(|jwt| jwt.subject = "x".into()),
            "invalid subject (sub) claim",
        ),
        (
            with(|jwt| jwt.audience = "x".into()),
            "invalid audience (aud) claim: audience claim does not match any expected audience",
        ),
        (
            with(|jwt| (jwt.expires_in, jwt.issued_in) = (Some(-300), Some(-600))),
            "invalid expiration time (exp) claim: token is expired",
        ),
        (
            with(|jwt| jwt.not_before_in = Some(300)),
            "invalid not before (nbf) claim: token not yet valid",
        ),
        (
            with(|jwt| (jwt.issued_in, jwt.not_before_in) = (Some(300), Some(0))),
            "invalid issued at (iat) claim: token issued in the future",
        ),
        (with(|jwt| jwt.algorithm = "none".into()), unsigned),
        (with(|jwt| jwt.foreign_key = true), unsigned),
    ] {
        let text = format!("error validating token: {reason}");
        b.login("kms", &b.mint(&jwt)).await.error(400, &text);
    }
    let start = "error validating token: error verifying token signature:";
    let text = format!("{start} go-jose/go-jose: compact JWS format must have three parts");
    b.login("kms", "garbage").await.error(400, &text);
    b.login("kms", "a.b.c")
        .await
        .error(400, &format!("{start} illegal base64 data at input byte 0"));
}

async fn t93(b: &Bench) {
    let expired = |ago: i64| with(|jwt| (jwt.expires_in, jwt.issued_in) = (Some(-ago), Some(-600)));
    b.login("kms", &b.mint(&expired(30))).await.auth();
    b.login("kms", &b.mint(&expired(90))).await.error(
        400,
        "error validating token: invalid expiration time (exp) claim: token is expired",
    );
}

async fn t94(b: &Bench) {
    let login = async |body: Value| b.post("auth/jwt/login", Who::Nobody, body).await;
    let jwt = b.mint(&Jwt::default());
    login(json!({"jwt": jwt})).await.error(400, "missing role");
    login(json!({"jwt": jwt, "role": "x"}))
        .await
        .error(400, "role \"x\" could not be found");
    login(json!({"role": "kms"}))
        .await
        .error(400, "missing token");
    b.put_role("t94", json!({"role_type": "oidc"})).await.error(
        400,
        "'allowed_redirect_uris' must be set if 'role_type' is 'oidc' or unspecified.",
    );
    let redirected = json!({"role_type": "oidc", "allowed_redirect_uris": ["https://x/"]});
    b.put_role("t94", redirected).await.bare(204);
    login(json!({"jwt": jwt, "role": "t94"}))
        .await
        .error(400, "role with oidc role_type is not allowed");
    b.root_post("sys/auth/t94", json!({"type": "jwt"}))
        .await
        .bare(204);
    let got = b
        .post(
            "auth/t94/login",
            Who::Nobody,
            json!({"jwt": jwt, "role": "kms"}),
        )
        .await;
    b.send("DELETE", "sys/auth/t94", Who::Root, "")
        .await
        .bare(204);
    got.error(400, "could not load configuration");
}

async fn t95(b: &Bench) {
    b.post("auth/nosuch/login", Who::Nobody, json!({}))
        .await
        .error(403, DENIED);
}

async fn t96(b: &Bench) {
    let got = b
        .put_role("t96", json!({"bound_audiences": [], "bound_subject": ""}))
        .await;
    got.error(
        400,
        "must have at least one bound constraint when creating/updating a role",
    );
    for name in ["a%20b", "-a", "a@b"] {
        b.put_role(name, json!({}))
            .await
            .wrapped(404, "unsupported path");
    }
}

async fn login_token(b: &Bench, role: &str) -> String {
    let auth = b.login(role, &b.mint(&Jwt::default())).await.auth();
    auth["client_token"].as_str().unwrap().to_owned()
}

async fn t97(b: &Bench) {
    let token = login_token(b, "kms").await;
    let data = b.get_as("auth/token/lookup-self", &token).await.data();
    for name in [
        "id",
        "accessor",
        "policies",
        "path",
        "meta",
        "display_name",
        "num_uses",
        "orphan",
        "creation_time",
        "creation_ttl",
        "expire_time",
        "ttl",
        "explicit_max_ttl",
        "entity_id",
        "type",
        "renewable",
        "issue_time",
    ] {
        assert!(data.get(name).is_some(), "{name}");
    }
    assert!((590..=600).contains(&data["ttl"].as_i64().unwrap()));
    assert_eq!(data["path"], "auth/jwt/login");
    let root = b.get("auth/token/lookup-self", Who::Root).await.data();
    assert_eq!(
        (&root["expire_time"], &root["ttl"]),
        (&Value::Null, &json!(0))
    );
}

async fn t98(b: &Bench) {
    let token = login_token(b, "kms").await;
    let renew = async |increment: Value| {
        b.post_as(
            "auth/token/renew-self",
            &token,
            json!({"increment": increment}),
        )
        .await
    };
    assert_eq!(renew(json!("5m")).await.auth()["lease_duration"], 300);
    let capped = renew(json!(3600)).await;
    let granted = capped.auth()["lease_duration"].as_i64().unwrap();
    assert!((1790..=1800).contains(&granted), "{granted}");
    let warnings = capped.warnings();
    assert!(
        warnings[0].starts_with("TTL of \"1h\" exceeded the effective max_ttl of "),
        "{warnings:?}"
    );
    assert_eq!(
        b.post_as("auth/token/renew-self", &token, json!({}))
            .await
            .auth()["lease_duration"],
        600
    );
    let negative = renew(json!(-5)).await;
    negative.error_start(
        400,
        "Field validation failed: error converting input for field \"increment\"",
    );
    assert!(
        negative
            .error_text(400)
            .contains("cannot provide negative value '-5'")
    );
}

async fn t99(b: &Bench) {
    let renew = async |token: &str| b.post_as("auth/token/renew-self", token, json!({})).await;
    let batch = b
        .token(json!({"policies": ["kms"], "type": "batch", "ttl": "5m"}))
        .await;
    renew(&batch)
        .await
        .error(400, "batch tokens cannot be renewed");
    b.post_as("auth/token/revoke-self", &batch, json!({}))
        .await
        .error(400, "batch tokens cannot be revoked");
    let fixed = b
        .token(json!({"policies": ["kms"], "renewable": false, "ttl": "5m"}))
        .await;
    renew(&fixed).await.error(400, "lease is not renewable");
    let made = b.token(json!({"policies": ["root"]})).await;
    renew(&made).await.error(400, "lease is not renewable");
    // The root token of a server in dev mode is a made one too, and has a lease.
    let root = b.get("auth/token/lookup-self", Who::Root).await.data();
    let text = if root["path"] == "auth/token/root" {
        assert!(root.get("renewable").is_none(), "{root}");
        "invalid lease ID"
    } else {
        "lease is not renewable"
    };
    b.post("auth/token/renew-self", Who::Root, json!({}))
        .await
        .error(400, text);
}

async fn t100(b: &Bench) {
    let token = login_token(b, "kms").await;
    b.post_as("auth/token/revoke-self", &token, json!({}))
        .await
        .bare(204);
    b.get_as("auth/token/lookup-self", &token)
        .await
        .error(403, DENIED);
}

async fn t101(b: &Bench) {
    let token = b
        .token(json!({"policies": ["kms"], "num_uses": 1, "ttl": "5m"}))
        .await;
    b.get_as("transit/keys/k1", &token).await.data();
    b.get_as("transit/keys/k1", &token).await.error(403, DENIED);
}

async fn t102(b: &Bench) {
    let token = login_token(b, "kms").await;
    b.control().clock_advance(599);
    let alive = b.get_as("transit/keys/k1", &token).await.status;
    b.control().clock_advance(1);
    let dead = b.get_as("transit/keys/k1", &token).await;
    b.control().clock_offset(0);
    assert_eq!(alive, 200);
    dead.error(403, DENIED);
}

async fn put_policy(b: &Bench, name: &str, rules: &[(&str, &str)]) {
    let rule = |(path, capability): &(&str, &str)| {
        format!("path \"{path}\" {{ capabilities = [\"{capability}\"] }}\n")
    };
    let text: String = rules.iter().map(rule).collect();
    b.root_post(&format!("sys/policies/acl/{name}"), json!({"policy": text}))
        .await
        .bare(204);
}

async fn encrypts(b: &Bench, policies: Value) -> bool {
    let token = b.token(json!({"policies": policies})).await;
    let got = b
        .post_as("transit/encrypt/k1", &token, json!({"plaintext": "aGk="}))
        .await;
    if got.status != 200 {
        got.wrapped(403, DENIED);
    }
    got.status == 200
}

async fn t103(b: &Bench) {
    put_policy(b, "t103", &[("transit/encrypt/k1", "update")]).await;
    let token = b.token(json!({"policies": ["t103"]})).await;
    let encrypt = async || {
        b.post_as("transit/encrypt/k1", &token, json!({"plaintext": "aGk="}))
            .await
    };
    encrypt().await.data();
    b.send("DELETE", "sys/policies/acl/t103", Who::Root, "")
        .await
        .bare(204);
    encrypt().await.wrapped(403, DENIED);
}

async fn t104(b: &Bench) {
    put_policy(
        b,
        "t104",
        &[("transit/*", "deny"), ("transit/encrypt/k1", "update")],
    )
    .await;
    assert!(encrypts(b, json!(["t104"])).await);
}

async fn t105(b: &Bench) {
    put_policy(b, "t105a", &[("transit/encrypt/k1", "deny")]).await;
    put_policy(b, "t105b", &[("transit/encrypt/k1", "update")]).await;
    assert!(!encrypts(b, json!(["t105a", "t105b"])).await);
    assert!(encrypts(b, json!(["t105b"])).await);
}

async fn t106(b: &Bench) {
    put_policy(b, "t106", &[("transit/+/k1", "update")]).await;
    assert!(encrypts(b, json!(["t106"])).await);
}

async fn algorithms(b: &Bench) {
    for algorithm in ["ES256", "RS256", "EdDSA"] {
        b.login(
            "kms",
            &b.mint(&with(|jwt| jwt.algorithm = algorithm.into())),
        )
        .await
        .auth();
    }
    // A good signature of an algorithm the mount does not want.
    let config = b.get("auth/jwt/config", Who::Root).await.data();
    let change = |algorithms: Value| {
        json!({"jwt_validation_pubkeys": config["jwt_validation_pubkeys"], "bound_issuer": config["bound_issuer"],
            "jwt_supported_algs": algorithms})
    };
    b.root_post("auth/jwt/config", change(json!(["RS256"])))
        .await
        .bare(204);
    let refused = b.login("kms", &b.mint(&Jwt::default())).await;
    b.root_post("auth/jwt/config", change(json!([])))
        .await
        .bare(204);
    let text = "error validating token: invalid algorithm (alg) header parameter: token signed with unexpected \
                algorithm";
    refused.error(400, text);
}

async fn times(b: &Bench) {
    let only = |exp: Option<i64>, iat: Option<i64>| {
        with(|jwt| (jwt.expires_in, jwt.issued_in) = (exp, iat))
    };
    b.login("kms", &b.mint(&only(Some(100), None))).await.auth();
    b.login("kms", &b.mint(&only(None, Some(-200))))
        .await
        .auth();
    let start = "error validating token:";
    let refused = async |jwt: Jwt, reason: &str| {
        b.login("kms", &b.mint(&jwt))
            .await
            .error(400, &format!("{start} {reason}"));
    };
    refused(
        only(Some(300), None),
        "invalid not before (nbf) claim: token not yet valid",
    )
    .await;
    refused(
        only(None, Some(-400)),
        "invalid expiration time (exp) claim: token is expired",
    )
    .await;
    let text = "no issued at (iat), not before (nbf), or expiration time (exp) claims in token";
    refused(only(None, None), text).await;
}

async fn bound_claims(b: &Bench) {
    let changes = json!({"bound_claims": {"team": "kms-*"}, "bound_claims_type": "glob", "bound_audiences": []});
    b.put_role("bound", changes).await.bare(204);
    let login = async |claims: Value| {
        b.login(
            "bound",
            &b.mint(&with(|jwt| {
                jwt.claims = claims.as_object().unwrap().clone();
            })),
        )
        .await
    };
    login(json!({"aud": null, "team": "kms-a"})).await.auth();
    login(json!({"team": "kms-a"})).await.error(
        400,
        "audience claim found in JWT but no audiences bound to the role",
    );
    let start = "error validating claims: claim \"team\"";
    login(json!({"aud": null}))
        .await
        .error(400, &format!("{start} is missing"));
    login(json!({"aud": null, "team": "x"})).await.error(
        400,
        &format!("{start} does not match any associated bound claim values"),
    );
    b.put_role("bound", json!({"user_claim": "uid", "bound_subject": ""}))
        .await
        .bare(204);
    login(json!({}))
        .await
        .error(400, "claim \"uid\" not found in token");
    login(json!({"uid": 7}))
        .await
        .error(400, "claim \"uid\" could not be converted to string");
}

async fn role_gone(b: &Bench) {
    b.put_role("gone", json!({})).await.bare(204);
    let token = login_token(b, "gone").await;
    let renew = async || b.post_as("auth/token/renew-self", &token, json!({})).await;
    // Other policies of the role change nothing for tokens that are there.
    b.put_role("gone", json!({"token_policies": ["other"]}))
        .await
        .bare(204);
    assert_eq!(renew().await.auth()["policies"], json!(["default", "kms"]));
    b.send("DELETE", "auth/jwt/role/gone", Who::Root, "")
        .await
        .bare(204);
    renew().await.wrapped(
        500,
        "failed to renew entry: role gone does not exist during renewal",
    );
    b.get_as("transit/keys/k1", &token).await.data();
}

async fn accessors(b: &Bench) {
    let auth = b.login("kms", &b.mint(&Jwt::default())).await.auth();
    b.root_post(
        "auth/token/revoke-accessor",
        json!({"accessor": auth["accessor"]}),
    )
    .await
    .bare(204);
    let token = auth["client_token"].as_str().unwrap();
    b.get_as("auth/token/lookup-self", token)
        .await
        .error(403, DENIED);
}

async fn batch_login(b: &Bench) {
    b.put_role("batch", json!({"token_type": "batch"}))
        .await
        .bare(204);
    let auth = b.login("batch", &b.mint(&Jwt::default())).await.auth();
    assert_eq!(auth["token_type"], "batch");
    assert_eq!(auth["renewable"], false);
    assert!(auth["client_token"].as_str().unwrap().starts_with("b."));
    b.get_as("transit/keys/k1", auth["client_token"].as_str().unwrap())
        .await
        .data();
}

async fn children(b: &Bench) {
    let parent = b.token(json!({"policies": ["root"], "ttl": "5m"})).await;
    let child = b
        .post_as("auth/token/create", &parent, json!({"policies": ["kms"]}))
        .await
        .auth();
    let child = child["client_token"].as_str().unwrap();
    b.get_as("transit/keys/k1", child).await.data();
    b.post_as("auth/token/revoke-self", &parent, json!({}))
        .await
        .bare(204);
    b.get_as("transit/keys/k1", child).await.error(403, DENIED);
}
