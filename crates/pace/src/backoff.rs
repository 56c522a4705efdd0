//! How long to wait before trying again: doubling, bounded, jittered.

use std::time::Duration;

use fastrand::Rng;

/// Settings that make no schedule.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum BackoffError {
    /// A wait of nothing is a busy loop.
    #[error("the shortest wait is zero")]
    MinimumZero,
    /// Upside down.
    #[error("the longest wait {max:?} is below the shortest wait {min:?}")]
    MaximumBelowMinimum {
        /// Shortest wait.
        min: Duration,
        /// Longest wait.
        max: Duration,
    },
    /// Not a share of the wait.
    #[error("the jitter {0} is not a share from 0 up to, but not including, 1")]
    JitterOutOfRange(f64),
}

/// Waits that double from `min` to `max`, each moved by up to the share `jitter` to either
/// side, so that nodes which failed together do not come back together.
#[derive(Debug, Clone, PartialEq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    jitter: f64,
    next: Duration,
}

impl Backoff {
    /// A schedule at its beginning. `jitter` 0.25 means +-25 %.
    ///
    /// # Errors
    /// [`BackoffError`] when the three do not make a schedule.
    pub fn new(min: Duration, max: Duration, jitter: f64) -> Result<Self, BackoffError> {
        if min.is_zero() {
            return Err(BackoffError::MinimumZero);
        }
        if max < min {
            return Err(BackoffError::MaximumBelowMinimum { min, max });
        }
        if !(0.0..1.0).contains(&jitter) {
            return Err(BackoffError::JitterOutOfRange(jitter));
        }
        Ok(Self {
            min,
            max,
            jitter,
            next: min,
        })
    }

    /// The wait before the next try; the one after it is twice as long.
    pub fn next(&mut self, random: &mut Rng) -> Duration {
        self.next_at_most(self.max, random)
    }

    /// As [`Backoff::next`], with a lower ceiling for this one wait (before jitter): somebody
    /// is waiting for the result. The schedule itself goes on as usual.
    pub fn next_at_most(&mut self, ceiling: Duration, random: &mut Rng) -> Duration {
        let wait = self.next.min(ceiling);
        self.next = self.next.saturating_mul(2).min(self.max);
        if self.jitter == 0.0 {
            return wait;
        }
        let shift = (random.f64() * 2.0 - 1.0) * self.jitter;
        wait.try_mul(1.0 + shift)
    }

    /// After a success: the next failure starts from the shortest wait again.
    pub fn reset(&mut self) {
        self.next = self.min;
    }
}

/// `Duration::mul_f64` panics on overflow; a back-off must not.
trait TryMul {
    fn try_mul(self, factor: f64) -> Duration;
}

impl TryMul for Duration {
    fn try_mul(self, factor: f64) -> Duration {
        Duration::try_from_secs_f64(self.as_secs_f64() * factor).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use proptest::prelude::{any, prop_assert, proptest};

    use super::{Backoff, BackoffError, Duration};

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn waits_double_from_the_shortest_to_the_longest_and_start_again_after_a_success() {
        let mut random = Rng::with_seed(1);
        let mut backoff = Backoff::new(S(1), S(60), 0.0).unwrap();
        let waits: Vec<_> = (0..8)
            .map(|_| backoff.next(&mut random).as_secs())
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        backoff.reset();
        assert_eq!(backoff.next(&mut random), S(1));
    }

    #[test]
    fn a_lower_ceiling_holds_for_one_wait_and_does_not_slow_the_schedule() {
        let mut random = Rng::with_seed(1);
        let mut backoff = Backoff::new(S(1), S(60), 0.0).unwrap();
        for _ in 0..4 {
            backoff.next(&mut random);
        }
        assert_eq!(backoff.next_at_most(S(5), &mut random), S(5));
        assert_eq!(backoff.next(&mut random), S(32));
    }

    #[test]
    fn settings_that_make_no_schedule_are_refused() {
        assert_eq!(
            Backoff::new(S(0), S(1), 0.25),
            Err(BackoffError::MinimumZero)
        );
        assert_eq!(
            Backoff::new(S(2), S(1), 0.25),
            Err(BackoffError::MaximumBelowMinimum {
                min: S(2),
                max: S(1)
            })
        );
        for jitter in [-0.1, 1.0, f64::INFINITY] {
            assert_eq!(
                Backoff::new(S(1), S(1), jitter),
                Err(BackoffError::JitterOutOfRange(jitter))
            );
        }
        assert!(Backoff::new(S(1), S(1), f64::NAN).is_err());
    }

    proptest! {
        #[test]
        fn every_wait_stays_within_the_jitter_around_the_schedule(
            seed in any::<u64>(),
            min in 1_u64..10_000,
            more in 0_u64..1_000_000,
            jitter in 0.0_f64..0.99,
        ) {
            let (min, max) = (Duration::from_millis(min), Duration::from_millis(min + more));
            let mut random = Rng::with_seed(seed);
            let mut backoff = Backoff::new(min, max, jitter).unwrap();
            let mut plain = min;
            for _ in 0..40 {
                let wait = backoff.next(&mut random).as_secs_f64();
                let middle = plain.as_secs_f64();
                prop_assert!(wait >= middle * (1.0 - jitter) - 1e-6);
                prop_assert!(wait <= middle * (1.0 + jitter) + 1e-6);
                plain = (plain * 2).min(max);
            }
        }

        #[test]
        fn no_settings_make_it_panic(seed in any::<u64>(), min in any::<u64>(), max in any::<u64>(), jitter in 0.0_f64..1.0) {
            if let Ok(mut backoff) = Backoff::new(S(min), S(max), jitter) {
                let mut random = Rng::with_seed(seed);
                for _ in 0..70 {
                    backoff.next(&mut random);
                }
            }
        }
    }
}
