//! The kubelet's own cases for file sources, under its names, with our outcomes: what it answers
//! with an empty set keeps here what runs.

use super::*;

#[tokio::test]
async fn test_extract_from_bad_data_file() {
    let home = Home::new();
    home.write("bad.yaml", "this is no pod");
    let mut running = Running::at(&home, home.at("bad.yaml"), Duration::from_secs(20));
    running.status("bad.yaml", Status::Refused).await;
    running.in_force(&[]).await;
    running.stop().await;
}

#[tokio::test]
async fn test_extract_from_empty_dir() {
    let home = Home::new();
    let mut running = Running::start(&home);
    running.ready().await;
    running.in_force(&[]).await;
    running.stop().await;
}

#[tokio::test]
async fn test_update_on_non_existent_file() {
    let home = Home::new();
    let away = home.home.path().join("away");
    let mut running = Running::at(&home, away, Duration::from_secs(20));
    running
        .until("trouble", |view| view.trouble.is_some())
        .await;
    assert!(!running.view.borrow().ready, "nothing is known to be gone");
    running.stop().await;
}

#[tokio::test]
async fn test_read_pods_from_file_exist_already_and_exist_later() {
    let home = Home::new();
    home.write("a.yaml", "pod d/a 1");
    let mut running = Running::start(&home);
    running.in_force(&["pod d/a 1"]).await;
    running.stop().await;

    let home = Home::new();
    let mut running = Running::start(&home);
    running.ready().await;
    home.write("a.yaml", "pod d/a 1");
    running.in_force(&["pod d/a 1"]).await;
    running.stop().await;
}

/// Added, changed and removed: directory or file, link or none, heard or found at a rescan.
#[tokio::test]
async fn test_watch_file_added_changed_and_removed() {
    for (single, link) in [(false, false), (false, true), (true, false), (true, true)] {
        let home = Home::new();
        let target = home.home.path().join("target");
        let path = if single {
            home.at("a.yaml")
        } else {
            home.manifests()
        };
        // What is written behind a link is found at a rescan only.
        let rescan = Duration::from_secs(if link { 1 } else { 20 });
        let mut running = Running::at(&home, path, rescan);
        running.ready().await;
        if link {
            fs::write(&target, "pod d/a 1").unwrap();
            symlink(&target, home.at("a.yaml")).unwrap();
        } else {
            home.write("a.yaml", "pod d/a 1");
        }
        running.in_force(&["pod d/a 1"]).await;
        fs::write(home.at("a.yaml"), "pod d/a 2").unwrap();
        running.in_force(&["pod d/a 2"]).await;
        home.replace("a.yaml", "pod d/a 3");
        running.in_force(&["pod d/a 3"]).await;
        home.remove("a.yaml");
        running.in_force(&[]).await;
        running.stop().await;
    }
}

#[tokio::test]
async fn should_successfully_recreate_when_file_is_removed_and_recreated() {
    let home = Home::new();
    home.write("a.yaml", "pod d/a 1");
    let mut running = Running::start(&home);
    running.in_force(&["pod d/a 1"]).await;
    home.remove("a.yaml");
    running.in_force(&[]).await;
    home.write("a.yaml", "pod d/a 1");
    running.in_force(&["pod d/a 1"]).await;
    running.stop().await;
}
