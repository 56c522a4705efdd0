//! What strangers do to the socket, and what happens to its file.

use std::{
    fs,
    os::{
        fd::OwnedFd,
        unix::{fs::MetadataExt as _, net::UnixListener},
    },
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use super::{
    child::Provider,
    stage::{Stage, mode},
    world::{Sealed, World, until},
};

/// The beginning of a TLS 1.2 ClientHello.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_on_the_socket_harm_nobody_but_themselves() {
    let world = World::new().await;
    let (provider, sealed) = world.with_data().await;
    let mut client = provider.client().await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(UnixStream::connect(world.stage.socket()).await.unwrap());
    }
    let noise: Vec<u8> = (0..100_000_u32)
        .map(|n| n.to_le_bytes()[0] ^ 0x5a)
        .collect();
    let openings: [&[u8]; 4] = [
        &noise,
        CLIENT_HELLO,
        b"GET / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nbogus",
    ];
    for opening in openings {
        let mut stranger = UnixStream::connect(world.stage.socket()).await.unwrap();
        let _ = stranger.write_all(opening).await;
        let mut answer = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(8), stranger.read_to_end(&mut answer));
        assert!(end.await.is_ok(), "{opening:?} was kept on the line");
        sealed.open(&mut client).await.unwrap();
        assert_eq!(client.status().await.unwrap().healthz, "ok");
    }
    Sealed::make(&mut provider.client().await).await;
    let turned = "openbao_kms_grpc_connections_turned_away_total{reason=\"not_http2\"}";
    assert!(provider.metric(turned).await >= Some(3.0));
    let panics = provider.metrics().await;
    let panics: Vec<&str> = panics
        .lines()
        .filter(|l| l.contains("panic_recoveries_total{"))
        .collect();
    assert!(
        !panics.is_empty() && panics.iter().all(|line| line.ends_with(" 0")),
        "{panics:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_socket_file_is_bound_again_within_a_second_and_nobody_is_cut_off() {
    let world = World::new().await;
    let (provider, sealed) = world.with_data().await;
    let mut client = provider.client().await;
    fs::remove_file(world.stage.socket()).unwrap();
    let began = Instant::now();
    until("the socket again", async || {
        provider.try_client().await.ok()
    })
    .await;
    let took = began.elapsed();
    assert!(
        took < Duration::from_millis(3500),
        "{took:?}, of which some is this machine's"
    );
    sealed.open(&mut client).await.unwrap();
    sealed.open(&mut provider.client().await).await.unwrap();
    provider.logged("socket.rebound", "level", "warn").await;
    assert_eq!(
        provider.metric("openbao_kms_socket_restarts_total").await,
        Some(1.0)
    );
    assert_eq!(
        fs::metadata(world.stage.socket()).unwrap().mode() & 0o7777,
        0o660
    );
    provider.terminated().await;
}

/// Puts something at the first path; the second is a directory elsewhere.
type Obstacle = fn(&Path, &Path);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_in_the_sockets_place_is_not_removed() {
    let world = World::new().await;
    let socket = world.stage.socket();
    let cases: [(Obstacle, &str); 3] = [
        (
            |at, _| fs::write(at, "mine").unwrap(),
            "a regular file is in the way",
        ),
        (
            |at, _| fs::create_dir(at).unwrap(),
            "a directory is in the way",
        ),
        (
            |at, away| std::os::unix::fs::symlink(away.join("x"), at).unwrap(),
            "a symlink is in the way",
        ),
    ];
    for (put, words) in cases {
        put(&socket, &world.aside());
        let before = fs::symlink_metadata(&socket).unwrap().ino();
        let ended = Provider::start(&world.stage).ended().await;
        assert_eq!(ended.code, Some(5), "{}", ended.text);
        assert!(ended.text.contains(words), "{words}: {}", ended.text);
        assert!(ended.text.contains("socket_unavailable"), "{}", ended.text);
        let after = fs::symlink_metadata(&socket).unwrap();
        assert_eq!(after.ino(), before);
        if after.is_dir() {
            fs::remove_dir(&socket).unwrap();
        } else {
            fs::remove_file(&socket).unwrap();
        }
    }
}

/// `serve` with `listener` as descriptor 3, as a service manager passes it.
fn activated(stage: &Stage, listener: UnixListener) -> Provider {
    let config = stage.write_config();
    let mut command = Command::new("/bin/sh");
    command.env_clear().args([
        "-c",
        "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"",
        "sh",
        env!("CARGO_BIN_EXE_bao-kms-provider"),
        "serve",
        "--config",
        config.to_str().unwrap(),
    ]);
    Provider::run_with(command, stage, Stdio::from(OwnedFd::from(listener)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inherited_listener_outlives_the_process_that_served_it() {
    let world = World::new().await;
    let socket = world.stage.socket();
    let listener = UnixListener::bind(&socket).unwrap();
    mode(&socket, 0o660);
    let inode = fs::metadata(&socket).unwrap().ino();

    let first = activated(&world.stage, listener.try_clone().unwrap());
    first.healthy().await;
    let sealed = Sealed::make(&mut first.client().await).await;
    first.signal(Signal::TERM);
    assert_eq!(first.ended().await.code, Some(0));
    assert_eq!(
        fs::metadata(&socket).unwrap().ino(),
        inode,
        "the socket is not ours to remove"
    );

    // Nobody serves, and whoever connects waits instead of being refused.
    let waiting = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    let second = activated(&world.stage, listener);
    second.healthy().await;
    sealed.open(&mut second.client().await).await.unwrap();
    drop(waiting);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inherited_listener_that_is_not_the_configured_one_is_refused() {
    let world = World::new().await;
    let socket = world.stage.socket();
    let elsewhere = UnixListener::bind(socket.with_extension("other")).unwrap();
    let ended = activated(&world.stage, elsewhere).ended().await;
    assert_eq!(ended.code, Some(5), "{}", ended.text);
    for word in [
        "is bound to",
        "and not to the configured",
        "socket_unavailable",
    ] {
        assert!(ended.text.contains(word), "{word}: {}", ended.text);
    }
    assert!(!socket.exists());

    let wide = UnixListener::bind(&socket).unwrap();
    mode(&socket, 0o666);
    let ended = activated(&world.stage, wide).ended().await;
    assert_eq!(ended.code, Some(5), "{}", ended.text);
    assert!(
        ended
            .text
            .contains("has mode 0666 and not the configured 0660"),
        "{}",
        ended.text
    );
}
