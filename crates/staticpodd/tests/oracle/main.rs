//! A real kubelet as the judge: both run the same pods, and what containerd ends up with must be
//! the same, but for what is listed.
//!
//! `KUBELET_BIN`: a kubelet to compare with. Without one, the agent is compared with what a kubelet
//! was seen to do (`recorded/kubelet.json`). `ORACLE_RECORD=1` records anew, and writes the page;
//! `ORACLE_KEEP=FILE` keeps what was seen of the agent.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "the helpers of a test end it by panicking"
)]

mod scenario;

mod scenarios;

mod compare;

mod deviations;

mod spec;

mod ground;

mod watch;

mod plain;

mod facts;

mod run;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use fake_cri::containerd::can_run;
use serde_json::Value;

use crate::{
    compare::{Difference, differences},
    deviations::DEVIATIONS,
    ground::Agent,
};

/// One node at a time: both want the machine's processors.
static MACHINE: Mutex<()> = Mutex::new(());

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/recorded/kubelet.json")
}

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/staticpodd-deviations.md")
}

fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn told(differences: &[&Difference]) -> String {
    let lines = differences.iter().map(|difference| {
        let text = |value: &Option<Value>| match value {
            None => "nothing".to_owned(),
            Some(value) => value.to_string(),
        };
        let (kubelet, ours) = (text(&difference.kubelet), text(&difference.ours));
        format!(
            "{}\n   kubelet: {kubelet}\n   ours:    {ours}\n",
            difference.place
        )
    });
    lines.collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a developer says what to compare with"
)]
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

#[test]
fn what_runs_is_what_runs_under_a_kubelet_but_for_what_is_listed() {
    if !can_run() {
        return;
    }
    let ours = {
        let _alone = MACHINE.lock();
        run::observe(Agent::Ours)
    };
    if let Some(path) = variable("ORACLE_KEEP") {
        fs::write(path, serde_json::to_string_pretty(&ours).unwrap()).unwrap();
    }
    let found = differences(&read(&recorded())["scenarios"], &ours);
    let unlisted: Vec<&Difference> = found
        .iter()
        .filter(|difference| !DEVIATIONS.iter().any(|listed| listed.explains(difference)))
        .collect();
    assert!(unlisted.is_empty(), "not listed:\n{}", told(&unlisted));
    for listed in DEVIATIONS {
        for pattern in listed.places {
            let mut found = found.iter();
            let seen = found.any(|difference| compare::is_at(&difference.place, pattern));
            assert!(seen, "no longer so: {pattern}");
        }
    }
}

#[test]
fn the_record_is_what_the_kubelet_does() {
    let Some(program) = variable("KUBELET_BIN") else {
        return;
    };
    if !can_run() {
        return;
    }
    let _alone = MACHINE.lock();
    let seen = run::observe(Agent::Kubelet(program.clone().into()));
    if variable("ORACLE_RECORD").is_some() {
        let version = Command::new(&program).arg("--version").output().unwrap();
        let version = String::from_utf8(version.stdout).unwrap();
        let record = serde_json::json!({"kubelet": version.trim(), "scenarios": seen});
        let text = serde_json::to_string_pretty(&record).unwrap() + "\n";
        fs::create_dir_all(recorded().parent().unwrap()).unwrap();
        fs::write(recorded(), text).unwrap();
        return;
    }
    let found = differences(&read(&recorded())["scenarios"], &seen);
    let found: Vec<&Difference> = found.iter().collect();
    assert!(found.is_empty(), "{}", told(&found));
}

#[test]
fn the_page_says_what_the_list_says() {
    let record = read(&recorded());
    let page = deviations::page(record["kubelet"].as_str().unwrap());
    if variable("ORACLE_RECORD").is_some() {
        fs::write(document(), page).unwrap();
        return;
    }
    assert_eq!(fs::read_to_string(document()).unwrap(), page);
}
