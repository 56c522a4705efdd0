//! The contract, put to the fake, to the fake behind a socket, and to real containerd.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod memory;
mod real;
mod wire;
