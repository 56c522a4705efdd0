//! The registry against files and golden vectors.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod properties;
mod state;
mod wire;
