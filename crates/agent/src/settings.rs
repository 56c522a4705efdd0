//! What an agent is made with.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use crate::store::StoreError;

/// What an agent is made with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The root directory.
    pub root: PathBuf,
    /// The runtime's endpoint as configured; part of the ownership mark.
    pub endpoint: String,
    /// The runtime's name, which begins ids of containers in statuses.
    pub runtime_name: String,
    /// The kernel's boot id.
    pub boot: String,
    /// Whether a kubelet's sandboxes of wanted names are to be stopped.
    pub take_over: bool,
    /// The node's addresses, for statuses.
    pub host_ips: Vec<IpAddr>,
    /// Between two lists of the runtime when nothing happens.
    pub poll: Duration,
    /// At most so many images are fetched at a time; any number without.
    pub pulls: Option<usize>,
    /// At most so many starts, and as many stops, at a time.
    pub most_orders: usize,
    /// How long orders under way have at the end of the agent.
    pub farewell: Duration,
}

impl Settings {
    /// For this root directory and endpoint in this boot; the rest is as usual.
    #[must_use]
    pub fn new(root: PathBuf, endpoint: String, boot: String) -> Self {
        Self {
            root,
            endpoint,
            runtime_name: "containerd".to_owned(),
            boot,
            take_over: false,
            host_ips: Vec::new(),
            poll: Duration::from_secs(1),
            pulls: None,
            most_orders: 256,
            farewell: Duration::from_secs(5),
        }
    }
}

/// Why an agent cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its memory or its lock.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its probes.
    #[error(transparent)]
    Probes(#[from] probe::round::SetupError),
}
