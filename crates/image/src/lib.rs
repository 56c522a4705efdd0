//! OCI images without a daemon, bit for bit.
//!
//! A tree of files becomes one uncompressed layer, a config, a manifest and an archive that
//! `ctr images import`, `skopeo` and registries take. Equal trees give equal bytes wherever and
//! whenever they are built: entries are sorted, belong to root and bear one time. The layer is
//! not compressed, because what a compressor writes depends on its version, and with it the
//! digest that a manifest pins.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

mod digest;
mod tar;

mod libraries;
mod tree;

mod build;

pub use build::{Built, Image};
pub use libraries::{LibraryError, libraries};
pub use tree::TreeError;
