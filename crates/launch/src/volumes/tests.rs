use std::{fs, os::unix::fs::MetadataExt as _};

use pod::{Node, Origin, name};

use super::*;
use crate::host::Root;

/// A pod of a manifest whose `spec` is this JSON, with one container added.
pub(crate) fn pod(spec: &str) -> Pod {
    let text = format!(
        r#"{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "p", "uid": "u",
        "labels": {{"app": "web"}}}}, "spec": {spec}}}"#
    );
    let api: api::Pod = serde_json::from_str(&text).unwrap();
    let manifest = pod::Manifest {
        origin: Origin::File("/m/p.yaml".into()),
        key: pod::PodKey {
            namespace: "default".to_owned(),
            name: "p".to_owned(),
        },
        pod: api,
        uid: "u".to_owned(),
        revision: "r".to_owned(),
        places: pod::Places::default(),
    };
    let node = Node {
        name: "node".to_owned(),
        suffix: true,
    };
    let seen = api::Time(Timestamp::UNIX_EPOCH);
    name(&manifest, &node, &seen).unwrap()
}

/// Sets all volumes up.
pub(crate) fn all(directory: &PodDir, pod: &Pod) -> Result<Vec<Volume>, VolumeError> {
    let setting = Setting {
        directory,
        pod,
        facts: &Facts::default(),
        now: Timestamp::UNIX_EPOCH,
    };
    set_up(&setting, |_| true)
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

struct Scene {
    place: tempfile::TempDir,
    directory: PodDir,
}

fn scene() -> Scene {
    let place = tempfile::tempdir().unwrap();
    let root = Root::open(&place.path().join("root")).unwrap();
    let directory = root.pod("u").unwrap();
    Scene { place, directory }
}

#[test]
fn an_empty_dir_is_open_to_all_behind_closed_doors_and_keeps_its_content() {
    let scene = scene();
    let pod = pod(r#"{"containers": [{"name": "c"}], "volumes": [{"name": "v", "emptyDir": {}}]}"#);
    let volumes = all(&scene.directory, &pod).unwrap();
    let path = scene
        .directory
        .path()
        .join("volumes/kubernetes.io~empty-dir/v");
    assert_eq!(
        volumes,
        [Volume {
            name: "v".to_owned(),
            path: path.clone(),
            kind: Kind::EmptyDir
        }]
    );
    assert_eq!(mode_of(&path), 0o777);
    for above in ["", "volumes", "volumes/kubernetes.io~empty-dir", "plugins"] {
        assert_eq!(
            mode_of(&scene.directory.path().join(above)),
            0o750,
            "{above}"
        );
    }
    let marker = "plugins/kubernetes.io~empty-dir/v/ready";
    assert!(scene.directory.path().join(marker).exists());

    fs::write(path.join("kept"), "x").unwrap();
    assert_eq!(all(&scene.directory, &pod).unwrap(), volumes);
    assert_eq!(fs::read(path.join("kept")).unwrap(), b"x");
}

#[test]
fn volumes_come_in_the_order_of_the_manifest_so_that_one_makes_what_the_next_needs() {
    let scene = scene();
    let at = |name: &str| scene.place.path().join(name).display().to_string();
    let (directory, file) = (at("made"), at("made/file"));
    let volume = |name: &str, path: &str, kind: &str| {
        format!(r#"{{"name": "{name}", "hostPath": {{"path": "{path}", "type": "{kind}"}}}}"#)
    };
    let (first, second) = (
        volume("d", &directory, "DirectoryOrCreate"),
        volume("f", &file, "FileOrCreate"),
    );
    let wrong = pod(&format!(
        r#"{{"containers": [], "volumes": [{second}, {first}]}}"#
    ));
    let error = all(&scene.directory, &wrong).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "volume f: {file} is missing: its directory is missing too; make that, or mount it as \
             DirectoryOrCreate in a volume before this one"
        )
    );
    assert!(!Path::new(&directory).exists());

    let right = pod(&format!(
        r#"{{"containers": [], "volumes": [{first}, {second}]}}"#
    ));
    let volumes = all(&scene.directory, &right).unwrap();
    assert!(volumes.iter().all(|volume| !volume.is_managed()));
    assert!(Path::new(&file).is_file());
}

#[test]
fn a_host_path_is_checked_again_at_each_start() {
    let scene = scene();
    let path = scene.place.path().join("sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let pod = pod(&format!(
        r#"{{"containers": [], "volumes": [
            {{"name": "s", "hostPath": {{"path": "{}", "type": "Socket"}}}},
            {{"name": "e", "emptyDir": {{}}}}]}}"#,
        path.display()
    ));
    let _ = all(&scene.directory, &pod).unwrap();
    drop(listener);
    fs::remove_file(&path).unwrap();
    let error = all(&scene.directory, &pod).unwrap_err();
    assert!(matches!(error, VolumeError::HostPath { .. }));
    assert!(!path.exists());

    // A container that does not mount it is not held up.
    let setting = Setting {
        directory: &scene.directory,
        pod: &pod,
        facts: &Facts::default(),
        now: Timestamp::UNIX_EPOCH,
    };
    assert_eq!(set_up(&setting, |name| name == "e").unwrap().len(), 1);
}

#[test]
fn files_about_the_pod_say_what_is_asked() {
    let scene = scene();
    let items = r#"[
        {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}},
        {"path": "deep/labels", "mode": 256, "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "cpu", "resourceFieldRef": {"containerName": "c", "resource": "limits.cpu",
            "divisor": "1m"}}]"#;
    let pod = pod(&format!(
        r#"{{"containers": [{{"name": "c", "resources": {{"limits": {{"cpu": "2"}}}}}}],
        "volumes": [
            {{"name": "d", "downwardAPI": {{"defaultMode": 416, "items": {items}}}}},
            {{"name": "p", "projected": {{"sources": [{{"downwardAPI": {{"items": {items}}}}}]}}}}
        ]}}"#
    ));
    let volumes = all(&scene.directory, &pod).unwrap();
    for (volume, plugin, mode) in [
        (&volumes[0], "downward-api/d", 0o640),
        (&volumes[1], "projected/p", 0o644),
    ] {
        let path = format!("volumes/kubernetes.io~{plugin}");
        assert_eq!(volume.path, scene.directory.path().join(path));
        assert!(volume.is_read_only() && volume.is_managed());
        let read = |name: &str| fs::read_to_string(volume.path.join(name)).unwrap();
        assert_eq!(read("name"), "p-node");
        assert_eq!(read("deep/labels"), "app=\"web\"");
        assert_eq!(read("cpu"), "2000");
        assert_eq!(mode_of(&volume.path.join("name")), mode);
        assert_eq!(mode_of(&volume.path.join("deep/labels")), 0o400);
    }
}

#[test]
fn the_group_gets_the_agents_volumes_and_not_the_hosts() {
    let scene = scene();
    let outside = scene.place.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let before = mode_of(&outside);
    let id = fs::metadata(&outside).unwrap().gid();
    let pod = pod(&format!(
        r#"{{"containers": [], "securityContext": {{"fsGroup": {id}}}, "volumes": [
            {{"name": "h", "hostPath": {{"path": "{}"}}}},
            {{"name": "e", "emptyDir": {{}}}},
            {{"name": "d", "downwardAPI": {{"defaultMode": 256, "items": [
                {{"path": "n", "fieldRef": {{"fieldPath": "metadata.name"}}}}]}}}}]}}"#,
        outside.display()
    ));
    let volumes = all(&scene.directory, &pod).unwrap();
    assert_eq!(mode_of(&outside), before);
    assert_eq!(mode_of(&volumes[1].path), 0o2777);
    assert_eq!(mode_of(&volumes[2].path.join("n")), 0o440);
}

#[test]
fn what_needs_an_api_server_is_refused_by_name() {
    let scene = scene();
    for source in [
        r#""configMap": {"name": "x"}"#,
        r#""projected": {"sources": [{"configMap": {"name": "x"}}]}"#,
        r#""emptyDir": {"medium": "HugePages"}"#,
        r#""nfs": {"server": "a", "path": "/b"}"#,
    ] {
        let pod = pod(&format!(
            r#"{{"containers": [], "volumes": [{{"name": "v", {source}}}]}}"#
        ));
        let error = all(&scene.directory, &pod).unwrap_err().to_string();
        assert!(error.starts_with("volume v: the agent has no"), "{error}");
    }
    let pod = pod(
        r#"{"containers": [], "volumes": [{"name": "v", "downwardAPI": {"items": [
            {"path": "f", "fieldRef": {"fieldPath": "spec.nothing"}}]}}]}"#,
    );
    let error = all(&scene.directory, &pod).unwrap_err().to_string();
    assert!(error.contains("the file f names"), "{error}");
}
