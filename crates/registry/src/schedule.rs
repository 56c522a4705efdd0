//! When the next probe is due.

use std::time::Duration;

/// `interval` less up to a tenth of it; `random` is uniform in 0..1.
///
/// Only ever shorter, so that jitter cannot eat into the two missed probes that the
/// staleness limit promises to survive.
#[must_use]
pub fn jittered(interval: Duration, random: f64) -> Duration {
    interval.mul_f64(1.0 - 0.1 * random.clamp(0.0, 1.0))
}

/// How long after a failed deep probe it is repeated.
#[must_use]
pub fn deep_retry(probe_interval: Duration, deep_probe_interval: Duration) -> Duration {
    probe_interval.min(deep_probe_interval)
}

/// How long after the last of `failures` in a row something is tried again that nobody waits for:
/// ever more rarely, at most eight intervals apart.
#[must_use]
pub fn backed_off(interval: Duration, failures: u32) -> Duration {
    interval.saturating_mul(1 << failures.saturating_sub(1).min(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_shortens_by_at_most_a_tenth() {
        let interval = Duration::from_secs(30);
        assert_eq!(jittered(interval, 0.0), interval);
        assert_eq!(jittered(interval, 0.5), Duration::from_millis(28_500));
        assert_eq!(jittered(interval, 1.0), Duration::from_secs(27));
        assert_eq!(jittered(interval, f64::INFINITY), Duration::from_secs(27));
    }

    #[test]
    fn what_fails_again_and_again_is_tried_ever_more_rarely_and_never_given_up() {
        let interval = Duration::from_secs(30);
        let after = |failures| backed_off(interval, failures).as_secs();
        assert_eq!(
            [0, 1, 2, 3, 4, 5, u32::MAX].map(after),
            [30, 30, 60, 120, 240, 240, 240]
        );
        assert_eq!(backed_off(Duration::MAX, 9), Duration::MAX);
    }
}
