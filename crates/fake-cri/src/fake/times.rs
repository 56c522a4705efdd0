//! When things happen: a clock that follows tokio's, and stamps finer than a wall clock's second.

use std::{sync::Arc, time::Duration};

use pace::{Clock, Now};

const SECOND: i64 = 1_000_000_000;

/// Both clocks as tokio counts: real time, or the time of a test in which tokio's stands still.
#[derive(Debug)]
pub struct TokioClock {
    start: tokio::time::Instant,
    wall: i64,
}

impl TokioClock {
    /// Begins at `wall` Unix seconds, with `mono` zero.
    #[must_use]
    pub fn new(wall: i64) -> Self {
        let start = tokio::time::Instant::now();
        Self { start, wall }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Now {
        let mono = self.start.elapsed();
        let seconds = i64::try_from(mono.as_secs()).unwrap_or(i64::MAX);
        Now {
            wall: self.wall.saturating_add(seconds),
            mono,
        }
    }
}

/// Turns monotonic times into the Unix nanoseconds of a runtime's answers.
pub(super) struct Stamps {
    clock: Arc<dyn Clock>,
    first: Now,
}

impl Stamps {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let first = clock.now();
        Self { clock, first }
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.now().mono
    }

    /// The stamp of a moment, as the wall clock stands today: after a step of it, later stamps
    /// are ahead or behind as a runtime's are.
    pub(super) fn at(&self, moment: Duration) -> i64 {
        let now = self.clock.now();
        let whole = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let passed = now.mono.saturating_sub(self.first.mono);
        let step = now.wall - self.first.wall - whole(passed);
        // The two clocks change their seconds at different moments.
        let step = if step.abs() > 1 { step } else { 0 };
        let since = moment.saturating_sub(self.first.mono);
        let since = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
        (self.first.wall + step)
            .saturating_mul(SECOND)
            .saturating_add(since)
    }
}

#[cfg(test)]
mod tests {
    use pace::ManualClock;

    use super::*;

    #[test]
    fn stamps_are_fine_and_follow_a_step_of_the_wall_clock() {
        let clock = Arc::new(ManualClock::new(1000));
        let stamps = Stamps::new(Arc::clone(&clock) as Arc<dyn Clock>);
        clock.advance(Duration::from_millis(1500));
        assert_eq!(stamps.at(stamps.now()), 1_001_500_000_000);
        clock.set_wall(500);
        assert_eq!(stamps.at(stamps.now()), 500_500_000_000);
    }
}
