//! When a thing that failed or crashed may be tried again. Counted on the monotonic clock.

use std::{collections::BTreeMap, time::Duration};

/// First wait after a second crash, and after a first failed pull.
pub(crate) const CRASH_FIRST: Duration = Duration::from_secs(10);
/// Longest wait between two starts of a crashing container, and between two pulls.
pub(crate) const CRASH_LONGEST: Duration = Duration::from_secs(300);
/// A container that ran for so long has not crashed in a row.
pub(crate) const CALM: Duration = Duration::from_secs(600);
/// First wait after any other failure: a missing path or a busy name is often there soon.
const TRY_FIRST: Duration = Duration::from_secs(1);
/// Longest wait after any other failure.
const TRY_LONGEST: Duration = Duration::from_secs(30);

/// What is tried again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// The pod's next sandbox.
    Sandbox,
    /// The image of the container of this name.
    Pull(String),
    /// The start of the container of this name.
    Start(String),
    /// Stopping the container or sandbox of this id.
    Stop(String),
    /// Removing the container or sandbox of this id.
    Remove(String),
    /// The directories of this uid.
    Clean(String),
}

impl Subject {
    fn waits(&self) -> (Duration, Duration) {
        match self {
            Self::Pull(_) => (CRASH_FIRST, CRASH_LONGEST),
            _ => (TRY_FIRST, TRY_LONGEST),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Retry {
    wait: Duration,
    until: Duration,
}

/// Failed tries and when the next one is due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Retries(BTreeMap<Subject, Retry>);

impl Retries {
    /// Notes a failed try.
    pub(crate) fn failed(&mut self, subject: Subject, now: Duration) {
        let (first, longest) = subject.waits();
        let wait = self
            .0
            .get(&subject)
            .map_or(first, |before| (before.wait * 2).min(longest));
        let until = now + wait;
        self.0.insert(subject, Retry { wait, until });
    }

    /// Forgets the failures of a subject.
    pub(crate) fn succeeded(&mut self, subject: &Subject) {
        self.0.remove(subject);
    }

    /// The instant before which there is to be no other try, if it is still to come.
    pub(crate) fn until(&self, subject: &Subject, now: Duration) -> Option<Duration> {
        self.0
            .get(subject)
            .map(|retry| retry.until)
            .filter(|until| *until > now)
    }

    /// Forgets ids that the runtime does not list any more.
    pub(crate) fn keep_ids(&mut self, listed: impl Fn(&str) -> bool) {
        self.0.retain(|subject, _| match subject {
            Subject::Stop(id) | Subject::Remove(id) => listed(id),
            _ => true,
        });
    }

    /// Forgets what belongs to one version of a pod; what is said of ids and uids stays.
    pub(crate) fn new_version(&mut self) {
        self.0.retain(|subject, _| match subject {
            Subject::Stop(_) | Subject::Remove(_) | Subject::Clean(_) => true,
            Subject::Sandbox | Subject::Pull(_) | Subject::Start(_) => false,
        });
    }
}

/// The row of crashes of one container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Crashes {
    /// The wait that the last exit earned.
    wait: Duration,
    /// The exit that was counted last, by container id, and when its wait is over.
    last: Option<(String, Duration)>,
    /// When the agent last started it.
    started: Option<Duration>,
}

impl Crashes {
    /// Counts an exit once and says when the next start is due. The first restart is immediate;
    /// then 10 s, doubling to 300 s, until the container has run for ten minutes.
    pub(crate) fn exited(&mut self, id: &str, now: Duration) -> Duration {
        if let Some((counted, due)) = &self.last
            && counted == id
        {
            return *due;
        }
        let calm = self
            .started
            .is_some_and(|started| now.saturating_sub(started) >= CALM);
        self.wait = if self.last.is_none() || calm {
            Duration::ZERO
        } else {
            (self.wait * 2).clamp(CRASH_FIRST, CRASH_LONGEST)
        };
        let due = now + self.wait;
        self.last = Some((id.to_owned(), due));
        due
    }

    /// Notes a start.
    pub(crate) fn started(&mut self, now: Duration) {
        self.started = Some(now);
    }

    /// The wait that the last exit earned.
    pub(crate) fn wait(&self) -> Duration {
        self.wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn crashes_wait_nothing_then_ten_seconds_doubling_to_three_hundred() {
        let mut crashes = Crashes::default();
        let mut now = seconds(1000);
        let mut waits = Vec::new();
        for round in 0..8 {
            crashes.started(now);
            now += seconds(1);
            let due = crashes.exited(&format!("c{round}"), now);
            waits.push((due - now).as_secs());
            now = due;
        }
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn ten_minutes_of_calm_forget_the_crashes_and_one_second_less_does_not() {
        for (ran, expected) in [(599, 20), (600, 0)] {
            let mut crashes = Crashes::default();
            for (id, now) in [("a", 10), ("b", 20)] {
                crashes.started(seconds(now - 1));
                crashes.exited(id, seconds(now));
            }
            crashes.started(seconds(40));
            let end = seconds(40 + ran);
            assert_eq!(crashes.exited("c", end) - end, seconds(expected), "{ran} s");
        }
    }

    #[test]
    fn one_exit_counts_once_however_often_it_is_seen() {
        let mut crashes = Crashes::default();
        crashes.started(seconds(1));
        crashes.exited("a", seconds(2));
        crashes.started(seconds(2));
        let due = crashes.exited("b", seconds(3));
        assert_eq!(crashes.exited("b", seconds(9)), due);
        assert_eq!(due, seconds(13));
    }

    #[test]
    fn pulls_wait_like_crashes_and_everything_else_from_one_second_to_thirty() {
        for (subject, expected) in [
            (
                Subject::Pull("a".into()),
                vec![10, 20, 40, 80, 160, 300, 300],
            ),
            (Subject::Sandbox, vec![1, 2, 4, 8, 16, 30, 30]),
        ] {
            let mut retries = Retries::default();
            let mut now = seconds(0);
            for wait in expected {
                retries.failed(subject.clone(), now);
                let until = retries.until(&subject, now).unwrap();
                assert_eq!(until - now, seconds(wait), "{subject:?}");
                now = until;
                assert_eq!(retries.until(&subject, now), None);
            }
            retries.succeeded(&subject);
            retries.failed(subject.clone(), now);
            assert!(retries.until(&subject, now).unwrap() - now <= CRASH_FIRST);
        }
    }
}
