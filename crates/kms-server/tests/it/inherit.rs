//! A listener that the supervisor holds.

use std::{
    fs,
    net::TcpListener,
    os::{
        fd::OwnedFd,
        unix::{
            fs::MetadataExt as _,
            net::{UnixDatagram, UnixListener},
        },
    },
    path::Path,
    process::{Command, Stdio},
};

use kms_server::{
    errors::SocketError, inherit::Inherited, metrics::Metrics, server::Server, settings::Settings,
};
use prometheus_client::registry::Registry;

use crate::harness::{PATIENCE, Running, directory, mode, set_mode, settings};

/// What systemd does before it starts the service.
fn supervisor(path: &Path) -> UnixListener {
    let listener = UnixListener::bind(path).unwrap();
    set_mode(path, 0o660);
    listener
}

fn refusal(settings: Settings, inherited: Inherited) -> SocketError {
    let metrics = Metrics::new(&mut Registry::default());
    let error = Server::bind(settings, inherited, metrics).expect_err("refused");
    assert_eq!(error.class(), "socket_unavailable");
    error
}

#[tokio::test]
async fn l08_clients_that_waited_while_we_were_away_are_served_and_the_socket_stays() {
    let directory = directory();
    let path = directory.path().join("kms.sock");
    let held = supervisor(&path);
    let before = path.metadata().unwrap().ino();
    // Dead and living clients in the queue before the start.
    for _ in 0..3 {
        drop(std::os::unix::net::UnixStream::connect(&path).unwrap());
    }
    let waiting = {
        let path = path.clone();
        tokio::spawn(async move {
            let mut client = kms_server::client::Client::connect(&path, PATIENCE)
                .await
                .unwrap();
            client.status().await.unwrap()
        })
    };
    tokio::task::yield_now().await;
    let service = Running::start_with(
        |_| Inherited::listener(held.try_clone().unwrap()),
        |settings| settings.socket_path.clone_from(&path),
    );
    assert_eq!(waiting.await.unwrap().healthz, "ok");
    service.client().await.status().await.unwrap();
    service.stop().await;
    assert_eq!(
        path.metadata().unwrap().ino(),
        before,
        "never unlinked by us"
    );
    // The supervisor still holds it: the next client connects and waits.
    std::os::unix::net::UnixStream::connect(&path).unwrap();
    assert!(!directory.path().join(".kms.sock.lock").exists());
}

#[tokio::test]
async fn a_listener_that_is_not_the_configured_one_is_refused() {
    let directory = directory();
    let other = directory.path().join("other.sock");
    let refused = refusal(
        settings(directory.path()),
        Inherited::listener(supervisor(&other)),
    );
    assert!(refused.to_string().contains("other.sock"), "{refused}");

    let wide = supervisor(&directory.path().join("kms.sock"));
    set_mode(&directory.path().join("kms.sock"), 0o666);
    let refused = refusal(settings(directory.path()), Inherited::listener(wide));
    assert!(refused.to_string().contains("0666"), "{refused}");
    assert_eq!(
        mode(&directory.path().join("kms.sock")),
        0o666,
        "left as it is"
    );
}

#[tokio::test]
async fn what_is_no_listening_unix_stream_socket_is_refused() {
    let directory = directory();
    let tcp = OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
    let refused = refusal(settings(directory.path()), Inherited::listener(tcp.into()));
    assert!(refused.to_string().contains("no Unix socket"), "{refused}");

    let path = directory.path().join("kms.sock");
    let datagram = OwnedFd::from(UnixDatagram::bind(&path).unwrap());
    let refused = refusal(
        settings(directory.path()),
        Inherited::listener(datagram.into()),
    );
    assert!(
        refused.to_string().contains("no stream socket"),
        "{refused}"
    );
    fs::remove_file(&path).unwrap();

    let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let connected = UnixListener::from(OwnedFd::from(one));
    let refused = refusal(settings(directory.path()), Inherited::listener(connected));
    assert!(refused.to_string().contains("does not listen"), "{refused}");
}

#[tokio::test]
async fn a_crowd_that_waits_is_no_reason_not_to_start() {
    let directory = directory();
    let path = directory.path().join("kms.sock");
    let held = supervisor(&path);
    rustix::net::listen(&held, 4096).unwrap();
    // Clients that have gone stay in the queue, and cost this test no descriptor.
    for _ in 0..1500 {
        drop(std::os::unix::net::UnixStream::connect(&path).unwrap());
    }
    let before = path.metadata().unwrap().ino();
    let service = Running::start_with(
        |_| Inherited::listener(held.try_clone().unwrap()),
        |settings| settings.socket_path.clone_from(&path),
    );
    assert_eq!(service.client().await.status().await.unwrap().healthz, "ok");
    service.stop().await;
    assert_eq!(path.metadata().unwrap().ino(), before, "not bound again");
}

#[tokio::test]
async fn a_crowd_elsewhere_does_not_hide_that_the_file_is_gone() {
    let directory = directory();
    let path = directory.path().join("kms.sock");
    let held = supervisor(&path);
    rustix::net::listen(&held, 4096).unwrap();
    for _ in 0..1500 {
        drop(std::os::unix::net::UnixStream::connect(&path).unwrap());
    }
    fs::remove_file(&path).unwrap();
    let service = Running::start_with(
        |_| Inherited::listener(held.try_clone().unwrap()),
        |settings| settings.socket_path.clone_from(&path),
    );
    assert_eq!(service.client().await.status().await.unwrap().healthz, "ok");
    service.stop().await;
}

#[tokio::test]
async fn a_listener_whose_file_is_gone_is_kept_and_the_path_bound_besides() {
    let directory = directory();
    let path = directory.path().join("kms.sock");
    let held = supervisor(&path);
    let elsewhere = directory.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    let service = Running::start_with(
        |_| Inherited::listener(held.try_clone().unwrap()),
        |settings| settings.socket_path.clone_from(&path),
    );
    for reachable in [&path, &elsewhere] {
        let client = kms_server::client::Client::connect(reachable, PATIENCE).await;
        assert_eq!(client.unwrap().status().await.unwrap().healthz, "ok");
    }
    service.stop().await;
    assert!(
        !path.exists() && elsewhere.exists(),
        "ours removed, theirs kept"
    );
}

#[tokio::test]
async fn a_dead_socket_in_the_place_of_an_inherited_ones_file_is_replaced() {
    let directory = directory();
    let path = directory.path().join("kms.sock");
    let held = supervisor(&path);
    fs::remove_file(&path).unwrap();
    drop(supervisor(&path));
    let service = Running::start_with(
        |_| Inherited::listener(held.try_clone().unwrap()),
        |settings| settings.socket_path.clone_from(&path),
    );
    service.client().await.status().await.unwrap();
    service.stop().await;
}

#[tokio::test]
async fn another_instance_at_the_path_is_told_from_the_inherited_listener() {
    let directory = directory();
    let path = directory.path().join("kms.sock");
    let held = supervisor(&path);
    fs::remove_file(&path).unwrap();
    let _other = supervisor(&path);
    let refused = refusal(settings(directory.path()), Inherited::listener(held));
    assert!(matches!(refused, SocketError::LivePeer(_)), "{refused}");
}

/// The child's part of the test below; without its announcement nothing was inherited.
#[test]
fn what_the_environment_announces_is_taken() {
    let announced = std::env::var_os("KMS_SERVER_TEST_SOCKET");
    let inherited = Inherited::from_env();
    let Some(path) = announced else {
        let directory = directory();
        let metrics = Metrics::new(&mut Registry::default());
        let bound = Server::bind(settings(directory.path()), inherited.unwrap(), metrics);
        assert!(bound.unwrap().path().exists(), "bound by ourselves");
        return;
    };
    let path = Path::new(&path);
    let before = path.metadata().unwrap().ino();
    let metrics = Metrics::new(&mut Registry::default());
    let bound = Server::bind(
        settings(path.parent().unwrap()),
        inherited.unwrap(),
        metrics,
    )
    .unwrap();
    assert_eq!(path.metadata().unwrap().ino(), before);
    drop(bound);
    assert!(
        std::env::var_os("LISTEN_FDS").is_none(),
        "not passed on to children"
    );
}

#[test]
fn a_listener_announced_by_listen_fds_is_adopted() {
    let directory = directory();
    let path = directory.path().join("kms.sock");
    let announce = |fd: OwnedFd, count: &str| {
        Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "inherit::what_the_environment_announces_is_taken",
            ])
            .env("KMS_SERVER_TEST_SOCKET", &path)
            .env("LISTEN_FDS", count)
            .env("LISTEN_FDS_FIRST_FD", "0")
            .stdin(Stdio::from(fd))
            .output()
            .unwrap()
    };
    let held = supervisor(&path);
    let adopted = announce(held.try_clone().unwrap().into(), "1");
    assert!(
        adopted.status.success(),
        "{}",
        String::from_utf8_lossy(&adopted.stdout)
    );
    let two = announce(held.into(), "2");
    assert!(String::from_utf8_lossy(&two.stdout).contains("2 descriptors were passed"));
    let tcp = announce(TcpListener::bind("127.0.0.1:0").unwrap().into(), "1");
    assert!(String::from_utf8_lossy(&tcp.stdout).contains("no Unix stream socket"));
}
