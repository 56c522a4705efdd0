use proptest::prelude::*;

use super::*;
use crate::fixtures::{container, node, pod};
use serde_json::{Value, json};

fn resources(node: &Node, spec: Value) -> Result<v1::LinuxContainerResources, Reason> {
    let pod = pod("p", spec);
    of_container(
        node,
        pod.api.spec.as_ref().unwrap(),
        container(&pod, "main"),
    )
}

fn main(resources: Value) -> Value {
    let mut spec = json!({"containers": [{"name": "main"}]});
    spec["containers"][0]["resources"] = resources;
    spec
}

#[test]
fn processors_become_shares_and_quota() {
    for (milli, expected) in [
        (-5, 2),
        (0, 2),
        (1, 2),
        (2, 2),
        (3, 3),
        (100, 102),
        (250, 256),
        (1000, 1024),
        (300_000, 262_144),
        (i64::MAX, 262_144),
    ] {
        assert_eq!(shares(milli), expected, "{milli}");
    }
    for (milli, expected) in [
        (-1, 0),
        (0, 0),
        (1, 1000),
        (9, 1000),
        (10, 1000),
        (11, 1100),
        (200, 20_000),
        (1500, 150_000),
    ] {
        assert_eq!(quota(milli), expected, "{milli}");
    }
}

#[test]
fn a_container_gets_what_its_manifest_says() {
    for (asked, shares, quota, memory) in [
        (json!({}), 2, 0, 0),
        (
            json!({"requests": {"cpu": "100m", "memory": "100Mi"}}),
            102,
            0,
            0,
        ),
        (json!({"limits": {"cpu": "2"}}), 2048, 200_000, 0),
        (
            json!({"requests": {"cpu": "0"}, "limits": {"cpu": "2"}}),
            2,
            200_000,
            0,
        ),
        (
            json!({"requests": {"cpu": "500m"}, "limits": {"cpu": "1", "memory": "64Mi"}}),
            512,
            100_000,
            64 << 20,
        ),
    ] {
        let found = resources(&node(), main(asked.clone())).unwrap();
        assert_eq!(
            (
                found.cpu_shares,
                found.cpu_quota,
                found.memory_limit_in_bytes
            ),
            (shares, quota, memory),
            "{asked}"
        );
        assert_eq!(found.cpu_period, 100_000);
        assert_eq!(
            (found.unified.len(), found.memory_swap_limit_in_bytes),
            (0, 0)
        );
    }
}

#[test]
fn no_static_pod_swaps_and_none_lives_on_by_halves() {
    let limited = || main(json!({"limits": {"memory": "64Mi"}}));
    let found = |unified, swap| {
        let cgroups = Cgroups {
            unified,
            swap,
            ..Cgroups::default()
        };
        resources(&Node { cgroups, ..node() }, limited()).unwrap()
    };
    let group = ("memory.oom.group".to_owned(), "1".to_owned());
    let no_swap = ("memory.swap.max".to_owned(), "0".to_owned());
    assert_eq!(found(true, true).unified, [group.clone(), no_swap].into());
    assert_eq!(found(true, true).memory_swap_limit_in_bytes, 0);
    assert_eq!(found(true, false).unified, [group].into());
    assert_eq!(found(false, true).unified, [].into());
    assert_eq!(found(false, true).memory_swap_limit_in_bytes, 64 << 20);
    assert_eq!(found(false, false).memory_swap_limit_in_bytes, 0);
}

#[test]
fn who_is_killed_first_follows_from_class_memory_and_importance() {
    let score = |spec: Value| resources(&node(), spec).unwrap().oom_score_adj;
    let all = json!({"cpu": "1", "memory": "4G"});
    let memory = |bytes: &str| main(json!({"requests": {"memory": bytes}}));
    let mut critical = main(json!({}));
    critical["priorityClassName"] = "system-node-critical".into();
    let mut important = main(json!({}));
    important["priorityClassName"] = "system-cluster-critical".into();
    important["priority"] = 2_000_000_000.into();
    for (spec, expected) in [
        (main(json!({})), 1000),
        (main(json!({"requests": all, "limits": all})), -997),
        (critical, -997),
        (important, 1000),
        (main(json!({"requests": {"cpu": "100m"}})), 999),
        (memory("1M"), 999),
        (memory("4M"), 999),
        (memory("8M"), 998),
        (memory("1G"), 750),
        (memory("2G"), 500),
        (memory("3988M"), 3),
        (memory("3992M"), 3),
        (memory("4G"), 3),
        (memory("100G"), 3),
    ] {
        assert_eq!(score(spec.clone()), expected, "{spec}");
    }
}

#[test]
fn a_sidecar_outlives_the_least_of_those_that_it_serves() {
    let with = |own: &str, policy: Value| {
        let request = |name: &str, bytes: &str| json!({"name": name, "resources": {"requests": {"memory": bytes}}});
        let mut first = request("main", own);
        first["restartPolicy"] = policy;
        let spec = json!({
            "initContainers": [first],
            "containers": [request("a", "1G"), request("b", "2G")],
        });
        resources(&node(), spec).unwrap().oom_score_adj
    };
    assert_eq!(with("4M", json!("Always")), 750);
    assert_eq!(with("2G", json!("Always")), 500);
    assert_eq!(with("4M", json!(null)), 999);
}

#[test]
fn huge_pages_are_none_unless_asked_for() {
    let node = Node {
        huge_pages: vec!["2MB".into(), "1GB".into()],
        ..node()
    };
    let limits = |limits: Value| {
        let found = resources(&node, main(json!({"limits": limits})))?.hugepage_limits;
        let found = found
            .into_iter()
            .map(|limit| (limit.page_size, limit.limit));
        Ok(found.collect::<Vec<_>>())
    };
    let sizes = |small, large| Ok(vec![("2MB".to_owned(), small), ("1GB".to_owned(), large)]);
    assert_eq!(limits(json!({})), sizes(0, 0));
    assert_eq!(limits(json!({"hugepages-2Mi": "6Mi"})), sizes(6 << 20, 0));
    assert_eq!(limits(json!({"hugepages-1Gi": "2Gi"})), sizes(0, 2 << 30));
    for resource in ["hugepages-64Ki", "hugepages-x", "hugepages-0"] {
        let refused = limits(json!({resource: "1Mi"}));
        assert_eq!(
            refused,
            Err(Reason::HugePages {
                container: "main".into(),
                resource: resource.into()
            })
        );
    }
    assert_eq!(page_size(Amount::whole(64 << 10)).as_deref(), Some("64KB"));
}

#[test]
fn a_pod_is_asked_for_with_all_that_it_needs_at_once() {
    let container = |name: &str, cpu: &str, memory: &str| json!({"name": name, "resources": {"limits": {"cpu": cpu, "memory": memory}}});
    let pod = pod(
        "p",
        json!({
            "initContainers": [container("i", "3", "1Mi")],
            "containers": [container("a", "1", "8Mi"), container("b", "1", "8Mi")],
        }),
    );
    let found = of_pod(Cgroups::default(), pod.api.spec.as_ref().unwrap());
    assert_eq!(found.cpu_shares, 3072);
    assert_eq!((found.cpu_quota, found.cpu_period), (300_000, 100_000));
    assert_eq!(found.memory_limit_in_bytes, 16 << 20);
    assert_eq!((found.oom_score_adj, found.hugepage_limits), (0, vec![]));
}

#[test]
fn a_pod_is_limited_only_when_each_of_its_containers_is() {
    let both = |cpu: &str, memory: &str| json!({"cpu": cpu, "memory": memory});
    let found = |init: Value, main: Value| {
        let mut spec = json!({"initContainers": [{"name": "i"}], "containers": [{"name": "m"}]});
        spec["initContainers"][0]["resources"] = init;
        spec["containers"][0]["resources"] = main;
        let found = whole(pod("p", spec).api.spec.as_ref().unwrap());
        (found.shares, found.quota, found.memory)
    };
    let limits = |cpu: &str, memory: &str| json!({"requests": both(cpu, memory), "limits": both(cpu, memory)});
    assert_eq!(found(json!({}), json!({})), (2, None, None));
    assert_eq!(
        found(limits("2", "4Mi"), limits("1", "8Mi")),
        (2048, Some(200_000), Some(8 << 20))
    );
    assert_eq!(found(json!({}), limits("1", "8Mi")), (1024, None, None));
    let memory_alone = json!({"limits": {"memory": "1Mi"}});
    assert_eq!(
        found(memory_alone, limits("1", "8Mi")),
        (1024, None, Some(8 << 20))
    );
    let nothing = json!({"limits": {"cpu": "0"}});
    assert_eq!(found(nothing.clone(), nothing), (2, None, None));
}

proptest! {
    #[test]
    fn more_memory_never_makes_a_container_die_sooner(
        small in 0_u64..8_000_000_000,
        more in 0_u64..8_000_000_000,
        memory in 0_u64..8_000_000_000,
    ) {
        let score = |bytes: u64| {
            let spec = main(json!({"requests": {"cpu": "1", "memory": bytes.to_string()}}));
            resources(&Node { memory, ..node() }, spec).unwrap().oom_score_adj
        };
        let (poor, rich) = (score(small), score(small + more));
        prop_assert!(rich <= poor);
        prop_assert!((3..=999).contains(&poor) && (3..=999).contains(&rich));
    }

    #[test]
    fn cpu_stays_within_what_a_kernel_takes(milli in any::<i64>()) {
        prop_assert!((2..=262_144).contains(&shares(milli)));
        prop_assert!(quota(milli) == 0 || quota(milli) >= 1000);
    }
}
