//! What a benchmark and a soak stand on: processes that are started, measured and ended, and
//! the places where their files and sockets go.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

pub mod machine;

pub mod tables;

pub mod process;

pub mod places;
