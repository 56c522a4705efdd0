//! CPU, memory and who is killed first, in the units of cgroups.

use std::collections::BTreeMap;

use cri::v1;
use pod::{api, quantity::Amount};

use crate::{
    names,
    node::{Cgroups, Node},
    qos::{self, Class},
    reason::Reason,
};

/// In microseconds: the time in which a quota is spent.
const PERIOD: i64 = 100_000;
/// In microseconds: a kernel accepts no less.
const LEAST_QUOTA: i64 = 1_000;
/// What a kernel accepts.
const SHARES: (i64, i64) = (2, 262_144);

/// Of those that must not be killed; runtimes themselves have -999.
const PROTECTED: i64 = -997;
/// Of those that are killed first.
const UNPROTECTED: i64 = 1_000;
/// The priority class whose name alone protects a static pod.
const NODE_CRITICAL: &str = "system-node-critical";

/// Relative weight of a container when processors are short, from thousandths of a processor.
pub(crate) fn shares(milli: i64) -> i64 {
    let (least, most) = SHARES;
    (milli.max(0).saturating_mul(1024) / 1000).clamp(least, most)
}

/// Microseconds per period, from thousandths of a processor; 0 is no limit.
pub(crate) fn quota(milli: i64) -> i64 {
    match milli {
        ..=0 => 0,
        _ => (milli.saturating_mul(PERIOD) / 1000).max(LEAST_QUOTA),
    }
}

/// What one container gets.
///
/// # Errors
///
/// It asks for huge pages of a size that the node does not have.
pub(crate) fn of_container(
    node: &Node,
    spec: &api::PodSpec,
    container: &api::Container,
) -> Result<v1::LinuxContainerResources, Reason> {
    let mut resources = of_amounts(
        node.cgroups,
        cpu_request(container),
        cpu_limit(container),
        memory_limit(container),
    );
    resources.oom_score_adj = oom_score(spec, container, node.memory);
    resources.hugepage_limits = huge_pages(node, container)?;
    without_swap(&mut resources, node.cgroups);
    Ok(resources)
}

/// What a pod gets in all, for runtimes that size a machine before the containers come.
pub(crate) fn of_pod(cgroups: Cgroups, spec: &api::PodSpec) -> v1::LinuxContainerResources {
    of_amounts(
        cgroups,
        qos::effective(spec, cpu_request),
        qos::effective(spec, cpu_limit),
        qos::effective(spec, memory_limit),
    )
}

/// What all containers of a pod may use together: for a cgroup of its own above theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    /// Relative weight, 2 to 262144.
    pub shares: u64,
    /// Microseconds of each 100 ms.
    pub quota: Option<u64>,
    /// Bytes.
    pub memory: Option<u64>,
}

/// The limits of a pod. One container without a limit leaves the pod without one.
#[must_use]
pub fn whole(spec: &api::PodSpec) -> Whole {
    let bounded = |limit: fn(&api::Container) -> Option<i64>| -> Option<i64> {
        let said = |container| limit(container).is_some_and(|limit| limit > 0);
        qos::containers(spec)
            .all(said)
            .then(|| qos::effective(spec, limit))?
    };
    let request = qos::effective(spec, cpu_request);
    let positive = |value: i64| u64::try_from(value).ok().filter(|value| *value > 0);
    Whole {
        shares: shares(request.unwrap_or_default()).unsigned_abs(),
        quota: bounded(cpu_limit).map(quota).and_then(positive),
        memory: bounded(memory_limit).and_then(positive),
    }
}

fn cpu_request(container: &api::Container) -> Option<i64> {
    qos::requested(container, "cpu").map(Amount::ceil_milli)
}

fn cpu_limit(container: &api::Container) -> Option<i64> {
    qos::limited(container, "cpu").map(Amount::ceil_milli)
}

fn memory_limit(container: &api::Container) -> Option<i64> {
    qos::limited(container, "memory").map(Amount::ceil)
}

/// CPU in thousandths, memory in bytes.
fn of_amounts(
    cgroups: Cgroups,
    cpu_request: Option<i64>,
    cpu_limit: Option<i64>,
    memory_limit: Option<i64>,
) -> v1::LinuxContainerResources {
    let mut unified = BTreeMap::new();
    if cgroups.unified {
        // Half a container is worse than none: with one process of it all are killed.
        let _ = unified.insert("memory.oom.group".to_owned(), "1".to_owned());
    }
    v1::LinuxContainerResources {
        cpu_period: PERIOD,
        cpu_quota: quota(cpu_limit.unwrap_or_default()),
        cpu_shares: shares(cpu_request.or(cpu_limit).unwrap_or_default()),
        memory_limit_in_bytes: memory_limit.unwrap_or_default(),
        unified,
        ..v1::LinuxContainerResources::default()
    }
}

/// Static pods do not swap: each counts as critical.
fn without_swap(resources: &mut v1::LinuxContainerResources, cgroups: Cgroups) {
    if !cgroups.swap {
        return;
    }
    if cgroups.unified {
        let _ = resources
            .unified
            .insert("memory.swap.max".to_owned(), "0".to_owned());
    } else {
        // Memory and swap together.
        resources.memory_swap_limit_in_bytes = resources.memory_limit_in_bytes;
    }
}

/// From -997, killed last, to 1000, killed first.
fn oom_score(spec: &api::PodSpec, container: &api::Container, memory: u64) -> i64 {
    if spec.priority_class_name.as_deref() == Some(NODE_CRITICAL) {
        return PROTECTED;
    }
    match qos::class(spec) {
        Class::Guaranteed => return PROTECTED,
        Class::BestEffort => return UNPROTECTED,
        Class::Burstable => {}
    }
    let requested =
        |container: &api::Container| qos::requested(container, "memory").map_or(0, Amount::ceil);
    let mut counted = requested(container);
    if names::sidecar_place(spec, &container.name).is_some() {
        // A sidecar must not be killed before those that it serves.
        let smallest = spec.containers.iter().map(requested).min();
        counted = counted.max(smallest.unwrap_or_default());
    }
    let of_thousand = i128::from(counted) * 1000 / i128::from(memory.max(1));
    let score = 1000 - i64::try_from(of_thousand).unwrap_or(1000);
    score.clamp(1000 + PROTECTED, UNPROTECTED - 1)
}

/// None of each size of the node, unless the container asks for some.
fn huge_pages(node: &Node, container: &api::Container) -> Result<Vec<v1::HugepageLimit>, Reason> {
    let mut limits: Vec<v1::HugepageLimit> = node
        .huge_pages
        .iter()
        .map(|size| v1::HugepageLimit {
            page_size: size.clone(),
            limit: 0,
        })
        .collect();
    let asked = container.resources.as_ref();
    for (resource, bytes) in asked
        .and_then(|asked| asked.limits.as_ref())
        .into_iter()
        .flatten()
    {
        let Some(size) = resource.strip_prefix("hugepages-") else {
            continue;
        };
        let size = size.parse().ok().and_then(page_size);
        let limit = limits
            .iter_mut()
            .find(|limit| Some(&limit.page_size) == size.as_ref())
            .ok_or_else(|| Reason::HugePages {
                container: container.name.clone(),
                resource: resource.clone(),
            })?;
        let bytes = bytes.0.parse().map_or(0, Amount::ceil);
        limit.limit = u64::try_from(bytes).unwrap_or_default();
    }
    Ok(limits)
}

/// `2MB` of 2 MiB, as the kernel names the files of a cgroup.
fn page_size(size: Amount) -> Option<String> {
    let bytes = u64::try_from(size.ceil()).ok().filter(|bytes| *bytes > 0)?;
    let units = [(30, "GB"), (20, "MB"), (10, "KB")];
    let (bits, unit) = units
        .into_iter()
        .find(|(bits, _)| bytes.trailing_zeros() >= *bits)?;
    Some(format!("{}{unit}", bytes >> bits))
}

#[cfg(test)]
mod tests;
