//! The status of a pod from what runs: phase, conditions, container statuses.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.
