//! The agent's Unix socket: who may come in, and what they may ask.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

mod socket;
mod log;
mod answer;
mod tunnel;
mod asked;
mod serve;

pub(crate) use serve::{Door, Office};

#[cfg(test)]
mod tests;
