//! How much a volume in memory may hold.

use pod::{api, env::Facts, quantity::Amount};

/// The least of what the volume says, what the pod may use at all, and what the node has. In
/// bytes; at least one page, because a size of 0 means no limit to the kernel.
pub(crate) fn bound(
    spec: Option<&api::PodSpec>,
    size_limit: Option<&api::Quantity>,
    facts: &Facts,
) -> Option<u64> {
    const PAGE: u64 = 4096;
    let own = size_limit
        .and_then(amount)
        .filter(|amount| !amount.is_zero());
    let node = facts.allocatable.get("memory").copied();
    let bounds = [own, spec.and_then(of_pod), node];
    let least = bounds.into_iter().flatten().min()?;
    Some(u64::try_from(least.ceil()).unwrap_or(0).max(PAGE))
}

/// What a pod may use: its own limit, or its containers' if all have one. Containers that run
/// side by side share; init containers come one after another, each beside the sidecars.
fn of_pod(spec: &api::PodSpec) -> Option<Amount> {
    let of_all = spec.resources.as_ref().and_then(limit);
    if of_all.is_some() {
        return of_all;
    }
    let mut beside = 0_i64;
    let mut peak = 0_i64;
    for container in spec.init_containers.iter().flatten() {
        let own = limit(container.resources.as_ref()?)?.ceil();
        let total = beside.saturating_add(own);
        peak = peak.max(total);
        if container.restart_policy.as_deref() == Some("Always") {
            beside = total;
        }
    }
    let mut together = beside;
    for container in &spec.containers {
        together = together.saturating_add(limit(container.resources.as_ref()?)?.ceil());
    }
    Some(Amount::whole(peak.max(together)))
}

fn limit(resources: &api::ResourceRequirements) -> Option<Amount> {
    let amount = amount(resources.limits.as_ref()?.get("memory")?)?;
    (!amount.is_zero()).then_some(amount)
}

fn amount(quantity: &api::Quantity) -> Option<Amount> {
    quantity.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_limit(text: Option<&str>, restart: Option<&str>) -> api::Container {
        let quantity = text.map(|text| api::Quantity(text.to_owned()));
        api::Container {
            resources: quantity.map(|quantity| api::ResourceRequirements {
                limits: Some([("memory".to_owned(), quantity)].into()),
                ..Default::default()
            }),
            restart_policy: restart.map(str::to_owned),
            ..Default::default()
        }
    }

    fn spec(init: &[(&str, bool)], containers: &[Option<&str>]) -> api::PodSpec {
        let init = init
            .iter()
            .map(|(limit, is_sidecar)| with_limit(Some(limit), is_sidecar.then_some("Always")));
        api::PodSpec {
            init_containers: Some(init.collect()),
            containers: containers
                .iter()
                .map(|limit| with_limit(*limit, None))
                .collect(),
            ..Default::default()
        }
    }

    #[test]
    fn a_pod_may_use_what_its_containers_may_use_together() {
        for (spec, bound) in [
            (spec(&[], &[Some("100"), Some("50")]), Some(150)),
            (spec(&[], &[Some("100"), None]), None),
            (spec(&[("500", false)], &[Some("100")]), Some(500)),
            (
                spec(&[("10", true), ("500", false)], &[Some("100")]),
                Some(510),
            ),
            (
                spec(&[("500", false), ("10", true)], &[Some("600")]),
                Some(610),
            ),
            (spec(&[], &[Some("0")]), None),
        ] {
            assert_eq!(of_pod(&spec), bound.map(Amount::whole));
        }
    }

    #[test]
    fn the_least_bound_holds() {
        let facts = |memory: Option<i64>| Facts {
            allocatable: memory
                .map(|memory| ("memory".to_owned(), Amount::whole(memory)))
                .into_iter()
                .collect(),
            ..Facts::default()
        };
        let size = |text: &str| Some(api::Quantity(text.to_owned()));
        let limited = spec(&[], &[Some("64Mi")]);
        for (own, spec, node, wanted) in [
            (None, None, None, None),
            (size("1Mi"), Some(&limited), Some(1 << 30), Some(1 << 20)),
            (size("1Gi"), Some(&limited), Some(1 << 30), Some(64 << 20)),
            (None, Some(&limited), Some(1 << 20), Some(1 << 20)),
            (size("0"), None, Some(1 << 20), Some(1 << 20)),
            (size("1"), None, None, Some(4096)),
        ] {
            assert_eq!(bound(spec, own.as_ref(), &facts(node)), wanted);
        }
    }
}
