//! The status of a pod from what runs: phase, conditions, container statuses.
//!
//! [`status`] gives the v1 `PodStatus` that a kubelet would publish, [`row`] the line that
//! `kubectl get pods` would print. Both are pure.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

mod times;
mod qos;
mod containers;
mod phase;
mod conditions;
mod assemble;
mod printed;

pub use assemble::{Place, status};
pub use printed::{Row, row};
pub use qos::qos_class;
pub use times::age;
