//! staticpodd: static pods without a kubelet; command line, agent and assembly.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

pub mod version;

mod causes;
mod sizes;
mod finding;
mod rules;

mod host;
mod input;
mod check;
mod report;

mod annals;
mod documents;
mod kubelet_config;
mod kubelets;
mod node;
mod launching;
mod telling;
mod meter;
mod metered;
mod collecting;
mod upkeep;
mod pages;
mod door;
mod run;

mod exit;
pub mod cli;
