//! The provider of this repository as a static pod, under the API server's own client.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
    slice,
};

use cri::Runtime as _;
use image::{Built, Image};
use pod_rig::{Instance, Node, Watch, can_run};

use crate::{
    control_plane::{ApiServer, Backend, base64},
    programs::{built, image_of, ours},
    until_told,
};

const PROVIDER: u32 = 65532;
const SOCKET_GROUP: u32 = 4242;

/// What an installation leaves on a node, with owners and modes.
fn install(node: &Node, backend: &Backend) -> PathBuf {
    let host = node.home().join("host");
    for (folder, owner, group, mode) in [
        ("etc/openbao-kms", 0, PROVIDER, 0o750),
        ("etc/openbao-kms/tls", 0, 0, 0o755),
        ("var/lib/openbao-kms", PROVIDER, PROVIDER, 0o750),
        ("var/lib/openbao-kms/state", PROVIDER, PROVIDER, 0o750),
        ("run/openbao-kms", PROVIDER, SOCKET_GROUP, 0o2750),
    ] {
        let folder = host.join(folder);
        fs::create_dir_all(&folder).unwrap();
        own(&folder, owner, group, mode);
    }
    let read = |name: &str| fs::read_to_string(backend.file(name)).unwrap();
    for (file, text, group, mode) in [
        (
            "etc/openbao-kms/config.yaml",
            backend.config(),
            PROVIDER,
            0o640,
        ),
        ("etc/openbao-kms/tls/ca.crt", read("ca.crt"), 0, 0o644),
        (
            "var/lib/openbao-kms/identity.jwt",
            read("identity.jwt"),
            PROVIDER,
            0o640,
        ),
    ] {
        let file = host.join(file);
        fs::write(&file, text).unwrap();
        own(&file, 0, group, mode);
    }
    host
}

fn own(path: &Path, owner: u32, group: u32, mode: u32) {
    chown(path, Some(owner), Some(group)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The image of one version: all of them work alike, and each has a digest of its own.
fn version(image: &Image, version: &str) -> Built {
    let image = image.clone();
    let image = image.label("org.opencontainers.image.version", version);
    let name = format!("registry.local/bao-kms-provider:{version}");
    image.build(&name).unwrap()
}

fn manifest(image: &str, host: &Path) -> String {
    include_str!("provider.yaml")
        .replace("IMAGE", image)
        .replace("HOST", &host.to_string_lossy())
}

/// Whether a container, which may be gone by now, is of this image.
fn is_of(node: &Node, instance: &Instance, image: &Built) -> bool {
    let status = node.ask(async |client| client.container_status(&instance.id, false).await);
    status.is_ok_and(|answer| answer.status.image_ref.ends_with(&image.manifest))
}

fn until_serves(node: &Node, image: &Built) -> Instance {
    node.until("the provider is ready", |node| {
        let runs = node.runs("bao-kms-provider", "provider");
        runs.is_some_and(|it| is_of(node, &it, image))
            && node.get("127.0.0.1:8082", "/ready").contains("200 OK")
    });
    node.until_runs("bao-kms-provider", "provider")
}

/// A line of the process's status, as the node sees it.
fn facts(node: &Node, instance: &Instance) -> Vec<String> {
    let tasks = node.rig().ctr(&["tasks", "ls"]).unwrap();
    let line = tasks.lines().find(|line| line.starts_with(&instance.id));
    let pid = line.unwrap().split_whitespace().nth(1).unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let wanted = [
        "Uid:",
        "Groups:",
        "CapEff:",
        "CapBnd:",
        "NoNewPrivs:",
        "Seccomp:",
    ];
    let lines = status.lines().map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.join(" ")
    });
    lines
        .filter(|line| wanted.iter().any(|name| line.starts_with(name)))
        .collect()
}

/// The operator asks before the node does.
fn is_sound(manifest: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bao-kms-provider.yaml");
    fs::write(&file, manifest).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let mut check = Command::new(crate::staticpodd());
    let checked = check.args(["check", "--strict"]).arg(&file).output();
    let checked = checked.unwrap();
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}");
}

#[test]
fn the_provider_keeps_every_secret_readable_through_its_life_as_a_static_pod() {
    let (etcd, api) = (
        built("etcd", "ETCD_BIN"),
        built("apiserver", "APISERVER_BIN"),
    );
    let (Some(etcd), Some(api), true) = (etcd, api, can_run()) else {
        return;
    };
    let program = ours("provider", "bao-kms-provider");
    let mut node = Node::new(crate::staticpodd());
    let backend = Backend::start(&node, &ours("bao-dev", "bao-dev"));
    let host = install(&node, &backend);
    let image = image_of(&program, "/usr/bin/bao-kms-provider").user("65532:65532");
    let (one, two) = (version(&image, "1"), version(&image, "2"));
    for image in [&one, &two] {
        node.rig().import(image).unwrap();
    }
    is_sound(&manifest(&one.pinned(), &host));
    node.start();
    let put = |node: &Node, image: &str| {
        node.put_text("bao-kms-provider.yaml", &manifest(image, &host));
    };
    let watch = Watch::begin(node.rig());

    // It starts, as nobody who has any power, and an API server keeps a Secret with it.
    put(&node, &one.pinned());
    let first = until_serves(&node, &one);
    assert_eq!(
        facts(&node, &first),
        [
            "Uid: 65532 65532 65532 65532",
            "Groups: 4242 65532",
            "CapEff: 0000000000000000",
            "CapBnd: 0000000000000000",
            "NoNewPrivs: 1",
            "Seccomp: 2",
        ]
    );
    let socket = host.join("run/openbao-kms/kms.sock");
    let found = fs::metadata(&socket).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!((found.gid(), found.mode() & 0o777), (SOCKET_GROUP, 0o660));
    let mut api = ApiServer::start(&node, &api, &etcd, &socket);
    api.write("a", "of the first");
    let stored = api.stored("a");
    assert!(stored.starts_with(b"k8s:enc:kms:v2:bao:"));
    let mut reads = |node: &Node, secrets: &[(&str, &str)]| {
        api.restart();
        for (name, text) in secrets {
            assert_eq!(api.read(name), base64(text), "{:?}", node.running());
        }
    };

    // `kill -9`: it is back, and decrypts.
    node.rig().kill_task(&first.id).unwrap();
    node.until("it is restarted", |node| {
        let now = node.runs("bao-kms-provider", "provider");
        now.is_some_and(|now| now.restarts == 1)
    });
    let second = until_serves(&node, &one);
    assert_eq!(second.sandbox, first.sandbox);
    until_told(&node, "bao-kms-provider", "Running", true, &[1]);
    reads(&node, &[("a", "of the first")]);

    // A manifest that somebody broke.
    let broken = manifest(&two.pinned(), &host).replace("    args:", "   args:");
    node.put_text("bao-kms-provider.yaml", &broken);
    node.until("it is refused", |node| node.has("manifest.refused"));
    assert_eq!(node.running(), slice::from_ref(&second));

    // An upgrade, by its digest.
    put(&node, &two.pinned());
    let third = until_serves(&node, &two);
    assert_ne!((&third.sandbox, &third.uid), (&second.sandbox, &second.uid));
    reads(&node, &[("a", "of the first")]);

    // An upgrade to what is nowhere, and back to the first one.
    let nowhere = format!("{}@sha256:{}", one.repository(), "0".repeat(64));
    put(&node, &nowhere);
    node.until("there is no such image", |node| {
        node.has("container.not_started")
    });
    put(&node, &one.pinned());
    let fourth = until_serves(&node, &one);
    // The manifest of the beginning is the pod of the beginning.
    assert_eq!(fourth.uid, second.uid);
    reads(&node, &[("a", "of the first")]);

    // Away with it.
    node.remove("bao-kms-provider");
    node.until_empty();
    node.stop();
    assert!(watch.end() > 0);
}
