//! The life of a token: when to renew it, when to replace it. Monotonic time only, so that a
//! wall clock that jumps causes neither a storm of logins nor the use of a dead token.

use std::time::Duration;

/// A token's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    /// When the token was asked for: its life is counted from before the server began it.
    granted: Duration,
    /// `None` lives for ever.
    ttl: Option<Duration>,
    renewable: bool,
    /// A refresh is due when less than this is left.
    threshold: Duration,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing before this time.
    At(Duration),
    /// Nothing, ever.
    Never,
    /// Extend the lease.
    Renew,
    /// Get another token.
    Login,
}

/// A server may claim any lease; sums of times must not overflow.
const LONGEST_LEASE: Duration = Duration::from_secs(100 * 366 * 86_400);

/// At most one refresh a second for any lease that is longer than two.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

impl Lease {
    /// The lease of a login: `ttl_seconds` 0 means a token without an end.
    pub(crate) fn of_login(
        granted: Duration,
        ttl_seconds: u64,
        renewable: bool,
        refresh_ahead: Duration,
    ) -> Self {
        let ttl = lease_time(ttl_seconds);
        let threshold = if ttl > refresh_ahead {
            refresh_ahead
        } else {
            ttl / 2
        };
        Self {
            granted,
            ttl: (ttl_seconds > 0).then_some(ttl),
            renewable,
            threshold,
        }
    }

    /// The lease after a renewal.
    pub(crate) fn renewed(self, granted: Duration, ttl_seconds: u64, renewable: bool) -> Self {
        Self {
            granted,
            ttl: Some(lease_time(ttl_seconds)),
            renewable,
            ..self
        }
    }

    /// Whether a renewal gave more than the threshold. If not, the token nears its last end,
    /// and the next renewals would give ever less: log in again.
    pub(crate) fn is_enough(self) -> bool {
        self.ttl.is_none_or(|ttl| ttl > self.threshold)
    }

    /// Whether it is not longer than what `refresh_ahead` wants left, which is a
    /// configuration that an operator should repair.
    pub(crate) fn is_short(self, refresh_ahead: Duration) -> bool {
        self.ttl.is_some_and(|ttl| ttl <= refresh_ahead)
    }

    /// What is left; `None` for ever.
    pub(crate) fn remaining(self, now: Duration) -> Option<Duration> {
        self.ttl.map(|ttl| (self.granted + ttl).saturating_sub(now))
    }

    /// Whether the token may still be used.
    pub(crate) fn lives(self, now: Duration) -> bool {
        self.remaining(now).is_none_or(|left| !left.is_zero())
    }

    /// What is due now.
    pub(crate) fn due(self, now: Duration) -> Due {
        let Some(ttl) = self.ttl else {
            return Due::Never;
        };
        let pause = SHORTEST_PAUSE.min(ttl / 2);
        let at = self.granted + (ttl.saturating_sub(self.threshold)).max(pause);
        if now < at {
            Due::At(at)
        } else if self.renewable && self.lives(now) {
            Due::Renew
        } else {
            Due::Login
        }
    }
}

fn lease_time(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(LONGEST_LEASE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;
    const AHEAD: Duration = Duration::from_secs(300);

    fn lease(ttl: u64, renewable: bool) -> Lease {
        Lease::of_login(S(1000), ttl, renewable, AHEAD)
    }

    #[test]
    fn a_long_lease_is_refreshed_when_less_than_the_threshold_is_left() {
        let lease = lease(3600, true);
        assert_eq!(lease.due(S(1000)), Due::At(S(4300)));
        assert_eq!(
            lease.due(Duration::from_millis(4_299_999)),
            Due::At(S(4300))
        );
        assert_eq!(lease.due(S(4300)), Due::Renew);
        assert!(!lease.is_short(AHEAD));
    }

    #[test]
    fn a_token_that_cannot_be_renewed_or_is_dead_is_replaced() {
        assert_eq!(lease(3600, false).due(S(4300)), Due::Login);
        assert_eq!(lease(3600, true).due(S(4600)), Due::Login);
        assert!(lease(3600, true).lives(S(4599)));
        assert!(!lease(3600, true).lives(S(4600)));
    }

    #[test]
    fn a_lease_not_longer_than_the_threshold_is_refreshed_at_its_half() {
        for ttl in [300, 60] {
            let lease = lease(ttl, true);
            assert!(lease.is_short(AHEAD));
            assert_eq!(lease.due(S(1000)), Due::At(S(1000 + ttl / 2)));
            assert_eq!(lease.due(S(1000 + ttl / 2)), Due::Renew);
        }
    }

    #[test]
    fn a_renewal_that_gives_less_than_the_threshold_means_login() {
        let lease = lease(3600, true);
        assert!(lease.renewed(S(4300), 301, true).is_enough());
        assert!(!lease.renewed(S(4300), 300, true).is_enough());
        assert!(!lease.renewed(S(4300), 0, true).is_enough());
    }

    #[test]
    fn a_short_lease_may_be_renewed_to_its_own_length_again() {
        let renewed = lease(60, true).renewed(S(1030), 60, true);
        assert!(renewed.is_enough());
        assert_eq!(renewed.due(S(1030)), Due::At(S(1060)));
        assert!(!lease(60, true).renewed(S(1030), 30, true).is_enough());
    }

    #[test]
    fn a_token_without_an_end_is_left_alone() {
        let lease = lease(0, false);
        assert_eq!(lease.due(S(1_000_000_000)), Due::Never);
        assert!(lease.lives(S(1_000_000_000)));
        assert_eq!(lease.remaining(S(5000)), None);
    }

    #[test]
    fn an_absurd_lease_is_only_long() {
        let lease = Lease::of_login(S(1000), u64::MAX, true, AHEAD);
        assert!(lease.lives(S(1_000_000_000)));
        assert!(matches!(lease.due(S(1000)), Due::At(_)));
        assert!(lease.renewed(S(1000), u64::MAX, true).is_enough());
    }

    #[test]
    fn a_renewal_just_above_the_threshold_does_not_spin() {
        let lease = Lease::of_login(S(0), 301, true, AHEAD);
        assert_eq!(lease.due(S(0)), Due::At(S(1)));
        let lease = Lease::of_login(S(0), 1, true, AHEAD);
        assert_eq!(lease.due(S(0)), Due::At(Duration::from_millis(500)));
    }

    proptest! {
        #[test]
        fn a_refresh_is_always_due_before_the_end_and_never_at_once(
            ttl in 1_u64..10_000_000, renewable in any::<bool>(), ahead in 1_u64..100_000,
        ) {
            let lease = Lease::of_login(S(0), ttl, renewable, S(ahead));
            let Due::At(at) = lease.due(S(0)) else {
                return Err(proptest::test_runner::TestCaseError::fail("due at once"));
            };
            prop_assert!(at > Duration::ZERO);
            prop_assert!(lease.lives(at));
            prop_assert_eq!(lease.due(at), if renewable { Due::Renew } else { Due::Login });
        }
    }
}
