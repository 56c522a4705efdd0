//! What needs the real mounts of a host.
#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "helpers of tests may fail and talk like tests"
)]

mod apart;
mod golden;
mod json;
mod mounted;
