//! Connections between two requests.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The server drops idle connections after 300 s. Dropping them well before avoids the race in
/// which a request is sent on a connection that is just being closed.
pub(crate) const LONGEST: Duration = Duration::from_secs(90);

/// How many are kept: as many as calls usually run at once.
const MOST: usize = 32;

/// The idle connections to one endpoint, `C` each. The one used last is taken first, so that what
/// is not needed ages.
pub(crate) struct Idle<C>(Mutex<Vec<(Instant, C)>>);

impl<C> Idle<C> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// The one used last, if it is young enough.
    pub(crate) fn take(&self, now: Instant) -> Option<C> {
        let (since, connection) = self.lock().pop()?;
        is_young(since, now).then_some(connection)
    }

    /// Keeps it, if there is room.
    pub(crate) fn put(&self, connection: C, now: Instant) {
        let mut idle = self.lock();
        if idle.len() < MOST {
            idle.push((now, connection));
        }
    }

    /// Drops those that have been idle for too long.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut idle = self.lock();
        let young = idle.partition_point(|(since, _)| !is_young(*since, now));
        let old: Vec<_> = idle.drain(..young).collect();
        // Closing them takes system calls.
        drop(idle);
        drop(old);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Instant, C)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_young(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) < LONGEST
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u64) -> Instant {
        static BEGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *BEGIN.get_or_init(Instant::now) + Duration::from_secs(seconds)
    }

    #[test]
    fn the_connection_used_last_is_taken_first() {
        let idle = Idle::new();
        idle.put("a", after(0));
        idle.put("b", after(1));
        assert_eq!(idle.take(after(2)), Some("b"));
        assert_eq!(idle.take(after(2)), Some("a"));
        assert_eq!(idle.take(after(2)), None);
    }

    #[test]
    fn a_connection_that_was_idle_for_ninety_seconds_is_not_used() {
        let idle = Idle::new();
        idle.put("old", after(0));
        assert_eq!(idle.take(after(90)), None);
        idle.put("young", after(0));
        assert_eq!(idle.take(after(89)), Some("young"));
    }

    #[test]
    fn a_sweep_drops_the_old_and_keeps_the_young() {
        let idle = Idle::new();
        idle.put("old", after(0));
        idle.put("young", after(60));
        idle.sweep(after(100));
        assert_eq!(idle.lock().len(), 1);
        assert_eq!(idle.take(after(100)), Some("young"));
    }

    #[test]
    fn no_more_are_kept_than_calls_run_at_once() {
        let idle = Idle::new();
        for number in 0..100 {
            idle.put(number, after(0));
        }
        assert_eq!(idle.lock().len(), MOST);
    }
}
