//! Encrypt and Decrypt against the registry; probes that keep the registry true.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

pub mod kms;
mod metrics;
pub mod signals;
pub mod view;

mod crew;
mod waiting;

mod sealing;

mod lanes;
mod sharing;

pub mod discovery;
mod opening;

pub mod keyring;
pub mod probes;

#[cfg(test)]
mod testing;
