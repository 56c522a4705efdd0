//! Time and waiting as values: clocks, Go durations, back-off.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

use std::time::Duration;

mod backoff;
mod clock;
mod duration;
mod millis;

pub use backoff::{Backoff, BackoffError};
pub use clock::{ManualClock, SystemClock};
pub use duration::{DurationError, GoDuration, parse_duration};
pub use millis::millis;

/// Both clocks at one instant. Passed into every decision; never read inside one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Wall clock, whole Unix seconds. May jump in both directions.
    pub wall: i64,
    /// Monotonic time since an arbitrary start of this process. Never goes back.
    pub mono: Duration,
}

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// Both clocks now.
    fn now(&self) -> Now;
}
