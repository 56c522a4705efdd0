//! A JWT that does not log in: unhealthy, said in the log, and mended by a good file alone.

use std::fs;

use bao_dev::testing::Jwt;
use futures_util::future::join_all;
use tonic::Code;

use super::{
    child::Provider,
    stage::{link, mode, put},
    world::{Sealed, World, refused, until},
};

struct Case {
    /// What is put in the place of the JWT.
    damage: fn(&mut World),
    class: &'static str,
    /// A part of the reason in the log.
    reason: &'static str,
}

const fn case(damage: fn(&mut World), class: &'static str, reason: &'static str) -> Case {
    Case {
        damage,
        class,
        reason,
    }
}

fn give(world: &World, jwt: &Jwt) {
    put(&world.stage.jwt_file(), world.bao.mint(jwt).unwrap(), 0o640);
}

fn expect(world: &mut World, claim: &str) {
    world
        .stage
        .set(&format!("auth.jwt.expected{claim}"), "somebody-else");
}

/// Past data, a bad JWT at the next start, a good one later.
async fn mended_while_it_waits(case: Case) {
    let mut world = World::new().await;
    let sealed = world.with_past().await;
    let pair = world.stage.pair();
    (case.damage)(&mut world);
    world.control().counts_reset();

    let provider = Provider::start(&world.stage);
    provider.logged("auth.login", "reason", case.reason).await;
    let line = provider
        .logged("auth.login", "error_class", case.class)
        .await;
    assert_eq!(line["level"], "warn");
    provider.unhealthy("metadata_not_probed").await;
    let (_, page) = provider.ready().await;
    assert_eq!(page["login"], format!("no_token:{}", case.class));
    let mut client = provider.hurried_client().await;
    let encrypted = refused(Sealed::try_make(&mut client).await);
    assert_eq!(encrypted, (Code::FailedPrecondition, "status_stale".into()));
    let opened = refused(sealed.open(&mut client).await);
    assert_eq!(opened, (Code::Unauthenticated, case.class.into()));
    // Probes and calls asked for a token all the time; the back-off decides about logins.
    let logins = world.control().count("login");
    assert!(logins <= 4, "{}: {logins} logins", case.reason);

    if case.reason.contains("auth.jwt.expected") {
        // The expectation was wrong, and not the file: a change of the configuration is a restart.
        provider.terminated().await;
        for claim in ["Issuer", "Audience", "Subject"] {
            world.stage.set(&format!("auth.jwt.expected{claim}"), "");
        }
        let provider = Provider::start(&world.stage);
        assert_eq!(provider.healthy().await, sealed.key_id);
        return;
    }
    give(&world, &Jwt::default());
    assert_eq!(provider.healthy().await, sealed.key_id);
    sealed.open(&mut provider.client().await).await.unwrap();
    assert_eq!(world.stage.pair(), pair);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jwt_that_cannot_be_used_is_named_and_a_good_one_in_its_place_is_enough() {
    let cases = [
        case(
            |w| fs::remove_file(w.stage.jwt_file()).unwrap(),
            "auth_failed",
            "does not exist",
        ),
        case(
            |w| put(&w.stage.jwt_file(), "", 0o640),
            "auth_failed",
            "is empty",
        ),
        case(
            |w| {
                let half = w.bao.jwt().split_at(60).0.to_owned();
                put(&w.stage.jwt_file(), half, 0o640);
            },
            "auth_failed",
            "the JWT is not three base64url parts",
        ),
        case(
            |w| {
                give(
                    w,
                    &Jwt {
                        expires_in: Some(-90),
                        ..Jwt::default()
                    },
                );
            },
            "auth_expired",
            "the JWT has expired",
        ),
        case(
            |w| {
                give(
                    w,
                    &Jwt {
                        expires_in: Some(60),
                        ..Jwt::default()
                    },
                );
            },
            "auth_expired",
            "auth.jwt.minRemainingTtl",
        ),
        case(
            |w| {
                give(
                    w,
                    &Jwt {
                        not_before_in: Some(600),
                        ..Jwt::default()
                    },
                );
            },
            "auth_failed",
            "the JWT is not valid yet",
        ),
    ];
    join_all(cases.map(mended_while_it_waits)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jwt_of_somebody_else_is_refused_here_or_by_openbao() {
    let cases = [
        case(
            |w| expect(w, "Issuer"),
            "auth_failed",
            "auth.jwt.expectedIssuer",
        ),
        case(
            |w| expect(w, "Audience"),
            "auth_failed",
            "auth.jwt.expectedAudience",
        ),
        case(
            |w| expect(w, "Subject"),
            "auth_failed",
            "auth.jwt.expectedSubject",
        ),
        case(
            |w| {
                give(
                    w,
                    &Jwt {
                        issuer: "https://elsewhere".into(),
                        ..Jwt::default()
                    },
                );
            },
            "auth_failed",
            "refused the JWT's issuer",
        ),
        case(
            |w| {
                give(
                    w,
                    &Jwt {
                        audience: "elsewhere".into(),
                        ..Jwt::default()
                    },
                );
            },
            "auth_failed",
            "refused the JWT's audience",
        ),
        case(
            |w| {
                give(
                    w,
                    &Jwt {
                        subject: "system:nobody".into(),
                        ..Jwt::default()
                    },
                );
            },
            "auth_failed",
            "refused the JWT's subject",
        ),
        case(
            |w| {
                give(
                    w,
                    &Jwt {
                        foreign_key: true,
                        ..Jwt::default()
                    },
                );
            },
            "auth_failed",
            "could not verify the JWT's signature",
        ),
    ];
    join_all(cases.map(mended_while_it_waits)).await;
}

/// The file goes bad under a running provider, and then the token is lost.
async fn mended_while_it_runs(case: Case) {
    let mut world = World::new().await;
    world.stage.hasten();
    let (provider, sealed) = world.with_data().await;
    let pair = world.stage.pair();
    (case.damage)(&mut world);
    world.control().counts_reset();
    world.control().tokens_revoke_all();

    provider.logged("auth.login", "reason", case.reason).await;
    provider
        .logged("auth.login", "error_class", case.class)
        .await;
    provider.unhealthy("metadata_stale").await;
    assert_eq!(
        provider.ready().await.1["login"],
        format!("no_token:{}", case.class)
    );
    let opened = refused(sealed.open(&mut provider.hurried_client().await).await);
    assert_eq!(opened, (Code::Unauthenticated, case.class.into()));
    assert_eq!(
        world.control().count("login"),
        0,
        "a JWT that cannot be used was sent"
    );

    let _ = fs::remove_file(world.stage.jwt_file());
    give(&world, &Jwt::default());
    assert_eq!(provider.healthy().await, sealed.key_id);
    sealed.open(&mut provider.client().await).await.unwrap();
    assert_eq!(world.stage.pair(), pair);
    assert_eq!(world.control().count("login"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jwt_file_that_goes_bad_under_a_running_provider_is_refused_until_it_is_good_again() {
    let cases = [
        case(
            |w| mode(&w.stage.jwt_file(), 0o644),
            "auth_failed",
            "mode 0644",
        ),
        case(
            |w| link(&w.stage.jwt_file(), &w.aside()),
            "auth_failed",
            "symbolic link",
        ),
        case(
            |w| put(&w.stage.jwt_file(), vec![b'a'; (64 << 10) + 1], 0o640),
            "auth_failed",
            "larger than 65536 bytes",
        ),
        case(
            |w| {
                give(
                    w,
                    &Jwt {
                        expires_in: Some(-1),
                        ..Jwt::default()
                    },
                );
            },
            "auth_expired",
            "has expired",
        ),
    ];
    join_all(cases.map(mended_while_it_runs)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_token_costs_one_login_and_no_call() {
    let world = World::new().await;
    let (provider, sealed) = world.with_data().await;
    world.control().counts_reset();
    world.control().tokens_revoke_all();
    let mut client = provider.client().await;
    sealed.open(&mut client).await.unwrap();
    Sealed::make(&mut client)
        .await
        .open(&mut client)
        .await
        .unwrap();
    assert_eq!(provider.status().await.healthz, "ok");
    assert_eq!(world.control().count("login"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_is_taken_away_is_reported_after_a_single_login() {
    let world = World::new().await;
    let (provider, sealed) = world.with_data().await;
    world.control().counts_reset();
    world.control().policy_remove("kms");
    let mut client = provider.client().await;
    let denied = (Code::PermissionDenied, "transit_policy_denied".into());
    assert_eq!(refused(sealed.open(&mut client).await), denied);
    provider.unhealthy("upsert_unreadable").await;
    assert_eq!(refused(sealed.open(&mut client).await), denied);
    assert_eq!(
        world.control().count("login"),
        1,
        "one login a minute is all that a denial is worth"
    );

    world
        .control()
        .policy_put("kms", &bao_dev::testing::Setup::default().policy_text())
        .unwrap();
    provider.healthy().await;
    sealed.open(&mut client).await.unwrap();
    until("the end of the outage in the log", async || {
        provider
            .events("status.changed")
            .last()
            .is_some_and(|line| line["healthz"] == "ok")
            .then_some(())
    })
    .await;
}
