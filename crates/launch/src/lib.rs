//! From a pod to what a runtime is asked for: configs, volumes, files on the host.
//!
//! The first half is pure: functions from a pod, a [`Node`] and what was prepared on the host to
//! the messages of the runtime. [`sandbox()`] and [`container()`] are its roof. Each value is the
//! one that a kubelet would send, so that tools which look at a node find what they know.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

pub mod reason;
pub mod node;
pub mod names;
pub mod hostname;
pub mod mounts;
pub mod hosts;
pub mod dns;
pub mod qos;
pub mod parent;
pub mod resources;
pub mod pull;
pub mod security;
pub mod sandbox;
pub mod container;

// The second half touches the host.
pub mod host;
mod mounting;
mod tree;
mod ownership;
mod writer;
mod host_path;
pub mod volumes;
pub mod subpath;
pub mod prepare;
pub mod envfile;
pub mod termination;
pub mod logs;
pub mod cgroup;
pub mod cleaning;

pub use container::{Start, container, environment};
pub use node::Node;
pub use reason::Reason;
pub use sandbox::sandbox;

#[cfg(test)]
mod fixtures;
