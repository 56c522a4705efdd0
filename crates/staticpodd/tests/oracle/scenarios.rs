//! The table of scenarios.

use crate::scenario::{
    Order::{Commands, Ends, Starts},
    Scenario,
    Step::{Clean, Ended, Gone, Kill, Linked, Mkdir, Put, Quiet, Remove, Started},
};

/// A pod that starts, and stays. The last container to start may be named.
macro_rules! stays {
    ($name:literal, $what:literal) => {
        stays!($name, $what, "main.0")
    };
    ($name:literal, $what:literal, $last:literal) => {
        Scenario {
            name: $name,
            what: $what,
            order: Starts,
            attempts: 0,
            steps: &[
                Put(concat!($name, ".yaml"), concat!($name, ".yaml")),
                Linked($last),
            ],
        }
    };
}

/// A pod to which something happens.
macro_rules! lives {
    ($name:literal, $what:literal, $order:expr, $attempts:literal, [$($step:expr),* $(,)?]) => {
        Scenario {
            name: $name,
            what: $what,
            order: $order,
            attempts: $attempts,
            steps: &[
                Put(concat!($name, ".yaml"), concat!($name, ".yaml")),
                $($step),*
            ],
        }
    };
}

pub(crate) const ALL: &[Scenario] = &[
    stays!("plain", "a container with nothing but an image"),
    stays!(
        "env",
        "variables: order, expansion, fields of the pod, resources"
    ),
    stays!(
        "words",
        "command and arguments: both, expansion, working directory, terminal",
        "shell.0"
    ),
    stays!("labels", "labels and annotations of the pod"),
    stays!("downward", "a volume with facts about the pod"),
    stays!("hostpath", "host paths of all types, read-only ones too"),
    stays!(
        "emptydir",
        "empty directories on disk and in memory, sub-paths, fsGroup"
    ),
    stays!(
        "user",
        "users, groups, capabilities, read-only root, no new privileges, seccomp",
        "local.0"
    ),
    stays!(
        "merge",
        "security settings of the pod and of its containers together",
        "group.0"
    ),
    stays!(
        "privileged",
        "a privileged container beside one that is not",
        "tame.0"
    ),
    stays!("guaranteed", "requests equal to limits", "second.0"),
    stays!(
        "burstable",
        "requests below limits, and a container without any",
        "tiny.0"
    ),
    stays!("critical", "the class of node-critical pods"),
    stays!("hostnet", "the host's network, processes and shared memory"),
    stays!("sharepid", "one process namespace for the pod", "second.0"),
    stays!("sysctls", "kernel parameters of the pod"),
    stays!("hosts", "host name, subdomain and aliases"),
    stays!("dnsnone", "name servers of the pod's own"),
    stays!("dnsdefault", "the node's name servers, and more"),
    stays!("ports", "ports, with and without a host port"),
    stays!("message", "where the last words of a container go"),
    stays!("namespace", "a pod in a namespace, with a uid of its own"),
    lives!(
        "init",
        "init containers in order",
        Ends,
        0,
        [Linked("main.0")]
    ),
    lives!(
        "initfails",
        "an init container that fails in a pod that is never restarted",
        Ends,
        0,
        [Ended("first.0"), Quiet]
    ),
    lives!(
        "initagain",
        "an init container that fails in a pod that is restarted",
        Starts,
        1,
        [Ended("first.1")]
    ),
    lives!(
        "sidecar",
        "sidecars start in order, and stop in reverse after the others",
        Ends,
        0,
        [Linked("main.0"), Remove("sidecar.yaml"), Gone]
    ),
    lives!(
        "never",
        "an end with an error in a pod that is never restarted",
        Ends,
        1,
        [Ended("main.0"), Quiet]
    ),
    lives!(
        "onfailure",
        "good and bad ends in a pod that is restarted on failure",
        Starts,
        1,
        [Ended("good.0"), Started("main.1")]
    ),
    lives!(
        "crash",
        "a container that fails again and again",
        Ends,
        2,
        [Started("main.2"), Ended("main.2")]
    ),
    lives!(
        "success",
        "a container that ends well in a pod that is always restarted",
        Ends,
        1,
        [Ended("main.1")]
    ),
    lives!(
        "liveness",
        "a liveness probe that fails",
        Ends,
        1,
        [Linked("main.1")]
    ),
    lives!(
        "startup",
        "a startup probe that fails",
        Ends,
        1,
        [Linked("main.1")]
    ),
    lives!(
        "http",
        "a web server that its probes find well",
        Ends,
        1,
        [Linked("main.0"), Quiet]
    ),
    lives!(
        "tcp",
        "a liveness probe of a port that nobody listens on",
        Ends,
        1,
        [Linked("main.1")]
    ),
    lives!(
        "helper",
        "a sidecar that fails in a pod that is never restarted",
        Starts,
        1,
        [Started("main.0"), Linked("proxy.1")]
    ),
    lives!(
        "pull",
        "an image that is there, and must be pulled all the same",
        Starts,
        0,
        [Started("sandbox.0"), Quiet]
    ),
    lives!(
        "gate",
        "the next container waits for the hook of the one before",
        Commands,
        0,
        [Linked("second.0")]
    ),
    lives!(
        "hooks",
        "hooks after the start and before the stop",
        Commands,
        0,
        [
            Linked("main.0"),
            Started("main.0"),
            Remove("hooks.yaml"),
            Gone
        ]
    ),
    lives!(
        "hookfails",
        "a hook after the start that fails",
        Ends,
        1,
        [Started("main.1")]
    ),
    lives!(
        "stubborn",
        "a container that does not stop when it is asked to",
        Ends,
        0,
        [Linked("main.0"), Remove("stubborn.yaml"), Gone]
    ),
    lives!(
        "killed",
        "a container that is killed",
        Ends,
        1,
        [Linked("main.0"), Kill("main.0"), Linked("main.1")]
    ),
    lives!(
        "sandbox",
        "a sandbox that is killed",
        Starts,
        1,
        [Linked("main.0"), Kill("sandbox.0"), Linked("main.1")]
    ),
    lives!(
        "edit",
        "an edit: the old pod is gone before the new one starts",
        Ends,
        0,
        [
            Linked("main.0"),
            Put("edit.yaml", "edit-2.yaml"),
            Linked("2/main.0")
        ]
    ),
    lives!(
        "remove",
        "a manifest that is removed",
        Ends,
        0,
        [Linked("main.0"), Remove("remove.yaml"), Gone, Clean]
    ),
    lives!(
        "uid",
        "an edit of the image's arguments under a uid that stays",
        Starts,
        1,
        [Linked("main.0"), Put("uid.yaml", "uid-2.yaml"), Quiet]
    ),
    lives!(
        "nonroot",
        "a container that must not be root, and would be",
        Starts,
        0,
        [Started("sandbox.0"), Quiet]
    ),
    lives!(
        "missing",
        "a host path that comes late",
        Starts,
        0,
        [Quiet, Mkdir("late"), Linked("main.0")]
    ),
    lives!(
        "projected",
        "a volume that projects facts about the pod",
        Starts,
        0,
        [Quiet]
    ),
    lives!(
        "untyped",
        "a host path without a type that is not there",
        Starts,
        0,
        [Quiet]
    ),
    lives!(
        "broken",
        "an edit that breaks the manifest",
        Starts,
        0,
        [Linked("main.0"), Put("broken.yaml", "broken-2.yaml"), Quiet]
    ),
    lives!(
        "duplicate",
        "two manifests of one pod",
        Starts,
        0,
        [
            Linked("main.0"),
            Put("duplicate2.yaml", "duplicate-2.yaml"),
            Quiet
        ]
    ),
    lives!("unknown", "a field that nobody knows", Starts, 0, [Quiet]),
    lives!(
        "documents",
        "two documents in one manifest",
        Starts,
        0,
        [Quiet]
    ),
    lives!("secret", "a reference to a Secret", Starts, 0, [Quiet]),
    lives!(
        "absent",
        "an image that is not there and must not be pulled",
        Starts,
        0,
        [Started("sandbox.0"), Quiet]
    ),
    Scenario {
        name: "litter",
        what: "a backup copy of a manifest, and a hidden one",
        order: Starts,
        attempts: 0,
        steps: &[
            Put("litter.yaml.bak", "litter.yaml"),
            Put(".litter.yaml", "litter.yaml"),
            Quiet,
        ],
    },
];
