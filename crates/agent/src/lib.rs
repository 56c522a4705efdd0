//! The agent's loop: manifests in, orders to the runtime out, and what came of them back in.
//!
//! [`Agent`] pours what [`Source`]s say into the planner of `plan`, lists the runtime, and
//! carries out each order in a task of its own, so that a call that hangs delays nobody else.
//! What a pod needs on the host is prepared by whoever implements [`Launch`]. What happens is
//! told as [`Event`]s; what there is to know is asked of a [`Handle`].
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

mod event;
mod marks;
mod wants;
mod loaded;
mod source;
mod host;
mod store;
mod sight;
mod look;
mod images;
mod hooks;
mod work;
mod crew;
mod probing;
mod handle;
mod settings;
mod roll;
mod office;
mod desk;
mod run;

pub use event::{Event, Listener};
pub use handle::{Gone, Handle, Overview, Passes, PodView, SourceView, Waiting};
pub use host::{ContainerRequest, Launch, Launched, Refused, SandboxRequest};
pub use loaded::{Loaded, Manifests};
pub use marks::owner;
pub use run::{Agent, RunError};
pub use settings::{OpenError, Settings};
pub use source::{Said, Source};
pub use store::StoreError;
pub use wants::wanted;
