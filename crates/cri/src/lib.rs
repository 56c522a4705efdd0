//! The Container Runtime Interface v1: messages, a client, errors by class.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.
