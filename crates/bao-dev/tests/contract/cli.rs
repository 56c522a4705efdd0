//! The program itself: it starts, says so, mints, stops, and refuses to be reached from elsewhere.

use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

fn bao_dev() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bao-dev"));
    command
        .kill_on_drop(true)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn up_writes_its_folder_says_so_and_stops_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let mut child = bao_dev()
        .arg("up")
        .arg("--dir")
        .arg(dir.path())
        .arg("--socket")
        .arg(path("run/kms.sock"))
        .args(["--key", "other"])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = lines.next_line().await.unwrap().unwrap();
    assert!(
        ready.starts_with("bao-dev ready: address=https://127.0.0.1:"),
        "{ready}"
    );
    let warning = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .next_line()
        .await
        .unwrap()
        .unwrap();
    assert!(warning.contains("for development"), "{warning}");
    let about: Value =
        serde_json::from_slice(&std::fs::read(path("bao-dev.json")).unwrap()).unwrap();
    assert_eq!(about["pid"], child.id().unwrap());
    assert_eq!(about["key"], "other");
    assert!(
        std::fs::read_to_string(path("config.yaml"))
            .unwrap()
            .contains("keyName: \"other\"")
    );

    let minted = bao_dev()
        .arg("jwt")
        .arg("--dir")
        .arg(dir.path())
        .args(["--issuer", "elsewhere", "--expires-in", "-90"])
        .output()
        .await
        .unwrap();
    let jwt = String::from_utf8(minted.stdout).unwrap();
    let claims = URL_SAFE_NO_PAD
        .decode(jwt.split('.').nth(1).unwrap())
        .unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["iss"], "elsewhere");
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        -90
    );

    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().await.unwrap().success());
    assert!(!path("bao-dev.json").exists());
}

#[tokio::test]
async fn up_refuses_every_address_that_others_could_reach() {
    let dir = tempfile::tempdir().unwrap();
    for option in ["--listen", "--standby-listen", "--control"] {
        let refused = bao_dev()
            .arg("up")
            .arg("--dir")
            .arg(dir.path())
            .args([option, "0.0.0.0:0"])
            .output()
            .await
            .unwrap();
        assert_eq!(refused.status.code(), Some(1), "{option}");
        let text = String::from_utf8(refused.stderr).unwrap();
        assert!(text.contains("not a loopback address"), "{text}");
    }
}

#[tokio::test]
async fn up_refuses_what_its_configuration_could_not_hold_and_starts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("dev");
    for (option, value, advice) in [
        ("--mount", "sys", "belong to the server"),
        ("--mount", "/transit", "no path of a mount"),
        ("--key", "a/b", "no name that the server routes"),
        ("--role", "a\"b", "no name that the server routes"),
        ("--probe-interval", "0s", "above zero"),
        ("--deep-probe-interval", "5", "write a duration"),
        ("--status-max-staleness", "soon", "write a duration"),
        ("--activation-delay", "2s\nstate: {}", "write a duration"),
        ("--stable-observations", "0", "not in 1.."),
        ("--token-ttl", "0", "not in 1.."),
        ("--metrics-address", "8081", "HOST:PORT"),
        ("--health-address", "on", "HOST:PORT"),
        ("--instance-id", "", "plain text"),
        ("--socket-group", " kms", "plain text"),
    ] {
        let refused = bao_dev()
            .args(["up", "--dir"])
            .arg(&folder)
            .args([option, value])
            .output()
            .await
            .unwrap();
        let text = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{option} {value}: {text}");
        assert!(text.contains(option) && text.contains(advice), "{text}");
    }
    assert!(!folder.exists());
}
