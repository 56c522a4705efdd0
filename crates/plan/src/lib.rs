//! What to do next for each static pod: pure decisions.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.
