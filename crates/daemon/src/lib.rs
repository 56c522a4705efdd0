//! The life of a process: logs, supervision, shutdown, readiness notes, admin HTTP.
//!
//! Nothing here knows what the process is for. Modules from the ground floor to the roof;
//! each uses only what stands above it.

pub mod harden;
pub mod lines;
mod queue;
pub mod logging;
pub mod notify;
pub mod shutdown;
pub mod supervisor;
pub mod admin;
