//! Stories of the field on containerd: pods as people run them, from their first start to their
//! end, through the program as an operator uses it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests end a test by panicking"
)]

use std::path::Path;

mod pipe;
mod programs;
mod site;

mod control_plane;

mod appliance;
mod etcd;
mod provider;
mod url;

/// The program.
fn staticpodd() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_staticpodd"))
}
