//! The API server's validation of a new pod: what it would refuse, a manifest may not say.

use crate::{api, report::Report};

/// Reports everything that the API server would refuse. The pod carries the API's defaults.
pub fn check(pod: &api::Pod, report: &mut Report<'_>) {
    let _ = (pod, report);
}
