//! Logs of containers as people want to read them.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

mod line;
mod files;
mod reader;

pub(crate) use files::attempts;
pub(crate) use reader::{Reader, Step, Wish};

#[cfg(test)]
mod tests;
