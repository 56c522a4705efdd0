//! Amounts of resources: `100m`, `0.5`, `64Mi`, `1e3`.
//!
//! Held as whole billionths, so that nothing is ever a floating-point number. What is finer is
//! rounded up, away from zero: who asks for a little of something gets some of it. What is larger
//! than 2^63-1 is cut to that, as in the API.

use std::{cmp::Ordering, str::FromStr};

use thiserror::Error;

/// An amount that a manifest names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount {
    nanos: i128,
}

/// Why a text is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum QuantityError {
    /// No digits, or more than one point.
    #[error("the quantity does not begin with a number")]
    Number,
    /// Known are n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei and e3.
    #[error("the quantity has an unknown suffix")]
    Suffix,
}

const NANO: i128 = 1_000_000_000;
const LARGEST: i128 = i64::MAX as i128;

impl Amount {
    /// So many of the unit.
    #[must_use]
    pub const fn whole(units: i64) -> Self {
        Self {
            nanos: units as i128 * NANO,
        }
    }

    /// So many thousandths.
    #[must_use]
    pub const fn milli(thousandths: i64) -> Self {
        Self {
            nanos: thousandths as i128 * (NANO / 1_000),
        }
    }

    /// In units, rounded up (away from zero).
    #[must_use]
    pub fn ceil(self) -> i64 {
        narrow(divide_up(self.nanos, NANO))
    }

    /// In thousandths, rounded up (away from zero).
    #[must_use]
    pub fn ceil_milli(self) -> i64 {
        narrow(divide_up(self.nanos, NANO / 1_000))
    }

    /// How often `divisor` fits, rounded up; by an amount of zero, as by one.
    #[must_use]
    pub fn divided_up(self, divisor: Self) -> i64 {
        if divisor.nanos == 0 {
            return self.ceil();
        }
        narrow(divide_up(self.nanos, divisor.nanos))
    }

    /// Whether it is zero.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// Whether it is less than zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// Whether it has no fraction of a unit.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.nanos % NANO == 0
    }
}

fn divide_up(value: i128, by: i128) -> i128 {
    let quotient = value / by;
    match (value % by).cmp(&0) {
        Ordering::Equal => quotient,
        _ if (value < 0) == (by < 0) => quotient + 1,
        _ => quotient - 1,
    }
}

fn narrow(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

impl FromStr for Amount {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = unsigned
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || fraction.contains('.') {
            return Err(QuantityError::Number);
        }
        let nanos = match scale(suffix)? {
            Scale::Decimal(exponent) => decimal(whole, fraction, exponent),
            Scale::Binary(bits) => binary(whole, fraction, bits),
        };
        let nanos = nanos.min(LARGEST * NANO);
        Ok(Self {
            nanos: if negative { -nanos } else { nanos },
        })
    }
}

enum Scale {
    /// Powers of ten.
    Decimal(i32),
    /// Powers of two.
    Binary(u32),
}

fn scale(suffix: &str) -> Result<Scale, QuantityError> {
    Ok(match suffix {
        "n" => Scale::Decimal(-9),
        "u" => Scale::Decimal(-6),
        "m" => Scale::Decimal(-3),
        "" => Scale::Decimal(0),
        "k" => Scale::Decimal(3),
        "M" => Scale::Decimal(6),
        "G" => Scale::Decimal(9),
        "T" => Scale::Decimal(12),
        "P" => Scale::Decimal(15),
        "E" => Scale::Decimal(18),
        "Ki" => Scale::Binary(10),
        "Mi" => Scale::Binary(20),
        "Gi" => Scale::Binary(30),
        "Ti" => Scale::Binary(40),
        "Pi" => Scale::Binary(50),
        "Ei" => Scale::Binary(60),
        other => {
            let exponent = other
                .strip_prefix(['e', 'E'])
                .ok_or(QuantityError::Suffix)?;
            Scale::Decimal(exponent.parse().map_err(|_| QuantityError::Suffix)?)
        }
    })
}

/// Digits left of the point, once it has moved, are billionths; what is right of it rounds up.
fn decimal(whole: &str, fraction: &str, exponent: i32) -> i128 {
    let digits = || {
        whole
            .bytes()
            .chain(fraction.bytes())
            .map(|digit| digit - b'0')
    };
    let leading_zeros = digits().take_while(|digit| *digit == 0).count();
    if leading_zeros == whole.len() + fraction.len() {
        return 0;
    }
    let point = i128::try_from(whole.len()).unwrap_or(i128::MAX / 2) + i128::from(exponent) + 9;
    let significant = point - i128::try_from(leading_zeros).unwrap_or(i128::MAX / 2);
    // 2^63 has 19 digits, and billionths 9 more.
    if significant > 28 {
        return LARGEST * NANO;
    }
    let mut nanos = 0;
    let mut rest = digits();
    for _ in 0..point.max(0) {
        nanos = nanos * 10 + i128::from(rest.next().unwrap_or(0));
    }
    nanos + i128::from(rest.any(|digit| digit != 0))
}

fn binary(whole: &str, fraction: &str, bits: u32) -> i128 {
    /// So many digits of a fraction count exactly; more only round up.
    const EXACT: usize = 18;
    let digits = whole.trim_start_matches('0');
    if digits.len() > 19 {
        return LARGEST * NANO;
    }
    let whole: i128 = digits.parse().unwrap_or(0);
    let units = (whole << bits).min(LARGEST);
    let mut part: i128 = 0;
    let mut rest = fraction.bytes().map(|digit| digit - b'0');
    for _ in 0..EXACT {
        part = part * 10 + i128::from(rest.next().unwrap_or(0));
    }
    part += i128::from(rest.any(|digit| digit != 0));
    // part / 10^18 units of 2^bits, in billionths.
    units * NANO + divide_up(part << bits, NANO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn amount(text: &str) -> Amount {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn amounts_are_what_the_api_reads() {
        for (text, nanos) in [
            ("0", 0),
            ("-0", 0),
            ("0.0", 0),
            ("1", NANO),
            ("+1", NANO),
            ("-1", -NANO),
            ("1.", NANO),
            (".5", NANO / 2),
            ("007", 7 * NANO),
            ("100m", 100_000_000),
            ("0.1m", 100_000),
            ("1u", 1_000),
            ("1n", 1),
            ("0.1n", 1),
            ("-0.1n", -1),
            ("0.0000000001", 1),
            ("1.0000000001", NANO + 1),
            ("1k", 1_000 * NANO),
            ("1M", 1_000_000 * NANO),
            ("1G", NANO * NANO),
            ("1E", NANO * NANO * NANO),
            ("1E3", 1_000 * NANO),
            ("1e3", 1_000 * NANO),
            ("1e-3", 1_000_000),
            ("1e+3", 1_000 * NANO),
            ("1e-99", 1),
            ("1e99", LARGEST * NANO),
            ("-1e99", -LARGEST * NANO),
            ("0e99", 0),
            ("1Ki", 1024 * NANO),
            ("1.5Gi", 1536 * 1024 * 1024 * NANO),
            ("0.5Ki", 512 * NANO),
            ("7Ei", (7 << 60) * NANO),
            ("8Ei", LARGEST * NANO),
            ("0.0000000000000000001Ki", 1),
            ("9223372036854775807", LARGEST * NANO),
            ("9223372036854775808", LARGEST * NANO),
            (
                "99999999999999999999999999999999999999999999",
                LARGEST * NANO,
            ),
            ("99999999999999999999999999999Ki", LARGEST * NANO),
        ] {
            assert_eq!(amount(text).nanos, nanos, "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in [
            "", "-", "+", ".", "m", "Ki", "1.2.3", "--1", "+-1", " 1", "1 ",
        ] {
            assert!(text.parse::<Amount>().is_err(), "{text}");
        }
        for suffix in [
            "1K",
            "1ki",
            "1KI",
            "1i",
            "1mi",
            "1e",
            "1e1.5",
            "1e3m",
            "1B",
            "1MB",
            "1e99999999999",
        ] {
            assert_eq!(
                suffix.parse::<Amount>(),
                Err(QuantityError::Suffix),
                "{suffix}"
            );
        }
    }

    #[test]
    fn fractions_are_rounded_up() {
        assert_eq!(amount("1.1").ceil(), 2);
        assert_eq!(amount("-1.1").ceil(), -2);
        assert_eq!(amount("1n").ceil_milli(), 1);
        assert_eq!(amount("250m").ceil_milli(), 250);
        assert_eq!(amount("250m").divided_up(amount("1")), 1);
        assert_eq!(amount("1500m").divided_up(amount("1m")), 1500);
        assert_eq!(amount("64Mi").divided_up(amount("1Mi")), 64);
        assert_eq!(amount("64Mi").divided_up(amount("1M")), 68);
        assert_eq!(amount("3").divided_up(amount("0")), 3);
        assert_eq!(amount("1e99").divided_up(amount("1n")), i64::MAX);
        assert!(amount("1").is_whole() && !amount("1m").is_whole());
    }

    proptest! {
        #[test]
        fn notations_of_one_number_are_equal(number in -9_000_000_000_000_i64..9_000_000_000_000) {
            let plain = amount(&number.to_string());
            prop_assert_eq!(plain, Amount::whole(number));
            prop_assert_eq!(plain, amount(&format!("{number}000m")));
            prop_assert_eq!(plain, amount(&format!("{number}e0")));
            prop_assert_eq!(plain, amount(&format!("{number}.000")));
            prop_assert_eq!(amount(&format!("{number}Ki")), Amount::whole(number * 1024));
            prop_assert_eq!(plain.ceil(), number);
            prop_assert_eq!(plain.ceil_milli(), number * 1000);
        }

        #[test]
        fn amounts_are_ordered_as_their_numbers(a in any::<i32>(), b in any::<i32>()) {
            let (left, right) = (amount(&format!("{a}m")), amount(&format!("{b}m")));
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
        }

        #[test]
        fn rounding_up_never_loses_anything(nanos in 0_i64..i64::MAX) {
            let exact = amount(&format!("{nanos}n"));
            prop_assert!(Amount::whole(exact.ceil()) >= exact);
            prop_assert!(Amount::milli(exact.ceil_milli()) >= exact);
            prop_assert!(Amount::milli(exact.ceil_milli() - 1) < exact || nanos == 0);
        }

        #[test]
        fn no_text_breaks_the_reader(text in "[-+0-9.eEinumkKMGTPé ]{0,50}") {
            let _ = text.parse::<Amount>();
        }
    }
}
