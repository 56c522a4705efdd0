//! Durations as Go writes and reads them: `30s`, `1h30m`, `1.5h`, `300ms`.
//!
//! Operators move configuration files between this program and Go programs, so the accepted
//! language is that of Go's `time.ParseDuration` and the printed form that of its
//! `Duration.String`, both to the letter. There is no `d`, no `1 h` and no bare number but `0`.

use std::{fmt, time::Duration};

const NANOSECOND: u64 = 1;
const MICROSECOND: u64 = 1_000 * NANOSECOND;
const MILLISECOND: u64 = 1_000 * MICROSECOND;
const SECOND: u64 = 1_000 * MILLISECOND;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// One more than the largest positive count; the magnitude of the most negative one.
const LIMIT: u64 = 1 << 63;

/// A signed length of time in nanoseconds, up to about 292 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct GoDuration(i64);

/// Why a text is not a duration. Never repeats the text: the caller names the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing, or only a sign.
    #[error("is empty; write a number and a unit, such as 30s or 1h30m")]
    Empty,
    /// A part without digits, or with a character that has no place there.
    #[error("is not a duration; write numbers and units without spaces, such as 30s or 1h30m")]
    Malformed,
    /// A number with nothing after it.
    #[error("has a number without a unit; the units are ns, us, ms, s, m and h")]
    UnitMissing,
    /// A unit that Go does not know, `d` among them.
    #[error("has an unknown unit; the units are ns, us, ms, s, m and h")]
    UnitUnknown,
    /// More than the 63 bits of nanoseconds that Go has.
    #[error("is too long; the longest duration is about 292 years")]
    TooLong,
    /// Negative where only a length makes sense.
    #[error("is negative")]
    Negative,
}

impl GoDuration {
    /// From nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Signed nanoseconds.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Reads what Go's `time.ParseDuration` reads, a sign included.
    ///
    /// # Errors
    /// Everything but [`DurationError::Negative`].
    pub fn parse(text: &str) -> Result<Self, DurationError> {
        let (negative, mut rest) = match text.as_bytes().first() {
            Some(b'-') => (true, text.get(1..).unwrap_or_default()),
            Some(b'+') => (false, text.get(1..).unwrap_or_default()),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(Self(0));
        }
        if rest.is_empty() {
            return Err(DurationError::Empty);
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let (part, after) = parse_part(rest)?;
            total = total.checked_add(part).ok_or(DurationError::TooLong)?;
            if total > LIMIT {
                return Err(DurationError::TooLong);
            }
            rest = after;
        }
        if negative {
            // `-LIMIT` itself is representable, its positive twin is not.
            return Ok(Self(0_i64.wrapping_sub_unsigned(total)));
        }
        i64::try_from(total)
            .map(Self)
            .map_err(|_| DurationError::TooLong)
    }

    /// The length as std's type.
    ///
    /// # Errors
    /// [`DurationError::Negative`] below zero.
    pub fn to_std(self) -> Result<Duration, DurationError> {
        u64::try_from(self.0)
            .map(Duration::from_nanos)
            .map_err(|_| DurationError::Negative)
    }
}

/// Reads a duration that must not be negative: what every setting wants.
///
/// # Errors
/// See [`DurationError`].
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    GoDuration::parse(text)?.to_std()
}

/// One `number unit` pair in nanoseconds, and what follows it.
fn parse_part(text: &str) -> Result<(u64, &str), DurationError> {
    if !text.starts_with(|c: char| c == '.' || c.is_ascii_digit()) {
        return Err(DurationError::Malformed);
    }
    let (whole_digits, rest) = split_digits(text);
    let (fraction_digits, rest) = match rest.strip_prefix('.') {
        Some(after) => split_digits(after),
        None => ("", rest),
    };
    if whole_digits.is_empty() && fraction_digits.is_empty() {
        return Err(DurationError::Malformed);
    }
    let end = rest
        .find(|c: char| c == '.' || c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(end);
    let unit = unit_nanos(unit)?;

    let whole = whole_digits.bytes().try_fold(0_u64, |sum, digit| {
        sum.checked_mul(10)?
            .checked_add(u64::from(digit - b'0'))
            .filter(|sum| *sum <= LIMIT)
    });
    let whole = whole
        .and_then(|whole| whole.checked_mul(unit))
        .filter(|nanos| *nanos <= LIMIT)
        .ok_or(DurationError::TooLong)?;
    let nanos = whole
        .checked_add(fraction_nanos(fraction_digits, unit))
        .filter(|nanos| *nanos <= LIMIT)
        .ok_or(DurationError::TooLong)?;
    Ok((nanos, rest))
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

fn unit_nanos(unit: &str) -> Result<u64, DurationError> {
    match unit {
        "" => Err(DurationError::UnitMissing),
        "ns" => Ok(NANOSECOND),
        // The micro sign and the Greek letter look the same and are both accepted.
        "us" | "\u{b5}s" | "\u{3bc}s" => Ok(MICROSECOND),
        "ms" => Ok(MILLISECOND),
        "s" => Ok(SECOND),
        "m" => Ok(MINUTE),
        "h" => Ok(HOUR),
        _ => Err(DurationError::UnitUnknown),
    }
}

/// The part after the point. Go computes it in floating point and drops digits that would not
/// fit 63 bits; so does this, so that both programs mean the same nanosecond.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the rounding of the original is what is wanted; the value is below one unit"
)]
fn fraction_nanos(digits: &str, unit: u64) -> u64 {
    let mut value: u64 = 0;
    let mut scale = 1.0_f64;
    for digit in digits.bytes() {
        let next = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(u64::from(digit - b'0')));
        match next {
            Some(next) if next <= LIMIT && value <= (LIMIT - 1) / 10 => {
                value = next;
                scale *= 10.0;
            }
            _ => break,
        }
    }
    (value as f64 * (unit as f64 / scale)) as u64
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        if nanos == 0 {
            return f.write_str("0s");
        }
        if nanos < MICROSECOND {
            return write!(f, "{nanos}ns");
        }
        if nanos < MILLISECOND {
            return write!(f, "{}\u{b5}s", Decimal(nanos, MICROSECOND));
        }
        if nanos < SECOND {
            return write!(f, "{}ms", Decimal(nanos, MILLISECOND));
        }
        let (hours, minutes) = (nanos / HOUR, nanos % HOUR / MINUTE);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if hours > 0 || minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        write!(f, "{}s", Decimal(nanos % MINUTE, SECOND))
    }
}

/// `.0 / .1` in decimal without trailing zeros; `.1` is a power of ten.
struct Decimal(u64, u64);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0 / self.1)?;
        let (mut fraction, mut width) = (self.0 % self.1, self.1.ilog10() as usize);
        if fraction == 0 {
            return Ok(());
        }
        while fraction.is_multiple_of(10) {
            fraction /= 10;
            width -= 1;
        }
        write!(f, ".{fraction:0width$}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nanos(text: &str) -> Result<i64, DurationError> {
        GoDuration::parse(text).map(GoDuration::as_nanos)
    }

    #[test]
    fn what_go_reads_is_read_to_the_same_nanosecond() {
        for (text, expected) in [
            ("0", 0),
            ("+0", 0),
            ("-0", 0),
            ("0s", 0),
            ("5s", 5_000_000_000),
            ("30s", 30_000_000_000),
            ("1478s", 1_478_000_000_000),
            ("-5s", -5_000_000_000),
            ("+5s", 5_000_000_000),
            ("5.0s", 5_000_000_000),
            ("5.6s", 5_600_000_000),
            ("5.s", 5_000_000_000),
            (".5s", 500_000_000),
            ("1.004s", 1_004_000_000),
            ("1.00400s", 1_004_000_000),
            ("100.00100s", 100_001_000_000),
            ("10ns", 10),
            ("11us", 11_000),
            ("12\u{b5}s", 12_000),
            ("12\u{3bc}s", 12_000),
            ("13ms", 13_000_000),
            ("2m", 120_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("300ms", 300_000_000),
            ("3h30m", 12_600_000_000_000),
            ("10.5s4m", 250_500_000_000),
            ("-2m3.4s", -123_400_000_000),
            ("1h2m3s4ms5us6ns", 3_723_004_005_006),
            ("39h9m14.425s", 140_954_425_000_000),
            ("52763797000ns", 52_763_797_000),
            ("0.3333333333333333333h", 1_200_000_000_000),
            ("9007199254740993ns", 9_007_199_254_740_993),
            ("9223372036854775807ns", i64::MAX),
            ("9223372036854775.807us", i64::MAX),
            ("9223372036s854ms775us807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
            ("-9223372036854775.808us", i64::MIN),
            ("0.100000000000000000000h", 360_000_000_000),
            ("0.830103483285477580700h", 2_988_372_539_827),
        ] {
            assert_eq!(nanos(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused_with_its_reason() {
        use DurationError::{Empty, Malformed, TooLong, UnitMissing, UnitUnknown};
        for (text, expected) in [
            ("", Empty),
            ("-", Empty),
            ("+", Empty),
            ("3", UnitMissing),
            ("00", UnitMissing),
            ("1h5", UnitMissing),
            ("s", Malformed),
            (".", Malformed),
            ("-.", Malformed),
            (".s", Malformed),
            ("+.s", Malformed),
            (" 30s", Malformed),
            ("1d", UnitUnknown),
            ("1M", UnitUnknown),
            ("1month", UnitUnknown),
            ("1h 30m", UnitUnknown),
            ("2 minutes", UnitUnknown),
            ("30S", UnitUnknown),
            ("30s ", UnitUnknown),
            ("--5s", Malformed),
            ("\u{85}\u{85}", Malformed),
            ("9223372036854775808ns", TooLong),
            ("9223372036854775.808us", TooLong),
            ("9223372036854ms775us808ns", TooLong),
            ("-9223372036854775809ns", TooLong),
            ("3000000h", TooLong),
            ("99999999999999999999999999s", TooLong),
        ] {
            assert_eq!(nanos(text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn a_setting_is_never_negative() {
        assert_eq!(parse_duration("-2m"), Err(DurationError::Negative));
        assert_eq!(parse_duration("-0s"), Ok(Duration::ZERO));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
    }

    #[test]
    fn printed_form_is_that_of_go() {
        for (nanos, expected) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1\u{b5}s"),
            (2_200_000, "2.2ms"),
            (300_000_000, "300ms"),
            (3_300_000_000, "3.3s"),
            (120_000_000_000, "2m0s"),
            (245_000_000_000, "4m5s"),
            (245_001_000_000, "4m5.001s"),
            (18_367_001_000_000, "5h6m7.001s"),
            (5_400_000_000_000, "1h30m0s"),
            (480_000_000_001, "8m0.000000001s"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(GoDuration::from_nanos(nanos).to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back_as_the_same_value(value: i64) {
            let printed = GoDuration::from_nanos(value).to_string();
            // Beyond 2^53 the fraction of the original, computed in floating point, still
            // holds nine digits, so the round trip is exact over the whole range.
            prop_assert_eq!(nanos(&printed), Ok(value));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,24}") {
            let _ = GoDuration::parse(&text);
        }

        #[test]
        fn no_near_miss_panics_and_every_success_reads_back(
            text in "[-+]?([0-9]{0,20}\\.?[0-9]{0,20}(ns|us|\u{b5}s|ms|s|m|h|d|)){0,4}"
        ) {
            if let Ok(read) = GoDuration::parse(&text) {
                prop_assert_eq!(GoDuration::parse(&read.to_string()), Ok(read));
            }
        }
    }
}
