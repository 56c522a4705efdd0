//! What Go's standard library says, since the server being imitated passes its words on.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use base64::{DecodeError, prelude::BASE64_STANDARD};
use serde_json::Value;

/// Go accepts non-zero bits after the last whole byte; the strict engine would not.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Standard base64 with padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// Standard base64 with padding; line breaks inside are ignored. The error is Go's text.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, String> {
    let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    LENIENT
        .decode(&text)
        .map_err(|error| illegal_base64(&error))
}

/// Base64url without padding, as in a JWS. The error is Go's text.
pub(crate) fn decode_url(text: &str) -> Result<Vec<u8>, String> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|error| illegal_base64(&error))
}

fn illegal_base64(error: &DecodeError) -> String {
    let at = match error {
        DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => *at,
        DecodeError::InvalidLength(length) => length - length % 4,
        DecodeError::InvalidPadding => 0,
    };
    format!("illegal base64 data at input byte {at}")
}

/// The name of a decoded JSON value's Go type.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(_) => "json.Number",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// `seconds` as the server's warnings print a duration: Go's form without its zero parts, so `1h30m`.
pub(crate) fn duration(seconds: i64) -> String {
    let (sign, rest) = if seconds < 0 {
        ("-", seconds.saturating_neg())
    } else {
        ("", seconds)
    };
    let (hours, minutes, seconds) = (rest / 3600, rest / 60 % 60, rest % 60);
    let parts = [(hours, 'h'), (minutes, 'm'), (seconds, 's')];
    let text: String = parts
        .into_iter()
        .filter(|(count, _)| *count != 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if text.is_empty() {
        return String::from("0s");
    }
    format!("{sign}{text}")
}

/// RFC 3339 in UTC, whole seconds.
pub(crate) fn rfc3339(unix: i64) -> String {
    jiff::Timestamp::from_second(unix)
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_errors_are_worded_as_go_words_them() {
        assert_eq!(decode("aGk=").unwrap(), b"hi");
        assert_eq!(decode("aG\nk=\r\n").unwrap(), b"hi");
        assert_eq!(decode("aGl=").unwrap(), b"hi");
        assert_eq!(
            decode("%%%").unwrap_err(),
            "illegal base64 data at input byte 0"
        );
        assert_eq!(
            decode("aa##").unwrap_err(),
            "illegal base64 data at input byte 2"
        );
        assert_eq!(
            decode_url("a").unwrap_err(),
            "illegal base64 data at input byte 0"
        );
    }

    #[test]
    fn durations_are_printed_without_their_zero_parts() {
        for (seconds, text) in [
            (0, "0s"),
            (300, "5m"),
            (3600, "1h"),
            (-5, "-5s"),
            (5400, "1h30m"),
            (7205, "2h5s"),
            (100_000, "27h46m40s"),
        ] {
            assert_eq!(duration(seconds), text);
        }
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
    }
}
