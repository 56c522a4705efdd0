//! The directory of manifests, and those who edit in it.

use std::{fs, io::Write as _, os::unix::fs::symlink, process::Command, thread, time::Duration};

use pod_rig::{Instance, Node, pod};

use super::case::{Case, Row, mode, untouched, while_it_looks};

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            id: "D1",
            what: "a manifest is written piece by piece, and each piece is a Pod",
            pods: "nothing starts before the file is closed, or has rested; then the whole pod does",
            well: "at once, when the file is closed",
            run: written_in_pieces,
        },
        Row {
            id: "D2",
            what: "editors leave swap files, backups and links",
            pods: "run on; nothing of it is read",
            well: "",
            run: litter,
        },
        Row {
            id: "D3",
            what: "an editor renames the manifest away, writes it anew, and removes the old one",
            pods: "the pod is replaced once where the text is another, and is not touched where it is the same",
            well: "when the old pod has ended",
            run: rename_dance,
        },
        Row {
            id: "D4",
            what: "an edit cannot be understood",
            pods: "run on as they are",
            well: "at once with the next edit",
            run: broken_edit,
        },
        Row {
            id: "D5",
            what: "the directory is gone, or cannot be read",
            pods: "run on",
            well: "within a second, when the directory is back",
            run: vanished,
        },
        Row {
            id: "D6",
            what: "the directory's mount is lost, and an empty directory lies in its place",
            pods: "run on",
            well: "within a second, when it is mounted again",
            run: lost_mount,
        },
        Row {
            id: "D7",
            what: "two files hold the same pod",
            pods: "the first file by name is used",
            well: "at once, when one of the two is gone",
            run: duplicate,
        },
    ]
}

fn with_web(case: &Case) -> (Node, Vec<Instance>) {
    let node = case.node();
    node.put("web", &pod("web", &["hang"]));
    let before = vec![node.until_runs("web", "main")];
    (node, before)
}

fn written_in_pieces(case: &mut Case) {
    let (node, before) = with_web(case);
    let image = pod_rig::image();
    let container = |name: &str| {
        format!(
            "  - name: {name}\n    image: {image}\n    imagePullPolicy: Never\n    args: [hang]\n"
        )
    };
    let head = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: slow\nspec:\n  hostNetwork: true\n  containers:\n";
    let mut file = fs::File::create(node.manifests().join("slow.yaml")).unwrap();
    for piece in [format!("{head}{}", container("one")), container("two")] {
        file.write_all(piece.as_bytes()).unwrap();
        file.sync_all().unwrap();
        thread::sleep(Duration::from_millis(1_500));
        untouched(&node, &before);
    }
    file.write_all(container("three").as_bytes()).unwrap();
    drop(file);
    case.ends();
    case.is_well(&node, |node| {
        ["one", "two", "three"]
            .iter()
            .all(|name| node.runs("slow", name).is_some())
    });
    case.shows("nothing; with the log at `debug`, `manifest.seen` with `half-written`");
    assert!(!node.has("container.stopping"));
    node.until("all run", |node| node.running().len() == 4);
}

fn litter(case: &mut Case) {
    let (node, before) = with_web(case);
    let text = pod("litter", &["hang"]).to_string();
    for name in [
        ".web.yaml.swp",
        "web.yaml~",
        "#web.yaml#",
        "web.yaml.bak",
        "4913",
        "web.yaml.swx",
    ] {
        fs::write(node.manifests().join(name), &text).unwrap();
        mode(&node.manifests().join(name), 0o644);
    }
    symlink("root@host.4711", node.manifests().join(".#web.yaml")).unwrap();
    fs::create_dir(node.manifests().join("old.yaml")).unwrap();
    fs::write(node.manifests().join("old.yaml/litter.yaml"), &text).unwrap();
    while_it_looks();
    untouched(&node, &before);
    assert!(!node.has("manifest.refused"));
    case.shows("nothing; `staticpodd check DIR` lists what is not looked at");
}

fn rename_dance(case: &mut Case) {
    let (node, before) = with_web(case);
    let dance = |text: &str| {
        let at = |name: &str| node.manifests().join(name);
        fs::rename(at("web.yaml"), at("web.yaml~")).unwrap();
        thread::sleep(Duration::from_millis(5));
        fs::write(at("web.yaml"), text).unwrap();
        mode(&at("web.yaml"), 0o644);
        fs::remove_file(at("web.yaml~")).unwrap();
    };
    dance(&pod("web", &["hang"]).to_string());
    while_it_looks();
    untouched(&node, &before);
    dance(&pod("web", &["out=new", "hang"]).to_string());
    case.ends();
    case.is_well(&node, |node| node.output("web", "main") == ["new"]);
    case.sees(&node, "manifest.replaced", "");
    assert!(!node.has("manifest.removed"), "{:?}", node.lines());
    node.until("one runs", |node| node.running().len() == 1);
}

fn broken_edit(case: &mut Case) {
    let (node, before) = with_web(case);
    node.put_text(
        "web.yaml",
        &pod("web", &["hang"])
            .to_string()
            .replace("\"image\"", "\"imag\""),
    );
    case.sees(&node, "manifest.refused", "spec.containers[0].imag");
    while_it_looks();
    untouched(&node, &before);
    // A new agent knows the last good manifest, too.
    let mut node = node;
    node.kill();
    node.start();
    while_it_looks();
    untouched(&node, &before);
    node.put("web", &pod("web", &["out=new", "hang"]));
    case.ends();
    case.is_well(&node, |node| node.output("web", "main") == ["new"]);
}

fn vanished(case: &mut Case) {
    let (mut node, before) = with_web(case);
    let away = node.home().join("away");
    fs::rename(node.manifests(), &away).unwrap();
    case.sees(&node, "source.unreadable", "does not exist");
    while_it_looks();
    untouched(&node, &before);
    // A new agent knows what ran, too.
    node.kill();
    node.launch();
    node.until("it looks", |node| node.has("source.unreadable"));
    while_it_looks();
    untouched(&node, &before);
    fs::rename(&away, node.manifests()).unwrap();
    node.put("other", &pod("other", &["hang"]));
    case.ends();
    case.is_well(&node, |node| node.runs("other", "main").is_some());
    case.sees(&node, "source.readable", "");
    assert_eq!(node.until_runs("web", "main"), before[0]);
}

fn mount(node: &Node, arguments: &[&str]) {
    let mounted = Command::new("mount")
        .args(arguments)
        .arg(node.manifests())
        .status();
    assert!(mounted.unwrap().success());
}

fn lost_mount(case: &mut Case) {
    let mut node = case.builder().build();
    let disk = node.home().join("disk");
    fs::create_dir(&disk).unwrap();
    mode(&disk, 0o755);
    let disk = disk.to_string_lossy().into_owned();
    mount(&node, &["--bind", &disk]);
    node.start();
    node.put("web", &pod("web", &["hang"]));
    let before = vec![node.until_runs("web", "main")];
    let lost = Command::new("umount")
        .arg("--lazy")
        .arg(node.manifests())
        .status();
    assert!(lost.unwrap().success());
    case.sees(&node, "source.unreadable", "");
    while_it_looks();
    untouched(&node, &before);
    mount(&node, &["--bind", &disk]);
    node.put("other", &pod("other", &["hang"]));
    case.ends();
    case.is_well(&node, |node| node.runs("other", "main").is_some());
    case.sees(&node, "source.readable", "");
    assert_eq!(node.until_runs("web", "main"), before[0]);
}

fn duplicate(case: &mut Case) {
    let (node, before) = with_web(case);
    node.put("xerox", &pod("web", &["out=new", "hang"]));
    case.sees(&node, "manifest.refused", "web.yaml");
    while_it_looks();
    untouched(&node, &before);
    node.remove("web");
    case.ends();
    case.is_well(&node, |node| node.output("web", "main") == ["new"]);
    node.until("one runs", |node| node.running().len() == 1);
}
