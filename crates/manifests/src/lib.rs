//! Where manifests come from: directories, files and URLs, with the last good state kept.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.
