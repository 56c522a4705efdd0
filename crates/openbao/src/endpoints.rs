//! Which endpoint is asked first.

use std::time::Duration;

/// How long an endpoint that timed out or refused is asked last.
const SHUNNED: Duration = Duration::from_secs(10);

/// What is known about the endpoints.
#[derive(Debug, Clone)]
pub(crate) struct Endpoints {
    answered_last: usize,
    shunned_until: Vec<Duration>,
}

impl Endpoints {
    /// `count` endpoints, nothing known: the configured order.
    pub(crate) fn new(count: usize) -> Self {
        Self {
            answered_last: 0,
            shunned_until: vec![Duration::ZERO; count],
        }
    }

    /// The endpoints, best first: those that failed lately at the end, the one that answered
    /// last at the beginning, the others in the configured order.
    pub(crate) fn order(&self, now: Duration) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.shunned_until.len()).collect();
        order.sort_by_key(|&index| {
            let shunned = self.shunned_until.get(index).is_some_and(|&t| t > now);
            (shunned, index != self.answered_last, index)
        });
        order
    }

    /// It gave an answer that needs no second opinion.
    pub(crate) fn answered(&mut self, index: usize) {
        self.answered_last = index;
        if let Some(until) = self.shunned_until.get_mut(index) {
            *until = Duration::ZERO;
        }
    }

    /// It timed out, refused or could not be reached.
    pub(crate) fn failed(&mut self, index: usize, now: Duration) {
        if let Some(until) = self.shunned_until.get_mut(index) {
            *until = now + SHUNNED;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn the_configured_order_holds_until_something_is_known() {
        assert_eq!(Endpoints::new(3).order(S(0)), [0, 1, 2]);
    }

    #[test]
    fn the_endpoint_that_answered_last_is_asked_first() {
        let mut endpoints = Endpoints::new(3);
        endpoints.answered(2);
        assert_eq!(endpoints.order(S(0)), [2, 0, 1]);
    }

    #[test]
    fn an_endpoint_that_failed_is_asked_last_for_ten_seconds() {
        let mut endpoints = Endpoints::new(3);
        endpoints.failed(0, S(100));
        assert_eq!(endpoints.order(S(100)), [1, 2, 0]);
        assert_eq!(endpoints.order(Duration::from_millis(109_999)), [1, 2, 0]);
        assert_eq!(endpoints.order(S(110)), [0, 1, 2]);
    }

    #[test]
    fn an_answer_ends_the_shunning_and_a_failure_outweighs_an_old_answer() {
        let mut endpoints = Endpoints::new(2);
        endpoints.answered(0);
        endpoints.failed(0, S(1));
        assert_eq!(endpoints.order(S(2)), [1, 0]);
        endpoints.answered(0);
        assert_eq!(endpoints.order(S(2)), [0, 1]);
    }

    #[test]
    fn with_all_shunned_somebody_is_still_asked() {
        let mut endpoints = Endpoints::new(2);
        endpoints.failed(0, S(0));
        endpoints.failed(1, S(0));
        assert_eq!(endpoints.order(S(1)), [0, 1]);
    }
}
