use proptest::prelude::*;

use super::*;
use crate::fixtures::pod;
use serde_json::{Value, json};

fn cluster() -> node::Dns {
    node::Dns {
        resolv_conf: "# mine\nnameserver 192.0.2.53\nnameserver 192.0.2.54\n\
                      search old\nsearch example.org. . lan\noptions ndots:2 rotate ndots:3\n"
            .into(),
        cluster: vec!["10.96.0.10".into()],
        domain: "cluster.local".into(),
    }
}

fn lookup(spec: Value, dns: &node::Dns) -> Lookup {
    of(&pod("p", spec), dns)
}

#[test]
fn the_policy_and_the_network_decide_whom_to_ask() {
    let on_cluster = (
        vec!["10.96.0.10"],
        vec![
            "ns.svc.cluster.local",
            "svc.cluster.local",
            "cluster.local",
            "example.org",
            ".",
            "lan",
        ],
        vec!["ndots:5"],
    );
    let on_node = (
        vec!["192.0.2.53", "192.0.2.54"],
        vec!["example.org", ".", "lan"],
        vec!["ndots:3", "rotate"],
    );
    let nothing: (Vec<&str>, Vec<&str>, Vec<&str>) = (vec![], vec![], vec![]);
    for (policy, host_network, expected) in [
        ("ClusterFirst", false, &on_cluster),
        ("ClusterFirst", true, &on_node),
        ("ClusterFirstWithHostNet", true, &on_cluster),
        ("ClusterFirstWithHostNet", false, &on_cluster),
        ("Default", false, &on_node),
        ("Default", true, &on_node),
        ("None", false, &nothing),
    ] {
        let found = lookup(
            json!({"dnsPolicy": policy, "hostNetwork": host_network}),
            &cluster(),
        );
        let (servers, searches, options) = expected;
        assert_eq!(found.config.servers, *servers, "{policy} {host_network}");
        assert_eq!(found.config.searches, *searches, "{policy} {host_network}");
        assert_eq!(found.config.options, *options, "{policy} {host_network}");
        assert_eq!(found.notes, [], "{policy} {host_network}");
    }
}

#[test]
fn without_a_cluster_the_nodes_servers_are_asked_and_that_is_said() {
    let alone = node::Dns {
        cluster: vec![],
        ..cluster()
    };
    for (policy, host_network, notes) in [
        ("ClusterFirst", false, vec![Note::MissingClusterDns]),
        ("ClusterFirst", true, vec![]),
        (
            "ClusterFirstWithHostNet",
            true,
            vec![Note::MissingClusterDns],
        ),
    ] {
        let found = lookup(
            json!({"dnsPolicy": policy, "hostNetwork": host_network}),
            &alone,
        );
        assert_eq!(found.config, parse(&alone.resolv_conf), "{policy}");
        assert_eq!(found.notes, notes, "{policy} {host_network}");
    }
}

#[test]
fn a_cluster_without_a_domain_adds_no_searches() {
    let dns = node::Dns {
        domain: String::new(),
        ..cluster()
    };
    let found = lookup(json!({}), &dns);
    assert_eq!(found.config.searches, ["example.org", ".", "lan"]);
}

#[test]
fn what_the_pod_adds_is_merged() {
    let spec = json!({"dnsPolicy": "Default", "dnsConfig": {
        "nameservers": ["192.0.2.54", "192.0.2.55"],
        "searches": ["lan", "own"],
        "options": [{"name": "ndots", "value": "7"}, {"name": "edns0"}, {"name": "rotate", "value": ""}],
    }});
    let found = lookup(spec, &cluster());
    assert_eq!(
        found.config.servers,
        ["192.0.2.53", "192.0.2.54", "192.0.2.55"]
    );
    assert_eq!(found.config.searches, ["example.org", ".", "lan", "own"]);
    assert_eq!(found.config.options, ["ndots:7", "rotate", "edns0"]);
    assert_eq!(found.notes, []);
}

#[test]
fn a_pod_may_bring_everything_itself() {
    let spec = json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.1"]}});
    let found = lookup(spec, &cluster());
    assert_eq!(found.config.servers, ["192.0.2.1"]);
    assert_eq!(found.config.searches, Vec::<String>::new());
}

#[test]
fn what_resolvers_would_ignore_is_cut_and_that_is_said() {
    let with = |servers: Vec<String>, searches: Vec<String>| {
        let config = json!({"nameservers": servers, "searches": searches});
        lookup(
            json!({"dnsPolicy": "None", "dnsConfig": config}),
            &cluster(),
        )
    };
    let servers = |count: usize| {
        (0..count)
            .map(|n| format!("192.0.2.{n}"))
            .collect::<Vec<_>>()
    };
    let short = |count: usize| (0..count).map(|n| format!("d{n}")).collect::<Vec<_>>();
    assert_eq!(with(servers(3), vec![]).notes, []);
    let cut = with(servers(4), vec![]);
    assert_eq!(
        (cut.config.servers, cut.notes),
        (servers(3), vec![Note::Servers])
    );

    assert_eq!(with(vec![], short(32)).notes, []);
    let cut = with(vec![], short(33));
    assert_eq!(
        (cut.config.searches, cut.notes),
        (short(32), vec![Note::Searches])
    );

    let cut = with(vec![], vec!["a".into(), "b".repeat(254), "c".into()]);
    assert_eq!(cut.config.searches, ["a", "c"]);
    assert_eq!(cut.notes, [Note::Searches]);
}

#[test]
fn a_line_of_2048_bytes_still_fits() {
    // Eight of 253 and seven spaces are 2031; a space and 16 more make 2048.
    let domains = |last: usize| {
        let mut domains: Vec<String> = (0..8).map(|n| format!("{n}{}", "x".repeat(252))).collect();
        domains.push("y".repeat(last));
        domains
    };
    let mut fits = domains(16);
    assert_eq!(fits.join(" ").len(), SEARCH_BYTES);
    assert!(!cut_searches(&mut fits));
    let mut exceeds = domains(17);
    assert!(cut_searches(&mut exceeds));
    assert_eq!(exceeds.len(), 8);
}

proptest! {
    #[test]
    fn no_pod_gets_more_than_resolvers_take(
        servers in proptest::collection::vec("[0-9.]{1,15}", 0..9),
        searches in proptest::collection::vec("[a-z.]{1,300}", 0..40),
        text in "(nameserver|search|options| |\n|[a-z.:0-9]{1,9}){0,30}",
        policy in "ClusterFirst|Default|None|ClusterFirstWithHostNet",
    ) {
        let dns = node::Dns { resolv_conf: text, ..cluster() };
        let config = json!({"nameservers": servers, "searches": searches});
        let found = lookup(json!({"dnsPolicy": policy, "dnsConfig": config}), &dns).config;
        prop_assert!(found.servers.len() <= 3);
        prop_assert!(found.searches.len() <= 32);
        prop_assert!(found.searches.join(" ").len() <= 2048);
        prop_assert!(found.searches.iter().all(|domain| domain.len() <= 253));
    }
}
