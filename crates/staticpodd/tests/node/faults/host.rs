//! Paths of the host, and disks that are full.

use std::{fs, os::unix::net::UnixListener, path::Path, process::Command};

use pod_rig::{Node, pod};
use serde_json::json;

use super::case::{Case, Row, mode, untouched, while_it_looks};

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            id: "H1",
            what: "the path of a `hostPath` with a type is missing",
            pods: "that container waits, and nothing is made at the path; the others run on",
            well: "within the pause between two tries, 1 s to 30 s",
            run: path_missing,
        },
        Row {
            id: "H2",
            what: "something of another type lies at the path of a `hostPath`",
            pods: "that container waits; the others run on",
            well: "within the pause between two tries, 1 s to 30 s",
            run: path_of_wrong_type,
        },
        Row {
            id: "H3",
            what: "the disk of the logs is full",
            pods: "run on, and what they print meanwhile is lost; a new pod waits",
            well: "within the pause between two tries, 1 s to 30 s",
            run: logs_full,
        },
        Row {
            id: "H4",
            what: "the disk of the root directory is full",
            pods: "run on and are restarted as always",
            well: "within the pause between two tries, 1 s to 30 s",
            run: root_full,
        },
    ]
}

fn with_path(name: &str, path: &Path, kind: &str) -> serde_json::Value {
    let mut pod = pod(name, &["hang"]);
    pod["spec"]["volumes"] = json!([{"name": "host", "hostPath": {"path": path, "type": kind}}]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "host", "mountPath": "/host"}]);
    pod
}

fn path_missing(case: &mut Case) {
    let node = case.node();
    node.put("web", &pod("web", &["hang"]));
    let before = vec![node.until_runs("web", "main")];
    let path = node.home().join("data");
    node.put("path", &with_path("path", &path, "Directory"));
    case.sees(&node, "container.not_started", "FailedMount");
    case.sees(&node, "container.not_started", "is missing");
    case.status(&node, "path", "FailedMount");
    while_it_looks();
    untouched(&node, &before);
    assert!(!path.exists());
    fs::create_dir(&path).unwrap();
    case.ends();
    case.is_well(&node, |node| node.runs("path", "main").is_some());
}

fn path_of_wrong_type(case: &mut Case) {
    let node = case.node();
    node.put("web", &pod("web", &["hang"]));
    let before = vec![node.until_runs("web", "main")];
    let path = node.home().join("kms.sock");
    fs::write(&path, "no socket").unwrap();
    node.put("path", &with_path("path", &path, "Socket"));
    case.sees(&node, "container.not_started", "FailedMount");
    case.sees(&node, "container.not_started", "socket");
    while_it_looks();
    untouched(&node, &before);
    fs::remove_file(&path).unwrap();
    let _socket = UnixListener::bind(&path).unwrap();
    case.ends();
    case.is_well(&node, |node| node.runs("path", "main").is_some());
}

/// A small disk at a path; it goes with the rig.
fn small_disk(path: &Path) {
    fs::create_dir_all(path).unwrap();
    let mounted = Command::new("mount")
        .args([
            "-t",
            "tmpfs",
            "-o",
            "size=64k,nr_inodes=200,mode=0755",
            "small",
        ])
        .arg(path)
        .status();
    assert!(mounted.unwrap().success());
}

fn fill(path: &Path) {
    // As much as there is, and then not a byte more.
    for size in [4096, 1] {
        let mut at = 0_u32;
        while fs::write(path.join(format!("fill-{size}-{at}")), vec![b'x'; size]).is_ok() {
            at += 1;
        }
    }
}

fn logs_full(case: &mut Case) {
    let mut node = case.builder().build();
    let logs = node.home().join("log");
    small_disk(&logs);
    node.start();
    node.put("web", &pod("web", &["serve=127.0.0.1:8112=well", "tick=1"]));
    let before = vec![node.until_runs("web", "main")];
    node.until("its log fills the disk", |node| free(node) == 0);
    let mut files = 0;
    while fs::write(logs.join(format!("fill-{files}")), "").is_ok() {
        files += 1;
    }
    assert!(answers(&node));
    node.put("late", &pod("late", &["hang"]));
    case.sees(&node, "pod.not_started", "No space left on device");
    assert!(answers(&node));
    untouched(&node, &before);
    let last = node.output("web", "main").len();
    for number in 0..files {
        fs::remove_file(logs.join(format!("fill-{number}"))).unwrap();
    }
    let grown = Command::new("mount")
        .args(["-o", "remount,size=4m"])
        .arg(&logs)
        .status();
    assert!(grown.unwrap().success());
    case.ends();
    node.until("its log grows again", |node| {
        node.output("web", "main").len() > last
    });
    case.is_well(&node, |node| node.runs("late", "main").is_some());
    assert!(before.iter().all(|one| node.running().contains(one)));
}

fn free(node: &Node) -> u64 {
    let found = rustix::fs::statvfs(node.home().join("log")).unwrap();
    found.f_bavail
}

fn answers(node: &Node) -> bool {
    node.get("127.0.0.1:8112", "/").ends_with("well")
}

fn root_full(case: &mut Case) {
    let mut node = case.builder().build();
    let root = node.home().join("root");
    small_disk(&root);
    mode(&root, 0o700);
    node.start();
    node.put("web", &pod("web", &["hang"]));
    let first = node.until_runs("web", "main");
    fill(&root);
    node.rig().kill_task(&first.id).unwrap();
    case.sees(&node, "store.unwritten", "No space left on device");
    node.until("it runs again", |node| {
        let again = node.runs("web", "main");
        again.is_some_and(|again| again.restarts == 1)
    });
    for name in node.names("root") {
        if name.starts_with("fill-") {
            fs::remove_file(root.join(name)).unwrap();
        }
    }
    case.ends();
    case.is_well(&node, |node| node.has("store.written_again"));
    case.sees(&node, "store.written_again", "");
}
