//! People and a running agent: the documents of its socket, its client, and tables as `kubectl`
//! prints them.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

pub mod document;
pub mod request;
mod fault;
pub mod choice;
mod columns;
pub mod rows;
pub mod yaml;
pub mod describe;
mod client;
mod terminal;
mod spdy;
mod ending;
mod exec;
mod command;

pub use command::{Command, Desk, Form, run};
pub use fault::Fault;
