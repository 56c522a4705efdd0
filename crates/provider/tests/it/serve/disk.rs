//! A disk that takes no writes under a provider that runs: calls go on with the registry in
//! memory, a rotation waits and is made up for, and nothing is written over what others put there.
//!
//! What needs a file system of its own gets it in a mount namespace of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use futures_util::{StreamExt as _, stream};

use super::{
    child::Provider,
    stage::{mode, put},
    world::{Sealed, World, until},
};

/// What a cause may touch: the state directory as the provider sees it, and its namespace.
struct Place {
    directory: PathBuf,
    aside: PathBuf,
    /// Whose mount namespace the directory is in; `None` for the machine's.
    process: Option<u32>,
}

impl Place {
    /// The same directory by a path that leads there from outside.
    fn seen_from_here(&self) -> PathBuf {
        match self.process {
            None => self.directory.clone(),
            Some(process) => Path::new(&format!("/proc/{process}/root"))
                .join(self.directory.strip_prefix("/").unwrap()),
        }
    }

    fn file(&self) -> PathBuf {
        self.seen_from_here().join("key-registry.json")
    }

    /// Runs a script in the namespace; `$1` is the directory.
    fn script(&self, script: &str) {
        let process = self.process.unwrap().to_string();
        let mut enter = Command::new("nsenter");
        enter.args(["--mount", "--target", &process, "sh", "-c", script, "sh"]);
        let output = enter.arg(&self.directory).output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
    }
}

/// A trouble of the disk.
struct Cause {
    name: &'static str,
    /// Options of a tmpfs in a namespace of the provider's own, where that is needed.
    volume: Option<&'static str>,
    begins: fn(&Place),
    ends: fn(&Place),
    /// What the operator reads.
    says: &'static str,
}

const CAUSES: [Cause; 10] = [
    Cause {
        name: "no space",
        volume: Some("size=64k"),
        begins: |place| place.script("! dd if=/dev/zero of=$1/ballast bs=4096 2>/dev/null"),
        ends: |place| place.script("rm $1/ballast"),
        says: "No space left on device",
    },
    Cause {
        name: "no inodes",
        volume: Some("nr_inodes=16"),
        begins: |place| {
            place.script("i=0; while true 2>/dev/null >$1/x$i; do i=$((i+1)); done; test $i -gt 3");
        },
        ends: |place| place.script("rm $1/x*"),
        says: "No space left on device",
    },
    Cause {
        name: "read-only",
        volume: Some("size=1m"),
        begins: |place| place.script("mount --bind $1 $1 && mount -o remount,bind,ro $1"),
        ends: |place| place.script("umount $1"),
        says: "Read-only file system",
    },
    Cause {
        name: "another volume over it",
        volume: Some("size=1m"),
        begins: |place| place.script("mount -t tmpfs -o size=1m,mode=0750 tmpfs $1"),
        ends: |place| place.script("umount $1"),
        says: "another file system than at the start",
    },
    Cause {
        name: "gone",
        volume: None,
        begins: |place| fs::rename(&place.directory, &place.aside).unwrap(),
        ends: |place| fs::rename(&place.aside, &place.directory).unwrap(),
        says: "does not exist",
    },
    Cause {
        name: "a symbolic link",
        volume: None,
        begins: |place| {
            fs::rename(&place.directory, &place.aside).unwrap();
            std::os::unix::fs::symlink(&place.aside, &place.directory).unwrap();
        },
        ends: |place| {
            fs::remove_file(&place.directory).unwrap();
            fs::rename(&place.aside, &place.directory).unwrap();
        },
        says: "is a symbolic link",
    },
    Cause {
        name: "a file",
        volume: None,
        begins: |place| {
            fs::rename(&place.directory, &place.aside).unwrap();
            fs::write(&place.directory, "").unwrap();
        },
        ends: |place| {
            fs::remove_file(&place.directory).unwrap();
            fs::rename(&place.aside, &place.directory).unwrap();
        },
        says: "is not a directory",
    },
    Cause {
        name: "open to others",
        volume: None,
        begins: |place| mode(&place.directory, 0o777),
        ends: |place| mode(&place.directory, 0o750),
        says: "others can replace the state",
    },
    Cause {
        name: "an older pair was restored",
        volume: None,
        begins: |place| {
            keep(place);
            fs::remove_file(checkpoint(place)).unwrap();
            put(
                &place.file(),
                fs::read(place.aside.join("first")).unwrap(),
                0o640,
            );
        },
        ends: put_back,
        says: "nothing was written over it",
    },
    Cause {
        name: "edited",
        volume: None,
        begins: |place| {
            keep(place);
            let text = fs::read_to_string(place.file()).unwrap();
            put(&place.file(), text.replace("pending", "retired"), 0o640);
        },
        ends: put_back,
        says: "the state file is corrupt",
    },
];

fn checkpoint(place: &Place) -> PathBuf {
    place.seen_from_here().join("key-registry.json.checkpoint")
}

/// Copies what lies there to where [`put_back`] finds it.
fn keep(place: &Place) {
    fs::copy(place.file(), place.aside.join("state")).unwrap();
    fs::copy(checkpoint(place), place.aside.join("checkpoint")).unwrap();
}

fn put_back(place: &Place) {
    let kept = |name: &str| fs::read(place.aside.join(name)).unwrap();
    put(&place.file(), kept("state"), 0o640);
    put(&checkpoint(place), kept("checkpoint"), 0o640);
}

/// Everything that lies in the directory, by name; `None` when it cannot be listed.
fn content(place: &Place) -> Option<Vec<(String, Vec<u8>)>> {
    let entries = fs::read_dir(place.seen_from_here()).ok()?;
    let files = entries.map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read(path).unwrap_or_default())
    });
    let mut files: Vec<_> = files.collect();
    files.sort();
    Some(files)
}

/// Starts the provider, in a namespace of its own where the cause needs a volume.
fn start(world: &World, cause: &Cause) -> (Provider, Place) {
    let directory = world.stage.state_file().parent().unwrap().to_owned();
    let aside = world.aside().join("away");
    let Some(options) = cause.volume else {
        let provider = Provider::start(&world.stage);
        return (
            provider,
            Place {
                directory,
                aside,
                process: None,
            },
        );
    };
    let script = r#"mount -t tmpfs -o "$1,mode=0750" tmpfs "$2" && shift 2 && exec "$@""#;
    let mut wrapper = Command::new("unshare");
    wrapper
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    wrapper.args([
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        script,
        "sh",
    ]);
    wrapper.arg(options).arg(&directory);
    let provider = Provider::start_through(wrapper, &world.stage);
    let process = Some(provider.id());
    let place = Place {
        directory,
        aside,
        process,
    };
    (provider, place)
}

/// Whether this process may mount in a namespace of its own. On CI it has to be able to.
#[expect(clippy::print_stderr, reason = "a test that is skipped says why")]
fn may_mount() -> bool {
    let script = "mount -t tmpfs tmpfs /tmp";
    let tried = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script])
        .output();
    let why = match tried {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    assert!(
        std::env::var_os("CI").is_none(),
        "this test mounts a small file system in a namespace of its own, which takes root: {why}"
    );
    eprintln!("skipped because nothing may be mounted here: {why}");
    false
}

async fn endures(cause: &Cause) {
    let mut world = World::new().await;
    world.stage.set("rotation.activationDelay", "1s");
    // A busy machine may keep probes waiting: that is another test.
    world.stage.set("status.statusMaxStaleness", "20s");
    let (provider, place) = start(&world, cause);
    let name = cause.name;
    let key_id = provider.healthy().await;
    let mut client = provider.client().await;
    let old = Sealed::make(&mut client).await;
    let first = fs::read(place.file()).unwrap();
    if name == "an older pair was restored" {
        fs::create_dir(&place.aside).unwrap();
        fs::write(place.aside.join("first"), first).unwrap();
    } else if name == "edited" {
        fs::create_dir(&place.aside).unwrap();
    }
    world.control().rotate().unwrap();
    provider.logged("rotation.stable", "level", "info").await;
    let before = fs::read(place.file()).unwrap();
    (cause.begins)(&place);
    let broken = content(&place);

    // The promotion is due and cannot be written: everything else is as it was.
    let failures = "openbao_kms_state_write_failures_total{file=\"state\"}";
    let mut meanwhile = Vec::new();
    until(&format!("{name}: four attempts"), async || {
        let status = client.status().await.unwrap();
        assert_eq!(
            (&*status.healthz, &status.key_id),
            ("ok", &key_id),
            "{name}"
        );
        meanwhile.push(Sealed::make(&mut client).await);
        old.open(&mut client).await.unwrap();
        (provider.metric(failures).await >= Some(4.0)).then_some(())
    })
    .await;
    assert!(meanwhile.iter().all(|sealed| sealed.key_id == key_id));
    assert_eq!(content(&place), broken, "{name}: something was written");
    let unwritten = "openbao_kms_state_unwritten{file=\"state\"}";
    assert_eq!(provider.metric(unwritten).await, Some(1.0), "{name}");
    let (code, ready) = provider.ready().await;
    assert_eq!(
        (code, &ready["state"]["trouble"]),
        (200, &"write_failed".into())
    );
    let said = provider.events("state.write_failed");
    let warned: Vec<_> = said.iter().filter(|line| line["level"] == "warn").collect();
    assert!((1..=4).contains(&warned.len()), "{name}: {warned:?}");
    for line in warned {
        let reason = line["reason"].as_str().unwrap();
        assert!(reason.contains(cause.says), "{name}: {reason}");
    }

    let lines = provider.text().lines().count();
    (cause.ends)(&place);
    let promoted = until(&format!("{name}: the promotion"), async || {
        let status = client.status().await.unwrap();
        assert_eq!(status.healthz, "ok", "{name}");
        (status.key_id != key_id).then_some(status.key_id)
    })
    .await;
    let text = provider.text();
    let probes = text
        .lines()
        .skip(lines)
        .take_while(|line| !line.contains("rotation.promoted"))
        .filter(|line| line.contains("\"probe_kind\":\"metadata\""));
    // One may have been under way.
    let probes = probes.count();
    assert!(probes <= 3, "{name}: promoted only after {probes} probes");
    assert_eq!(provider.events("state.written_again").len(), 1, "{name}");
    assert_eq!(provider.metric(unwritten).await, Some(0.0), "{name}");
    assert_ne!(fs::read(place.file()).unwrap(), before);
    for sealed in meanwhile.iter().chain([&old]) {
        sealed.open(&mut client).await.unwrap();
    }
    let new = Sealed::make(&mut client).await;
    assert_eq!(new.key_id, promoted);
    if place.process.is_none() {
        provider.terminated().await;
        let provider = world.healthy().await;
        assert_eq!(provider.status().await.key_id, promoted, "{name}");
        let mut client = provider.client().await;
        for sealed in [&old, &new] {
            sealed.open(&mut client).await.unwrap();
        }
    }
}

/// A few at a time: they mostly wait, but not only.
async fn each(causes: impl Iterator<Item = &Cause>) {
    stream::iter(causes).for_each_concurrent(3, endures).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_waits_for_the_disk_and_calls_do_not() {
    each(CAUSES.iter().filter(|cause| cause.volume.is_none())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_waits_for_a_file_system_that_is_full_or_read_only_and_calls_do_not() {
    if may_mount() {
        each(CAUSES.iter().filter(|cause| cause.volume.is_some())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_state_directory_gets_the_registry_again_and_its_lock() {
    let world = World::new().await;
    let (provider, old) = world.with_data().await;
    let directory = world.stage.state_file().parent().unwrap().to_owned();
    fs::remove_dir_all(&directory).unwrap();
    fs::create_dir(&directory).unwrap();
    mode(&directory, 0o750);
    world.control().rotate().unwrap();
    provider.logged("rotation.promoted", "level", "info").await;
    let new = Sealed::make(&mut provider.client().await).await;
    let second = Provider::start(&world.stage).ended().await;
    second.failed("state_locked");
    provider.killed().await;
    let provider = world.healthy().await;
    assert_eq!(provider.status().await.key_id, new.key_id);
    let mut client = provider.client().await;
    for sealed in [&old, &new] {
        sealed.open(&mut client).await.unwrap();
    }
}
