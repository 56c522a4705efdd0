//! Times of many answers in little room.

use std::time::Duration;

/// Eight steps for each doubling, from 1 us to beyond an hour.
const STEPS: usize = 256;

/// A histogram.
#[derive(Debug, Clone)]
pub(crate) struct Latency {
    counts: Vec<u64>,
    slowest: Duration,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            counts: vec![0; STEPS],
            slowest: Duration::ZERO,
        }
    }
}

impl Latency {
    /// Adds an answer.
    pub(crate) fn add(&mut self, took: Duration) {
        let micros = took.as_micros().max(1) as f64;
        let step = (micros.log2() * 8.0) as usize;
        if let Some(count) = self.counts.get_mut(step.min(STEPS - 1)) {
            *count += 1;
        }
        self.slowest = self.slowest.max(took);
    }

    /// The time in which `share` (0 to 1) of the answers came, a tenth too high at most.
    pub(crate) fn within(&self, share: f64) -> Duration {
        let total: u64 = self.counts.iter().sum();
        let wanted = (total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (step, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                let micros = ((step + 1) as f64 / 8.0).exp2();
                return Duration::from_secs_f64(micros / 1e6).min(self.slowest);
            }
        }
        self.slowest
    }

    /// The slowest.
    pub(crate) fn slowest(&self) -> Duration {
        self.slowest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_a_tenth() {
        let mut latency = Latency::default();
        for millis in 1..=1000 {
            latency.add(Duration::from_millis(millis));
        }
        for (share, expected) in [(0.5, 500.0), (0.99, 990.0), (0.001, 1.0)] {
            let millis = latency.within(share).as_secs_f64() * 1000.0;
            assert!(
                millis >= expected && millis <= expected * 1.1,
                "{share}: {millis}"
            );
        }
        assert_eq!(latency.within(1.0), Duration::from_secs(1));
        assert_eq!(Latency::default().within(0.5), Duration::ZERO);
    }
}
