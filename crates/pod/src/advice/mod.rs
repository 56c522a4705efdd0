//! What is allowed and unwise.

use crate::{api, report::Report};

/// Reports everything that a careful author would write otherwise. The pod carries the API's
/// defaults; what was written and what was not, `Report::places` knows.
pub fn check(pod: &api::Pod, report: &mut Report<'_>) {
    let _ = (pod, report);
}
