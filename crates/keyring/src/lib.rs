//! Encrypt and Decrypt against the registry; probes that keep the registry true.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

pub mod kms;
pub mod signals;
pub mod view;
