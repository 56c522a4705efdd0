//! What a role demands of a JWT's claims, in the order and the words of the server.

use serde_json::{Map, Value};

use super::config::Config;
use super::role::Role;

/// Checks every claim but the user's; `now` is Unix seconds.
///
/// # Errors
/// The server's text.
pub(super) fn check(
    claims: &Map<String, Value>,
    config: &Config,
    role: &Role,
    now: i64,
) -> Result<(), String> {
    let invalid = |reason: &str| Err(format!("error validating token: {reason}"));
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    if !config.bound_issuer.is_empty() && text("iss") != config.bound_issuer {
        return invalid("invalid issuer (iss) claim");
    }
    if !role.bound_subject.is_empty() && text("sub") != role.bound_subject {
        return invalid("invalid subject (sub) claim");
    }
    let audiences = claims
        .get("aud")
        .map(crate::fields::texts)
        .unwrap_or_default();
    let expected = |audience: &String| role.bound_audiences.contains(audience);
    if !role.bound_audiences.is_empty() && !audiences.iter().any(expected) {
        return invalid(
            "invalid audience (aud) claim: audience claim does not match any expected audience",
        );
    }
    if let Err(reason) = times(claims, role, now) {
        return invalid(reason);
    }
    if !audiences.is_empty() && role.bound_audiences.is_empty() {
        return Err(String::from(
            "audience claim found in JWT but no audiences bound to the role",
        ));
    }
    Ok(())
}

/// Checks nbf, exp and iat. A missing exp or nbf is made up from the others.
fn times(claims: &Map<String, Value>, role: &Role, now: i64) -> Result<(), &'static str> {
    let time = |name: &str| claims.get(name).and_then(seconds).unwrap_or_default();
    let leeway = |span: i64, default: i64| match span {
        0 => default,
        span => span.max(0),
    };
    let (issued, mut begins, mut ends) = (time("iat"), time("nbf"), time("exp"));
    if issued == 0 && begins == 0 && ends == 0 {
        return Err(
            "no issued at (iat), not before (nbf), or expiration time (exp) claims in token",
        );
    }
    if ends == 0 {
        ends = issued
            .max(begins)
            .saturating_add(leeway(role.expiration_leeway, 150));
    }
    if begins == 0 {
        begins = if issued == 0 {
            ends.saturating_sub(leeway(role.not_before_leeway, 150))
        } else {
            issued
        };
    }
    let skew = leeway(role.clock_skew_leeway, 60);
    if now.saturating_add(skew) < begins {
        return Err("invalid not before (nbf) claim: token not yet valid");
    }
    if now.saturating_sub(skew) > ends {
        return Err("invalid expiration time (exp) claim: token is expired");
    }
    if issued != 0 && now.saturating_add(skew) < issued {
        return Err("invalid issued at (iat) claim: token issued in the future");
    }
    Ok(())
}

/// A JSON number of seconds, fraction dropped.
fn seconds(value: &Value) -> Option<i64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a saturating cast is what a date needs"
    )]
    value
        .as_i64()
        .or_else(|| value.as_f64().map(|seconds| seconds as i64))
}

/// The user's name, then the claims the role is bound to.
///
/// # Errors
/// The server's text.
pub(super) fn user(claims: &Map<String, Value>, role: &Role) -> Result<String, String> {
    let name = &role.user_claim;
    let claim = claims
        .get(name)
        .ok_or_else(|| format!("claim \"{name}\" not found in token"))?;
    let user = claim
        .as_str()
        .ok_or_else(|| format!("claim \"{name}\" could not be converted to string"))?;
    for (name, accepted) in &role.bound_claims {
        let invalid = |reason: &str| {
            Err(format!(
                "error validating claims: claim \"{name}\" {reason}"
            ))
        };
        let Some(claim) = claims.get(name) else {
            return invalid("is missing");
        };
        let values = match claim {
            Value::Number(_) | Value::Bool(_) => vec![claim.to_string()],
            other => crate::fields::texts(other),
        };
        let fits = |value: &String, accepted: &String| {
            if role.globs {
                glob(accepted, value)
            } else {
                accepted == value
            }
        };
        if !values
            .iter()
            .any(|value| accepted.iter().any(|accepted| fits(value, accepted)))
        {
            return invalid("does not match any associated bound claim values");
        }
    }
    Ok(user.to_owned())
}

/// `*` stands for any run of characters.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        let Some(at) = text.find(part) else {
            return false;
        };
        text = text.get(at + part.len()..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_000_000;

    fn role(extra: &Value) -> Role {
        let mut body = json!({"role_type": "jwt", "user_claim": "sub", "bound_subject": "me"});
        body.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        Role::from_request(body.as_object().unwrap()).unwrap()
    }

    fn verdict(role: &Role, iat: i64, nbf: i64, exp: i64) -> Result<(), &'static str> {
        let claims = json!({"iat": iat, "nbf": nbf, "exp": exp});
        let mut claims = claims.as_object().unwrap().clone();
        claims.retain(|_, value| value != &json!(0));
        times(&claims, role, NOW)
    }

    #[test]
    fn the_times_of_a_jwt_are_judged_with_a_minute_of_skew() {
        let role = role(&json!({}));
        let (early, late) = (
            Err("invalid not before (nbf) claim: token not yet valid"),
            Err("invalid expiration time (exp) claim: token is expired"),
        );
        let future = Err("invalid issued at (iat) claim: token issued in the future");
        let table = [
            (NOW, 0, NOW + 600, Ok(())),
            (NOW - 600, 0, NOW - 30, Ok(())),
            (NOW - 600, 0, NOW - 60, Ok(())),
            (NOW - 600, 0, NOW - 61, late),
            (NOW, NOW + 60, NOW + 600, Ok(())),
            (NOW, NOW + 61, NOW + 600, early),
            (NOW + 61, NOW, NOW + 600, future),
            // Only one of the three: the others are made up.
            (0, 0, NOW + 300, early),
            (0, 0, NOW + 100, Ok(())),
            (NOW - 200, 0, 0, Ok(())),
            (NOW - 400, 0, 0, late),
        ];
        for (iat, nbf, exp, expected) in table {
            assert_eq!(
                verdict(&role, iat, nbf, exp),
                expected,
                "iat {iat} nbf {nbf} exp {exp}"
            );
        }
        let text = "no issued at (iat), not before (nbf), or expiration time (exp) claims in token";
        assert_eq!(verdict(&role, 0, 0, 0), Err(text));
    }

    #[test]
    fn a_leeway_of_minus_one_means_none() {
        let role = role(&json!({"clock_skew_leeway": -1}));
        assert!(verdict(&role, NOW - 600, 0, NOW - 1).is_err());
        assert!(verdict(&role, NOW - 600, 0, NOW).is_ok());
    }

    #[test]
    fn globs_match_runs_of_characters() {
        for (pattern, text, fits) in [
            ("a*c", "abc", true),
            ("a*c", "ab", false),
            ("*", "", true),
            ("*b*", "abc", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXcYb", false),
            ("abc", "abc", true),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn bound_claims_and_the_user_claim_have_their_texts() {
        let role =
            role(&json!({"bound_claims": {"team": ["a", "b"]}, "bound_claims_type": "string"}));
        let user = |claims: Value| user(claims.as_object().unwrap(), &role);
        assert_eq!(user(json!({"sub": "me", "team": "b"})).unwrap(), "me");
        assert_eq!(
            user(json!({})).unwrap_err(),
            "claim \"sub\" not found in token"
        );
        assert_eq!(
            user(json!({"sub": 1})).unwrap_err(),
            "claim \"sub\" could not be converted to string"
        );
        let missing = "error validating claims: claim \"team\" is missing";
        assert_eq!(user(json!({"sub": "me"})).unwrap_err(), missing);
        let other = "error validating claims: claim \"team\" does not match any associated bound claim values";
        assert_eq!(user(json!({"sub": "me", "team": "c"})).unwrap_err(), other);
    }
}
