//! YAML texts as trees that remember where everything stood, and faults shown in them.
//!
//! What a document means is its reader's decision: here is only how it is written. Modules from
//! the ground floor to the roof; each uses only what stands above it.

pub mod source;
pub mod spelling;
pub mod fault;
pub mod scalar;
mod node;
mod json;
mod anchors;
pub mod tree;
