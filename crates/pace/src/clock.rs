//! The real clock, and one that tests turn by hand.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::time::{ClockId, clock_gettime};

use crate::{Clock, Now};

/// The machine's clocks.
///
/// `mono` counts from the creation of this value on the kernel's boot-time clock, which goes on
/// while the machine is suspended; `std::time::Instant` stands still then. A token's lease and
/// the age of a probe's result run out during a suspend, and must be seen to have run out at
/// resume.
#[derive(Debug)]
pub struct SystemClock {
    start: Duration,
}

impl SystemClock {
    /// Starts counting.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: since_boot(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        Now {
            wall: unix_seconds(SystemTime::now()),
            mono: since_boot().saturating_sub(self.start),
        }
    }
}

fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    // Both parts are never negative for this clock.
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// Whole seconds, rounded down also before 1970, where a dead clock battery can lead.
fn unix_seconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => {
            let before = before.duration();
            let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            -seconds - i64::from(before.subsec_nanos() > 0)
        }
    }
}

/// A clock for tests: stands still until it is turned.
#[derive(Debug)]
pub struct ManualClock {
    hands: Mutex<Hands>,
}

#[derive(Debug, Clone, Copy)]
struct Hands {
    /// Wall clock in nanoseconds, so that many small steps add up to whole seconds.
    wall: i128,
    mono: Duration,
}

const NANOS_PER_SECOND: i128 = 1_000_000_000;

impl ManualClock {
    /// Starts at `wall` Unix seconds, with `mono` zero.
    #[must_use]
    pub fn new(wall: i64) -> Self {
        Self {
            hands: Mutex::new(Hands {
                wall: i128::from(wall) * NANOS_PER_SECOND,
                mono: Duration::ZERO,
            }),
        }
    }

    /// Lets time pass on both clocks.
    pub fn advance(&self, by: Duration) {
        let mut hands = self.hands.lock().unwrap_or_else(PoisonError::into_inner);
        hands.wall += i128::try_from(by.as_nanos()).unwrap_or(i128::MAX / 2);
        hands.mono = hands.mono.saturating_add(by);
    }

    /// Sets the wall clock, as a time daemon or an operator may, in either direction.
    pub fn set_wall(&self, wall: i64) {
        let mut hands = self.hands.lock().unwrap_or_else(PoisonError::into_inner);
        hands.wall = i128::from(wall) * NANOS_PER_SECOND;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        let hands = *self.hands.lock().unwrap_or_else(PoisonError::into_inner);
        Now {
            wall: i64::try_from(hands.wall.div_euclid(NANOS_PER_SECOND)).unwrap_or(i64::MAX),
            mono: hands.mono,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_starts_near_zero_and_never_goes_back() {
        let clock = SystemClock::new();
        let first = clock.now();
        let second = clock.now();
        assert!(first.mono < Duration::from_secs(60));
        assert!(second.mono >= first.mono);
        assert!(first.wall > 1_700_000_000);
    }

    #[test]
    fn seconds_are_rounded_down_on_both_sides_of_1970() {
        let half = Duration::from_millis(500);
        assert_eq!(unix_seconds(UNIX_EPOCH), 0);
        assert_eq!(unix_seconds(UNIX_EPOCH + half), 0);
        assert_eq!(unix_seconds(UNIX_EPOCH - half), -1);
        assert_eq!(unix_seconds(UNIX_EPOCH - Duration::from_secs(2)), -2);
    }

    #[test]
    fn a_manual_clock_moves_only_when_it_is_turned() {
        let clock = ManualClock::new(1_000);
        let start = Now {
            wall: 1_000,
            mono: Duration::ZERO,
        };
        assert_eq!(clock.now(), start);
        for _ in 0..4 {
            clock.advance(Duration::from_millis(250));
        }
        assert_eq!(
            clock.now(),
            Now {
                wall: 1_001,
                mono: Duration::from_secs(1)
            }
        );
    }

    #[test]
    fn a_wall_clock_jump_leaves_the_monotonic_clock_alone() {
        let clock = ManualClock::new(1_000);
        clock.advance(Duration::from_secs(5));
        clock.set_wall(-7);
        assert_eq!(
            clock.now(),
            Now {
                wall: -7,
                mono: Duration::from_secs(5)
            }
        );
    }
}
