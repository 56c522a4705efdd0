//! What happens, for whoever writes logs.

use std::{sync::Arc, time::Duration};

use manifests::view::Change;
use plan::{Action, Outcome, PodKey};

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// In a source of manifests.
    Source {
        /// Which.
        name: String,
        /// What.
        change: Change,
    },
    /// Two sources have the same pod; the first one's is used.
    Overruled {
        /// The pod.
        pod: PodKey,
        /// The source whose manifest is not used.
        source: String,
    },
    /// The runtime answers again, or for the first time.
    RuntimeUp,
    /// The runtime does not answer. What runs goes on, and nothing is ordered.
    RuntimeDown {
        /// Why.
        error: String,
    },
    /// A call about one sandbox or container failed, so its pod waits.
    Unclear {
        /// The pod.
        pod: PodKey,
        /// Why.
        error: String,
    },
    /// An order is given.
    Ordered {
        /// About which pod.
        pod: Option<PodKey>,
        /// What.
        action: Action,
    },
    /// An order has ended.
    Ended {
        /// About which pod.
        pod: Option<PodKey>,
        /// What.
        action: Action,
        /// How.
        outcome: Outcome,
        /// After how long.
        took: Duration,
    },
    /// A preStop hook failed; the container is stopped all the same.
    PreStopFailed {
        /// The runtime's id of the container.
        container: String,
        /// Why.
        error: String,
    },
    /// A probe failed or could not be made.
    Probe {
        /// The pod.
        pod: PodKey,
        /// The container's name.
        container: String,
        /// Which probe.
        kind: &'static str,
        /// What was seen.
        message: String,
    },
    /// A round of a probe has ended, however it did.
    Probed {
        /// Which probe.
        kind: &'static str,
        /// `None` where the round could not be made.
        success: Option<bool>,
    },
    /// What is remembered could not be written down, or can be again.
    Store {
        /// Why not.
        trouble: Option<String>,
    },
}

/// Hears every [`Event`]; called inside the loop, so it must not block.
pub type Listener = Arc<dyn Fn(&Event) + Send + Sync>;
