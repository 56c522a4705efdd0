//! The Container Runtime Interface v1: messages, a client, errors by class.
//!
//! [`Runtime`] is what an agent asks of a runtime; [`Client`] asks a real one through its Unix
//! socket. `src/v1.rs` is written by `cargo xtask generate` from `proto/v1.proto`, which has the
//! calls and fields that are used here and no others. With the feature `server` it has the other
//! half too, so that a runtime of tests can be served.
//!
//! Runtimes answer some questions in different words. The [`Client`] makes them one: an image
//! that is not there is [`None`], to stop or remove what is gone succeeds, a name that is taken is
//! [`Fault::AlreadyReserved`] under whatever code, and a runtime that has not yet started, or is
//! gone in the middle of a call, is [`Fault::Unavailable`].
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

#[rustfmt::skip]
#[expect(
    missing_docs,
    clippy::allow_attributes_without_reason,
    unused_qualifications,
    reason = "the generator decides what this file looks like"
)]
#[cfg_attr(
    feature = "server",
    expect(
        clippy::allow_attributes,
        clippy::too_many_lines,
        reason = "the generator decides what this file looks like"
    )
)]
pub mod v1;

mod endpoint;
mod error;
mod runtime;

mod client;

pub use client::Client;
pub use endpoint::{Endpoint, EndpointError};
pub use error::{Call, Error, Fault};
pub use runtime::{Answer, Described, Events, Info, Runtime};
