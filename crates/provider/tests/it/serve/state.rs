//! A registry that cannot be trusted: exit 5, no socket, nothing touched, and after the
//! right pair is back everything as before.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use super::{
    child::Provider,
    stage::{Stage, link, mode, put},
    world::{Sealed, World},
};

type Damage = fn(&mut World);

/// Inode, mode and bytes: what must not change.
fn print(path: &Path) -> Option<(u64, u32, Vec<u8>)> {
    let found = fs::symlink_metadata(path).ok()?;
    Some((found.ino(), found.mode(), fs::read(path).unwrap()))
}

fn prints(stage: &Stage) -> [Option<(u64, u32, Vec<u8>)>; 2] {
    [print(&stage.state_file()), print(&stage.checkpoint_file())]
}

fn edit(world: &World, from: &str, to: &str) {
    let path = world.stage.state_file();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    put(&path, text.replace(from, to), 0o640);
}

const CASES: [(Damage, &str, &[&str]); 13] = [
    (
        |w| edit(w, "\"transitVersion\": 1", "\"transitVersion\": 2"),
        "state_corrupt",
        &["corrupt"],
    ),
    (
        |w| {
            let whole = fs::read(w.stage.state_file()).unwrap();
            put(
                &w.stage.state_file(),
                whole.split_at(whole.len() / 2).0,
                0o640,
            );
        },
        "state_corrupt",
        &["corrupt", "ends too early"],
    ),
    (
        |w| put(&w.stage.state_file(), "", 0o640),
        "state_corrupt",
        &["empty"],
    ),
    (
        |w| put(&w.stage.state_file(), "\0\0\0\0", 0o640),
        "state_corrupt",
        &["corrupt"],
    ),
    (
        |w| edit(w, "keyregistry.openbao-kms/v1alpha1", "keyregistry/v9"),
        "state_corrupt",
        &["schemaVersion"],
    ),
    (
        |w| put(&w.stage.state_file(), vec![b' '; (16 << 20) + 1], 0o640),
        "state_unusable",
        &["larger than 16777216 bytes"],
    ),
    (
        |w| link(&w.stage.state_file(), &w.aside()),
        "state_unusable",
        &["symbolic link"],
    ),
    (
        |w| mode(&w.stage.state_file(), 0o644),
        "state_unusable",
        &["mode 0644", "chmod 0640"],
    ),
    (
        |w| {
            let path = w.stage.checkpoint_file();
            let text = fs::read_to_string(&path).unwrap();
            put(
                &path,
                text.replace("\"generation\": 1", "\"generation\": 9"),
                0o640,
            );
        },
        "state_rollback",
        &[
            "generation 1 and its checkpoint at 9",
            "an older state file was put back",
        ],
    ),
    (
        |w| {
            let path = w.stage.checkpoint_file();
            let whole = fs::read(&path).unwrap();
            put(&path, whole.split_at(whole.len() / 2).0, 0o640);
        },
        "state_corrupt",
        &["checkpoint", "corrupt"],
    ),
    (
        |w| fs::remove_file(w.stage.state_file()).unwrap(),
        "state_missing",
        &["the state file is gone, but its checkpoint is there"],
    ),
    (
        |w| w.stage.set("transit.keyIdScope.clusterId", "cluster-2"),
        "state_scope",
        &["clusterId", "is not the configured one"],
    ),
    (
        |w| w.stage.set("openbao.instanceId", "another-bao"),
        "state_scope",
        &["openbaoInstanceId", "is not the configured one"],
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pair_that_cannot_be_trusted_ends_the_start_and_is_left_as_it_is() {
    let mut world = World::new().await;
    let sealed = world.with_past().await;
    let [Some(state), Some(checkpoint)] = world.stage.pair() else {
        panic!("there is no pair");
    };
    for (damage, class, words) in CASES {
        damage(&mut world);
        let before = prints(&world.stage);
        let ended = Provider::start(&world.stage).ended().await;
        assert_eq!(ended.code, Some(5), "{words:?}: {}", ended.text);
        ended.failed(class);
        for word in [words, &["key-registry.json", "docs/recovery.md"]].concat() {
            assert!(ended.text.contains(word), "{word}: {}", ended.text);
        }
        assert!(!world.stage.socket().exists());
        assert!(
            prints(&world.stage) == before,
            "{words:?}: the pair was touched"
        );

        let _ = fs::remove_file(world.stage.state_file());
        put(&world.stage.state_file(), &state, 0o640);
        put(&world.stage.checkpoint_file(), &checkpoint, 0o640);
        world.stage.set("transit.keyIdScope.clusterId", "cluster-1");
        world.stage.set("openbao.instanceId", "bao-tests");
    }
    let provider = world.healthy().await;
    sealed.open(&mut provider.client().await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_checkpoint_and_leftovers_are_mended_with_a_warning() {
    let world = World::new().await;
    let sealed = world.with_past().await;
    let pair = world.stage.pair();
    fs::remove_file(world.stage.checkpoint_file()).unwrap();
    let directory = world.stage.state_file().parent().unwrap().to_owned();
    for name in [
        ".key-registry.json.tmp-1",
        ".key-registry.json.checkpoint.tmp-zz",
    ] {
        fs::write(directory.join(name), "torn").unwrap();
    }

    let provider = world.healthy().await;
    for words in [
        "was missing beside its state file",
        "left behind by an interrupted write",
    ] {
        let line = provider.logged("state.notice", "reason", words).await;
        assert_eq!(line["level"], "warn");
    }
    sealed.open(&mut provider.client().await).await.unwrap();
    assert_eq!(world.stage.pair(), pair, "the checkpoint is written again");
    let names: Vec<String> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains(".tmp-"))
        .collect();
    assert_eq!(names, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_directory_that_others_can_write_ends_the_start() {
    let world = World::new().await;
    mode(world.stage.state_file().parent().unwrap(), 0o770);
    let ended = Provider::start(&world.stage).ended().await;
    assert_eq!(ended.code, Some(5), "{}", ended.text);
    assert!(
        ended.text.contains("others can replace the state"),
        "{}",
        ended.text
    );
    assert!(!world.stage.socket().exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_instance_is_refused_and_the_first_does_not_notice() {
    let world = World::new().await;
    let (first, sealed) = world.with_data().await;
    let mut client = first.client().await;
    let other = || {
        Stage::new(
            world.bao.address(),
            "localhost",
            world.bao.ca_pem(),
            world.bao.jwt(),
        )
    };

    let mut same_socket = other();
    same_socket.set("server.socketPath", world.stage.socket().to_str().unwrap());
    let mut same_state = other();
    same_state.set("state.path", world.stage.state_file().to_str().unwrap());
    let cases = [
        (
            &same_socket,
            "stop the other instance first",
            Some("socket_unavailable"),
        ),
        (&same_state, "is held by another process", None),
    ];
    for (stage, words, class) in cases {
        let second = Provider::start(stage).ended().await;
        assert_eq!(second.code, Some(5), "{}", second.text);
        assert!(second.text.contains(words), "{}", second.text);
        if let Some(class) = class {
            assert!(second.text.contains(class), "{}", second.text);
        }
        sealed.open(&mut client).await.unwrap();
        Sealed::make(&mut first.client().await).await;
    }
    assert!(!same_state.socket().exists());
    assert!(first.is_running());
    first.terminated().await;
    // Whoever was refused takes over without anybody's help.
    let second = Provider::start(&same_state);
    second.healthy().await;
    sealed.open(&mut second.client().await).await.unwrap();
}
