//! What a change costs, in pods, sandboxes and containers looked at.

use std::{collections::BTreeMap, sync::Arc};

use plan::{Action, Outcome, Planner, PodKey, RestartPolicy, Runtime, Seen, Settings, Wanted};

use crate::build::{key, of, pod, running, sandbox, seconds, seen};

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

#[test]
fn a_list_that_says_nothing_new_costs_nothing_and_news_cost_their_own_pod() {
    let settings = Settings {
        boot: "boot".into(),
        take_over: false,
    };
    let mut planner = Planner::new(settings, BTreeMap::new());
    planner.runtime(Runtime::Up { network: true });
    planner.source("file", true);
    let mut list: BTreeMap<PodKey, Seen> = BTreeMap::new();
    for pod in 0..1000 {
        let wanted = version(&format!("pod{pod}"), 0);
        let containers = vec![
            seen(&format!("a{pod}"), "a", 0, running()),
            seen(&format!("b{pod}"), "b", 0, running()),
        ];
        let made = of(
            sandbox(&format!("s{pod}"), 0, containers),
            &wanted.uid,
            &wanted.revision,
        );
        let sandboxes = vec![made];
        list.insert(
            wanted.key.clone(),
            Seen {
                sandboxes,
                ..Seen::default()
            },
        );
        planner.want(wanted);
    }
    planner.see_all(planner.ticket(), list.clone());
    assert_eq!(planner.plan(seconds(1)).orders, []);
    let before = planner.work();
    list.get_mut(&key("pod7")).unwrap().sandboxes[0]
        .containers
        .pop();
    planner.see_all(planner.ticket(), list.clone());
    let orders = planner.plan(seconds(2)).orders;
    assert_eq!(orders.len(), 1);
    planner.report(orders[0].id, &Outcome::Lost, seconds(3));
    planner.see_all(planner.ticket(), list);
    assert_eq!(planner.plan(seconds(3)).orders, []);
    assert_eq!(
        planner.work() - before,
        2 * 3,
        "one pod, sandbox and container, twice"
    );
}
