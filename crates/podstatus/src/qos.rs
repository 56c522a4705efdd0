//! The quality-of-service class of a pod.

use std::collections::BTreeMap;

use pod::{
    api::{Container, PodSpec, Quantity},
    quantity::Amount,
};

/// `Guaranteed` when every container limits cpu and memory and asks for just as much,
/// `BestEffort` when none asks for or limits either, `Burstable` in between.
#[must_use]
pub fn qos_class(spec: &PodSpec) -> &'static str {
    let init = spec.init_containers.iter().flatten();
    let all: Vec<&Container> = init.chain(&spec.containers).collect();
    if all.iter().all(|container| asks_nothing(container)) {
        "BestEffort"
    } else if all.iter().all(|container| guaranteed(container)) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

const COUNTED: [&str; 2] = ["cpu", "memory"];

type List = Option<BTreeMap<String, Quantity>>;

/// What a list says about a resource; nothing, for zero.
fn amount(list: Option<&List>, resource: &str) -> Option<Amount> {
    let quantity = list?.as_ref()?.get(resource)?;
    quantity
        .0
        .parse()
        .ok()
        .filter(|amount: &Amount| !amount.is_zero())
}

fn asks_nothing(container: &Container) -> bool {
    let resources = container.resources.as_ref();
    COUNTED.iter().all(|resource| {
        amount(resources.map(|r| &r.requests), resource).is_none()
            && amount(resources.map(|r| &r.limits), resource).is_none()
    })
}

fn guaranteed(container: &Container) -> bool {
    let resources = container.resources.as_ref();
    COUNTED.iter().all(|resource| {
        let limit = amount(resources.map(|r| &r.limits), resource);
        // A limit without a request is a request.
        let request = amount(resources.map(|r| &r.requests), resource).or(limit);
        limit.is_some() && limit == request
    })
}

#[cfg(test)]
mod tests {
    use pod::api::ResourceRequirements;

    use super::*;

    fn container(requests: &[(&str, &str)], limits: &[(&str, &str)]) -> Container {
        let list = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            Some(
                pairs
                    .map(|(k, v)| ((*k).to_owned(), Quantity((*v).to_owned())))
                    .collect(),
            )
        };
        Container {
            resources: Some(ResourceRequirements {
                requests: list(requests),
                limits: list(limits),
                claims: None,
            }),
            ..Container::default()
        }
    }

    fn class(containers: Vec<Container>, init: Vec<Container>) -> &'static str {
        qos_class(&PodSpec {
            containers,
            init_containers: Some(init),
            ..PodSpec::default()
        })
    }

    #[test]
    fn the_class_follows_requests_and_limits_of_all_containers() {
        let none = || container(&[], &[]);
        let full = || {
            container(
                &[("cpu", "1"), ("memory", "1Gi")],
                &[("cpu", "1000m"), ("memory", "1024Mi")],
            )
        };
        let limits = || container(&[], &[("cpu", "1"), ("memory", "1Gi")]);
        let half = || {
            container(
                &[("cpu", "500m"), ("memory", "1Gi")],
                &[("cpu", "1"), ("memory", "1Gi")],
            )
        };
        let asks = || container(&[("cpu", "100m")], &[]);
        let other = || container(&[("hugepages-2Mi", "2Mi")], &[]);
        let zero = || container(&[("cpu", "0")], &[]);
        for (containers, init, expected) in [
            (vec![none()], vec![], "BestEffort"),
            (vec![other()], vec![], "BestEffort"),
            (vec![zero()], vec![], "BestEffort"),
            (vec![full()], vec![], "Guaranteed"),
            (vec![limits()], vec![full()], "Guaranteed"),
            (vec![half()], vec![], "Burstable"),
            (vec![full(), none()], vec![], "Burstable"),
            (vec![full()], vec![none()], "Burstable"),
            (vec![none()], vec![asks()], "Burstable"),
            (vec![asks()], vec![], "Burstable"),
        ] {
            assert_eq!(class(containers, init), expected);
        }
    }
}
