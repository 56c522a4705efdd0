//! The frozen formats, the key registry on disk, and the pure decisions about rotation and health.
//!
//! Modules from the ground floor to the roof, one floor a paragraph; each uses only what
//! stands above it.

pub mod ciphertext;
mod gojson;
pub mod reading;
pub mod scope;

pub mod fingerprint;
pub mod key_id;

pub mod annotations;
pub mod record;

mod aad;
pub mod records;
pub mod state_hash;

pub mod snapshot;
pub mod verdict;

mod strict;

pub mod checkpoint;
mod statefile;

pub mod document;

pub mod pair;
pub mod retirement;

pub mod store;

pub mod breaker;
pub mod confirm;
pub mod finding;
pub mod schedule;

pub mod health;
pub mod profile;

pub mod rotation;

#[cfg(test)]
extern crate self as registry;
#[cfg(test)]
mod killed;
