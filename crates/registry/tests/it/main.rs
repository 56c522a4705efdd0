//! The registry against files and golden vectors.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

mod crash;
mod documents;
mod faults;
mod properties;
mod recovery;
mod simulation;
mod state;
mod store;
mod wire;
