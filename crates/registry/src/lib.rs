//! The frozen formats, the key registry on disk, and the pure decisions about rotation and health.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

pub mod gojson;
pub mod key_id;
pub mod reading;
pub mod record;
pub mod scope;
pub mod snapshot;
