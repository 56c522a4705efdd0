//! The v1 Pod of a static manifest: read, checked, defaulted, named.
//!
//! [`read()`] takes the bytes of a manifest and gives a [`Reading`]: per pod either a [`Manifest`]
//! with its identity, or every fault with its place in the text. A node then gives the manifest
//! its final name ([`name()`]), which makes it a [`Pod`]. What a runtime cannot give,
//! [`refusals::by_runtime`] says once the runtime is known.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

pub mod api;
pub mod quantity;
pub mod image;
pub mod expand;
pub mod env;
pub mod places;
pub mod report;
pub mod identity;
pub mod reading;
pub mod validate;
pub mod advice;
mod shape;
pub mod fields;
mod wording;
mod walk;
mod canonical;
mod legacy;
mod defaults;
pub mod refusals;
pub mod marks;
pub mod gates;
mod read;
pub mod naming;

pub use identity::{Origin, PodKey};
pub use naming::{NamingError, Node, name};
pub use places::Places;
pub use read::read;
pub use reading::{Item, Manifest, Pod, Reading};
pub use refusals::{Refusal, RuntimeFeatures};
pub use report::{Report, Warning};
