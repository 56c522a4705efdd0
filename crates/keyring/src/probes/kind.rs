//! When the next probe of a kind is due, and in what manner.

use std::time::Duration;

use registry::breaker::Breaker;

use super::report::Failures;

/// The schedule and the breaker of one probe kind.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) breaker: Breaker,
    pub(super) failures: Failures,
    next: Next,
    /// When one is wanted besides the round, whatever the breaker says. It moves no round: one
    /// that is wanted later than the round comes must not make the round wait.
    wanted: Option<Duration>,
    started: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
struct Next {
    due: Duration,
    new_connection: bool,
    /// Whether a change of pace moves it.
    regular: bool,
    /// Whether the breaker may hold it back: not while OpenBao answers and has to be asked
    /// again.
    held: bool,
}

impl Kind {
    /// Due at once.
    pub(super) fn new(name: &'static str, max_staleness: Duration, mono: Duration) -> Self {
        Self {
            breaker: Breaker::new(max_staleness),
            failures: Failures::new(name),
            next: Next {
                due: mono,
                new_connection: false,
                regular: true,
                held: true,
            },
            wanted: None,
            started: None,
        }
    }

    /// When to look again; `guarded` says whether the breaker has a say.
    pub(super) fn due(&self, guarded: bool, mono: Duration) -> Duration {
        let held_until = self.breaker.held_until(mono);
        let held_until = held_until.filter(|_| guarded && self.next.held);
        let round = self.next.due.max(held_until.unwrap_or_default());
        self.wanted.map_or(round, |wanted| wanted.min(round))
    }

    /// A probe starts: the next regular one is due `interval` from now. Returns whether this
    /// one goes on a connection of its own.
    pub(super) fn start(&mut self, mono: Duration, interval: Duration) -> bool {
        let new_connection = self.next.new_connection;
        self.started = Some(mono);
        self.wanted = None;
        self.next = Next {
            due: mono.saturating_add(interval),
            new_connection: false,
            regular: true,
            held: true,
        };
        new_connection
    }

    /// Whether a probe of this kind has started since `mono`.
    pub(super) fn started_after(&self, mono: Duration) -> bool {
        self.started.is_some_and(|started| started > mono)
    }

    /// Sets the regular round to `interval` after the last start.
    pub(super) fn resume(&mut self, interval: Duration) {
        if self.next.regular {
            self.next.due = self.started.unwrap_or_default().saturating_add(interval);
        }
    }

    /// A repeated question, on a new connection, no later than `at`.
    pub(super) fn again(&mut self, at: Duration) {
        self.next = Next {
            due: at,
            new_connection: true,
            regular: false,
            held: false,
        };
    }

    /// A repeated question got no answer: it is put again, on a new connection, `at` that
    /// time or when the breaker lets it pass.
    pub(super) fn again_unanswered(&mut self, at: Duration) {
        self.again(at);
        self.next.held = true;
    }

    /// One as soon as possible, but not within `apart` of the last start.
    pub(super) fn hurry(&mut self, mono: Duration, apart: Duration) {
        let earliest = self
            .started
            .map_or(mono, |started| started.saturating_add(apart));
        let wanted = earliest.max(mono);
        self.wanted = Some(self.wanted.map_or(wanted, |before| before.min(wanted)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn started(interval: Duration) -> Kind {
        let mut kind = Kind::new("deep", s(120), s(100));
        assert!(!kind.start(s(100), interval));
        kind
    }

    #[test]
    fn a_wish_comes_before_the_round_where_it_can_and_never_moves_it() {
        let mut kind = started(s(300));
        kind.hurry(s(101), s(5));
        assert_eq!(kind.due(true, s(101)), s(105));
        kind.hurry(s(102), Duration::ZERO);
        assert_eq!(kind.due(true, s(102)), s(102), "the sooner wish");
        kind.hurry(s(103), s(5));
        assert_eq!(kind.due(true, s(103)), s(102), "stays");
        kind.start(s(104), s(300));
        assert_eq!(kind.due(true, s(104)), s(404), "and is fulfilled");

        let mut kind = started(s(300));
        kind.hurry(s(101), s(5));
        kind.resume(s(2));
        assert_eq!(kind.due(true, s(101)), s(102));
        kind.again(s(103));
        assert_eq!(kind.due(true, s(101)), s(103));
        kind.resume(s(1));
        assert_eq!(kind.due(true, s(101)), s(103), "a doubt has its own time");
        assert!(kind.start(s(103), s(300)), "and its own connection");
    }

    #[test]
    fn a_probe_that_started_at_that_very_time_did_not_start_after_it() {
        let kind = started(s(300));
        assert!(kind.started_after(s(99)));
        assert!(!kind.started_after(s(100)));
    }

    #[test]
    fn the_breaker_holds_back_rounds_and_no_wishes_no_doubts_and_no_start() {
        let mut kind = started(s(2));
        (0..3).for_each(|_| kind.breaker.failed(s(100)));
        assert_eq!(kind.due(true, s(101)), s(130));
        assert_eq!(kind.due(false, s(101)), s(102));
        kind.hurry(s(101), s(5));
        assert_eq!(kind.due(true, s(101)), s(105));
        kind.start(s(105), s(2));
        kind.again(s(107));
        assert_eq!(kind.due(true, s(105)), s(107));
        kind.again_unanswered(s(107));
        assert_eq!(kind.due(true, s(105)), s(130));
        assert_eq!(kind.due(true, s(130)), s(107));
    }
}
