//! The agent on a real containerd: faults, the kubelet's own cases, and pods with a network.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests end by panicking, and look at other processes now and then"
)]

use std::path::Path;

use pod_rig::Builder;

mod e2e_node;
mod faults;
mod network;

/// The program under test.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_staticpodd"))
}

/// Without pages: the nodes on one containerd share its ports.
fn quiet(builder: Builder) -> Builder {
    builder.flag("--healthz-port").flag("0")
}
