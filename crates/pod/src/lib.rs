//! The v1 Pod of a static manifest: read, checked, defaulted, named.
//!
//! `read` takes the bytes of a manifest and gives a [`Reading`]: per pod either a [`Manifest`]
//! with its identity, or every fault with its place in the text. A node then gives the manifest
//! its final name, which makes it a [`Pod`].
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

pub mod api;
pub mod places;
pub mod report;
pub mod identity;
pub mod reading;
pub mod validate;
pub mod advice;

pub use identity::{Origin, PodKey};
pub use places::Places;
pub use reading::{Item, Manifest, Pod, Reading};
pub use report::{Report, Warning};
