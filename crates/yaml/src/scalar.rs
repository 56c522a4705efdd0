//! What an unquoted scalar of a manifest means.
//!
//! A kubelet reads manifests through a YAML 1.1 reader: `yes` is true, `0644` is 420, and a date
//! stays text. A manifest must mean the same here.

/// An unquoted scalar with its type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar<'a> {
    /// Nothing, `~` or `null`.
    Null,
    /// `true`, `yes`, `on`, `y` and their opposites.
    Bool(bool),
    /// A whole number, in any of its notations.
    Int(i64),
    /// A whole number beyond 64 bits with sign.
    Huge,
    /// A number with a fraction or an exponent; infinities and not-a-number included.
    Float(f64),
    /// Anything else.
    Text(&'a str),
}

/// Types an unquoted scalar.
#[must_use]
pub fn resolve(text: &str) -> Scalar<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Scalar::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Scalar::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Scalar::Float(f64::NEG_INFINITY),
        _ => number(text).unwrap_or(Scalar::Text(text)),
    }
}

fn number(text: &str) -> Option<Scalar<'_>> {
    if text.starts_with('.') {
        return float(text);
    }
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-')) {
        return None;
    }
    let digits = text.replace('_', "");
    whole(&digits).or_else(|| match float(&digits) {
        Some(Scalar::Float(value)) => Some(Scalar::Float(value)),
        _ => None,
    })
}

/// `12`, `-12`, `0644`, `0o644`, `0x1A4`, `0b11`.
fn whole(text: &str) -> Option<Scalar<'static>> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (digits, radix) = match unsigned.as_bytes() {
        [b'0', b'x' | b'X', ..] => (unsigned.get(2..)?, 16),
        [b'0', b'o' | b'O', ..] => (unsigned.get(2..)?, 8),
        [b'0', b'b' | b'B', ..] => (unsigned.get(2..)?, 2),
        [b'0', _, ..] => (unsigned.get(1..)?, 8),
        _ => (unsigned, 10),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix)
        .map(|value| if text.starts_with('-') { -value } else { value });
    Some(match value.map(i64::try_from) {
        Ok(Ok(value)) => Scalar::Int(value),
        Ok(Err(_)) | Err(_) => Scalar::Huge,
    })
}

/// Digits with at most one point, and perhaps an exponent. What is too large for the type is
/// no number.
fn float(text: &str) -> Option<Scalar<'static>> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    if !exponent || !digits(before) || !digits(after) || before.len() + after.len() == 0 {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    value.is_finite().then_some(Scalar::Float(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Scalar::{Bool, Float, Huge, Int, Null, Text};

    #[test]
    fn scalars_mean_what_a_kubelet_reads() {
        for (text, meaning) in [
            ("", Null),
            ("~", Null),
            ("Null", Null),
            ("nULL", Text("nULL")),
            ("yes", Bool(true)),
            ("On", Bool(true)),
            ("y", Bool(true)),
            ("TRUE", Bool(true)),
            ("tRUE", Text("tRUE")),
            ("no", Bool(false)),
            ("OFF", Bool(false)),
            ("N", Bool(false)),
            ("0", Int(0)),
            ("-0", Int(0)),
            ("12", Int(12)),
            ("+12", Int(12)),
            ("-12", Int(-12)),
            ("0644", Int(420)),
            ("-0644", Int(-420)),
            ("0o644", Int(420)),
            ("0x1A4", Int(420)),
            ("0b11", Int(3)),
            ("-0b11", Int(-3)),
            ("1_000", Int(1000)),
            ("9223372036854775807", Int(i64::MAX)),
            ("-9223372036854775808", Int(i64::MIN)),
            ("9223372036854775808", Huge),
            ("99999999999999999999999999999999999999999999", Huge),
            ("08", Float(8.0)),
            ("1.0", Float(1.0)),
            ("1.", Float(1.0)),
            (".5", Float(0.5)),
            ("-.5", Float(-0.5)),
            ("1e3", Float(1000.0)),
            ("1E-3", Float(0.001)),
            (".inf", Float(f64::INFINITY)),
            ("-.Inf", Float(f64::NEG_INFINITY)),
            ("inf", Text("inf")),
            ("1e999", Text("1e999")),
            ("1e", Text("1e")),
            (".", Text(".")),
            ("-", Text("-")),
            ("+", Text("+")),
            ("0x", Text("0x")),
            ("0xg", Text("0xg")),
            ("0o8", Text("0o8")),
            ("_1", Text("_1")),
            ("1.2.3", Text("1.2.3")),
            ("12:30:45", Text("12:30:45")),
            ("2001-01-01", Text("2001-01-01")),
            ("100m", Text("100m")),
            ("--5", Text("--5")),
            ("+-5", Text("+-5")),
        ] {
            assert_eq!(resolve(text), meaning, "{text}");
        }
        assert!(matches!(resolve(".NaN"), Float(value) if value.is_nan()));
    }
}
