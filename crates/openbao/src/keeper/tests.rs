use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::{
    testing::{Bench, Fake, Reply, Sent, WALL, jwt_of, within, write_private},
    transit::Transit as _,
    transport::Failure,
};

const S: fn(u64) -> Duration = Duration::from_secs;

/// Answers every question of Transit that the tests ask.
fn transit(sent: &Sent) -> Reply {
    assert_eq!(sent.operation, "transit_disable_upsert_read");
    Reply::data(r#"{"disable_upsert":true}"#)
}

/// A server that grants `t1`, `t2`, ... for `lease` seconds.
fn granting(lease: u64, renewable: bool) -> impl FnMut(&Sent) -> Reply + Send {
    let mut logins = 0;
    move |sent| match sent.operation {
        "jwt_login" => {
            logins += 1;
            Reply::grant(&format!("t{logins}"), lease, renewable)
        }
        "token_renew_self" => Reply::grant(sent.token.as_ref().unwrap(), lease, renewable),
        _ => transit(sent),
    }
}

async fn read(bench: &Bench, ms: u64) -> Result<bool, Class> {
    let answer = bench.client.read_disable_upsert(within(ms)).await;
    answer.map_err(|error| error.class)
}

fn times(bench: &Bench, operation: &str) -> Vec<Duration> {
    let sent = bench.fake.sent();
    let of = sent.iter().filter(|s| s.operation == operation);
    of.map(|s| s.at).collect()
}

#[tokio::test(start_paused = true)]
async fn the_first_login_sends_role_and_jwt_and_calls_wait_for_it() {
    let bench = Bench::new(&Fake::new(1, |sent| match sent.operation {
        "jwt_login" => Reply::After(S(1), Box::new(Reply::grant("t1", 3600, true))),
        _ => transit(sent),
    }));
    assert_eq!(bench.client.login_state(), LoginState::NoToken(None));
    assert_eq!(bench.client.token_ttl(), None);
    bench
        .run(async {
            let calls = tokio::join!(read(&bench, 3000), read(&bench, 3000));
            assert_eq!(calls, (Ok(true), Ok(true)));
            let sent = bench.fake.sent();
            assert_eq!(sent[0].path, "/v1/auth/jwt/login");
            assert!(sent[0].body.starts_with(r#"{"role":"kms","jwt":"ey"#));
            assert_eq!(sent[0].token, None);
            assert_eq!(sent[1].token.as_deref(), Some("t1"));
            assert_eq!(bench.fake.count("jwt_login"), 1);
            assert_eq!(bench.client.login_state(), LoginState::LoggedIn);
            // Counted from before the login was sent.
            assert_eq!(bench.client.token_ttl(), Some(S(3599)));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_renewable_token_is_renewed_ahead_of_its_end_and_stays_the_same() {
    let bench = Bench::new(&Fake::new(1, granting(3600, true)));
    bench
        .run(async {
            sleep(S(3600)).await;
            assert_eq!(read(&bench, 10).await, Ok(true));
            assert_eq!(bench.fake.count("jwt_login"), 1);
            let renewals = times(&bench, "token_renew_self");
            assert_eq!(renewals.len(), 1);
            assert!(renewals[0] >= S(3300) && renewals[0] < S(3301));
            let sent = bench.fake.sent();
            assert_eq!(sent[1].path, "/v1/auth/token/renew-self");
            assert_eq!(sent[1].body, r#"{"increment":3600}"#);
            assert_eq!(sent[1].token.as_deref(), Some("t1"));
        })
        .await;
    let metrics = bench.metrics();
    for line in [
        "auth_login_total{status=\"ok\"} 1",
        "auth_renewal_total{status=\"ok\"} 1",
        "auth_method_info{method=\"jwt\"} 1",
        "openbao_requests_total{operation=\"token_renew_self\",status=\"ok\"} 1",
        "token_ttl_seconds 3300",
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_renewed_is_replaced_by_a_login() {
    let bench = Bench::new(&Fake::new(1, granting(3600, false)));
    bench
        .run(async {
            sleep(S(3400)).await;
            assert_eq!(bench.fake.count("token_renew_self"), 0);
            assert_eq!(bench.fake.count("jwt_login"), 2);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_renewal_and_one_that_gives_too_little_lead_to_a_login_at_once() {
    for renewal in [
        || Reply::error(400, "lease is not renewable"),
        || Reply::error(403, "permission denied"),
        || {
            Reply::error(
                500,
                "1 error occurred:\n\t* past the max TTL, cannot renew\n\n",
            )
        },
        || Reply::grant("t1", 300, true),
        || Reply::grant("t1", 20, true),
    ] {
        let mut grants = granting(3600, true);
        let bench = Bench::new(&Fake::new(1, move |sent| match sent.operation {
            "token_renew_self" => renewal(),
            _ => grants(sent),
        }));
        bench
            .run(async {
                sleep(S(3400)).await;
                assert_eq!(bench.fake.count("token_renew_self"), 1);
                assert_eq!(bench.fake.count("jwt_login"), 2);
                assert_eq!(bench.client.login_state(), LoginState::LoggedIn);
            })
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn while_a_refresh_fails_the_living_token_is_used_and_waits_grow_to_a_minute() {
    let mut grants = granting(3600, false);
    let mut logins = 0;
    let bench = Bench::new(&Fake::new(1, move |sent| {
        logins += usize::from(sent.operation == "jwt_login");
        match sent.operation {
            "jwt_login" if logins > 1 => Reply::error(400, "role \"x\" could not be found"),
            _ => grants(sent),
        }
    }));
    bench
        .run(async {
            sleep(S(3590)).await;
            assert_eq!(read(&bench, 10).await, Ok(true));
            let LoginState::RefreshFails(error) = bench.client.login_state() else {
                panic!("{:?}", bench.client.login_state());
            };
            assert_eq!(error.class, Class::AuthFailed);
        })
        .await;
    let logins = times(&bench, "jwt_login");
    let gaps: Vec<f64> = logins[1..]
        .windows(2)
        .map(|w| (w[1] - w[0]).as_secs_f64())
        .collect();
    for (gap, nominal) in gaps
        .iter()
        .zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0])
    {
        let share = gap / nominal;
        assert!((0.74..1.26).contains(&share), "{gaps:?}");
    }
    assert!(gaps.len() >= 8, "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn waits_stay_below_five_seconds_before_the_first_login() {
    let bench = Bench::new(&Fake::new(1, |_| Reply::error(503, "Vault is sealed")));
    bench.run(sleep(S(120))).await;
    // Each login makes its one retry.
    let starts: Vec<_> = times(&bench, "jwt_login").into_iter().step_by(2).collect();
    let gaps: Vec<_> = starts.windows(2).map(|w| w[1] - w[0]).collect();
    assert!(
        gaps.iter().all(|gap| *gap < Duration::from_millis(6500)),
        "{gaps:?}"
    );
    assert!(
        gaps[4..]
            .iter()
            .all(|gap| *gap > Duration::from_millis(3750)),
        "{gaps:?}"
    );
    let LoginState::NoToken(Some(error)) = bench.client.login_state() else {
        panic!("{:?}", bench.client.login_state());
    };
    assert_eq!(error.class, Class::Sealed);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_shortens_the_wait_and_gets_the_reason_when_nothing_helps() {
    let mut grants = granting(600, false);
    let mut logins = 0;
    let bench = Bench::new(&Fake::new(1, move |sent| {
        logins += usize::from(sent.operation == "jwt_login");
        match sent.operation {
            "jwt_login" if logins > 1 => Reply::error(400, "x"),
            _ => grants(sent),
        }
    }));
    bench
        .run(async {
            // The token died a while ago; attempts have become rare.
            sleep(S(1000)).await;
            let before = bench.fake.count("jwt_login");
            assert_eq!(read(&bench, 20_000).await, Err(Class::AuthFailed));
            let tries = bench.fake.count("jwt_login") - before;
            assert!((3..=6).contains(&tries), "{tries}");
            // Nobody waits any more; neither does one who leaves early.
            let left = timeout_at(Instant::now() + S(1), read(&bench, 20_000)).await;
            assert!(left.is_err());
            sleep(S(300)).await;
            let logins = times(&bench, "jwt_login");
            let gap = logins[logins.len() - 1] - logins[logins.len() - 2];
            assert!(gap > S(40), "{logins:?}");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_shared_login_goes_on_when_the_caller_leaves() {
    let bench = Bench::new(&Fake::new(1, |sent| match sent.operation {
        "jwt_login" => Reply::After(S(1), Box::new(Reply::grant("t1", 3600, true))),
        _ => transit(sent),
    }));
    bench
        .run(async {
            let impatient = timeout_at(Instant::now() + S(1) / 2, read(&bench, 3000)).await;
            assert!(impatient.is_err());
            sleep(S(1)).await;
            assert_eq!(read(&bench, 10).await, Ok(true));
            assert_eq!(bench.fake.count("jwt_login"), 1);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_login_timeout_bounds_the_login() {
    let mut first = true;
    let bench = Bench::new(&Fake::new(1, move |_| {
        if std::mem::take(&mut first) {
            Reply::RetryAfter(429, 4)
        } else {
            Reply::Hang
        }
    }));
    bench
        .run(async {
            assert_eq!(read(&bench, 4900).await, Err(Class::Deadline));
            assert_eq!(bench.fake.sent().len(), 2);
            sleep(S(1) / 2).await;
            let LoginState::NoToken(Some(error)) = bench.client.login_state() else {
                panic!("the login did not end");
            };
            assert_eq!(error.class, Class::Unavailable);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_token_is_replaced_once_for_all_calls_and_each_call_is_repeated() {
    let mut grants = granting(3600, true);
    let mut revoked = true;
    let bench = Bench::new(&Fake::new(1, move |sent| match sent.operation {
        "jwt_login" | "token_renew_self" => grants(sent),
        _ if sent.token.as_deref() == Some("t1") && revoked => {
            revoked = sent.at < S(100);
            Reply::After(S(1) / 10, Box::new(Reply::error(403, "permission denied")))
        }
        _ => transit(sent),
    }));
    bench
        .run(async {
            let calls = (0..20).map(|_| read(&bench, 2000));
            let answers = futures_util::future::join_all(calls).await;
            assert!(answers.iter().all(|answer| *answer == Ok(true)));
            assert_eq!(bench.fake.count("jwt_login"), 2);
            assert_eq!(bench.fake.count("transit_disable_upsert_read"), 40);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_refused_again_and_again_causes_a_login_every_five_seconds_at_most() {
    let mut grants = granting(3600, true);
    let bench = Bench::new(&Fake::new(1, move |sent| match sent.operation {
        "jwt_login" => grants(sent),
        _ => Reply::error(403, "permission denied"),
    }));
    bench
        .run(async {
            let mut after_a_login = 0;
            for _ in 0..100 {
                match read(&bench, 2000).await {
                    Err(Class::PolicyDenied) => after_a_login += 1,
                    answer => assert_eq!(answer, Err(Class::AuthFailed)),
                }
                sleep(S(1) / 5).await;
            }
            assert!((3..=5).contains(&after_a_login), "{after_a_login}");
        })
        .await;
    let logins = times(&bench, "jwt_login");
    assert!((4..=6).contains(&logins.len()), "{logins:?}");
    // The first one is the start, not a recovery.
    for pair in logins[1..].windows(2) {
        assert!(pair[1] - pair[0] >= S(5), "{logins:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_denied_policy_is_worth_one_login_a_minute_and_the_token_stays_in_use() {
    let denied = "1 error occurred:\n\t* permission denied\n\n";
    let mut grants = granting(3600, true);
    let bench = Bench::new(&Fake::new(1, move |sent| match sent.operation {
        "jwt_login" => grants(sent),
        _ => Reply::error(403, denied),
    }));
    bench
        .run(async {
            for _ in 0..100 {
                assert_eq!(read(&bench, 2000).await, Err(Class::PolicyDenied));
                assert!(bench.client.token_ttl().is_some());
                sleep(S(1)).await;
            }
        })
        .await;
    let logins = times(&bench, "jwt_login");
    assert_eq!(logins.len(), 3, "{logins:?}");
    assert!(logins[2] - logins[1] >= S(60), "{logins:?}");
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_was_added_since_the_login_is_taken_up() {
    let mut grants = granting(3600, true);
    let bench = Bench::new(&Fake::new(1, move |sent| match sent.token.as_deref() {
        Some("t1") => Reply::error(403, "1 error occurred:\n\t* permission denied\n\n"),
        _ => grants(sent),
    }));
    bench
        .run(async { assert_eq!(read(&bench, 2000).await, Ok(true)) })
        .await;
    assert_eq!(bench.fake.count("jwt_login"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_refused_while_it_is_renewed_is_not_published_again() {
    let mut grants = granting(600, true);
    let bench = Bench::new(&Fake::new(1, move |sent| {
        let dead = sent.token.as_deref() == Some("t1") && sent.at >= S(300);
        match sent.operation {
            "token_renew_self" => Reply::After(S(1), Box::new(Reply::grant("t1", 600, true))),
            "transit_disable_upsert_read" if dead => Reply::error(403, "permission denied"),
            _ => grants(sent),
        }
    }));
    bench
        .run(async {
            sleep(Duration::from_millis(300_500)).await;
            assert_eq!(bench.fake.count("token_renew_self"), 1);
            assert_eq!(read(&bench, 3000).await, Ok(true));
            assert_eq!(
                bench.fake.sent().last().unwrap().token.as_deref(),
                Some("t2")
            );
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_jwt_is_read_again_before_every_login() {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&bodies);
    let bench = Bench::new(&Fake::new(1, move |sent| {
        seen.lock().unwrap().push(sent.body.clone());
        Reply::grant("t", 60, false)
    }));
    bench
        .run(async {
            sleep(S(1)).await;
            let other = jwt_of(&format!(r#"{{"exp":{},"sub":"other"}}"#, WALL + 86_400));
            write_private(&bench.jwt_file, &other);
            sleep(S(31)).await;
        })
        .await;
    let bodies = bodies.lock().unwrap();
    assert_eq!(bodies.len(), 2);
    assert_ne!(bodies[0], bodies[1]);
}

#[tokio::test(start_paused = true)]
async fn a_jwt_that_would_be_refused_is_never_sent_and_recovers_without_help() {
    let bench = Bench::new(&Fake::new(1, granting(3600, true)));
    let cases = [
        (
            jwt_of(&format!(r#"{{"exp":{}}}"#, WALL - 1)),
            Class::AuthExpired,
        ),
        (
            jwt_of(&format!(r#"{{"exp":{}}}"#, WALL + 60)),
            Class::AuthExpired,
        ),
        (
            jwt_of(&format!(
                r#"{{"exp":{},"nbf":{}}}"#,
                WALL + 86_400,
                WALL + 9999
            )),
            Class::AuthFailed,
        ),
        ("half a j".to_owned(), Class::AuthFailed),
        (String::new(), Class::AuthFailed),
    ];
    bench
        .run(async {
            for (text, class) in cases {
                write_private(&bench.jwt_file, &text);
                // While somebody waits the next attempt comes within seconds.
                assert_eq!(read(&bench, 10_000).await, Err(class), "{text}");
                assert_eq!(bench.fake.sent().len(), 0);
            }
            let good = jwt_of(&format!(r#"{{"exp":{}}}"#, WALL + 86_400));
            write_private(&bench.jwt_file, &good);
            assert_eq!(read(&bench, 10_000).await, Ok(true));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_loop_ends_with_the_shutdown_even_in_the_middle_of_a_login() {
    let bench = Bench::new(&Fake::new(1, |_| Reply::Hang));
    let began = Instant::now();
    let (answer, ()) = tokio::join!(read(&bench, 4000), bench.client.run(sleep(S(1))));
    assert_eq!(began.elapsed(), S(1), "who waits is told at once");
    assert_eq!(answer, Err(Class::Unavailable));
    assert_eq!(read(&bench, 4000).await, Err(Class::Unavailable));
    assert_eq!(began.elapsed(), S(1), "and who comes later, too");
    assert_eq!(bench.fake.count("jwt_login"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_is_dropped_leaves_nobody_waiting() {
    let bench = Bench::new(&Fake::new(1, |_| Reply::Hang));
    let began = Instant::now();
    let dropped = timeout_at(began + S(1), bench.client.run(std::future::pending()));
    let (answer, dropped) = tokio::join!(read(&bench, 4000), dropped);
    assert!(dropped.is_err());
    assert_eq!((answer, began.elapsed()), (Err(Class::Unavailable), S(1)));
}

#[tokio::test(start_paused = true)]
async fn a_token_outlives_the_loop_and_is_not_replaced_when_it_is_refused() {
    let mut refusing = false;
    let mut grants = granting(3600, true);
    let bench = Bench::new(&Fake::new(1, move |sent| {
        refusing |= sent.at >= S(10);
        match sent.operation {
            "transit_disable_upsert_read" if refusing => Reply::error(403, "permission denied"),
            _ => grants(sent),
        }
    }));
    bench.client.run(sleep(S(1))).await;
    assert_eq!(read(&bench, 4000).await, Ok(true));
    sleep(S(10)).await;
    let began = Instant::now();
    assert_eq!(read(&bench, 4000).await, Err(Class::AuthFailed));
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(bench.fake.count("jwt_login"), 1);
}

const DENIED: &str = "1 error occurred:\n\t* permission denied\n\n";

#[tokio::test(start_paused = true)]
async fn a_denial_is_told_before_the_callers_deadline_though_the_login_hangs() {
    let mut grants = granting(3600, true);
    let bench = Bench::new(&Fake::new(1, move |sent| match sent.operation {
        "jwt_login" if sent.at >= S(1) => Reply::Hang,
        "jwt_login" => grants(sent),
        _ => Reply::error(403, DENIED),
    }));
    bench
        .run(async {
            sleep(S(2)).await;
            let deadline = Instant::now() + S(2);
            let answer = timeout_at(deadline, read(&bench, 2000)).await;
            assert_eq!(answer, Ok(Err(Class::PolicyDenied)));
            assert!(Instant::now() < deadline);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_denial_during_a_renewal_gets_its_login_when_the_renewal_is_over() {
    let mut grants = granting(600, true);
    let bench = Bench::new(&Fake::new(1, move |sent| match sent.operation {
        "token_renew_self" => Reply::After(S(1), Box::new(Reply::grant("t1", 600, true))),
        "transit_disable_upsert_read" if sent.token.as_deref() == Some("t1") => {
            Reply::error(403, DENIED)
        }
        _ => grants(sent),
    }));
    bench
        .run(async {
            sleep(Duration::from_millis(300_500)).await;
            assert_eq!(bench.fake.count("token_renew_self"), 1, "it is under way");
            assert_eq!(read(&bench, 3000).await, Ok(true));
            assert_eq!(bench.fake.count("jwt_login"), 2);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn with_an_unreachable_server_nobody_hammers_however_many_calls_wait() {
    let tries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tries);
    let bench = Bench::new(&Fake::new(1, move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Reply::Fail(Failure::Refused)
    }));
    bench
        .run(async {
            let calls = (0..200).map(|_| read(&bench, 10_000));
            let answers = futures_util::future::join_all(calls).await;
            assert!(answers.iter().all(|a| *a == Err(Class::ConnectionFailed)));
        })
        .await;
    // 0 s, 1 s, 3 s, 7 s, each with its one retry.
    assert!(tries.load(Ordering::Relaxed) <= 10, "{tries:?}");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_waits_in_vain_hears_why_before_its_own_deadline() {
    let bench = Bench::new(&Fake::new(1, |_| Reply::error(400, "no")));
    bench
        .run(async {
            for ms in [500, 4000] {
                let deadline = Instant::now() + Duration::from_millis(ms);
                let answer = timeout_at(deadline, read(&bench, ms)).await;
                assert_eq!(answer, Ok(Err(Class::AuthFailed)));
                assert!(Instant::now() < deadline);
            }
        })
        .await;
}
