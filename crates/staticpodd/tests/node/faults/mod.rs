//! Every fault, once: what was done, what the pods did, what could be seen, and when all was well.
//!
//! The rows are the table of `docs/staticpodd-reliability.md`, in the same words.

mod agent;
mod case;
mod directory;
mod host;
mod many;
mod page;
mod refused;
mod run;
mod runtime;
mod url;
