//! The registry against files and golden vectors.

mod wire;
