//! What needs real mounts: each case runs in a mount namespace of its own.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, symlink},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use launch::{
    cleaning,
    host::{HostError, PodDir, Root},
    subpath::{self, Part},
    volumes::{self, Setting, Volume, VolumeError},
};
use pod::{Node, Origin, Pod, PodKey, api, env::Facts};

use super::apart::apart;

struct Scene {
    place: tempfile::TempDir,
    directory: PodDir,
}

impl Scene {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let root = Root::open(&place.path().join("root")).unwrap();
        let directory = root.pod("u").unwrap();
        Self { place, directory }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn set_up(&self, volume: &str) -> Result<Volume, VolumeError> {
        let pod = pod_with(volume);
        let setting = Setting {
            directory: &self.directory,
            pod: &pod,
            facts: &Facts::default(),
            now: Timestamp::UNIX_EPOCH,
        };
        volumes::set_up(&setting, |_| true).map(|mut volumes| volumes.remove(0))
    }

    fn part<'a>(&self, on_host: &'a Path, path: &'a str) -> Part<'a> {
        Part {
            volume: "v",
            on_host,
            container: "c",
            index: 0,
            path,
        }
    }
}

fn pod_with(volume: &str) -> Pod {
    let text = format!(
        r#"{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "p"}},
        "spec": {{"containers": [], "volumes": [{volume}]}}}}"#
    );
    let manifest = pod::Manifest {
        origin: Origin::File("/m/p.yaml".to_owned()),
        key: PodKey {
            namespace: "default".to_owned(),
            name: "p".to_owned(),
        },
        pod: serde_json::from_str(&text).unwrap(),
        uid: "u".to_owned(),
        revision: "r".to_owned(),
        places: pod::Places::default(),
    };
    let node = Node {
        name: "node".to_owned(),
        suffix: true,
    };
    pod::name(&manifest, &node, &api::Time(Timestamp::UNIX_EPOCH)).unwrap()
}

const MEMORY: &str = r#"{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}"#;

fn is_mounted(path: &Path) -> bool {
    let own = fs::metadata(path).unwrap().dev();
    own != fs::metadata(path.parent().unwrap()).unwrap().dev()
}

fn mount_count(path: &Path) -> usize {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let path = path.to_str().unwrap();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    points.filter(|point| *point == path).count()
}

#[test]
fn a_volume_in_memory_holds_what_it_may_and_is_mounted_again_after_a_reboot() {
    apart(
        "mounted::a_volume_in_memory_holds_what_it_may_and_is_mounted_again_after_a_reboot",
        || {
            let scene = Scene::new();
            let path = scene.set_up(MEMORY).unwrap().path;
            assert!(is_mounted(&path));
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o777);
            let mut file = File::create(path.join("full")).unwrap();
            let error = file.write_all(&vec![1; 2 << 20]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            drop(file);
            fs::write(path.join("full"), "kept").unwrap();

            // The next container of the pod finds what is there.
            assert_eq!(scene.set_up(MEMORY).unwrap().path, path);
            assert_eq!(mount_count(&path), 1);
            assert_eq!(fs::read(path.join("full")).unwrap(), b"kept");

            // A reboot keeps the directory and the marker, and no mount.
            rustix::mount::unmount(&path, rustix::mount::UnmountFlags::empty()).unwrap();
            let _ = scene.set_up(MEMORY).unwrap();
            assert!(is_mounted(&path));
            assert_eq!(fs::read_dir(&path).unwrap().count(), 0);

            cleaning::remove(&scene.directory).unwrap();
            assert!(!scene.directory.exists());
        },
    );
}

#[test]
fn a_part_of_a_volume_stays_what_it_was_when_it_was_resolved() {
    apart(
        "mounted::a_part_of_a_volume_stays_what_it_was_when_it_was_resolved",
        || {
            let scene = Scene::new();
            let (volume, outside) = (scene.at("volume"), scene.at("outside"));
            fs::create_dir_all(volume.join("a")).unwrap();
            fs::create_dir(&outside).unwrap();
            fs::write(outside.join("secret"), "").unwrap();
            fs::write(volume.join("a/own"), "").unwrap();
            let part = scene.part(&volume, "a");
            let target = subpath::prepare(&scene.directory, &part).unwrap();
            assert_eq!(target, scene.directory.path().join("volume-subpaths/v/c/0"));
            assert!(target.join("own").exists());

            // What the container does to the name later changes nothing.
            fs::rename(volume.join("a"), volume.join("b")).unwrap();
            symlink(&outside, volume.join("a")).unwrap();
            assert!(target.join("own").exists());
            assert!(subpath::prepare(&scene.directory, &part).is_err());

            // The same part again is the same mount; another one takes its place.
            let moved = scene.part(&volume, "b");
            assert_eq!(subpath::prepare(&scene.directory, &moved).unwrap(), target);
            assert_eq!(mount_count(&target), 1);
            let file = scene.part(&volume, "b/own");
            assert_eq!(subpath::prepare(&scene.directory, &file).unwrap(), target);
            assert!(target.is_file());
            assert_eq!(mount_count(&target), 1);
            let made = scene.part(&volume, "new/deep");
            assert_eq!(subpath::prepare(&scene.directory, &made).unwrap(), target);
            fs::write(target.join("here"), "").unwrap();
            assert!(volume.join("new/deep/here").exists());

            cleaning::remove(&scene.directory).unwrap();
            assert!(!scene.directory.exists());
            assert!(volume.join("b/own").exists() && volume.join("new/deep/here").exists());
        },
    );
}

#[test]
fn nothing_is_removed_while_something_stays_mounted() {
    apart(
        "mounted::nothing_is_removed_while_something_stays_mounted",
        || {
            let scene = Scene::new();
            let path = scene.set_up(MEMORY).unwrap().path;
            let disk = scene.directory.path().join("containers/c");
            fs::create_dir_all(&disk).unwrap();
            let in_use = File::create(path.join("file")).unwrap();

            let error = cleaning::remove(&scene.directory).unwrap_err();
            assert!(
                matches!(&error, HostError::StillMounted { mounts, .. } if *mounts == [path.clone()])
            );
            let text = error.to_string();
            assert!(
                text.contains("is still mounted: end what uses it"),
                "{text}"
            );
            assert!(path.join("file").exists() && disk.exists());

            drop(in_use);
            cleaning::remove(&scene.directory).unwrap();
            assert!(!scene.directory.exists());
        },
    );
}

#[test]
fn what_of_the_host_is_mounted_in_a_volume_outlives_the_pod() {
    apart(
        "mounted::what_of_the_host_is_mounted_in_a_volume_outlives_the_pod",
        || {
            let scene = Scene::new();
            let outside = scene.at("outside");
            fs::create_dir(&outside).unwrap();
            fs::write(outside.join("kept"), "").unwrap();
            let volume = r#"{"name": "v", "emptyDir": {}}"#;
            let path = scene.set_up(volume).unwrap().path;
            // As a container with a mount that goes both ways does, also one above another.
            for name in ["in it", "in it", "twice"] {
                let target = path.join(name);
                fs::create_dir_all(&target).unwrap();
                rustix::mount::mount_bind(&outside, &target).unwrap();
            }
            cleaning::remove(&scene.directory).unwrap();
            assert!(!scene.directory.exists());
            assert!(outside.join("kept").exists());
        },
    );
}
