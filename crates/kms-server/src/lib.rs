//! The KMS v2 service on a Unix socket: limits, error codes, the socket's life.
//!
//! A call comes in at the roof and goes down: [`server::Bound`] accepts it, its connection
//! speaks HTTP/2, the door gives it a deadline and somebody who counts it, the service checks
//! its fields and asks [`keyring::kms::Kms`]. Modules from the ground floor to the roof; each
//! uses only what stands above it.

pub mod settings;

mod status;

mod limits;

mod deadline;

pub mod metrics;

mod record;

mod service;

mod catch;

pub mod door;

mod peer;

mod untaken;

mod stream;

mod answer;

mod connection;

pub mod errors;

mod place;

mod claim;

mod socket;

pub mod inherit;

mod listeners;

pub mod server;

pub mod client;

pub use catch::hide_panic_payloads;
