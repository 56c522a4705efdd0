//! A runtime of memory with faults, a contract for runtimes, and a real containerd for tests.
//!
//! - [`fake::Fake`]: a [`cri::Runtime`] without processes, whose faults a test chooses;
//! - [`containerd::Rig`]: Debian's containerd on a root of its own;
//! - [`contract`]: what an agent relies on, put to both;
//! - [`serve::Server`]: the fake, or any other, behind a socket;
//! - [`programs`] and [`script`]: the program in the containers of tests, which does what the
//!   words on its command line say, on either of them.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

pub mod script;

pub mod programs;

pub mod containerd;

pub mod fake;

pub mod serve;

#[expect(
    clippy::expect_used,
    reason = "a promise that is broken ends the test that checks it"
)]
pub mod contract;
