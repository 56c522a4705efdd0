//! A configuration, or a file that it names, that cannot be used: exit 3 and no socket.

use std::fs;

use tempfile::TempDir;

use super::{
    child::{Ended, Provider},
    stage::{Stage, link, mode, put},
    world::World,
};

/// What is done to the stage, with a directory for what belongs elsewhere.
type Damage = fn(&mut Stage, &TempDir);

async fn refused_to_start(damage: Damage) -> (Stage, Ended) {
    let world = World::new().await;
    let mut stage = world.stage;
    let elsewhere = tempfile::tempdir().unwrap();
    stage.write_config();
    damage(&mut stage, &elsewhere);
    let ended = Provider::start_as_it_is(&stage).ended().await;
    assert!(
        !stage.socket().exists(),
        "a socket was bound: {}",
        ended.text
    );
    (stage, ended)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_configuration_that_cannot_be_used_ends_the_start_with_code_3() {
    let cases: [(Damage, &[&str]); 7] = [
        (
            |stage, _| fs::remove_file(stage.config_file()).unwrap(),
            &["does not exist"],
        ),
        (
            |stage, _| mode(&stage.config_file(), 0o644),
            &["mode 0644", "chmod 0640"],
        ),
        (
            |stage, _| mode(&stage.config_file(), 0o660),
            &["mode 0660", "chmod 0640"],
        ),
        (
            |stage, away| link(&stage.config_file(), away.path()),
            &["symbolic link"],
        ),
        (
            |stage, _| put(&stage.config_file(), vec![b'#'; (1 << 20) + 1], 0o640),
            &["larger than 1048576 bytes"],
        ),
        (
            |stage, _| put(&stage.config_file(), "", 0o640),
            &["is empty"],
        ),
        (
            |stage, _| {
                let whole = fs::read(stage.config_file()).unwrap();
                put(
                    &stage.config_file(),
                    whole.split_at(whole.len() / 2).0,
                    0o640,
                );
            },
            &["config.yaml:"],
        ),
    ];
    for (damage, words) in cases {
        let (stage, ended) = refused_to_start(damage).await;
        assert_eq!(ended.code, Some(3), "{words:?}: {}", ended.text);
        ended.failed("config_invalid");
        for word in words {
            assert!(ended.text.contains(word), "{word}: {}", ended.text);
        }
        assert!(ended.text.contains("config.yaml"), "{}", ended.text);
        assert_eq!(stage.pair(), [None, None]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn files_that_waiting_does_not_mend_end_the_start_at_the_field_that_names_them() {
    let cases: [(&str, Damage, &[&str]); 9] = [
        (
            "caCertFile",
            |s, _| fs::remove_file(s.ca_file()).unwrap(),
            &["does not exist"],
        ),
        (
            "caCertFile",
            |s, _| mode(&s.ca_file(), 0o666),
            &["mode 0666", "chmod 0644"],
        ),
        (
            "caCertFile",
            |s, away| link(&s.ca_file(), away.path()),
            &["symbolic link"],
        ),
        (
            "caCertFile",
            |s, _| put(&s.ca_file(), vec![b'#'; (1 << 20) + 1], 0o644),
            &["larger than 1048576 bytes"],
        ),
        (
            "caCertFile",
            |s, _| put(&s.ca_file(), "half a bun", 0o644),
            &["holds no certificate"],
        ),
        (
            "jwtFile",
            |s, _| mode(&s.jwt_file(), 0o644),
            &["mode 0644", "chmod 0640"],
        ),
        (
            "jwtFile",
            |s, away| link(&s.jwt_file(), away.path()),
            &["symbolic link"],
        ),
        (
            "jwtFile",
            |s, _| put(&s.jwt_file(), vec![b'a'; (64 << 10) + 1], 0o640),
            &["larger than 65536 bytes"],
        ),
        (
            "expectedFingerprint",
            |s, _| {
                let other = format!("cfg1.{}", "A".repeat(43));
                s.set("transit.expectedFingerprint", other);
                s.write_config();
            },
            &["is not the fingerprint of this file's identity"],
        ),
    ];
    for (field, damage, words) in cases {
        let (stage, ended) = refused_to_start(damage).await;
        assert_eq!(ended.code, Some(3), "{field} {words:?}: {}", ended.text);
        ended.failed("config_invalid");
        for word in [&["config.yaml:", field], words].concat() {
            assert!(ended.text.contains(word), "{word}: {}", ended.text);
        }
        assert_eq!(stage.pair(), [None, None]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn diagnostics_come_decorated_and_then_once_more_as_one_log_line() {
    let (_, ended) = refused_to_start(|stage, _| {
        stage.set("openbao.timeout", "5");
        stage.set("server.decryptLane", 4);
        stage.write_config();
    })
    .await;
    let line = ended.failed("config_invalid");
    let summary = line["reason"].as_str().unwrap();
    assert!(summary.starts_with("2 problems in /"), "{summary}");
    let (people, _) = ended.text.rsplit_once('\n').unwrap();
    assert!(people.ends_with(summary), "{people}");
    assert!(people.contains("openbao.timeout: has a number without a unit"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_page_whose_address_is_taken_ends_the_start_before_there_is_a_socket() {
    for field in ["server.healthAddress", "server.metricsAddress"] {
        let mut world = World::new().await;
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        world.stage.set(field, address.as_str());
        let ended = Provider::start(&world.stage).ended().await;
        assert_eq!(ended.code, Some(5), "{}", ended.text);
        let line = ended.failed("admin_unavailable");
        assert!(
            line["reason"].as_str().unwrap().contains(&address),
            "{line}"
        );
        assert!(!world.stage.socket().exists(), "{}", ended.text);
        assert!(!ended.text.contains("socket.listening"), "{}", ended.text);
    }
}
