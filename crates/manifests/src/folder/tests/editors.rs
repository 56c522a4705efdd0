//! What editors and tools really do to a file, and that none of it starts a second pod, stops
//! one, or runs half a manifest.

use super::*;

/// Runs one editor over a file in force and expects its new content, alone and whole.
async fn edits(edit: impl FnOnce(&Home)) {
    let home = Home::new();
    home.write("a.yaml", "pod d/a old");
    home.write("b.yaml", "pod d/b old");
    let mut running = Running::start(&home);
    running.in_force(&["pod d/a old", "pod d/b old"]).await;
    running.changes.lock().unwrap().clear();
    edit(&home);
    running
        .in_force(&["pod d/a new and whole", "pod d/b old"])
        .await;
    let changes = running.changes.lock().unwrap().clone();
    let replaced = Change::Replaced {
        pod: "d/a".into(),
        origin: home.at("a.yaml"),
    };
    let pods: Vec<_> = changes
        .iter()
        .filter(|change| !matches!(change, Change::File(_)))
        .collect();
    assert_eq!(pods, [&replaced], "{changes:?}");
    running.stop().await;
}

const NEW: &str = "pod d/a new and whole";

#[tokio::test]
async fn vim_with_a_backup() {
    edits(|home| {
        // Whether the directory can be written to.
        home.write("4913", "");
        home.remove("4913");
        fs::write(home.at(".a.yaml.swp"), "b0VIM").unwrap();
        fs::rename(home.at("a.yaml"), home.at("a.yaml~")).unwrap();
        let mut file = fs::File::create(home.at("a.yaml")).unwrap();
        file.write_all(&NEW.as_bytes()[..10]).unwrap();
        file.write_all(&NEW.as_bytes()[10..]).unwrap();
        file.sync_all().unwrap();
        drop(file);
        fs::set_permissions(home.at("a.yaml"), fs::Permissions::from_mode(0o644)).unwrap();
        home.remove("a.yaml~");
        home.remove(".a.yaml.swp");
    })
    .await;
}

#[tokio::test]
async fn emacs_with_lock_autosave_and_backup() {
    edits(|home| {
        symlink("me@host.1", home.at(".#a.yaml")).unwrap();
        home.write("#a.yaml#", "pod d/a autosaved");
        fs::copy(home.at("a.yaml"), home.at("a.yaml~")).unwrap();
        home.write("a.yaml", NEW);
        home.remove("#a.yaml#");
        home.remove(".#a.yaml");
    })
    .await;
}

#[tokio::test]
async fn sed_in_place() {
    edits(|home| {
        home.write("sedAb12Cd", NEW);
        fs::rename(home.at("sedAb12Cd"), home.at("a.yaml")).unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_editor_of_kubectl_s_kind_that_writes_a_copy_elsewhere_and_copies_it_back() {
    edits(|home| {
        let copy = home.home.path().join("kubectl-edit-1.yaml");
        fs::copy(home.at("a.yaml"), &copy).unwrap();
        fs::write(&copy, NEW).unwrap();
        fs::copy(&copy, home.at("a.yaml")).unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_editor_that_truncates_and_writes() {
    edits(|home| {
        let mut file = fs::File::create(home.at("a.yaml")).unwrap();
        file.write_all(NEW.as_bytes()).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_package_manager_that_links_the_old_one_and_renames_the_new_one() {
    edits(|home| {
        home.write("a.yaml.dpkg-new", NEW);
        fs::hard_link(home.at("a.yaml"), home.at("a.yaml.dpkg-tmp")).unwrap();
        fs::rename(home.at("a.yaml.dpkg-new"), home.at("a.yaml")).unwrap();
        home.remove("a.yaml.dpkg-tmp");
    })
    .await;
}

#[tokio::test]
async fn a_script_that_deletes_and_creates() {
    edits(|home| {
        home.remove("a.yaml");
        home.write("a.yaml", NEW);
    })
    .await;
}

#[tokio::test]
async fn a_script_that_appends_line_by_line() {
    edits(|home| {
        let pieces = ["pod d/a ", "new ", "and ", "whole"];
        fs::write(home.at("a.yaml"), pieces[0]).unwrap();
        for piece in &pieces[1..] {
            let file = fs::OpenOptions::new().append(true).open(home.at("a.yaml"));
            file.unwrap().write_all(piece.as_bytes()).unwrap();
        }
    })
    .await;
}
