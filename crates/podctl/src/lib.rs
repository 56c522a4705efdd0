//! People and a running agent: the documents of its socket, its client, and tables as `kubectl`
//! prints them.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

pub mod document;
