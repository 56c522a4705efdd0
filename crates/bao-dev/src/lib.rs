//! bao-dev: an OpenBao for development and tests, in memory, on loopback only.
//!
//! A pure core turns a request, the state and the time into an answer; a thin server with TLS
//! stands around it; faults sit between the two; a control endpoint steers all of it.
//! `CONTROL.md` describes how tests use it. Never a server for data that matters.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

mod random;

mod go;

mod envelope;

mod body;

mod fields;

mod request;

mod policy;

mod tokens;

mod quota;

mod transit;

mod jwt;

mod state;

mod sys;

mod token_api;

mod router;

mod faults;

mod journal;

mod tls;

mod wire;

mod world;

mod control;

mod setup;

mod server;

pub mod values;

pub mod run_dir;

pub mod testing;

pub mod up;
