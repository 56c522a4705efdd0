//! What `check` says, in three forms.

pub(crate) mod json;
mod sarif;
mod summary;
mod text;

pub(crate) use json::json;
pub(crate) use sarif::sarif;
pub(crate) use summary::{Outcome, Summary};
pub(crate) use text::text;
