use std::{fs, path::Path, process::Command};

use proptest::prelude::*;

use super::*;

fn sample() -> Image {
    Image::new()
        .file("/bin/server", 0o755, "program")
        .unwrap()
        .dir("/tmp", 0o1777)
        .unwrap()
        .entrypoint(["/bin/server"])
        .cmd(["serve"])
        .user("65532:65532")
        .env("A", "1")
        .label("b", "2")
        .stop_signal("SIGINT")
}

/// The archive as the system's own tar lists or extracts it.
fn extracted(archive: &[u8]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.tar");
    fs::write(&file, archive).unwrap();
    let status = Command::new("tar")
        .args(["--same-permissions", "-xf"])
        .arg(&file)
        .arg("-C")
        .arg(directory.path())
        .status()
        .unwrap();
    assert!(status.success());
    directory
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn an_archive_is_a_layout_whose_digests_are_true() {
    let built = sample().build("registry.local/x:1").unwrap();
    let directory = extracted(&built.archive);
    let root = directory.path();
    let index = json(&root.join("index.json"));
    let entry = &index["manifests"][0];
    assert_eq!(entry["digest"], built.manifest);
    assert_eq!(
        entry["annotations"]["io.containerd.image.name"],
        "registry.local/x:1"
    );
    assert_eq!(
        json(&root.join("oci-layout"))["imageLayoutVersion"],
        "1.0.0"
    );
    let blob = |digest: &str| {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let content = fs::read(root.join("blobs/sha256").join(hex)).unwrap();
        assert_eq!(sha256(&content), digest);
        content
    };
    let manifest: Value = serde_json::from_slice(&blob(&built.manifest)).unwrap();
    assert_eq!(manifest["config"]["digest"], built.config);
    assert_eq!(manifest["layers"][0]["digest"], built.layer);
    assert_eq!(
        manifest["layers"][0]["size"],
        blob(&built.layer).len(),
        "a pull checks the size too"
    );
    let config: Value = serde_json::from_slice(&blob(&built.config)).unwrap();
    assert_eq!(config["rootfs"]["diff_ids"][0], built.layer);
    let running = &config["config"];
    assert_eq!(running["Entrypoint"][0], "/bin/server");
    assert_eq!(running["Cmd"][0], "serve");
    assert_eq!(running["User"], "65532:65532");
    assert_eq!(running["Env"][0], "A=1");
    assert_eq!(running["Labels"]["b"], "2");
    assert_eq!(running["StopSignal"], "SIGINT");
}

#[test]
fn the_layer_holds_the_tree_with_its_modes() {
    use std::os::unix::fs::PermissionsExt as _;
    let layer = sample().tree.tar(0).unwrap();
    let directory = extracted(&layer);
    let mode = |path: &str| {
        let metadata = fs::metadata(directory.path().join(path)).unwrap();
        metadata.permissions().mode() & 0o7777
    };
    assert_eq!(mode("bin"), 0o755);
    assert_eq!(mode("bin/server"), 0o755);
    assert_eq!(mode("tmp"), 0o1777);
    let content = fs::read(directory.path().join("bin/server")).unwrap();
    assert_eq!(content, b"program");
}

#[test]
fn equal_trees_give_equal_bytes_in_whatever_order_they_were_made() {
    let one = sample().file("/a/b", 0o600, "x").unwrap();
    let other = Image::new()
        .file("/a/b", 0o600, "x")
        .unwrap()
        .dir("/tmp", 0o1777)
        .unwrap()
        .file("/bin/server", 0o755, "program")
        .unwrap()
        .stop_signal("SIGINT")
        .label("b", "2")
        .env("A", "1")
        .user("65532:65532")
        .cmd(["serve"])
        .entrypoint(["/bin/server"]);
    assert_eq!(one.build("x:1").unwrap(), other.build("x:1").unwrap());
}

#[test]
fn the_digest_is_of_the_content_and_not_of_the_name() {
    let one = sample().build("registry.local:5000/x:1").unwrap();
    let other = sample().build("y").unwrap();
    assert_eq!(one.manifest, other.manifest);
    assert_eq!(
        one.pinned(),
        format!("registry.local:5000/x@{}", one.manifest)
    );
    assert_eq!(other.pinned(), format!("y@{}", one.manifest));
    let changed = sample().env("A", "2").build("y").unwrap();
    assert_ne!(changed.manifest, one.manifest);
    assert_eq!(changed.layer, one.layer);
}

#[test]
fn the_digest_of_a_small_image_is_the_same_for_ever() {
    let image = Image::new().file("/etc/motd", 0o644, "hello\n").unwrap();
    let layer = image.build("x:1").unwrap().layer;
    assert_eq!(
        layer,
        "sha256:59c474078901ef5100df9f01140f17613c2c59fd970be52574e94ad1dbcb99a5"
    );
}

#[test]
fn paths_that_no_image_can_have_are_refused() {
    for path in ["", "/", "a", "/a/../b", "/a//b", "/./a", "/a/", "/a\0"] {
        let fault = Image::new().file(path, 0o644, "").unwrap_err();
        assert!(matches!(fault, TreeError::Path { .. }), "{path:?}");
    }
    let long = format!("/{}", "n".repeat(101));
    let image = Image::new().file(&long, 0o644, "").unwrap();
    assert!(matches!(image.build("x:1"), Err(TreeError::Path { .. })));
}

#[test]
fn a_path_is_a_file_or_a_directory() {
    let image = || Image::new().file("/a", 0o644, "").unwrap();
    let below = image().file("/a/b", 0o644, "").unwrap_err();
    assert_eq!(below.to_string(), "/a is both a file and a directory");
    assert!(matches!(
        image().dir("/a", 0o755),
        Err(TreeError::Both { .. })
    ));
}

#[test]
fn a_program_comes_with_its_libraries_and_its_loader() {
    let program = std::env::current_exe().unwrap();
    let image = Image::new().program("/bin/x", &program).unwrap();
    let directory = extracted(&image.tree.tar(0).unwrap());
    let needed = crate::libraries(&program).unwrap();
    assert!(
        needed
            .iter()
            .any(|path| path.to_string_lossy().contains("libc.so"))
    );
    assert!(
        needed
            .iter()
            .any(|path| path.to_string_lossy().contains("ld-linux"))
    );
    for library in needed {
        let inside = directory.path().join(library.strip_prefix("/").unwrap());
        assert_eq!(fs::read(&inside).unwrap(), fs::read(&library).unwrap());
    }
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let fault = Image::new()
        .program("/bin/x", Path::new("/nowhere/x"))
        .unwrap_err();
    assert_eq!(fault.to_string(), "cannot read /nowhere/x");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn what_goes_in_comes_out(
        files in prop::collection::btree_map("[a-z]{1,60}(/[a-z]{1,60}){0,2}\\.f", prop::collection::vec(any::<u8>(), 0..1500), 1..6)
    ) {
        let mut tree = Tree::default();
        for (path, content) in &files {
            tree.file(&format!("/{path}"), 0o644, content.clone()).unwrap();
        }
        let directory = extracted(&tree.tar(1_700_000_000).unwrap());
        for (path, content) in &files {
            prop_assert_eq!(&fs::read(directory.path().join(path)).unwrap(), content);
        }
    }
}
