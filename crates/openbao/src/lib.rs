//! The OpenBao client: pinned TLS, login and token life, Transit.

pub mod error;
pub mod transit;
