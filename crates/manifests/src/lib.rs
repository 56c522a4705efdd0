//! Where manifests come from: directories, files and URLs, with the last good state kept.
//!
//! A source is looked at or fetched; what was found is an observation; a pure state machine
//! ([`directory::Directory`], [`remote::Remote`]) turns observations and a given time into the
//! set of manifests in force, which is published as a [`view::View`]. Only a file that is truly
//! gone, or a list that is explicitly empty, takes a pod away; whatever cannot be read, believed
//! or understood leaves in force what was there before.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

pub mod facts;
pub mod rules;
pub mod view;

pub mod directory;
pub mod remote;
pub mod roll;

pub mod kept;

pub(crate) mod walk;
pub mod look;
pub(crate) mod watch;
pub mod folder;

pub mod address;
pub(crate) mod trust;
pub(crate) mod fetch;
pub mod once;
pub mod site;

#[cfg(test)]
mod testing;
