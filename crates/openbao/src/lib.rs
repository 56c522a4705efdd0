//! The OpenBao client: pinned TLS, login and token life, Transit.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

pub mod error;

mod tls;

pub mod settings;

mod operation;

pub mod transit;

mod endpoints;
pub mod transport;

mod classify;
mod failures;
mod wire;

mod connect;

mod channel;
mod idle;

mod http;

mod metrics;

mod exchange;

mod credential;

mod jwt;

mod lease;
mod recovery;

mod desk;

mod keeper;

mod client;

#[cfg(test)]
mod testing;

pub use client::OpenBao;
pub use keeper::LoginState;
pub use tls::CaError;
