//! What the keeper's loop and its callers tell each other: plain state and decisions about it.

use std::time::Duration;

use fastrand::Rng;
use pace::{Backoff, BackoffError};

use crate::{classify::Refusal, error::Error, recovery::Recovery};

/// First wait after a failed refresh.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait while nobody needs the result.
const LONG_WAIT: Duration = Duration::from_secs(60);
/// Longest wait before the first login, and while a call waits for a token.
const SHORT_WAIT: Duration = Duration::from_secs(5);
/// Waits are moved by up to this share, so that nodes do not come back together.
const JITTER: f64 = 0.25;

/// Never locked across an await.
pub(crate) struct Desk {
    /// Logins so far.
    generation: u64,
    /// Tokens up to this generation were refused as unknown.
    dead: u64,
    /// A recovery asked for a login.
    login_wanted: bool,
    /// The loop has ended: there will be no login.
    closed: bool,
    /// Calls that wait for a token.
    waiting: usize,
    recovery: Recovery,
    failure: Option<Error>,
    retry: Option<RetryAt>,
    long: Backoff,
    short: Backoff,
    random: Rng,
}

/// When a failed refresh is tried again.
#[derive(Clone, Copy)]
struct RetryAt {
    /// If nobody waits.
    leisurely: Duration,
    /// If somebody waits, or nothing ever worked.
    urgent: Duration,
}

/// How a refresh ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refreshed {
    /// The same token lives on.
    Renewed,
    /// There is a new token.
    LoggedIn,
    /// A login failed.
    Failed(Error),
}

/// What a refused token leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No login: there is a newer token already, or it would be one too many.
    No,
    /// A login that somebody else asked for is under way.
    Joined,
    /// A login begins.
    Begun,
}

impl Desk {
    pub(crate) fn new(random: Rng) -> Result<Self, BackoffError> {
        Ok(Self {
            generation: 0,
            dead: 0,
            login_wanted: false,
            closed: false,
            waiting: 0,
            recovery: Recovery::default(),
            failure: None,
            retry: None,
            long: Backoff::new(FIRST_WAIT, LONG_WAIT, JITTER)?,
            short: Backoff::new(SHORT_WAIT, SHORT_WAIT, JITTER)?,
            random,
        })
    }

    /// A login went well: the number of its token.
    pub(crate) fn next_generation(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }

    /// Whether the token of `generation` was not refused as unknown.
    pub(crate) fn is_alive(&self, generation: u64) -> bool {
        generation > self.dead
    }

    /// Whether a recovery asked for a login.
    pub(crate) fn login_wanted(&self) -> bool {
        self.login_wanted
    }

    /// Why the last refresh failed, if it did.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.failure.clone()
    }

    /// The loop begins.
    pub(crate) fn open(&mut self) {
        self.closed = false;
    }

    /// The loop ends, and with it every hope for a login.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.login_wanted = false;
    }

    /// Whether the loop has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// One more call waits for a token.
    pub(crate) fn enter(&mut self) {
        self.waiting += 1;
    }

    /// One call less waits for a token.
    pub(crate) fn leave(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// A call with the token of generation `used` got a 403.
    pub(crate) fn refused(&mut self, refusal: Refusal, used: u64, now: Duration) -> Verdict {
        if self.generation > used && self.is_alive(self.generation) {
            return Verdict::No;
        }
        if self.closed {
            return Verdict::No;
        }
        if !self.is_alive(used) || self.login_wanted {
            return Verdict::Joined;
        }
        // The token still serves other calls; a failing login server is not asked more often.
        if refusal == Refusal::Policy && self.retry.is_some() {
            return Verdict::No;
        }
        if !self.recovery.allow(refusal, now) {
            return Verdict::No;
        }
        self.login_wanted = true;
        if refusal == Refusal::Token {
            self.dead = used;
        }
        Verdict::Begun
    }

    /// A refresh ended. A renewal is no answer to who asked for a login while it ran: the
    /// same token would be refused again.
    pub(crate) fn settle(&mut self, end: Refreshed, now: Duration) {
        self.login_wanted &= end == Refreshed::Renewed;
        let failure = match end {
            Refreshed::Failed(error) => Some(error),
            Refreshed::Renewed | Refreshed::LoggedIn => None,
        };
        if failure.is_some() {
            let leisurely = self.long.next(&mut self.random);
            let urgent = self.short.next(&mut self.random).min(leisurely);
            self.retry = Some(RetryAt {
                leisurely: now + leisurely,
                urgent: now + urgent,
            });
        } else {
            self.retry = None;
            self.long.reset();
        }
        self.failure = failure;
    }

    /// The earliest time of the next attempt, after one that failed.
    pub(crate) fn retry_at(&self) -> Option<Duration> {
        let retry = self.retry?;
        let urgent = self.waiting > 0 || self.generation == 0;
        Some(if urgent {
            retry.urgent
        } else {
            retry.leisurely
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn desk(generation: u64) -> Desk {
        let mut desk = Desk::new(Rng::with_seed(1)).unwrap();
        for _ in 0..generation {
            desk.next_generation();
        }
        desk
    }

    fn failure() -> Refreshed {
        Refreshed::Failed(Error {
            class: Class::AuthFailed,
            operation: "jwt_login",
            reason: "x".to_owned(),
            status: None,
        })
    }

    #[test]
    fn a_call_that_used_an_older_token_asks_for_no_login() {
        let mut desk = desk(2);
        assert_eq!(desk.refused(Refusal::Token, 1, S(0)), Verdict::No);
        assert_eq!(desk.refused(Refusal::Token, 2, S(0)), Verdict::Begun);
    }

    #[test]
    fn whoever_comes_second_joins_and_a_dead_token_stays_dead() {
        let mut desk = desk(1);
        assert_eq!(desk.refused(Refusal::Token, 1, S(0)), Verdict::Begun);
        assert!(!desk.is_alive(1));
        assert_eq!(desk.refused(Refusal::Token, 1, S(0)), Verdict::Joined);
        desk.settle(failure(), S(1));
        assert_eq!(desk.refused(Refusal::Token, 1, S(60)), Verdict::Joined);
        desk.next_generation();
        desk.settle(Refreshed::LoggedIn, S(61));
        assert!(desk.is_alive(2));
        assert_eq!(desk.refused(Refusal::Token, 1, S(61)), Verdict::No);
    }

    #[test]
    fn a_login_that_is_asked_for_during_a_renewal_is_still_wanted_after_it() {
        let mut desk = desk(1);
        assert_eq!(desk.refused(Refusal::Policy, 1, S(0)), Verdict::Begun);
        desk.settle(Refreshed::Renewed, S(1));
        assert!(desk.login_wanted());
        desk.settle(Refreshed::LoggedIn, S(2));
        assert!(!desk.login_wanted());
    }

    #[test]
    fn once_closed_nothing_is_asked_for_and_nobody_is_told_to_wait() {
        let mut desk = desk(1);
        assert_eq!(desk.refused(Refusal::Token, 1, S(0)), Verdict::Begun);
        desk.close();
        assert!(!desk.login_wanted());
        assert_eq!(desk.refused(Refusal::Token, 1, S(9)), Verdict::No);
        desk.open();
        assert_eq!(desk.refused(Refusal::Token, 1, S(9)), Verdict::Joined);
    }

    #[test]
    fn a_denial_kills_no_token_and_asks_for_nothing_while_logins_fail() {
        let mut desk = desk(1);
        assert_eq!(desk.refused(Refusal::Policy, 1, S(0)), Verdict::Begun);
        assert!(desk.is_alive(1));
        desk.settle(failure(), S(1));
        assert_eq!(desk.refused(Refusal::Policy, 1, S(100)), Verdict::No);
        desk.settle(Refreshed::LoggedIn, S(101));
        assert_eq!(desk.refused(Refusal::Policy, 1, S(102)), Verdict::Begun);
    }

    #[test]
    fn somebody_who_waits_and_the_very_start_make_the_next_attempt_urgent() {
        let mut desk = desk(1);
        for _ in 0..8 {
            desk.settle(failure(), S(100));
        }
        let leisurely = desk.retry_at().unwrap();
        assert!(leisurely >= S(145) && leisurely <= S(175), "{leisurely:?}");
        desk.enter();
        let urgent = desk.retry_at().unwrap();
        assert!(urgent > S(103) && urgent < S(107), "{urgent:?}");
        desk.leave();
        assert_eq!(desk.retry_at(), Some(leisurely));
        desk.settle(Refreshed::LoggedIn, S(200));
        assert_eq!(desk.retry_at(), None);
    }
}
