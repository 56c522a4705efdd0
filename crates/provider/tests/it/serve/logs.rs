//! Who reads the log hangs, and nobody else does.

use std::{
    io::{self, Read as _},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use kms_server::client::Client;
use rustix::{
    fs::{OFlags, fcntl_setfl},
    process::Signal,
};
use serde_json::Value;

use super::{
    child::Provider,
    world::{PATIENCE, Sealed, World, until},
};

const DROPPED: &str = "openbao_kms_log_lines_dropped_total";

/// One call of each kind.
async fn calls(client: &mut Client) {
    assert_eq!(client.status().await.unwrap().healthz, "ok");
    let sealed = Sealed::make(client).await;
    sealed.open(client).await.unwrap();
}

/// Calls until the pipe and the queue behind it are full and lines get lost; gives the number of
/// Encrypts.
async fn silenced(provider: &Provider, client: &mut Client) -> usize {
    provider.read(false);
    let began = Instant::now();
    for round in 1.. {
        calls(client).await;
        // Asked seldom: reading all metrics costs more than a call.
        if round % 50 == 0 && provider.metric(DROPPED).await > Some(0.0) {
            return round;
        }
        assert!(began.elapsed() < 2 * PATIENCE, "no line was dropped");
    }
    unreachable!("the rounds have no end")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_nobody_reads_stops_neither_calls_nor_the_end() {
    let world = World::new().await;
    let provider = world.healthy().await;
    let mut client = provider.client().await;
    silenced(&provider, &mut client).await;
    for _ in 0..100 {
        calls(&mut client).await;
    }
    assert_eq!(provider.ready().await.0, 200);
    provider.signal(Signal::TERM);
    let signalled = Instant::now();
    until("the end, while nobody reads", async || {
        (!provider.is_running()).then_some(())
    })
    .await;
    let took = signalled.elapsed();
    assert!(took < Duration::from_secs(10), "the end took {took:?}");
    assert!(!world.stage.socket().exists(), "the socket was left behind");
    assert_eq!(provider.ended().await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_again_is_told_how_many_lines_are_missing() {
    let world = World::new().await;
    let provider = world.healthy().await;
    let mut client = provider.client().await;
    let made = silenced(&provider, &mut client).await;
    provider.read(true);
    provider.logged("log.dropped", "level", "warn").await;
    let dropped = provider.metric(DROPPED).await;
    let after = Sealed::make(&mut client).await;
    after.open(&mut client).await.unwrap();

    let text = provider.terminated().await.text;
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("torn: {line}")))
        .collect();
    let told: u64 = lines
        .iter()
        .filter(|line| line["message"] == "log.dropped")
        .map(|line| line["lines"].as_u64().unwrap())
        .sum();
    assert_eq!(Some(told as f64), dropped, "told, and counted");
    let logged = lines
        .iter()
        .filter(|line| line["message"] == "kms.request" && line["operation"] == "encrypt");
    let missing = made + 1 - logged.count();
    assert!(
        (1..=told).contains(&(missing as u64)),
        "{missing} Encrypts are not in the log, which lacks {told} lines"
    );
    let last = lines.last().unwrap();
    assert_eq!(last["message"], "process.stopped");
}

/// A pipe that takes nothing any more.
fn full_pipe() -> (io::PipeReader, io::PipeWriter) {
    let (reader, mut writer) = io::pipe().unwrap();
    fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
    let filled = io::copy(&mut io::repeat(b'\n'), &mut writer);
    assert_eq!(filled.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    fcntl_setfl(&writer, OFlags::empty()).unwrap();
    (reader, writer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_fails_ends_also_when_nobody_reads_why() {
    let folder = tempfile::tempdir().unwrap();
    let config = crate::put(folder.path(), "configVersion: v9\n", 0o640);
    for reads in [false, true] {
        let (mut reader, writer) = full_pipe();
        let mut command = crate::program(&["serve", "--config", &config]);
        let mut child = command.stderr(Stdio::from(writer)).spawn().unwrap();
        // The command holds a copy of the writing end.
        drop(command);
        let mut text = String::new();
        if reads {
            reader.read_to_string(&mut text).unwrap();
        }
        let status = until("the end", async || child.try_wait().unwrap()).await;
        assert_eq!(status.code(), Some(3));
        if reads {
            assert!(text.contains("config.yaml:1:16: configVersion"), "{text}");
            let last = text.lines().last().unwrap();
            assert!(last.contains("\"process.failed\""), "{text}");
        }
    }
}

#[test]
fn a_variable_that_is_misspelt_is_told_where_the_configuration_is_not_read_too() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = crate::put(folder.path(), "configVersion: v9\n", 0o640);
    for config in [&*wrong, "/nowhere/config.yaml"] {
        let ended = crate::program(&["serve", "--config", config])
            .env("BAO_KMS_PROVIDER_CONFIGURATION", "hvs.secret")
            .env("BAO_KMS_PROVIDER_LOGLEVEL", "")
            .output()
            .unwrap();
        assert_eq!(ended.status.code(), Some(3));
        let text = String::from_utf8(ended.stderr).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let strays = |line: &str| line.contains("\"config.unknown_variable\"");
        assert!(strays(lines[0]), "{text}");
        assert!(
            lines[0].contains("BAO_KMS_PROVIDER_CONFIGURATION"),
            "{text}"
        );
        assert_eq!(lines.iter().filter(|line| strays(line)).count(), 1);
        assert!(
            lines.last().unwrap().contains("\"process.failed\""),
            "{text}"
        );
        assert!(!text.contains("hvs.secret"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_variable_that_is_misspelt_is_logged_with_what_was_meant() {
    let world = World::new().await;
    let mut wrapper = Command::new("env");
    wrapper.args([
        "BAO_KMS_PROVIDER_LOGLEVEL=hvs.secret",
        "BAO_KMS_PROVIDER_PORT=tcp://10.0.0.1:80",
    ]);
    let provider = Provider::start_through(wrapper, &world.stage);
    let line = provider
        .logged(
            "config.unknown_variable",
            "reason",
            "BAO_KMS_PROVIDER_LOG_LEVEL?",
        )
        .await;
    assert_eq!(
        (&line["level"], &line["variable"]),
        (&"warn".into(), &"BAO_KMS_PROVIDER_LOGLEVEL".into())
    );
    assert_eq!(provider.events("config.unknown_variable").len(), 1);
    let log = provider.terminated().await.text;
    assert!(!log.contains("hvs.secret"), "{log}");
}
