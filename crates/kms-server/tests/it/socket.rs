//! The file at the path: what is refused, what is recovered, who may open it.

use std::{
    fs,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, symlink},
        net::UnixListener as StdListener,
    },
    path::{Path, PathBuf},
    sync::Barrier,
};

use kms_server::{
    errors::SocketError,
    settings::{Settings, SocketGroup},
};

use crate::harness::{Running, bind, directory, mode, set_mode, settings};

/// A socket file whose process is gone.
fn leave_a_dead_socket(path: &Path) {
    drop(StdListener::bind(path).unwrap());
    assert!(path.symlink_metadata().unwrap().file_type().is_socket());
}

fn refusal(settings: Settings) -> SocketError {
    let error = bind(settings).expect_err("refused");
    assert_eq!(error.class(), "socket_unavailable");
    let text = error.to_string();
    assert!(!text.ends_with('.') && text.len() > 20, "{text}");
    error
}

#[tokio::test]
async fn l01_a_missing_directory_is_a_clear_error() {
    let directory = directory();
    let mut settings = settings(directory.path());
    settings.socket_path = directory.path().join("none/kms.sock");
    assert!(matches!(refusal(settings), SocketError::NoDirectory { .. }));
}

#[tokio::test]
async fn l01_a_directory_that_others_can_write_is_refused() {
    let directory = directory();
    for bits in [0o770, 0o757, 0o2770, 0o1777] {
        set_mode(directory.path(), bits);
        let refused = refusal(settings(directory.path()));
        assert!(
            matches!(refused, SocketError::UnsafeDirectory { .. }),
            "{bits:o}"
        );
    }
    for bits in [0o700, 0o750, 0o2750, 0o755] {
        set_mode(directory.path(), bits);
        drop(bind(settings(directory.path())).unwrap());
        assert!(!directory.path().join("kms.sock").exists());
    }
}

#[tokio::test]
async fn l01_a_directory_of_another_user_is_refused() {
    let directory = directory();
    // Only root can give a directory away, and root owns none of nobody's.
    if std::os::unix::fs::chown(directory.path(), Some(65_534), None).is_ok() {
        let refused = refusal(settings(directory.path()));
        assert!(matches!(refused, SocketError::UnsafeDirectory { .. }));
    } else {
        let mut settings = settings(directory.path());
        settings.socket_path = PathBuf::from("/run/kms.sock");
        settings.approved_directories = vec![PathBuf::from("/run")];
        let refused = refusal(settings);
        assert!(matches!(refused, SocketError::UnsafeDirectory { .. }));
    }
}

#[tokio::test]
async fn a_symlink_as_directory_is_refused_and_one_on_the_way_must_not_leave() {
    let directory = directory();
    let real = directory.path().join("real");
    fs::create_dir(&real).unwrap();
    set_mode(&real, 0o750);
    symlink(&real, directory.path().join("link")).unwrap();
    let mut linked = settings(directory.path());
    linked.socket_path = directory.path().join("link/kms.sock");
    assert!(matches!(refusal(linked), SocketError::NoDirectory { .. }));

    symlink("/", directory.path().join("out")).unwrap();
    let mut outside = settings(directory.path());
    outside.approved_directories = vec![directory.path().to_owned()];
    outside.socket_path = directory.path().join("out/var/kms.sock");
    assert!(matches!(refusal(outside), SocketError::NotApproved { .. }));
}

#[tokio::test]
async fn l16_l17_only_plain_short_absolute_paths_in_approved_directories_are_bound() {
    let directory = directory();
    let with = |path: PathBuf| {
        let mut settings = settings(directory.path());
        settings.socket_path = path;
        settings
    };
    for path in [
        "@kms",
        "kms.sock",
        "",
        "/",
        "\0kms",
        "/tmp/../run/kms.sock",
        "/tmp/x/",
    ] {
        let refused = refusal(with(path.into()));
        assert!(
            matches!(refused, SocketError::NotAPath(_)),
            "{path}: {refused}"
        );
    }
    let room = 107 - directory.path().as_os_str().len() - 1;
    let longest = directory.path().join("s".repeat(room));
    drop(bind(with(longest)).unwrap());
    let too_long = directory.path().join("s".repeat(room + 1));
    assert!(matches!(
        refusal(with(too_long)),
        SocketError::TooLong { length: 108, .. }
    ));

    let defaults = Settings::new("/etc/kms.sock", 0o660, SocketGroup::Gid(0));
    assert!(matches!(refusal(defaults), SocketError::NotApproved { .. }));
}

#[tokio::test]
async fn l02_a_dead_socket_is_replaced_and_counted() {
    let service = Running::start_with(
        |path| {
            leave_a_dead_socket(path);
            kms_server::inherit::Inherited::none()
        },
        |_| {},
    );
    service.client().await.status().await.unwrap();
    assert!((service.metric("socket_restarts_total") - 1.0).abs() < 0.1);
    service.stop().await;
}

#[tokio::test]
async fn l03_a_second_instance_is_refused_and_the_first_goes_on() {
    let service = Running::start();
    let refused = refusal(settings(service.directory()));
    assert!(matches!(refused, SocketError::SecondInstance(_)));
    // Also when the socket's file is gone, and when the lock's is.
    fs::remove_file(service.directory().join(".kms.sock.lock")).unwrap();
    let refused = refusal(settings(service.directory()));
    assert!(matches!(refused, SocketError::LivePeer(_)));
    service.client().await.status().await.unwrap();
    service.stop().await;
}

#[tokio::test]
async fn l03_a_foreign_process_that_listens_is_not_pushed_away() {
    let directory = directory();
    let path = directory.path().join("kms.sock");
    let _foreign = StdListener::bind(&path).unwrap();
    let before = path.metadata().unwrap().ino();
    let refused = refusal(settings(directory.path()));
    assert!(matches!(refused, SocketError::LivePeer(_)));
    assert_eq!(path.metadata().unwrap().ino(), before);
}

#[tokio::test]
async fn of_two_instances_that_start_together_over_a_dead_socket_one_wins() {
    for _ in 0..50 {
        let directory = directory();
        leave_a_dead_socket(&directory.path().join("kms.sock"));
        let start = Barrier::new(2);
        let bound = std::thread::scope(|scope| {
            let begin = || {
                start.wait();
                bind(settings(directory.path()))
            };
            let (one, two) = (scope.spawn(begin), scope.spawn(begin));
            [one.join().unwrap(), two.join().unwrap()]
        });
        assert_eq!(bound.iter().filter(|bound| bound.is_ok()).count(), 1);
        let path = directory.path().join("kms.sock");
        std::os::unix::net::UnixStream::connect(path).expect("the winner's socket is there");
    }
}

#[tokio::test]
async fn l04_a_file_a_symlink_a_directory_and_a_pipe_are_refused_and_kept() {
    let place = |make: &dyn Fn(&Path)| {
        let directory = directory();
        let path = directory.path().join("kms.sock");
        make(&path);
        let before = path.symlink_metadata().unwrap().ino();
        let refused = refusal(settings(directory.path()));
        assert!(matches!(refused, SocketError::InTheWay { .. }), "{refused}");
        assert_eq!(path.symlink_metadata().unwrap().ino(), before);
        refused.to_string()
    };
    assert!(place(&|path| fs::write(path, "precious").unwrap()).contains("a regular file"));
    assert!(place(&|path| fs::create_dir(path).unwrap()).contains("a directory"));
    assert!(place(&|path| symlink("/etc/passwd", path).unwrap()).contains("a symlink"));
    assert!(place(&|path| symlink("nowhere", path).unwrap()).contains("a symlink"));
    let pipe = place(&|path| {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    });
    assert!(pipe.contains("no socket"));
}

#[tokio::test]
async fn a_socket_that_cannot_be_judged_is_refused_and_kept() {
    // A datagram socket answers a stream client with a type error: neither alive nor dead.
    let directory = directory();
    let path = directory.path().join("kms.sock");
    let _datagram = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    assert!(matches!(
        refusal(settings(directory.path())),
        SocketError::Undecidable { .. }
    ));
    // A full queue proves that somebody is there, though he does not accept.
    let full = directory.path().join("full.sock");
    let listener = StdListener::bind(&full).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let _first = std::os::unix::net::UnixStream::connect(&full).unwrap();
    let mut crowded = settings(directory.path());
    crowded.socket_path = full.clone();
    assert!(matches!(refusal(crowded), SocketError::Undecidable { .. }));
    assert!(path.exists() && full.exists());
}

#[tokio::test]
async fn l05_mode_and_group_are_as_configured_before_the_first_accept() {
    for bits in [0o660, 0o600, 0o620] {
        let directory = directory();
        let mut wanted = settings(directory.path());
        wanted.socket_mode = bits;
        // Root can use any group; others only their own.
        let group = if rustix::process::geteuid().is_root() {
            4242
        } else {
            rustix::process::getegid().as_raw()
        };
        wanted.socket_group = SocketGroup::Gid(group);
        let bound = bind(wanted).unwrap();
        let found = bound.path().metadata().unwrap();
        assert_eq!((mode(bound.path()), found.gid()), (bits, group));
    }
}

#[tokio::test]
async fn the_process_umask_is_put_back() {
    let directory = directory();
    let bound = bind(settings(directory.path())).unwrap();
    // Other tests bind at the same time; a mask that stays narrow would stay narrow.
    crate::harness::eventually("files can be made for the group again", || {
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let made = mode(&file);
        fs::remove_file(&file).unwrap();
        made & 0o400 != 0 && made & 0o040 != 0
    })
    .await;
    drop(bound);
}

#[tokio::test]
async fn world_bits_execute_bits_and_unknown_groups_are_refused() {
    let directory = directory();
    for bits in [0o666, 0o770, 0o661, 0o4660, 0o1660] {
        let mut settings = settings(directory.path());
        settings.socket_mode = bits;
        assert!(
            matches!(refusal(settings), SocketError::Mode(_)),
            "{bits:o}"
        );
    }
    let mut settings = settings(directory.path());
    settings.socket_group = SocketGroup::parse("no-such-group-here");
    let refused = refusal(settings);
    assert!(matches!(&refused, SocketError::NoGroup(name) if name == "no-such-group-here"));
    assert!(!directory.path().join("kms.sock").exists());
}

#[tokio::test]
async fn a_lock_file_that_is_a_symlink_is_not_followed() {
    let directory = directory();
    let victim = directory.path().join("victim");
    symlink(&victim, directory.path().join(".kms.sock.lock")).unwrap();
    assert!(matches!(
        refusal(settings(directory.path())),
        SocketError::Bind { .. }
    ));
    assert!(!victim.exists());
}
