//! The unit for systemd.

use std::{fs, process::Command};

const UNIT: &str = include_str!("../../../../packaging/systemd/staticpodd.service");

#[test]
fn the_unit_says_what_pods_and_agent_need() {
    for line in [
        "Type=notify",
        "Restart=always",
        "KillMode=process",
        "Delegate=yes",
        "OOMScoreAdjust=-999",
        "RuntimeDirectory=staticpodd",
        "RuntimeDirectoryMode=0755",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "StartLimitIntervalSec=0",
    ] {
        assert!(UNIT.lines().any(|found| found == line), "{line}");
    }
    // Each of these gives the service mounts of its own, and pods would not see its volumes.
    for directive in [
        "Protect",
        "Private",
        "ReadOnly",
        "ReadWrite",
        "Inaccessible",
        "BindPaths",
        "MountFlags",
        "RootDirectory",
        "TemporaryFileSystem",
        "DynamicUser",
        "NoExecPaths",
    ] {
        assert!(
            !UNIT.lines().any(|line| line.starts_with(directive)),
            "{directive}"
        );
    }
}

#[test]
fn systemd_has_nothing_to_say_against_the_unit() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("staticpodd.service");
    let unit = UNIT.replace("/usr/bin/staticpodd", env!("CARGO_BIN_EXE_staticpodd"));
    fs::write(&file, unit).unwrap();
    let verify = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&file)
        .output();
    let Ok(said) = verify else {
        eprintln!("skipped: there is no systemd-analyze on this machine");
        return;
    };
    // Warnings do not change its exit code. It also warns of other units of the machine.
    let said = String::from_utf8_lossy(&said.stderr);
    let of_ours: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("staticpodd"))
        .collect();
    assert_eq!(of_ours, [""; 0]);
}
