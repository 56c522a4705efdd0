//! What events told about one name since it was last judged.

use std::time::Duration;

use super::Timing;

/// Kept from the first event about a name until a look settles it.
#[derive(Debug, Default)]
pub(super) struct Hint {
    /// The last write to it was followed by a close or a rename: its content is whole.
    pub(super) complete: bool,
    /// When somebody who still has it open last wrote.
    pub(super) writer: Option<Duration>,
    /// It was removed or renamed away after it was last seen.
    pub(super) left: bool,
    /// The last event. A look that began before it saw something else, perhaps.
    pub(super) last: Option<Duration>,
    /// When to look.
    pub(super) due: Duration,
}

impl Hint {
    /// A look is wanted at `due`; nothing was heard.
    pub(super) fn of_look(due: Duration) -> Self {
        Self {
            due,
            ..Self::default()
        }
    }

    pub(super) fn created(&mut self, now: Duration, timing: &Timing) {
        *self = Self {
            last: Some(now),
            due: now + timing.debounce,
            ..Self::default()
        };
    }

    pub(super) fn written(&mut self, now: Duration, timing: &Timing) {
        self.complete = false;
        self.writer = Some(now);
        self.left = false;
        self.last = Some(now);
        self.due = now + timing.debounce;
    }

    pub(super) fn completed(&mut self, now: Duration, timing: &Timing) {
        *self = Self {
            complete: true,
            last: Some(now),
            due: now + timing.settle,
            ..Self::default()
        };
    }

    pub(super) fn attributes(&mut self, now: Duration, timing: &Timing) {
        let soon = now + timing.settle;
        let waiting = self.last.is_some() && self.due > now;
        self.due = if waiting { self.due.min(soon) } else { soon };
        self.last = Some(now);
    }

    pub(super) fn left(&mut self, now: Duration, timing: &Timing) {
        *self = Self {
            left: true,
            last: Some(now),
            due: now + timing.debounce,
            ..Self::default()
        };
    }

    /// Events were lost, or were of another directory: a close or a removal that was heard may
    /// not be the last word. That somebody has the file open still delays it, for safety.
    pub(super) fn forget(&mut self) {
        self.complete = false;
        self.left = false;
    }

    /// Until when a writer that has the file open is waited for.
    pub(super) fn held_until(&self, started: Duration, timing: &Timing) -> Option<Duration> {
        let until = self.writer? + timing.patience;
        (until > started).then_some(until)
    }
}
