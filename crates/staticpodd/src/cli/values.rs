//! Values of flags, as a kubelet takes them.

use std::{fmt, sync::Arc, time::Duration};

use http::HeaderName;
use secret::SecretText;

/// A header of requests. Its value is never shown.
#[derive(Clone)]
pub(crate) struct Header {
    pub(crate) name: HeaderName,
    value: Arc<SecretText>,
}

impl Header {
    /// `NAME:VALUE`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "a header is written as NAME:VALUE".to_owned();
        let (name, value) = text.split_once(':').ok_or_else(wrong)?;
        Ok(Self {
            name: name.trim().parse().map_err(|_| wrong())?,
            value: Arc::new(SecretText::new(value.trim().to_owned())),
        })
    }

    /// A copy for who sends it.
    pub(crate) fn value(&self) -> SecretText {
        SecretText::new(self.value.expose_secret().to_owned())
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ...", self.name)
    }
}

/// `20s`, `1m30s`, `500ms`, `1h`: at least 100 ms.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a duration is written as 20s, 1m30s or 500ms, and is 100ms at least".to_owned();
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit());
        let (count, behind) = rest.split_at(digits.ok_or_else(wrong)?);
        let count: u32 = count.parse().map_err(|_| wrong())?;
        let end = behind.find(|letter: char| letter.is_ascii_digit());
        let (unit, next) = behind.split_at(end.unwrap_or(behind.len()));
        let unit = match unit {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_mins(1),
            "h" => Duration::from_hours(1),
            _ => return Err(wrong()),
        };
        let part = unit.checked_mul(count).ok_or_else(wrong)?;
        sum = sum.checked_add(part).ok_or_else(wrong)?;
        rest = next;
    }
    if sum < Duration::from_millis(100) {
        return Err(wrong());
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_for_a_kubelet() {
        for (text, millis) in [
            ("20s", 20_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("1h", 3_600_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)));
        }
        for text in [
            "",
            "20",
            "s",
            "1d",
            "99ms",
            "0s",
            "-1s",
            "1.5s",
            "99999999999s",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_header_does_not_show_its_value() {
        let header = Header::parse("Authorization: Bearer abc").unwrap();
        assert_eq!(format!("{header:?}"), "authorization: ...");
        assert_eq!(header.value().expose_secret(), "Bearer abc");
        for text in ["", "abc", "a b:c", ":c"] {
            let why = Header::parse(text).unwrap_err();
            assert_eq!(why, "a header is written as NAME:VALUE");
        }
    }
}
