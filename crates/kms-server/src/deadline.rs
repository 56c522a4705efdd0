//! How long a call may take.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

/// For a caller that names no deadline.
const WITHOUT: Duration = Duration::from_secs(10);
/// A longer patience than any API server has; beyond it a deadline bounds nothing.
const LONGEST: Duration = Duration::from_secs(600);
/// How long a request may take to come, from its head to its end. API servers send all of it at
/// once over a local socket and give up after three seconds, so that only a client that holds on
/// to what it began ever gets to feel this.
const REQUEST: Duration = Duration::from_secs(5);

/// When our own answer must be there: after 80 % of the caller's time, so that the caller
/// gets our error and not its own.
pub(crate) fn internal(headers: &HeaderMap, now: Instant) -> Instant {
    let header = headers.get("grpc-timeout");
    let asked = header.and_then(|value| parse(value.to_str().ok()?));
    now + asked.map_or(WITHOUT, |asked| (asked * 4 / 5).min(LONGEST))
}

/// When the whole request must have come that began at `now`.
pub(crate) fn of_the_request(now: Instant) -> Instant {
    now + REQUEST
}

/// `grpc-timeout`: at most 8 digits and a unit. Anything else counts as not sent.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn granted(timeout: Option<&str>) -> Duration {
        let mut headers = HeaderMap::new();
        if let Some(timeout) = timeout {
            headers.insert("grpc-timeout", HeaderValue::from_str(timeout).unwrap());
        }
        let now = Instant::now();
        internal(&headers, now) - now
    }

    #[test]
    fn t12_a_call_without_a_deadline_gets_ten_seconds() {
        for none in [
            None,
            Some("S"),
            Some("5"),
            Some("-1S"),
            Some("5 S"),
            Some("123456789S"),
        ] {
            assert_eq!(granted(none), Duration::from_secs(10), "{none:?}");
        }
    }

    #[test]
    fn a_call_gets_four_fifths_of_the_time_that_its_caller_has() {
        for (text, granted_micros) in [
            ("3S", 2_400_000),
            ("2999707u", 2_399_765),
            ("50m", 40_000),
            ("1M", 48_000_000),
            ("1000n", 0),
            ("0S", 0),
            ("99999999H", 600_000_000),
        ] {
            assert_eq!(granted(Some(text)).as_micros(), granted_micros, "{text}");
        }
    }

    proptest! {
        #[test]
        fn our_deadline_is_never_later_than_the_callers(count in 0u64..100_000_000, unit in 0usize..6) {
            let (letter, nanos) = [
                ("H", 3_600_000_000_000),
                ("M", 60_000_000_000),
                ("S", 1_000_000_000),
                ("m", 1_000_000),
                ("u", 1_000),
                ("n", 1u64),
            ][unit];
            let callers = u128::from(count) * u128::from(nanos);
            let ours = granted(Some(&format!("{count}{letter}"))).as_nanos();
            prop_assert!(ours <= callers);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[ -~]{0,12}") {
            let granted = granted(Some(&text));
            prop_assert!(granted <= Duration::from_secs(600));
        }
    }
}
