//! The room from outside: real sockets, a real client, raw frames, a fake keyring.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod fake;
mod harness;
mod raw;

mod calls;
mod hostile;
mod inherit;
mod life;
mod load;
mod logs;
mod socket;
mod transport;
mod unfriendly;
mod unsent;
mod untaken;
