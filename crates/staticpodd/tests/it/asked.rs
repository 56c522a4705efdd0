//! A running agent, asked on its socket, on containerd.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use pod_rig::{Node, can_run, pod};
use serde_json::Value;

use super::Run;

const PROGRAM: &str = env!("CARGO_BIN_EXE_staticpodd");

fn ask(node: &Node, arguments: &[&str]) -> Run {
    ask_with(node, arguments, "")
}

/// The words after `--` are a command's.
fn command(node: &Node, arguments: &[&str]) -> Command {
    let mut words = arguments.splitn(2, |word| *word == "--");
    let mut command = Command::new(PROGRAM);
    let _ = command
        .args(words.next().unwrap())
        .arg("--socket")
        .arg(node.socket());
    if let Some(rest) = words.next() {
        let _ = command.arg("--").args(rest);
    }
    command
}

fn ask_with(node: &Node, arguments: &[&str], input: &str) -> Run {
    let mut child = command(node, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Something that goes on; what it says is in a file.
struct Watcher(Child);

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn watch(node: &Node, arguments: &[&str], file: &Path) -> Watcher {
    let out = fs::File::create(file).unwrap();
    let mut command = command(node, arguments);
    let child = command.stdin(Stdio::null()).stdout(out);
    Watcher(child.stderr(Stdio::null()).spawn().unwrap())
}

fn text(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

fn column(table: &str, name: &str, heading: &str) -> String {
    let mut lines = table.lines();
    let at = lines.next().and_then(|head| head.find(heading));
    let row = lines.find(|line| line.split_whitespace().any(|word| word == name));
    let cell = at.zip(row).and_then(|(at, row)| row.get(at..));
    let word = cell.and_then(|cell| cell.split_whitespace().next());
    word.unwrap_or_default().to_owned()
}

#[test]
fn a_running_agent_answers_on_its_socket_as_people_expect() {
    if !can_run() {
        return;
    }
    let mut node = Node::new(Path::new(PROGRAM));
    let none = ask(&node, &["get", "pods"]);
    assert_eq!(none.code, 1);
    assert!(none.err.contains("no agent listens at"), "{}", none.err);

    let mut high = pod("high", &["tick=50"]);
    high["spec"]["priority"] = 2_000_001_000.into();
    node.put("high", &high);
    node.put("low", &pod("low", &["out=hello", "hang"]));
    node.start();
    let high = node.until_runs("high", "main");
    let _ = node.until_runs("low", "main");
    node.until("the door", |node| node.has("door.open"));
    let mode = fs::metadata(node.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    shows_pods(&node);
    runs_commands(&node);
    follows_a_log_over_a_restart(&node, &high.id);
    restarts(&node);
    stops_and_starts_everything(&node);
    node.stop();
    assert!(!node.socket().exists());
}

fn shows_pods(node: &Node) {
    node.until("both are ready", |node| {
        let table = ask(node, &["get", "pods"]).out;
        ["high-n1", "low-n1"]
            .iter()
            .all(|name| column(&table, name, "READY") == "1/1")
    });
    let table = ask(node, &["get", "pods", "-o", "wide"]);
    assert_eq!(column(&table.out, "low-n1", "STATUS"), "Running");
    assert_eq!(column(&table.out, "low-n1", "NODE"), "n1");
    assert!(column(&table.out, "low-n1", "SOURCE").ends_with("manifests/low.yaml"));
    let one = ask(node, &["get", "pod", "low", "-o", "json"]);
    let one: Value = serde_json::from_str(&one.out).unwrap();
    assert_eq!(one["kind"], "Pod");
    assert_eq!(one["status"]["phase"], "Running");
    let names = ask(node, &["get", "po", "-n", "default", "-o", "name"]);
    assert_eq!(names.out, "pod/high-n1\npod/low-n1\n");
    let told = ask(node, &["describe", "pod", "low-n1"]);
    for part in [
        "Name:",
        "low-n1",
        "State:",
        "Running",
        "Started container main",
    ] {
        assert!(told.out.contains(part), "{part}: {}", told.out);
    }
    let near = ask(node, &["describe", "pod", "lwo"]);
    assert_eq!(near.code, 1);
    assert!(
        near.err.contains("did you mean default/low-n1?"),
        "{}",
        near.err
    );
    let files = ask(node, &["get", "manifests"]);
    assert_eq!(column(&files.out, "default/low-n1", "STATUS"), "ok");
}

fn runs_commands(node: &Node) {
    let script = [
        "exec",
        "low",
        "--",
        "/workload",
        "out=here",
        "err=there",
        "exit=7",
    ];
    let run = ask(node, &script);
    assert_eq!((run.code, &*run.out, &*run.err), (7, "here\n", "there\n"));
    // The end of what is typed reaches the command.
    let script = ["exec", "-i", "low", "--", "/workload", "cat=/dev/stdin"];
    let long = "0123456789abcde\n".repeat(20_000);
    let run = ask_with(node, &script, &long);
    assert_eq!((run.code, &*run.err), (0, ""));
    assert_eq!(run.out.trim_end(), long.trim_end());
    in_a_terminal(node);
    let run = ask(node, &["exec", "low", "--", "/nothing"]);
    assert_ne!(run.code, 0);
    assert!(run.err.contains("/nothing"), "{}", run.err);
    let run = ask(node, &["exec", "-c", "other", "low", "--", "/workload"]);
    assert_eq!(run.code, 1);
    let expected = "container other not found in pod low-n1, which has: main";
    assert!(run.err.contains(expected), "{}", run.err);
}

/// A command with a terminal ends its lines as terminals want it, and has one output.
fn in_a_terminal(node: &Node) {
    let words = [
        "exec",
        "-it",
        "low",
        "--",
        "/workload",
        "out=here",
        "err=there",
        "exit=5",
    ];
    let command = command(node, &words);
    let words = [command.get_program()]
        .into_iter()
        .chain(command.get_args());
    let words: Vec<&str> = words.map(|word| word.to_str().unwrap()).collect();
    let mut script = Command::new("script");
    let _ = script.args(["-qec", &words.join(" "), "/dev/null"]);
    let typed = script.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&typed.stdout).into_owned();
    assert_eq!(typed.status.code(), Some(5), "{said}");
    assert!(
        said.contains("here\r\n") && said.contains("there\r\n"),
        "{said:?}"
    );
}

fn follows_a_log_over_a_restart(node: &Node, id: &str) {
    let file = node.home().join("followed");
    let follower = watch(node, &["logs", "-f", "--tail=1", "high"], &file);
    node.until("the log is followed", |_| text(&file).lines().count() > 2);
    assert!(!text(&file).contains("\n1\n"), "only what is new");
    let watched = node.home().join("watched");
    let watcher = watch(node, &["get", "pods", "-w"], &watched);
    node.until("the table", |_| text(&watched).lines().count() >= 3);
    node.rig().kill_task(id).unwrap();
    // The next instance begins to count anew.
    node.until("it goes on", |_| {
        text(&file).lines().any(|line| line == "2")
    });
    drop(follower);
    node.until("the restart is seen", |_| {
        text(&watched)
            .lines()
            .skip(3)
            .any(|line| line.contains("high-n1"))
    });
    drop(watcher);
    let before = ask(
        node,
        &["logs", "--previous", "--tail=2", "--timestamps", "high"],
    );
    assert_eq!(before.out.lines().count(), 2, "{}", before.err);
    assert!(before.out.starts_with("20") && before.out.contains("Z "));
    let now = ask(node, &["logs", "high-n1"]);
    assert!(now.out.starts_with("1\n2\n"), "{}{}", now.out, now.err);
    let none = ask(node, &["logs", "-p", "low"]);
    assert_eq!(none.code, 1);
    let expected = "previous terminated container \"main\" in pod \"default/low-n1\" not found";
    assert!(none.err.contains(expected), "{}", none.err);
}

fn restarts(node: &Node) {
    let before = node.until_runs("low", "main");
    assert_eq!(ask(node, &["restart", "low", "-c", "main"]).code, 0);
    node.until("the container is another", |node| {
        let now = node.runs("low", "main");
        now.is_some_and(|now| now.id != before.id)
    });
    let sandbox = node.sandbox_of("low").unwrap().id;
    assert_eq!(ask(node, &["restart", "low"]).code, 0);
    node.until("the sandbox is another", |node| {
        node.runs("low", "main").is_some()
            && node.sandbox_of("low").is_some_and(|now| now.id != sandbox)
    });
}

fn stops_and_starts_everything(node: &Node) {
    let stopped = ask(node, &["stop-all", "--grace-period=10"]);
    assert_eq!(stopped.code, 0, "{}", stopped.err);
    assert!(node.running().is_empty());
    let lines = node.lines();
    let ends = lines.iter().filter(|line| line["message"] == "pod.stopped");
    let last: Vec<&str> = ends
        .rev()
        .take(2)
        .filter_map(|line| line["pod"].as_str())
        .collect();
    assert_eq!(
        last,
        ["default/high-n1", "default/low-n1"],
        "the lowest first"
    );
    let table = ask(node, &["get", "pods"]);
    assert!(
        table
            .err
            .contains("nothing starts before staticpodd start-all")
    );
    assert_eq!(ask(node, &["start-all"]).code, 0);
    let _ = node.until_runs("high", "main");
    let _ = node.until_runs("low", "main");
    assert_eq!(ask(node, &["start-all"]).code, 1);
}
