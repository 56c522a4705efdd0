//! Which class a pod is in and what it may use in all.

use std::collections::BTreeMap;

use pod::{api, quantity::Amount};

use crate::names::is_sidecar;

/// How well a pod says what it uses: the better, the later it is killed for memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Each container has limits for CPU and memory, and requests all of them.
    Guaranteed,
    /// Neither of the others.
    Burstable,
    /// Nobody requests or limits CPU or memory.
    BestEffort,
}

impl Class {
    /// As in `status.qosClass`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }
}

/// Requests or limits of a container.
pub(crate) type List = BTreeMap<String, api::Quantity>;

/// The amount of a resource, if it is in the list.
pub(crate) fn amount(list: Option<&List>, resource: &str) -> Option<Amount> {
    list?.get(resource)?.0.parse().ok()
}

/// What a container requests of a resource.
pub(crate) fn requested(container: &api::Container, resource: &str) -> Option<Amount> {
    let resources = container.resources.as_ref()?;
    amount(resources.requests.as_ref(), resource)
}

/// How much of a resource a container may use.
pub(crate) fn limited(container: &api::Container, resource: &str) -> Option<Amount> {
    let resources = container.resources.as_ref()?;
    amount(resources.limits.as_ref(), resource)
}

/// Init containers and the others, in this order.
pub(crate) fn containers(spec: &api::PodSpec) -> impl Iterator<Item = &api::Container> {
    let init = spec.init_containers.iter().flatten();
    init.chain(&spec.containers)
}

/// The class of a pod, all of whose containers count. An amount of 0 says nothing.
#[must_use]
pub fn class(spec: &api::PodSpec) -> Class {
    let positive =
        |amount: Option<Amount>| amount.filter(|amount| !amount.is_zero() && !amount.is_negative());
    let mut says_nothing = true;
    let mut guaranteed = true;
    for resource in ["cpu", "memory"] {
        let (mut requests, mut limits) = (0_i128, 0_i128);
        for container in containers(spec) {
            let request = positive(requested(container, resource));
            let limit = positive(limited(container, resource));
            says_nothing &= request.is_none() && limit.is_none();
            guaranteed &= limit.is_some();
            requests += i128::from(request.unwrap_or_default().ceil_milli());
            limits += i128::from(limit.unwrap_or_default().ceil_milli());
        }
        guaranteed &= requests == limits;
    }
    match (says_nothing, guaranteed) {
        (true, _) => Class::BestEffort,
        (false, true) => Class::Guaranteed,
        (false, false) => Class::Burstable,
    }
}

/// What a pod uses at most at any time of one resource, where `of` tells it of a container: sidecars stay while the init containers after them and then the regular ones run.
/// `None` where no container says anything.
pub(crate) fn effective(
    spec: &api::PodSpec,
    of: impl Fn(&api::Container) -> Option<i64>,
) -> Option<i64> {
    let mut named = false;
    let mut used = |container: &api::Container| {
        let amount = of(container);
        named |= amount.is_some();
        amount.unwrap_or_default()
    };
    let (mut sidecars, mut highest) = (0_i64, 0_i64);
    for container in spec.init_containers.iter().flatten() {
        let own = used(container);
        if is_sidecar(container) {
            sidecars = sidecars.saturating_add(own);
            highest = highest.max(sidecars);
        } else {
            highest = highest.max(sidecars.saturating_add(own));
        }
    }
    let regular = spec.containers.iter().map(used);
    let running = regular.fold(sidecars, i64::saturating_add);
    named.then_some(running.max(highest))
}

#[cfg(test)]
mod tests;
