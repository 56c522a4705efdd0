//! What a change costs, in pods, sandboxes and containers looked at.

use std::{collections::BTreeMap, sync::Arc};

use plan::{Action, Planner, RestartPolicy, Runtime, Settings, Wanted};

use crate::build::{key, pod, seconds};

fn version(name: &str, revision: u32) -> Arc<Wanted> {
    let mut wanted = pod(RestartPolicy::Always, &["i1", "a", "b"]);
    wanted.key = key(name);
    wanted.revision = format!("{name}-{revision}");
    wanted.uid.clone_from(&wanted.revision);
    Arc::new(wanted)
}

#[test]
fn ten_thousand_edits_of_a_thousand_pods_cost_what_ten_thousand_edits_of_one_pod_cost() {
    let settings = Settings {
        boot: "boot".into(),
        take_over: false,
    };
    let mut planner = Planner::new(settings, BTreeMap::new());
    planner.runtime(Runtime::Up { network: true });
    planner.source("file", true);
    for pod in 0..1000 {
        planner.want(version(&format!("pod{pod}"), 0));
    }
    planner.see_all(planner.ticket(), BTreeMap::new());
    let first = planner.plan(seconds(1));
    let creates = |action: &Action| matches!(action, Action::CreateSandbox { .. });
    assert_eq!(first.orders.len(), 1000);
    assert!(first.orders.iter().all(|order| creates(&order.action)));
    assert!(first.look.is_empty());

    let before = planner.work();
    let mut orders = 0;
    for edit in 1..=10_000_u32 {
        planner.want(version(&format!("pod{}", edit % 1000), edit));
        orders += planner.plan(seconds(1)).orders.len();
    }
    // Each edit looks at its own pod and finds its sandbox being made: one look, and the first
    // time one order to give that up.
    assert_eq!(planner.work() - before, 10_000);
    assert_eq!(orders, 1000);
    assert!(
        planner.views().count() == 1000,
        "the register does not grow"
    );
}
