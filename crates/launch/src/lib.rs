//! From a pod to what a runtime is asked for: configs, volumes, files on the host.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.
