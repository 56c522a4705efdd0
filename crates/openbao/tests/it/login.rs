//! Logging in, renewing, and getting a token back.

use std::time::Duration;

use bao_dev::testing::{Action, Fault, Jwt};
use openbao::{
    LoginState,
    error::{Class, Error},
    settings::{Auth, Settings},
};

use crate::rig::{Client, Rig, write};

#[tokio::test]
async fn the_client_logs_in_and_reads_the_key_and_the_mount() {
    use openbao::transit::Transit as _;
    let rig = Rig::start().await;
    let client = rig.client();
    assert_eq!(client.read().await, Ok(true));
    let key = client.bao.read_key(crate::rig::within(3000)).await.unwrap();
    assert_eq!(key.key_type, "aes256-gcm96");
    assert_eq!(key.latest_version, 1);
    assert_eq!(key.creation_times.len(), 1);
    assert_eq!(client.bao.login_state(), LoginState::LoggedIn);
    let ttl = client.bao.token_ttl().unwrap();
    assert!(ttl > Duration::from_secs(3590) && ttl <= Duration::from_secs(3600));
    assert_eq!(rig.control().count("login"), 1);
    let metrics = client.metrics();
    assert!(
        metrics.contains(
            "openbao_requests_total{operation=\"transit_metadata_read\",status=\"ok\"} 1"
        )
    );
    assert!(metrics.contains("openbao_duration_seconds_count{operation=\"jwt_login\"} 1"));
}

#[tokio::test]
async fn a_token_is_renewed_ahead_of_its_end() {
    let rig = Rig::start().await;
    let mut settings = rig.settings();
    // Due almost at once; the client never refreshes more often than every second.
    settings.refresh_ahead = Duration::from_secs(3599);
    let client = Client::start(settings);
    assert_eq!(client.read().await, Ok(true));
    while !client
        .metrics()
        .contains("auth_renewal_total{status=\"ok\"} 1")
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(rig.control().count("login"), 1);
    assert_eq!(rig.control().count("renew-self"), 1);
    assert_eq!(client.read().await, Ok(true));
}

#[tokio::test]
async fn revoked_tokens_cost_one_login_and_no_call() {
    let rig = Rig::start().await;
    let client = rig.client();
    assert_eq!(client.read().await, Ok(true));
    rig.control().tokens_revoke_all();
    let calls = (0..8).map(|_| client.read());
    let answers = futures_util::future::join_all(calls).await;
    assert!(
        answers.iter().all(|answer| *answer == Ok(true)),
        "{answers:?}"
    );
    assert_eq!(rig.control().count("login"), 2);
}

#[tokio::test]
async fn a_removed_policy_is_named_and_its_return_ends_the_trouble() {
    let rig = Rig::start().await;
    let client = rig.client();
    assert_eq!(client.read().await, Ok(true));
    rig.control().policy_remove("kms");
    assert_eq!(client.class().await, Class::PolicyDenied);
    assert_eq!(client.class().await, Class::PolicyDenied);
    // The token still lives; only one login was worth a try.
    assert_eq!(rig.control().count("login"), 2);
    let text = "path \"transit/*\" {\n  capabilities = [\"update\", \"read\"]\n}\n";
    rig.control().policy_put("kms", text).unwrap();
    assert_eq!(client.read().await, Ok(true));
}

/// The error of the first login with what `change` makes of the settings.
async fn refused(rig: &Rig, change: impl FnOnce(&mut Settings)) -> Error {
    let mut settings = rig.settings();
    change(&mut settings);
    let client = Client::start(settings);
    loop {
        if let LoginState::NoToken(Some(error)) = client.bao.login_state() {
            return error;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_jwt_that_cannot_work_is_refused_before_it_is_sent() {
    let rig = Rig::start().await;
    let cases = [
        (
            Jwt {
                expires_in: Some(-90),
                ..Jwt::default()
            },
            Class::AuthExpired,
            "`exp`",
        ),
        (
            Jwt {
                expires_in: Some(100),
                ..Jwt::default()
            },
            Class::AuthExpired,
            "minRemainingTtl",
        ),
        (
            Jwt {
                not_before_in: Some(600),
                ..Jwt::default()
            },
            Class::AuthFailed,
            "`nbf`",
        ),
    ];
    for (jwt, class, word) in cases {
        rig.put_jwt(&jwt);
        let error = refused(&rig, |_| ()).await;
        assert_eq!(error.class, class);
        assert!(error.reason.contains(word), "{error}");
    }
    rig.put_jwt(&Jwt::default());
    let error = refused(&rig, |settings| {
        let mut jwt = rig.jwt_settings();
        jwt.issuer = Some("https://other".to_owned());
        settings.auth = Auth::JwtFile(jwt);
    })
    .await;
    assert_eq!(error.class, Class::AuthFailed);
    assert!(error.reason.contains("`iss`"), "{error}");
    assert_eq!(rig.control().count("login"), 0);
}

#[tokio::test]
async fn a_jwt_file_that_others_can_read_is_refused_with_the_command_that_repairs_it() {
    let rig = Rig::start().await;
    write(&rig.file("jwt"), rig.server.jwt(), 0o644);
    let error = refused(&rig, |_| ()).await;
    assert_eq!(error.class, Class::AuthFailed);
    assert!(error.reason.contains("chmod 0640"), "{error}");
    std::fs::remove_file(rig.file("jwt")).unwrap();
    let error = refused(&rig, |_| ()).await;
    assert!(error.reason.contains("does not exist"), "{error}");
    assert_eq!(rig.control().count("login"), 0);
}

#[tokio::test]
async fn what_openbao_refuses_at_login_is_told_in_our_words() {
    let rig = Rig::start().await;
    let wrong_issuer = Jwt {
        issuer: "https://other".to_owned(),
        ..Jwt::default()
    };
    let wrong_audience = Jwt {
        audience: "other".to_owned(),
        ..Jwt::default()
    };
    let foreign = Jwt {
        foreign_key: true,
        ..Jwt::default()
    };
    for (jwt, word) in [
        (wrong_issuer, "(iss)"),
        (wrong_audience, "(aud)"),
        (foreign, "signature"),
    ] {
        rig.put_jwt(&jwt);
        let error = refused(&rig, |_| ()).await;
        assert_eq!((error.class, error.status), (Class::AuthFailed, Some(400)));
        assert!(error.reason.contains(word), "{error}");
    }
    rig.put_jwt(&Jwt::default());
    for (mount, role, word) in [
        ("jwt", "other", "no such role"),
        ("other", "kms", "auth mount"),
    ] {
        let error = refused(&rig, |settings| {
            let mut jwt = rig.jwt_settings();
            jwt.mount = mount.to_owned();
            jwt.role = role.to_owned();
            settings.auth = Auth::JwtFile(jwt);
        })
        .await;
        assert_eq!(error.class, Class::AuthFailed, "{error}");
        assert!(error.reason.contains(word), "{error}");
    }
}

#[tokio::test]
async fn the_namespace_goes_with_every_request_as_raw_utf_8() {
    let rig = Rig::start().await;
    let grant = r#"{"auth":{"client_token":"s.x","lease_duration":3600,"renewable":true}}"#;
    let login = Action::Answer {
        status: 200,
        error: None,
        wrapped: None,
        body: Some(grant.to_owned()),
        headers: std::collections::BTreeMap::new(),
    };
    rig.control()
        .fault(Fault::new(login).path("/v1/auth/jwt/login"));
    let mut settings = rig.settings();
    "größe/ns1".clone_into(&mut settings.namespace);
    let error = Client::start(settings).read().await.unwrap_err();
    // The server knows no such namespace.
    assert_eq!((error.class, error.status), (Class::KeyMissing, Some(404)));
    let requests = rig.control().requests();
    let seen: Vec<_> = requests
        .iter()
        .map(|entry| (entry.operation, entry.namespace.as_str()))
        .collect();
    assert_eq!(
        seen,
        [("login", "größe/ns1"), ("read-config-keys", "größe/ns1")]
    );
}

#[tokio::test]
async fn a_client_that_started_before_the_server_was_ready_needs_no_help() {
    let rig = Rig::start().await;
    rig.control().seal();
    let client = rig.client();
    let short = crate::rig::within(300);
    let error = openbao::transit::Transit::read_disable_upsert(&*client.bao, short).await;
    assert_eq!(error.unwrap_err().class, Class::Sealed);
    rig.control().unseal();
    assert_eq!(client.read().await, Ok(true));
}
