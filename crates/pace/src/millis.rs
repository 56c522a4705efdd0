//! Lengths of time as log lines and reports show them.

use std::time::Duration;

/// Milliseconds, rounded to microseconds: more digits say nothing about a call over a network.
#[must_use]
pub fn millis(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_have_at_most_three_decimals() {
        for (nanos, shown) in [
            (0, "0.0"),
            (499, "0.0"),
            (500, "0.001"),
            (1_234_567, "1.235"),
            (12_000_000, "12.0"),
            (3_600_000_000_001, "3600000.0"),
        ] {
            let text = format!("{:?}", millis(Duration::from_nanos(nanos)));
            assert_eq!(text, shown, "{nanos}");
        }
    }
}
