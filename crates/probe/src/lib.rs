//! Probes of containers: how one is made, and what a row of results means.
//!
//! A [`worker::Worker`] says when to probe and what the results so far mean; it is a state machine
//! without IO. A [`target::Target`] is a probe of a manifest with host, port and headers filled
//! in; [`round::Prober`] makes it.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

pub mod worker;
pub mod target;

pub mod outcome;
mod dial;
mod web;
mod health;

pub mod round;
