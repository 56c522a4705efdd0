//! What a runtime is asked for whole pods.

mod golden;
mod json;
