//! The agent on a runtime of memory, in paused time.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that meets what it does not expect ends there"
)]

mod rig;

mod edits;
mod faults;
mod many;
mod probes;
mod restarts;
mod road;
mod takeover;
