use super::*;
use crate::testing::{WALL, jwt_of};

fn expectations() -> Expectations {
    Expectations {
        min_remaining: Duration::from_secs(120),
        leeway: Duration::from_secs(30),
        issuer: Some("https://issuer".to_owned()),
        audience: Some("openbao".to_owned()),
        subject: Some("kms".to_owned()),
    }
}

/// Claims that pass, with one member replaced; `None` takes it out.
fn claims(name: &str, value: Option<Value>) -> String {
    let mut claims = serde_json::json!({
        "exp": WALL + 3600, "nbf": WALL - 10, "iat": WALL - 10,
        "iss": "https://issuer", "aud": "openbao", "sub": "kms",
    });
    let map = claims.as_object_mut().unwrap();
    match value {
        Some(value) => {
            map.insert(name.to_owned(), value);
        }
        None => {
            map.remove(name);
        }
    }
    claims.to_string()
}

fn verdict(name: &str, value: impl Into<Option<Value>>) -> Result<(), ClaimError> {
    check(&jwt_of(&claims(name, value.into())), &expectations(), WALL)
}

#[test]
fn a_good_jwt_passes_with_nothing_or_everything_expected() {
    assert_eq!(verdict("extra", Value::from(1)), Ok(()));
    let bare = jwt_of(&format!(r#"{{"exp":{}}}"#, WALL + 121));
    let expected = Expectations {
        min_remaining: Duration::from_secs(120),
        ..Expectations::default()
    };
    assert_eq!(check(&bare, &expected, WALL), Ok(()));
}

#[test]
fn the_end_must_be_there_and_far_enough_away() {
    let end = |offset: i64| verdict("exp", Value::from(WALL + offset));
    assert_eq!(verdict("exp", None), Err(ClaimError::Missing("exp")));
    assert_eq!(end(-1), Err(ClaimError::Expired));
    assert_eq!(end(0), Err(ClaimError::Expired));
    assert_eq!(end(1), Err(ClaimError::EndsTooSoon));
    assert_eq!(end(120), Err(ClaimError::EndsTooSoon));
    assert_eq!(end(121), Ok(()));
    let half = Value::from(1_800_000_120.5);
    assert_eq!(verdict("exp", half), Ok(()));
    for wrong in [Value::from("1800003600"), Value::Null, Value::from(true)] {
        assert_eq!(verdict("exp", wrong), Err(ClaimError::WrongType("exp")));
    }
}

#[test]
fn the_beginning_may_lie_in_the_future_by_the_leeway_and_no_more() {
    for (claim, error) in [
        ("nbf", ClaimError::NotYetValid),
        ("iat", ClaimError::IssuedInTheFuture),
    ] {
        assert_eq!(verdict(claim, Value::from(WALL + 30)), Ok(()));
        assert_eq!(verdict(claim, Value::from(WALL + 31)), Err(error));
        assert_eq!(verdict(claim, None), Ok(()));
        assert_eq!(
            verdict(claim, Value::from("x")),
            Err(ClaimError::WrongType(claim))
        );
    }
}

#[test]
fn issuer_and_subject_are_compared_exactly() {
    for (claim, setting) in [("iss", "expectedIssuer"), ("sub", "expectedSubject")] {
        assert_eq!(verdict(claim, None), Err(ClaimError::Missing(claim)));
        let unexpected = Err(ClaimError::Unexpected { claim, setting });
        assert_eq!(verdict(claim, Value::from("https://issuer/")), unexpected);
        assert_eq!(
            verdict(claim, Value::from(7)),
            Err(ClaimError::WrongType(claim))
        );
    }
}

#[test]
fn the_audience_is_one_text_or_a_list_that_holds_it() {
    let unexpected = Err(ClaimError::Unexpected {
        claim: "aud",
        setting: "expectedAudience",
    });
    assert_eq!(verdict("aud", serde_json::json!(["a", "openbao"])), Ok(()));
    assert_eq!(verdict("aud", serde_json::json!(["a"])), unexpected);
    assert_eq!(verdict("aud", serde_json::json!([])), unexpected);
    assert_eq!(verdict("aud", Value::from("a")), unexpected);
    assert_eq!(verdict("aud", None), Err(ClaimError::Missing("aud")));
    assert_eq!(
        verdict("aud", serde_json::json!(["openbao", 1])),
        Err(ClaimError::WrongType("aud"))
    );
}

#[test]
fn what_is_not_one_compact_jws_is_refused() {
    let good = jwt_of(&claims("x", None));
    let mut unsigned = good.clone();
    unsigned.truncate(good.rfind('.').unwrap() + 1);
    for jwt in [
        "",
        "a",
        "a.b",
        "..",
        &unsigned,
        &format!("{good}.x"),
        &format!("{good}="),
        &format!("{good}\n{good}"),
        &format!("Bearer {good}"),
    ] {
        assert_eq!(
            check(jwt, &expectations(), WALL),
            Err(ClaimError::NotCompact),
            "{jwt}"
        );
    }
    for claims in ["[]", "1", "{", r#"{"exp":1,"exp":2}"#] {
        assert_eq!(
            check(&jwt_of(claims), &expectations(), WALL),
            Err(ClaimError::NotJson("claims set")),
            "{claims}"
        );
    }
}

#[test]
fn only_time_running_out_is_an_expired_credential() {
    assert_eq!(ClaimError::Expired.class(), Class::AuthExpired);
    assert_eq!(ClaimError::EndsTooSoon.class(), Class::AuthExpired);
    assert_eq!(ClaimError::NotYetValid.class(), Class::AuthFailed);
    assert_eq!(ClaimError::NotCompact.class(), Class::AuthFailed);
}

#[test]
fn no_error_shows_a_value() {
    for (name, value) in [
        ("iss", Value::from("canary")),
        ("sub", Value::from("canary")),
        ("aud", Value::from("canary")),
        ("exp", Value::from("canary")),
        ("nbf", Value::from("canary")),
    ] {
        let error = verdict(name, value).unwrap_err();
        assert!(!error.to_string().contains("canary"), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_check_panic(jwt in ".{0,200}", claims in ".{0,100}") {
        let _ = check(&jwt, &expectations(), WALL);
        let _ = check(&jwt_of(&claims), &expectations(), WALL);
    }
}
