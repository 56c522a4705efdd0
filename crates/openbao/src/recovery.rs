//! How often a refused token may cause a login.

use std::time::Duration;

use crate::classify::Refusal;

/// A token that is gone: one login every so often, however many calls notice it.
const TOKEN_PAUSE: Duration = Duration::from_secs(5);
/// A policy that denies: a new login may bring a policy that was added since.
const POLICY_PAUSE: Duration = Duration::from_secs(60);

/// When logins of each kind were last allowed.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Recovery {
    token: Option<Duration>,
    policy: Option<Duration>,
}

impl Recovery {
    /// Whether a login is allowed now; if so it is counted as made.
    pub(crate) fn allow(&mut self, refusal: Refusal, now: Duration) -> bool {
        let (last, pause) = match refusal {
            Refusal::Token => (&mut self.token, TOKEN_PAUSE),
            Refusal::Policy => (&mut self.policy, POLICY_PAUSE),
        };
        let allowed = last.is_none_or(|last| now.saturating_sub(last) >= pause);
        if allowed {
            *last = Some(now);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_token_is_replaced_at_most_every_five_seconds_and_a_denial_retried_once_a_minute() {
        let ms = Duration::from_millis;
        for (refusal, pause) in [(Refusal::Token, 5_000), (Refusal::Policy, 60_000)] {
            let mut recovery = Recovery::default();
            assert!(recovery.allow(refusal, ms(7)));
            assert!(!recovery.allow(refusal, ms(7)));
            assert!(!recovery.allow(refusal, ms(7 + pause - 1)));
            assert!(recovery.allow(refusal, ms(7 + pause)));
            assert!(!recovery.allow(refusal, ms(8 + pause)));
        }
    }

    #[test]
    fn the_two_kinds_do_not_use_up_each_other() {
        let mut recovery = Recovery::default();
        assert!(recovery.allow(Refusal::Policy, Duration::ZERO));
        assert!(recovery.allow(Refusal::Token, Duration::ZERO));
    }
}
