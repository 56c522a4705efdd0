//! What is counted for metrics, and nothing that a look at the agent tells by itself.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use agent::Event;
use cri::{Call, Fault};
use plan::{Action, FailureClass, Outcome};

/// Upper ends of the classes of a histogram, in seconds; what takes longer is in none of them.
pub(crate) const CLASSES: [f64; 7] = [0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0];

/// How often something took how long.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Times {
    /// Of each class alone.
    pub(crate) classes: [u64; CLASSES.len()],
    pub(crate) count: u64,
    pub(crate) sum: Duration,
}

impl Times {
    fn add(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let fits = CLASSES.iter().position(|end| seconds <= *end);
        if let Some(class) = fits.and_then(|class| self.classes.get_mut(class)) {
            *class += 1;
        }
        self.count += 1;
        self.sum += took;
    }
}

/// Everything counted so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) calls: BTreeMap<Call, Times>,
    /// By call and kind of failure.
    pub(crate) failed_calls: BTreeMap<(Call, &'static str), u64>,
    /// By kind of probe and result.
    pub(crate) probes: BTreeMap<(&'static str, &'static str), u64>,
    /// By order and result.
    pub(crate) orders: BTreeMap<(&'static str, &'static str), u64>,
    pub(crate) pulls_failed: u64,
    pub(crate) logs_rotated: u64,
    pub(crate) logs_unrotated: u64,
    pub(crate) images_collected: u64,
}

/// Counts; shared by everybody who does something.
#[derive(Debug, Default)]
pub(crate) struct Meter(Mutex<Counts>);

impl Meter {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As of now.
    pub(crate) fn read(&self) -> Counts {
        self.counts().clone()
    }

    /// A call of the runtime has ended.
    pub(crate) fn called(&self, call: Call, took: Duration, fault: Option<&Fault>) {
        let mut counts = self.counts();
        counts.calls.entry(call).or_default().add(took);
        if let Some(fault) = fault {
            *counts.failed_calls.entry((call, kind(fault))).or_default() += 1;
        }
    }

    /// Something happened in the agent.
    pub(crate) fn hear(&self, event: &Event) {
        match event {
            Event::Probed { kind, success } => {
                let result = match success {
                    Some(true) => "success",
                    Some(false) => "failure",
                    None => "broken",
                };
                *self.counts().probes.entry((kind, result)).or_default() += 1;
            }
            Event::Ended {
                action, outcome, ..
            } => self.ended(action, outcome),
            _ => {}
        }
    }

    fn ended(&self, action: &Action, outcome: &Outcome) {
        let Some(order) = order(action) else {
            return;
        };
        let mut counts = self.counts();
        let result = match outcome {
            Outcome::Done => "done",
            Outcome::Lost => "lost",
            Outcome::Failed(failure) => {
                counts.pulls_failed += u64::from(failure.class == FailureClass::Pull);
                "failed"
            }
        };
        *counts.orders.entry((order, result)).or_default() += 1;
    }

    /// A log was rotated, or should have been.
    pub(crate) fn log_turned(&self, well: bool) {
        let mut counts = self.counts();
        match well {
            true => counts.logs_rotated += 1,
            false => counts.logs_unrotated += 1,
        }
    }

    /// An image was removed.
    pub(crate) fn image_collected(&self) {
        self.counts().images_collected += 1;
    }
}

fn kind(fault: &Fault) -> &'static str {
    match fault {
        Fault::NotFound { .. } => "not_found",
        Fault::AlreadyReserved { .. } => "already_reserved",
        Fault::Unavailable { .. } => "unavailable",
        Fault::Deadline { .. } | Fault::ExecTimeout { .. } => "deadline",
        Fault::Unimplemented { .. } => "unimplemented",
        Fault::Refused { .. } => "refused",
    }
}

fn order(action: &Action) -> Option<&'static str> {
    Some(match action {
        Action::CreateSandbox { .. } => "create_sandbox",
        Action::StartContainer { .. } => "start_container",
        Action::PreStop { .. } => "pre_stop",
        Action::KillContainer { .. } => "stop_container",
        Action::StopSandbox { .. } => "stop_sandbox",
        Action::RemoveContainer { .. } => "remove_container",
        Action::RemoveSandbox { .. } => "remove_sandbox",
        Action::CleanPod { .. } => "clean_pod",
        Action::Cancel { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_the_class_that_they_do_not_exceed() {
        let mut times = Times::default();
        for millis in [0, 5, 6, 60_000, 60_001] {
            times.add(Duration::from_millis(millis));
        }
        assert_eq!(times.classes, [2, 1, 0, 0, 0, 0, 1]);
        assert_eq!(
            (times.count, times.sum),
            (5, Duration::from_millis(120_012))
        );
    }
}
