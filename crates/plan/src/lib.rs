//! What to do next for each static pod: pure decisions.
//!
//! [`Wanted`] versions come from manifests, [`Seen`] from lists of the runtime; the planner keeps
//! what neither can tell and answers with [`Order`]s. Nothing here reads a clock or does IO.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

mod wanted;
mod seen;
mod action;
mod retries;
mod memory;
mod desk;
mod ending;
mod sweep;
mod opening;
mod inside;
mod decide;
mod outcome;
mod slot;
mod planner;
mod planning;

pub use action::{Action, Cause, Failure, FailureClass, Order, Outcome};
pub use decide::decide;
pub use desk::{Decision, Facts, Flight, Runtime, Stop, Wait, Why};
pub use memory::{Persisted, Remembered, Terminal, Verdict};
pub use planner::{Plan, Planner, Settings};
pub use seen::{ContainerState, Exit, Owner, Seen, SeenContainer, SeenSandbox};
pub use slot::View;
pub use wanted::{
    AtLimit, ExitAction, ExitRule, Features, Gates, HostPort, Kind, PodKey, RestartPolicy, Wanted,
    WantedContainer,
};
