//! Ports of the node: two pods that take the same one never live together.

use std::{collections::BTreeMap, sync::Arc};

use plan::{
    HostPort, Order, Outcome, Owner, Planner, PodKey, RestartPolicy, Runtime, Seen, Settings,
    Wanted,
};

use crate::{
    build::{dead, key, pod, sandbox, seconds},
    situation::{planner, words},
};

fn port(ip: Option<&str>, port: u16, protocol: &str) -> HostPort {
    HostPort {
        ip: ip.map(|ip| ip.parse().unwrap()),
        port,
        protocol: protocol.into(),
    }
}

fn on(key: &PodKey, number: u16) -> Arc<Wanted> {
    let mut wanted = pod(RestartPolicy::Always, &["a"]);
    wanted.key = key.clone();
    wanted.uid = key.to_string();
    wanted.host_ports = vec![port(None, number, "TCP")];
    Arc::new(wanted)
}

fn standing(key: &PodKey, ready: bool) -> Seen {
    let mut made = sandbox(&key.to_string(), 0, vec![]);
    made.uid = key.to_string();
    made.owner = Owner::Us;
    Seen {
        sandboxes: vec![if ready { made } else { dead(made) }],
        ..Seen::default()
    }
}

fn in_words(orders: &[Order]) -> Vec<String> {
    orders.iter().map(|order| words(&order.action)).collect()
}

#[test]
fn ports_overlap_by_number_protocol_and_address() {
    for (one, other, overlap) in [
        (port(None, 80, "TCP"), port(None, 80, "TCP"), true),
        (port(None, 80, "TCP"), port(None, 80, "UDP"), false),
        (port(None, 80, "TCP"), port(None, 81, "TCP"), false),
        (
            port(None, 80, "TCP"),
            port(Some("127.0.0.1"), 80, "TCP"),
            true,
        ),
        (
            port(Some("0.0.0.0"), 80, "TCP"),
            port(Some("127.0.0.1"), 80, "TCP"),
            true,
        ),
        (
            port(Some("127.0.0.2"), 80, "TCP"),
            port(Some("127.0.0.1"), 80, "TCP"),
            false,
        ),
    ] {
        assert_eq!(one.overlaps(&other), overlap, "{one:?} {other:?}");
        assert_eq!(other.overlaps(&one), overlap);
    }
}

#[test]
fn a_pod_that_moves_to_another_namespace_takes_its_port_along_once_the_old_one_is_dead() {
    let (old, new) = (PodKey::new("zoo", "web"), PodKey::new("default", "web"));
    let mut planner = planner(false);
    planner.want(on(&old, 80));
    let all = [(old.clone(), standing(&old, true))];
    planner.see_all(planner.ticket(), all.into());
    let started = planner.plan(seconds(1)).orders;
    assert_eq!(in_words(&started), ["start a 0"]);
    planner.unwant(&old);
    planner.want(on(&new, 80));
    planner.see(planner.ticket(), &new, Seen::default());
    assert_eq!(in_words(&planner.plan(seconds(1)).orders), ["cancel 1"]);
    planner.report(started[0].id, &Outcome::Lost, seconds(2));
    planner.see(planner.ticket(), &old, standing(&old, true));
    let stopped = planner.plan(seconds(2)).orders;
    assert_eq!(in_words(&stopped), ["stop zoo/web Removed"]);
    planner.report(stopped[0].id, &Outcome::Done, seconds(2));
    planner.see(planner.ticket(), &old, standing(&old, false));
    let orders = in_words(&planner.plan(seconds(2)).orders);
    assert_eq!(
        orders,
        ["remove zoo/web", "create default/web 0"],
        "in the same breath"
    );
}

#[test]
fn of_two_new_pods_with_one_port_one_starts() {
    let mut planner = planner(false);
    planner.want(on(&key("one"), 80));
    planner.want(on(&key("two"), 80));
    planner.want(on(&key("three"), 81));
    planner.see_all(planner.ticket(), BTreeMap::new());
    let orders = in_words(&planner.plan(seconds(1)).orders);
    assert_eq!(orders, ["create default/one 0", "create default/three 0"]);
}

#[test]
fn a_port_held_by_an_orphan_is_known_after_a_restart_of_the_agent() {
    let (old, new) = (key("zzz"), key("aaa"));
    let mut before = planner(false);
    before.want(on(&old, 80));
    before.see_all(
        before.ticket(),
        [(old.clone(), standing(&old, true))].into(),
    );
    assert_eq!(before.plan(seconds(1)).orders.len(), 1);
    let kept = [(old.clone(), before.to_keep(&old, seconds(1)).unwrap())];
    let settings = Settings {
        boot: "boot".into(),
        take_over: false,
    };
    let mut after = Planner::new(settings, kept.into());
    after.runtime(Runtime::Up { network: true });
    after.source("file", true);
    after.want(on(&new, 80));
    after.see_all(after.ticket(), [(old.clone(), standing(&old, true))].into());
    assert_eq!(
        in_words(&after.plan(seconds(1)).orders),
        ["stop default/zzz Removed"]
    );
}
