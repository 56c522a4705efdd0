//! A runtime of memory with faults, a contract for runtimes, and a real containerd for tests.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

pub mod script;

pub mod programs;

pub mod containerd;
