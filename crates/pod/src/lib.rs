//! The v1 Pod of a static manifest: read, checked, defaulted, named.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.
