//! Resources of containers.

use std::collections::BTreeMap;

use super::{containers, text::is_qualified_name};
use crate::{api, quantity::Amount, report::Report};

type Amounts = Option<BTreeMap<String, api::Quantity>>;

pub(super) fn check(spec: &api::PodSpec, report: &mut Report<'_>) {
    for (field, _, container) in containers::all(spec) {
        if let Some(resources) = &container.resources {
            of_container(&format!("{field}.resources"), resources, report);
        }
    }
    for (at, volume) in spec.volumes.iter().flatten().enumerate() {
        let limit = volume
            .empty_dir
            .as_ref()
            .and_then(|empty| empty.size_limit.as_ref());
        if limit
            .and_then(amount)
            .is_some_and(|limit| limit < Amount::whole(0))
        {
            report.error(
                format!("spec.volumes[{at}].emptyDir.sizeLimit"),
                "must not be negative",
                "write an amount such as 64Mi, or remove it",
            );
        }
    }
}

fn of_container(at: &str, resources: &api::ResourceRequirements, report: &mut Report<'_>) {
    for (amounts, list) in [
        (&resources.limits, "limits"),
        (&resources.requests, "requests"),
    ] {
        for (name, quantity) in amounts.iter().flatten() {
            let field = format!("{at}.{list}[{name}]");
            if !is_resource(name) {
                let known = ["cpu", "memory", "ephemeral-storage"];
                let advice = match yaml::spelling::closest(name, &known) {
                    Some(name) => format!("did you mean '{name}'?"),
                    None => format!("write one of {}, or hugepages-<size>", known.join(", ")),
                };
                report.error(field, "is no resource of a container", advice);
            } else if amount(quantity).is_some_and(|amount| amount < Amount::whole(0)) {
                report.error(
                    field,
                    "must not be negative",
                    "write an amount such as 100m or 64Mi",
                );
            }
        }
    }
    let of = |amounts: &Amounts, name: &str| {
        amounts
            .as_ref()
            .and_then(|amounts| amounts.get(name))
            .and_then(amount)
    };
    for (name, quantity) in resources.requests.iter().flatten() {
        let (Some(request), limit) = (amount(quantity), of(&resources.limits, name)) else {
            continue;
        };
        let field = format!("{at}.requests[{name}]");
        if !may_exceed(name) && limit != Some(request) {
            report.error(
                field,
                "must equal the limit of the same resource",
                "such resources are not shared: set both, or the limit alone",
            );
        } else if limit.is_some_and(|limit| request > limit) {
            report.error(
                field,
                "is more than the limit of the same resource",
                "lower the request or raise the limit",
            );
        }
    }
    let huge = resources
        .limits
        .iter()
        .flatten()
        .any(|(name, _)| name.starts_with("hugepages-"));
    let plain = |amounts: &Amounts| {
        ["cpu", "memory"]
            .iter()
            .any(|name| of(amounts, name).is_some())
    };
    if huge && !plain(&resources.limits) && !plain(&resources.requests) {
        report.error(
            format!("{at}.limits"),
            "has huge pages without cpu and memory",
            "add a request of cpu or memory",
        );
    }
}

/// Cores, memory and storage are shared and may be promised more than once.
fn may_exceed(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage")
}

/// The node's own resources, or one that a device plugin gives under a name with a domain.
fn is_resource(name: &str) -> bool {
    may_exceed(name)
        || name
            .strip_prefix("hugepages-")
            .is_some_and(|size| size.parse::<Amount>().is_ok())
        || (name.contains('/') && is_qualified_name(name))
}

/// What does not parse was reported when it was read.
fn amount(quantity: &api::Quantity) -> Option<Amount> {
    quantity.0.parse().ok()
}
