//! The planner from outside: tables of its rules, and a small random world that it keeps in order.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod build;
mod cost;
mod lives;
mod ports;
mod situation;
mod stops;
mod storm;
mod sync;
mod versions;
mod world;
