//! Bytes and text that cannot leak, files that are checked when opened and replaced atomically.
//!
//! Modules from the ground floor to the roof, one floor a paragraph; each uses only what
//! stands above it.

mod value;

pub mod disk;
mod walk;

pub mod file;
pub mod replace;

pub use value::{SecretBytes, SecretText, TextFault};
