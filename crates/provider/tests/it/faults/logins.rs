//! Tokens, policies, clocks and signing keys: what a login needs, and what ends one.

use bao_dev::testing::{Action, Fault, Setup};
use tonic::Code::{DeadlineExceeded, PermissionDenied, Unauthenticated, Unavailable};

use super::{
    rig::Rig,
    row::{Again, Refusal, Row, When},
};

const DENIED: &[Refusal] = &[Refusal(PermissionDenied, "transit_policy_denied")];
/// Who waits for a lane behind those who wait for a token.
const BEHIND: Refusal = Refusal(DeadlineExceeded, "timeout");
const NO_LOGIN: &[Refusal] = &[Refusal(Unauthenticated, "auth_failed"), BEHIND];
const LOGIN_AWAY: &[Refusal] = &[Refusal(Unavailable, "openbao_unavailable"), BEHIND];

const LOGIN: &str = "/v1/auth/jwt/login";
const RENEW: &str = "/v1/auth/token/renew-self";
const DAY: i64 = 86_400;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = tokens();
    rows.extend(leases());
    rows.extend(clocks());
    rows.extend(signing_keys());
    rows
}

/// There is no token and none to be had: calls wait for the login until shortly before their
/// deadline.
fn without_token(id: &'static str, cause: &'static str) -> Row {
    Row::new(id, cause)
        .longest_ms(2400)
        .unhealthy(When::Stale, "metadata_stale")
        .again(Again::NextLogin, Again::LoginAndTwoProbes)
}

fn at_most_one_login(rig: &Rig) -> Option<String> {
    let logins = rig.control().count("login");
    (logins != 1).then(|| format!("{logins} logins, not one"))
}

fn tokens() -> Vec<Row> {
    vec![
        Row::new("F9.1", "the token is revoked: one login, and no call fails")
            .metric("auth_login_total", "ok")
            .longest_ms(500)
            .starts(|rig| {
                rig.control().tokens_revoke_all();
            })
            .also(at_most_one_login),
        Row::new("F9.2", "the policy is taken away")
            .starts(|rig| rig.control().policy_remove("kms"))
            .ends(|rig| {
                let text = Setup::default().policy_text();
                rig.control().policy_put("kms", &text).unwrap();
            })
            .fails(DENIED)
            .longest_ms(500)
            .unhealthy(When::Confirmed, "upsert_unreadable")
            .log("openbao.request", "transit_policy_denied")
            .metric("openbao_requests_total", "transit_policy_denied")
            .also(at_most_one_login),
        without_token(
            "F9.3",
            "the token is revoked, and logins fail with 500 for 20 s",
        )
        .starts(|rig| {
            rig.fault(Fault::new(Action::error(500, "internal error")).path(LOGIN));
            rig.control().tokens_revoke_all();
        })
        // So long that logins would be rare if nobody waited for one.
        .lasts_ms(17_500)
        .fails(LOGIN_AWAY)
        .log("auth.login", "openbao_unavailable")
        .metric("auth_login_total", "openbao_unavailable"),
    ]
}

fn leases() -> Vec<Row> {
    // The lease is an hour: a second less means a renewal every second.
    let renewing = |id, cause| Row::new(id, cause).config("auth.loginBeforeTokenExpiry", "3599s");
    vec![
        Row::new(
            "F14.1",
            "OpenBao forgets the token long before its lease ends",
        )
        .starts(|rig| {
            rig.control().tokens_shorten(None, 1);
        })
        .lasts_ms(2500)
        .longest_ms(500)
        .log("openbao.request", "auth_failed")
        .also(at_most_one_login),
        renewing(
            "F14.2",
            "a renewal grants less than was asked for: a login follows",
        )
        .starts(|rig| {
            let edit = Action::Edit {
                pointer: "/auth/lease_duration".to_owned(),
                value: Some(1.into()),
            };
            rig.fault(Fault::new(edit).path(RENEW));
        })
        .lasts_ms(2500)
        .longest_ms(500)
        .metric("auth_login_total", "ok")
        .metric("auth_renewal_total", "ok")
        .also(|rig| (rig.control().count("login") == 0).then(|| "no login".to_owned())),
        renewing("F14.3", "renewals are refused: a login follows")
            .starts(|rig| {
                let refused = Action::error(400, "lease is not renewable");
                rig.fault(Fault::new(refused).path(RENEW));
            })
            .lasts_ms(2500)
            .longest_ms(500)
            .log("auth.renewal", "unknown")
            .metric("auth_login_total", "ok")
            .also(|rig| (rig.control().count("login") == 0).then(|| "no login".to_owned())),
    ]
}

fn clocks() -> Vec<Row> {
    vec![
        without_token(
            "F15.1",
            "OpenBao's clock jumps forward by a day: token and JWT have expired there",
        )
        .starts(|rig| rig.control().clock_offset(DAY))
        .ends(|rig| rig.control().clock_offset(0))
        .fails(NO_LOGIN)
        .log("auth.login", "the JWT has expired (exp)")
        .metric("auth_login_total", "auth_failed"),
        Row::new(
            "F15.2",
            "OpenBao's clock jumps back by a day, and then on again",
        )
        .starts(|rig| rig.control().clock_offset(-DAY))
        .ends(|rig| rig.control().clock_offset(0)),
        Row::new(
            "F15.3",
            "the token is lost while OpenBao's clock is 45 s ahead",
        )
        .starts(|rig| {
            rig.control().clock_offset(45);
            rig.control().tokens_revoke_all();
        })
        .ends(|rig| rig.control().clock_offset(0))
        .log("openbao.request", "auth_failed")
        .longest_ms(500),
        Row::new(
            "F15.4",
            "the token is lost while OpenBao's clock is 45 s behind",
        )
        .starts(|rig| {
            rig.control().clock_offset(-45);
            rig.control().tokens_revoke_all();
        })
        .ends(|rig| rig.control().clock_offset(0))
        .log("openbao.request", "auth_failed")
        .longest_ms(500),
    ]
}

fn signing_keys() -> Vec<Row> {
    vec![
        without_token(
            "F20.1",
            "the key that signs JWTs has changed; the file still holds an old JWT when the token is lost",
        )
        .starts(|rig| {
            rig.control().jwt_new_key(true).unwrap();
            rig.control().tokens_revoke_all();
        })
        .ends(Rig::give_new_jwt)
        .fails(NO_LOGIN)
        .log("auth.login", "could not verify the JWT's signature")
        .metric("auth_login_total", "auth_failed"),
        Row::new(
            "F20.2",
            "the keys that verify JWTs cannot be fetched while the token lives",
        )
        .starts(|rig| {
            let text = "error fetching keys: connection refused";
            rig.fault(Fault::new(Action::error(500, text)).path(LOGIN));
        }),
        without_token(
            "F20.3",
            "the keys that verify JWTs cannot be fetched when the token is lost",
        )
        .starts(|rig| {
            let text = "error fetching keys: connection refused";
            rig.fault(Fault::new(Action::error(500, text)).path(LOGIN));
            rig.control().tokens_revoke_all();
        })
        .fails(LOGIN_AWAY)
        .log("auth.login", "openbao_unavailable")
        .metric("auth_login_total", "openbao_unavailable"),
    ]
}
