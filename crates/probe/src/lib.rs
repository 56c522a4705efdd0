//! Probes of containers: how one is made, and what a row of results means.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.
