//! staticpodd: static pods without a kubelet; command line, agent and assembly.
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.
