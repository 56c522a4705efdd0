//! What `staticpodd` does differently on purpose.

use std::{collections::BTreeSet, fmt::Write as _};

use crate::{
    compare::{Difference, is_at},
    scenarios::ALL,
};

/// One choice, and where it shows.
pub(crate) struct Deviation {
    pub(crate) kubelet: &'static str,
    pub(crate) ours: &'static str,
    pub(crate) reason: &'static str,
    /// Patterns of places, `*` for any text.
    pub(crate) places: &'static [&'static str],
}

pub(crate) const DEVIATIONS: &[Deviation] = &[
    Deviation {
        kubelet: "",
        ours: "annotations `staticpodd/owner`, `revision`, `boot` and `source` on sandboxes",
        reason: "they are how an agent that starts anew knows its own pods, an edit under a uid that stays, and a reboot",
        places: &[
            "plain: sandboxes > * > asked > annotations > staticpodd/*",
            "*: sandboxes > * > asked > annotations > staticpodd/*",
        ],
    },
    Deviation {
        kubelet: "",
        ours: "annotation `staticpodd/sidecar` on sidecars",
        reason: "an agent that starts anew, and finds no manifest, still stops them in the right order",
        places: &[
            "sidecar: containers > * > asked > annotations > staticpodd/sidecar",
            "helper: containers > * > *annotations > staticpodd/sidecar",
        ],
    },
    Deviation {
        kubelet: "sends an overhead of nothing, and that there is no user namespace",
        ours: "sends neither",
        reason: "an absent message says the same to a runtime, and old ones do not know these",
        places: &[
            "*: sandboxes > * > asked > linux > overhead",
            "*: * > asked > linux > security_context > namespace_options > userns_options",
        ],
    },
    Deviation {
        kubelet: "`status.podIP` is empty on the host's network",
        ours: "it is the node's address",
        reason: "a kubelet with an API server gives that, and pods are written for it",
        places: &[
            "hostnet: containers > main.0 > asked > envs",
            "hostnet: containers > main.0 > made > env",
        ],
    },
    Deviation {
        kubelet: "facts about the pod lie in a file system in memory, in a directory that everybody may write to",
        ours: "they lie on disk, in a directory of root",
        reason: "they are no secrets, and a file system in memory for each would cost more than it holds",
        places: &[
            "downward: containers > main.0 > mounted > * > in_memory",
            "downward: containers > main.0 > mounted > /facts > mode",
            "downward: containers > main.0 > mounted > /facts > owner",
        ],
    },
    Deviation {
        kubelet: "an empty directory in memory keeps the sticky bit of its file system",
        ours: "it has the mode of one on disk",
        reason: "containers with different users share either alike",
        places: &["emptydir: containers > main.0 > mounted > /memory > mode"],
    },
    Deviation {
        kubelet: "a volume that projects facts about the pod is never there without an API server",
        ours: "it is",
        reason: "nothing of it needs one",
        places: &["projected: *"],
    },
    Deviation {
        kubelet: "a manifest that breaks takes its pod away at the next full look",
        ours: "the pod goes on, and the log names the mistake",
        reason: "a slip of an editor must not stop a control plane",
        places: &["broken: *"],
    },
    Deviation {
        kubelet: "of two manifests of one pod, the last in the order of names wins",
        ours: "the first wins, and the other is reported",
        reason: "a copy that is added does not stop what runs",
        places: &["duplicate: *"],
    },
    Deviation {
        kubelet: "new arguments under a uid that stays wait for the next restart",
        ours: "they replace the pod",
        reason: "what runs is what the manifest says",
        places: &["uid: *"],
    },
    Deviation {
        kubelet: "a host path without a type that is not there is made a directory, by the runtime",
        ours: "the pod waits for it",
        reason: "a directory where a file or a socket belongs does lasting harm",
        places: &["untyped: *"],
    },
    Deviation {
        kubelet: "a field that nobody knows is passed over",
        ours: "the manifest is refused, with the line and the likely name",
        reason: "what was meant is not what would run",
        places: &["unknown: *"],
    },
    Deviation {
        kubelet: "of two documents the second is passed over",
        ours: "the manifest is refused",
        reason: "a pod that is lost without a word is worse",
        places: &["documents: *"],
    },
    Deviation {
        kubelet: "a backup copy runs",
        ours: "only `*.yaml`, `*.yml` and `*.json` are manifests",
        reason: "nobody means it",
        places: &["litter: *"],
    },
];

impl Deviation {
    pub(crate) fn explains(&self, difference: &Difference) -> bool {
        let mut places = self.places.iter();
        places.any(|pattern| is_at(&difference.place, pattern))
    }

    /// The pods that its places name.
    fn pods(&self) -> String {
        let pods = self.places.iter();
        let pods: BTreeSet<&str> = pods
            .filter_map(|place| Some(place.split_once(':')?.0))
            .collect();
        if pods.iter().any(|pod| pod.contains('*')) {
            return "all".to_owned();
        }
        let pods: Vec<String> = pods.iter().map(|pod| format!("`{pod}`")).collect();
        pods.join(", ")
    }
}

/// `docs/staticpodd-deviations.md`. `kubelet`: version of the one that was watched.
pub(crate) fn page(kubelet: &str) -> String {
    let mut page = format!(
        "# staticpodd beside a kubelet

<!-- Written by the test `oracle` of crates/staticpodd. -->

The same pods run under `staticpodd` and under a real kubelet without an API server ({kubelet}), each with a
containerd of its own. Compared is what the containerds end up with: the configurations that
they are given, the specifications that runc gets from them, what lies in volumes, the limits of cgroups, names of logs and links,
the order of starts and ends, exit codes, restarts and how long they wait. Uids, ids,
times, and what depends on the machine are left out.

A test holds this page: a difference that is not listed fails it, and so does one that is listed and no longer
seen. Where `KUBELET_BIN` names no kubelet, the record of the last one is compared with
(`crates/staticpodd/tests/oracle/recorded`). To record another, as root, on cgroup v1, with containerd 1.6 or newer:

```sh
KUBELET_BIN=/usr/bin/kubelet ORACLE_RECORD=1 cargo test -p staticpodd --test oracle
```

Its cgroups, its network and its directories are its own; it links logs in `/var/log/containers`, and sets a few
parameters of the kernel, which are set back.

## Different on purpose

| | kubelet | staticpodd | why | seen in |
|---|---|---|---|---|
"
    );
    for (number, deviation) in DEVIATIONS.iter().enumerate() {
        let (kubelet, ours, reason) = (deviation.kubelet, deviation.ours, deviation.reason);
        let pods = deviation.pods();
        let _ = writeln!(
            page,
            "| {} | {kubelet} | {ours} | {reason} | {pods} |",
            number + 1
        );
    }
    page.push_str("\n## The pods\n\n| pod | what it shows |\n|---|---|\n");
    for scenario in ALL {
        let _ = writeln!(page, "| `{}` | {} |", scenario.name, scenario.what);
    }
    page
}
