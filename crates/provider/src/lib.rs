//! bao-kms-provider: configuration, command line and assembly of the KMS v2 plugin.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

mod causes;

pub mod version;

pub mod config;

pub mod exit;

pub mod variables;

pub mod serve;

pub mod cli;
