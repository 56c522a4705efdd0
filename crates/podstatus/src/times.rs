//! Times of the runtime as times of the API, and spans as people read them.

use std::time::Duration;

use jiff::Timestamp;
use pod::api::Time;

const SECOND: i64 = 1_000_000_000;

/// Nanoseconds since 1970 in whole seconds, as the API counts; `None` for 0, which runtimes give
/// for what has not happened.
pub(crate) fn time(nanos: i64) -> Option<Time> {
    if nanos == 0 {
        return None;
    }
    seconds(nanos.div_euclid(SECOND))
}

/// Whole seconds since 1970.
pub(crate) fn seconds(seconds: i64) -> Option<Time> {
    Timestamp::from_second(seconds).ok().map(Time)
}

/// A span in the short form of `kubectl`: two units at most, the second only while it matters.
#[must_use]
pub fn age(span: Duration) -> String {
    let all = span.as_secs();
    let (minutes, hours) = (all / 60, all / 3600);
    let (days, years) = (hours / 24, hours / 24 / 365);
    let two = |big: u64, unit: char, small: u64, below: char| match small {
        0 => format!("{big}{unit}"),
        _ => format!("{big}{unit}{small}{below}"),
    };
    if all < 120 {
        format!("{all}s")
    } else if minutes < 10 {
        two(minutes, 'm', all % 60, 's')
    } else if minutes < 180 {
        format!("{minutes}m")
    } else if hours < 8 {
        two(hours, 'h', minutes % 60, 'm')
    } else if hours < 48 {
        format!("{hours}h")
    } else if days < 8 {
        two(days, 'd', hours % 24, 'h')
    } else if years < 2 {
        format!("{days}d")
    } else if years < 8 {
        two(years, 'y', days % 365, 'd')
    } else {
        format!("{years}y")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_in_kubectl() {
        const DAY: u64 = 86_400;
        for (seconds, expected) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (599, "9m59s"),
            (600, "10m"),
            (3 * 3600 - 1, "179m"),
            (3 * 3600, "3h"),
            (3 * 3600 + 60, "3h1m"),
            (8 * 3600, "8h"),
            (48 * 3600 - 1, "47h"),
            (2 * DAY, "2d"),
            (2 * DAY + 3600, "2d1h"),
            (8 * DAY, "8d"),
            (2 * 365 * DAY - 1, "729d"),
            (2 * 365 * DAY, "2y"),
            (2 * 365 * DAY + DAY, "2y1d"),
            (9 * 365 * DAY + DAY, "9y"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn nothing_happened_in_1970() {
        assert_eq!(time(0), None);
        assert_eq!(time(1_500_000_000), seconds(1));
    }
}
