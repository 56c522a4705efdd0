//! Whether a process grows: its first days against its last.

use std::time::Duration;

use stage::process::Holdings;

/// How much more at the end than at the beginning is still no growth.
pub(crate) const SLACK: Holdings = Holdings {
    resident_kib: 2048,
    threads: 1,
    descriptors: 6,
};
/// Below this there is nothing to compare.
const ENOUGH: usize = 24;

/// What one instance of a process held, over its life.
#[derive(Debug, Default)]
pub(crate) struct Life {
    samples: Vec<(Duration, Holdings)>,
}

/// A life in figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trend {
    /// From the first sample to the last.
    pub(crate) span: Duration,
    /// Medians of the first quarter.
    pub(crate) first: Holdings,
    /// Medians of the last quarter.
    pub(crate) last: Holdings,
    /// The most of each at any time.
    pub(crate) most: Holdings,
}

impl Life {
    /// Adds a sample; `age` is the time since the instance started.
    pub(crate) fn add(&mut self, age: Duration, holdings: Holdings) {
        self.samples.push((age, holdings));
    }

    /// The figures; `None` for a life too short to have a trend.
    pub(crate) fn trend(&self) -> Option<Trend> {
        let (first, last) = (self.samples.first()?, self.samples.last()?);
        if self.samples.len() < ENOUGH {
            return None;
        }
        let quarter = self.samples.len() / 4;
        let from = self.samples.get(..quarter)?;
        let to = self.samples.get(self.samples.len() - quarter..)?;
        Some(Trend {
            span: last.0.saturating_sub(first.0),
            first: each(from, median),
            last: each(to, median),
            most: each(&self.samples, |values| {
                values.iter().copied().max().unwrap_or_default()
            }),
        })
    }
}

impl Trend {
    /// What has grown, in words; empty when nothing has.
    pub(crate) fn growth(&self) -> Vec<String> {
        let Self { first, last, .. } = self;
        let tenth = first.resident_kib / 10;
        [
            (
                "resident KiB",
                first.resident_kib,
                last.resident_kib,
                SLACK.resident_kib.max(tenth),
            ),
            ("threads", first.threads, last.threads, SLACK.threads),
            (
                "descriptors",
                first.descriptors,
                last.descriptors,
                SLACK.descriptors,
            ),
        ]
        .into_iter()
        .filter(|(_, first, last, slack)| *last > first + slack)
        .map(|(what, first, last, _)| format!("{what} grew from {first} to {last}"))
        .collect()
    }
}

fn each(samples: &[(Duration, Holdings)], figure: impl Fn(&mut [u64]) -> u64) -> Holdings {
    let of = |pick: fn(&Holdings) -> u64| {
        let mut values: Vec<u64> = samples.iter().map(|(_, held)| pick(held)).collect();
        figure(&mut values)
    };
    Holdings {
        resident_kib: of(|held| held.resident_kib),
        threads: of(|held| held.threads),
        descriptors: of(|held| held.descriptors),
    }
}

fn median(values: &mut [u64]) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(resident: impl Fn(u64) -> u64) -> Life {
        let mut life = Life::default();
        for second in 0..100 {
            let held = Holdings {
                resident_kib: resident(second),
                threads: 4,
                descriptors: 20 + second % 5,
            };
            life.add(Duration::from_secs(second), held);
        }
        life
    }

    #[test]
    fn a_leak_is_growth_and_a_peak_is_none() {
        let leak = life(|second| 9000 + 100 * second).trend().unwrap();
        assert_eq!(leak.growth(), ["resident KiB grew from 10200 to 17700"]);
        let peak = life(|second| if second == 50 { 30_000 } else { 9000 });
        let peak = peak.trend().unwrap();
        assert_eq!(peak.growth(), Vec::<String>::new());
        assert_eq!(peak.most.resident_kib, 30_000);
        assert_eq!(peak.span, Duration::from_secs(99));
    }

    #[test]
    fn a_short_life_has_no_trend() {
        let mut life = Life::default();
        life.add(Duration::ZERO, SLACK);
        assert_eq!(life.trend(), None);
    }
}
