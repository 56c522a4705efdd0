//! What an order and its outcome change in memory.

use std::time::Duration;

use crate::{
    action::{Action, Failure, FailureClass, Outcome},
    desk::Flight,
    memory::Remembered,
    retries::Subject,
};

/// Notes that an order was given.
pub(crate) fn ordered(memory: &mut Remembered, action: &Action, now: Duration) {
    if let Some((name, _)) = named(action) {
        memory
            .crashes
            .entry(name.to_owned())
            .or_default()
            .started(now);
    }
}

/// Notes how an order ended.
pub(crate) fn reported(memory: &mut Remembered, flight: &Flight, outcome: &Outcome, now: Duration) {
    match outcome {
        Outcome::Done => done(memory, &flight.action, now),
        Outcome::Failed(failure) => failed(memory, &flight.action, failure, now),
        Outcome::Lost if flight.cancelled => {}
        Outcome::Lost => again(memory, &flight.action, now),
    }
}

fn done(memory: &mut Remembered, action: &Action, now: Duration) {
    match action {
        Action::CreateSandbox { .. } => memory.retries.succeeded(&Subject::Sandbox),
        Action::StartContainer { name, .. } => {
            memory.retries.succeeded(&Subject::Start(name.clone()));
            memory.retries.succeeded(&Subject::Pull(name.clone()));
        }
        Action::CleanPod { uid, .. } => {
            memory.retries.succeeded(&Subject::Clean(uid.clone()));
            memory.kept.unclean.remove(uid);
        }
        // What was stopped or removed is not listed like this any more. If it is, the runtime is
        // wrong or late, and asking again at once would be asking without end.
        _ => again(memory, action, now),
    }
    if let Some((name, _)) = named(action) {
        memory.failures.remove(name);
        ordered(memory, action, now);
    }
}

fn failed(memory: &mut Remembered, action: &Action, failure: &Failure, now: Duration) {
    let Some((name, attempt)) = named(action) else {
        again(memory, action, now);
        return;
    };
    memory.failures.insert(name.to_owned(), failure.clone());
    match &failure.class {
        FailureClass::Pull => memory.retries.failed(Subject::Pull(name.to_owned()), now),
        FailureClass::PostStart { container } => {
            memory.post_start.insert(container.clone());
        }
        FailureClass::NameReserved => {
            let floor = memory.floors.entry(name.to_owned()).or_default();
            *floor = attempt.saturating_add(1).max(*floor);
            again(memory, action, now);
        }
        FailureClass::Other => again(memory, action, now),
    }
}

/// The next try of the same waits.
fn again(memory: &mut Remembered, action: &Action, now: Duration) {
    let subject = match action {
        Action::CreateSandbox { .. } => Subject::Sandbox,
        Action::StartContainer { name, .. } => Subject::Start(name.clone()),
        Action::KillContainer { container, .. } => Subject::Stop(container.clone()),
        Action::StopSandbox { sandbox, .. } => Subject::Stop(sandbox.clone()),
        Action::RemoveContainer { container } => Subject::Remove(container.clone()),
        Action::RemoveSandbox { sandbox } => Subject::Remove(sandbox.clone()),
        Action::CleanPod { uid, .. } => Subject::Clean(uid.clone()),
        Action::PreStop { .. } | Action::Cancel { .. } => return,
    };
    memory.retries.failed(subject, now);
}

/// The container that an action starts (empty for the sandbox), and with which attempt.
fn named(action: &Action) -> Option<(&str, u32)> {
    match action {
        Action::CreateSandbox { attempt, .. } => Some(("", *attempt)),
        Action::StartContainer { name, attempt, .. } => Some((name, *attempt)),
        _ => None,
    }
}
