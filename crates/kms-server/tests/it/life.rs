//! Start, deletion of the socket under us, and the end.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use kms_server::{client::Client, inherit::Inherited, metrics::Metrics, server::Server};
use prometheus_client::registry::Registry;
use secret::SecretBytes;
use tokio::{net::UnixStream, task::JoinSet};

use crate::{
    fake::Fake,
    harness::{PATIENCE, Running, bind, directory, eventually, set_mode, settings},
    raw::{self, GOAWAY},
};

fn seed() -> SecretBytes {
    SecretBytes::new(b"seed".to_vec())
}

#[tokio::test]
async fn l13_clients_that_come_before_the_first_accept_are_served() {
    let directory = directory();
    let metrics = Metrics::new(&mut Registry::default());
    let bound = Server::bind(settings(directory.path()), Inherited::none(), metrics).unwrap();
    let path = bound.path().to_owned();
    let early = tokio::spawn(async move {
        let mut client = Client::connect(&path, PATIENCE).await.unwrap();
        client.status().await.unwrap().healthz
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let over = Arc::new(tokio::sync::Notify::new());
    let ended = over.clone();
    let service = tokio::spawn(bound.serve(Arc::new(Fake::default()), async move {
        ended.notified().await;
    }));
    assert_eq!(early.await.unwrap(), "ok");
    over.notify_one();
    service.await.unwrap().unwrap();
}

#[tokio::test]
async fn l06_calls_in_flight_finish_clients_are_told_to_go_and_the_socket_is_removed() {
    let mut service = Running::start();
    service.delay(Duration::from_millis(200));
    let mut frames = raw::greeted(&service.path).await;
    let client = service.client().await;
    let mut calls = JoinSet::new();
    for _ in 0..50 {
        let mut client = client.clone();
        calls.spawn(async move { client.encrypt(&seed(), "u").await.is_ok() });
    }
    eventually("all calls are in flight", || {
        service.fake.arrived.load(Ordering::SeqCst) == 50
    })
    .await;
    service.ask_to_stop();
    let goaway = raw::find(&mut frames, |frame| frame.kind == GOAWAY)
        .await
        .unwrap();
    assert_eq!(goaway.payload[4..8], [0; 4], "no error");
    drop(frames);
    assert_eq!(calls.join_all().await, [true; 50]);
    let path = service.path.clone();
    let directory = service.stop().await;
    assert!(!path.exists());
    assert_eq!(
        fs::read_dir(directory.path()).unwrap().count(),
        0,
        "nothing is left"
    );
}

#[tokio::test]
async fn l06_a_loop_of_callers_loses_nothing_that_was_accepted() {
    let mut service = Running::start();
    service.delay(Duration::from_millis(5));
    let over = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for _ in 0..20 {
        let mut client = service.client().await;
        let over = over.clone();
        callers.spawn(async move {
            // Once told to go, the client does not connect again; what it had sent before
            // is answered or provably not begun.
            let mut answered = 0;
            while client.encrypt(&seed(), "u").await.is_ok() {
                answered += 1;
            }
            assert!(over.load(Ordering::SeqCst), "failed before the end");
            answered
        });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    over.store(true, Ordering::SeqCst);
    service.ask_to_stop();
    let answered: u64 = callers.join_all().await.into_iter().sum();
    let dropped = service.fake.dropped.load(Ordering::SeqCst);
    let arrived = service.fake.arrived.load(Ordering::SeqCst);
    assert_eq!(dropped, 0, "no call was cut");
    assert_eq!(u64::try_from(arrived).unwrap(), answered);
    service.stop().await;
}

/// One drain over twice what idle clients are given to leave; the errors of its calls.
async fn drain_with_late_answers() -> Vec<String> {
    // Bounded by the test's patience: a machine that is busy elsewhere may be late with an
    // answer that is not lost.
    let mut service = Running::start_with(
        |_| Inherited::none(),
        |settings| settings.drain_timeout = PATIENCE,
    );
    service.delay(Duration::from_millis(1800));
    let client = service.client().await;
    let mut calls = JoinSet::new();
    for _ in 0..16 {
        let mut client = client.clone();
        calls.spawn(async move { client.encrypt(&seed(), "u").await.err() });
    }
    eventually("all calls are in flight", || {
        service.fake.arrived.load(Ordering::SeqCst) == 16
    })
    .await;
    service.ask_to_stop();
    let answers = calls.join_all().await;
    service.stop().await;
    let lost = answers.into_iter().flatten();
    lost.map(|error| format!("{error:?}")).collect()
}

/// Answers are handed over on one thread while the connection writes on another: many drains
/// at once, to meet the moment in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn l06_answers_that_come_late_in_the_drain_are_not_lost() {
    let mut drains = JoinSet::new();
    for _ in 0..48 {
        drains.spawn(drain_with_late_answers());
    }
    let lost = drains.join_all().await.concat();
    assert_eq!(lost, Vec::<String>::new());
}

#[tokio::test]
async fn the_drain_is_bounded() {
    let mut service = Running::start_with(
        |_| Inherited::none(),
        |settings| settings.drain_timeout = Duration::from_millis(200),
    );
    service.delay(Duration::from_secs(60));
    let mut client = service.client().await;
    let stuck = tokio::spawn(async move { client.encrypt(&seed(), "u").await.is_err() });
    // Neither does one that says nothing hold us up.
    let _silent = UnixStream::connect(&service.path).await.unwrap();
    eventually("the call is in flight", || {
        service.fake.arrived.load(Ordering::SeqCst) == 1
    })
    .await;
    let began = Instant::now();
    service.ask_to_stop();
    let fake = service.fake.clone();
    service.stop().await;
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(stuck.await.unwrap());
    assert_eq!(
        fake.dropped.load(Ordering::SeqCst),
        1,
        "no task outlives the service"
    );
}

#[tokio::test]
async fn l11_a_deleted_socket_is_bound_again() {
    let service = Running::start();
    let mut old = service.client().await;
    for round in 1..=3 {
        fs::remove_file(&service.path).unwrap();
        let deleted = Instant::now();
        eventually("the socket is there again", || service.path.exists()).await;
        assert!(
            deleted.elapsed() < Duration::from_millis(3500),
            "{:?}",
            deleted.elapsed()
        );
        service.client().await.status().await.unwrap();
        old.status().await.unwrap();
        assert!((service.metric("socket_restarts_total") - f64::from(round)).abs() < 0.1);
    }
    let path = service.path.clone();
    let _directory = service.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn l11_a_deleted_inherited_socket_is_bound_besides_the_listener() {
    let directory = directory();
    let path = directory.path().join("kms.sock");
    let held = std::os::unix::net::UnixListener::bind(&path).unwrap();
    set_mode(&path, 0o660);
    let aside = directory.path().join("aside");
    let service = Running::start_with(
        |_| Inherited::listener(held),
        |settings| settings.socket_path.clone_from(&path),
    );
    fs::rename(&path, &aside).unwrap();
    eventually("the path is bound again", || path.exists()).await;
    for reachable in [&path, &aside] {
        let mut client = Client::connect(reachable, PATIENCE).await.unwrap();
        assert_eq!(client.status().await.unwrap().healthz, "ok");
    }
    service.stop().await;
    assert!(!path.exists() && aside.exists());
}

#[tokio::test]
async fn l12_a_recreated_directory_gets_its_socket_again() {
    let service = Running::start_with(
        |_| Inherited::none(),
        |settings| {
            let inner = settings.socket_path.with_file_name("inner");
            fs::create_dir(&inner).unwrap();
            set_mode(&inner, 0o750);
            settings.socket_path = inner.join("kms.sock");
        },
    );
    let inner = service.path.parent().unwrap().to_owned();
    fs::remove_dir_all(&inner).unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    // An unsafe directory is not used, a safe one is.
    fs::create_dir(&inner).unwrap();
    set_mode(&inner, 0o777);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(!service.path.exists());
    set_mode(&inner, 0o750);
    eventually("the socket is there again", || service.path.exists()).await;
    service.client().await.status().await.unwrap();
    service.stop().await;
}

#[tokio::test]
async fn what_somebody_else_puts_in_the_sockets_place_is_left_alone() {
    let service = Running::start();
    let mut old = service.client().await;
    fs::remove_file(&service.path).unwrap();
    fs::write(&service.path, "precious").unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(fs::read(&service.path).unwrap(), b"precious");
    old.status().await.unwrap();
    fs::remove_file(&service.path).unwrap();
    let foreign = std::os::unix::net::UnixListener::bind(&service.path).unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    let inode = service.path.metadata().unwrap().ino();
    let path = service.path.clone();
    let _directory = service.stop().await;
    assert_eq!(
        path.metadata().unwrap().ino(),
        inode,
        "not ours, so not removed"
    );
    drop(foreign);
}

#[tokio::test]
async fn a_socket_that_never_served_is_removed_unless_it_is_another_by_now() {
    let directory = directory();
    let count = || fs::read_dir(directory.path()).unwrap().count();
    let bound = bind(settings(directory.path())).unwrap();
    let path = bound.path().to_owned();
    assert!(path.exists());
    drop(bound);
    assert_eq!(count(), 0, "nothing is left");

    let bound = bind(settings(directory.path())).unwrap();
    fs::remove_file(&path).unwrap();
    let other = std::os::unix::net::UnixListener::bind(&path).unwrap();
    drop(bound);
    assert!(path.exists(), "it is somebody else's");
    drop(other);
}

#[tokio::test]
async fn an_inherited_socket_that_never_served_stays() {
    let directory = directory();
    let settings = settings(directory.path());
    let path = settings.socket_path.clone();
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    set_mode(&path, 0o660);
    let metrics = Metrics::new(&mut Registry::default());
    let inherited = Inherited::listener(listener);
    drop(Server::bind(settings, inherited, metrics).unwrap());
    assert!(path.exists());
}

#[tokio::test]
async fn clients_that_wait_on_a_replaced_listener_are_served_when_there_is_a_place() {
    let service = Running::start();
    let mut places = Vec::new();
    for _ in 0..128 {
        places.push(UnixStream::connect(&service.path).await.unwrap());
    }
    eventually("all places are taken", || {
        service.metric("grpc_connections_turned_away_total{reason=\"no_place\"}") > 0.5
    })
    .await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(raw::greeted(&service.path).await);
    }
    fs::remove_file(&service.path).unwrap();
    eventually("the socket is there again", || service.path.exists()).await;
    // Two looks at the replaced listener, and one of its clients taken out, are not the end.
    tokio::time::sleep(Duration::from_millis(1300)).await;
    drop(places);
    for mut frames in waiting {
        let settings = raw::find(&mut frames, |frame| frame.kind == raw::SETTINGS).await;
        assert!(settings.is_some(), "reset instead of served");
    }
    service.stop().await;
}
