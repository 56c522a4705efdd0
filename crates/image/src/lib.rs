//! OCI images without a daemon, bit for bit.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.
