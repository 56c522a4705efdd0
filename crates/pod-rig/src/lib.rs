//! A node for tests of `staticpodd`: containerd, directories of manifests and logs, and an agent
//! that can be started, killed and listened to.
//!
//! ```no_run
//! use pod_rig::{Node, pod};
//! let mut node = Node::new(std::path::Path::new("target/debug/staticpodd"));
//! node.start();
//! node.put("web", &pod("web", &["serve=127.0.0.1:8080=hello", "hang"]));
//! node.until("it answers", |node| node.get("127.0.0.1:8080", "/").contains("hello"));
//! ```
//!
//! What cannot be done ends the test with a panic that says what and shows the agent's log.
//! Everything waits with the thread that calls it. Several nodes, each with an agent of its own,
//! can share one containerd: [`Node::on`].
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a rig ends its test by panicking, and looks at other processes now and then"
)]

mod texts;
mod sight;
mod mounts;
mod node;
mod look;
mod builder;
mod shared;
mod watch;

pub use builder::Builder;
pub use fake_cri::containerd::{Network, Rig, can_run};
pub use node::{Node, PATIENCE};
pub use shared::shared;
pub use sight::Instance;
pub use texts::{image, pod};
pub use watch::Watch;
