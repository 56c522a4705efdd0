//! The circuit breaker of one probe kind.

use std::time::Duration;

const FAILURES: u32 = 3;
const LONGEST: Duration = Duration::from_secs(30);

/// What the gauge shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Periodic probes run.
    Closed,
    /// The pause is over: one try decides.
    HalfOpen,
    /// Periodic probes are held back.
    Open,
}

impl State {
    /// 0 closed, 1 half open, 2 open.
    #[must_use]
    pub fn number(self) -> i64 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
        }
    }
}

/// Opens after three failures in a row. It guards the periodic probes only.
#[derive(Debug, Clone)]
pub struct Breaker {
    pause: Duration,
    failures: u32,
    open_until: Option<Duration>,
}

impl Breaker {
    /// The pause is min(30 s, a quarter of `max_staleness`), so that an open breaker alone
    /// never makes a good verdict stale.
    #[must_use]
    pub fn new(max_staleness: Duration) -> Self {
        Self {
            pause: LONGEST.min(max_staleness / 4),
            failures: 0,
            open_until: None,
        }
    }

    /// The state at `mono`.
    #[must_use]
    pub fn state(&self, mono: Duration) -> State {
        match self.open_until {
            None => State::Closed,
            Some(until) if mono < until => State::Open,
            Some(_) => State::HalfOpen,
        }
    }

    /// When the next periodic probe may run, if not now.
    #[must_use]
    pub fn held_until(&self, mono: Duration) -> Option<Duration> {
        self.open_until.filter(|until| mono < *until)
    }

    /// A probe of this kind failed that started at `started`: the pause is from one try to the
    /// next, so that a try which hangs does not lengthen it. In the half-open state one failure
    /// opens it again.
    pub fn failed(&mut self, started: Duration) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            self.open_until = Some(started.saturating_add(self.pause));
        }
    }

    /// A probe of this kind passed, or any live Transit call did.
    pub fn succeeded(&mut self) {
        self.failures = 0;
        self.open_until = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn three_failures_in_a_row_open_it_for_a_quarter_of_the_staleness_at_most_30_s() {
        for (staleness, pause) in [(s(120), s(30)), (s(40), s(10)), (s(3600), s(30))] {
            let mut breaker = Breaker::new(staleness);
            breaker.failed(s(1));
            breaker.failed(s(2));
            assert_eq!(breaker.state(s(2)), State::Closed);
            assert_eq!(breaker.held_until(s(2)), None);
            breaker.failed(s(3));
            assert_eq!(breaker.state(s(3)), State::Open);
            assert_eq!(breaker.held_until(s(3)), Some(s(3) + pause));
            assert_eq!(breaker.state(s(3) + pause), State::HalfOpen);
            assert_eq!(breaker.held_until(s(3) + pause), None);
        }
    }

    #[test]
    fn one_failed_try_opens_it_again_and_a_success_closes_it() {
        let mut breaker = Breaker::new(s(40));
        (1..=3).for_each(|t| breaker.failed(s(t)));
        breaker.failed(s(13));
        assert_eq!(breaker.held_until(s(14)), Some(s(23)));
        breaker.succeeded();
        assert_eq!(breaker.state(s(14)), State::Closed);
        breaker.failed(s(15));
        breaker.failed(s(16));
        assert_eq!(breaker.state(s(16)), State::Closed);
    }

    #[test]
    fn a_success_between_failures_starts_the_count_anew() {
        let mut breaker = Breaker::new(s(40));
        breaker.failed(s(1));
        breaker.failed(s(2));
        breaker.succeeded();
        breaker.failed(s(3));
        breaker.failed(s(4));
        assert_eq!(breaker.state(s(4)), State::Closed);
    }
}
