//! The real thing: files, inotify and the store, with a short rescan.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    sync::{Arc, Mutex},
};

use pace::SystemClock;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

use super::*;
use crate::{
    testing::{Plain, PlainDecoder},
    view::Status,
};

mod editors;
mod kubelet;

/// For what has to happen; far more than it takes.
const SOON: Duration = Duration::from_secs(20);

struct Home {
    home: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        // Without a disk where there is such a place: the store syncs each file.
        let memory = Path::new("/dev/shm");
        let home = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        };
        let home = Self {
            home: home.unwrap(),
        };
        fs::create_dir(home.manifests()).unwrap();
        fs::create_dir(home.root()).unwrap();
        home
    }

    fn manifests(&self) -> PathBuf {
        self.home.path().join("manifests")
    }

    fn root(&self) -> PathBuf {
        self.home.path().join("root")
    }

    fn at(&self, name: &str) -> PathBuf {
        self.manifests().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.at(name)).unwrap();
    }

    /// As every careful program does it.
    fn replace(&self, name: &str, text: &str) {
        let temporary = self.at(&format!(".{name}.tmp"));
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, self.at(name)).unwrap();
    }
}

fn settings(home: &Home, path: PathBuf, rescan: Duration) -> Settings {
    Settings {
        path,
        root: home.root(),
        timing: Timing {
            rescan,
            retry: Duration::from_millis(200),
            ..Timing::default()
        },
        agent: rustix::process::geteuid().as_raw(),
    }
}

/// A running source.
struct Running {
    view: watch::Receiver<Arc<View<Plain>>>,
    changes: Arc<Mutex<Vec<Change>>>,
    orders: mpsc::Sender<Order>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    damaged: usize,
}

impl Running {
    fn start(home: &Home) -> Self {
        Self::at(home, home.manifests(), Duration::from_secs(20))
    }

    /// Seldom looks again by itself: what is seen before was heard.
    fn at(home: &Home, path: PathBuf, rescan: Duration) -> Self {
        let settings = settings(home, path, rescan);
        Self::of(&settings, |_| {})
    }

    fn of(settings: &Settings, change: impl FnOnce(&mut Folder<PlainDecoder>)) -> Self {
        let clock = Arc::new(SystemClock::new());
        let opened = Folder::open(settings, Arc::new(PlainDecoder), clock);
        let (mut folder, damaged) = opened.unwrap();
        change(&mut folder);
        let (publish, view) = watch::channel(Arc::new(folder.view()));
        let changes = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&changes);
        let (orders, receive) = mpsc::channel(1);
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            let tell = |changes: Vec<Change>, view: Arc<View<Plain>>| {
                log.lock().unwrap().extend(changes);
                publish.send_replace(view);
            };
            folder.run(receive, stopped, tell).await;
        });
        Self {
            view,
            changes,
            orders,
            stop,
            task,
            damaged: damaged.len(),
        }
    }

    async fn until(&mut self, what: &str, mut holds: impl FnMut(&View<Plain>) -> bool) {
        let waiting = self.view.wait_for(|view| holds(view));
        let arrived = timeout(SOON, waiting)
            .await
            .is_ok_and(|found| found.is_ok());
        assert!(arrived, "not seen: {what}; {:#?}", *self.view.borrow());
    }

    async fn ready(&mut self) {
        self.until("ready", |view| view.ready).await;
    }

    /// Exactly these texts are in force.
    async fn in_force(&mut self, texts: &[&str]) {
        self.until(&texts.join(", "), |view| {
            let shown = view.in_force.iter().map(|good| good.pod.text.as_str());
            shown.eq(texts.iter().copied())
        })
        .await;
    }

    async fn status(&mut self, name: &str, status: Status) {
        self.until(&format!("{name} {status:?}"), |view| {
            view.files
                .iter()
                .any(|report| report.origin.ends_with(name) && report.status == status)
        })
        .await;
    }

    fn removed(&self) -> usize {
        let changes = self.changes.lock().unwrap();
        let removed = changes
            .iter()
            .filter(|change| matches!(change, Change::Removed { .. }));
        removed.count()
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(SOON, self.task).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_file_written_in_pieces_starts_when_its_writer_closes_it_and_not_before() {
    let home = Home::new();
    let mut running = Running::start(&home);
    running.ready().await;
    let mut file = fs::File::create(home.at("a.yaml")).unwrap();
    file.write_all(b"pod d/a half").unwrap();
    running.status("a.yaml", Status::HalfWritten).await;
    running
        .until("a writer", |view| {
            view.files.iter().any(|report| {
                report
                    .error
                    .as_ref()
                    .is_some_and(|error| error.contains("open"))
            })
        })
        .await;
    file.write_all(b" and half").unwrap();
    drop(file);
    running.in_force(&["pod d/a half and half"]).await;
    let seen = running.changes.lock().unwrap().clone();
    let added = seen
        .iter()
        .filter(|change| matches!(change, Change::Added { .. } | Change::Replaced { .. }));
    assert_eq!(added.count(), 1, "{seen:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_directory_moved_away_and_back_stops_nothing_and_is_watched_again() {
    let home = Home::new();
    home.write("a.yaml", "pod d/a 1");
    let mut running = Running::start(&home);
    running.in_force(&["pod d/a 1"]).await;
    let aside = home.home.path().join("aside");
    fs::rename(home.manifests(), &aside).unwrap();
    running
        .until("trouble", |view| view.trouble.is_some())
        .await;
    fs::rename(&aside, home.manifests()).unwrap();
    running
        .until("no trouble", |view| view.trouble.is_none())
        .await;
    home.replace("a.yaml", "pod d/a 2");
    running.in_force(&["pod d/a 2"]).await;
    home.remove("a.yaml");
    running.in_force(&[]).await;
    running.stop().await;
}

#[tokio::test]
async fn another_directory_in_the_place_stops_nothing_until_it_is_accepted() {
    let home = Home::new();
    home.write("a.yaml", "pod d/a 1");
    let mut running = Running::start(&home);
    running.in_force(&["pod d/a 1"]).await;
    fs::rename(home.manifests(), home.home.path().join("aside")).unwrap();
    fs::create_dir(home.manifests()).unwrap();
    home.write("b.yaml", "pod d/b 1");
    running
        .until("another directory", |view| {
            view.trouble
                .as_ref()
                .is_some_and(|why| why.contains("another directory"))
        })
        .await;
    running.in_force(&["pod d/a 1"]).await;
    assert_eq!(running.removed(), 0);
    running.orders.send(Order::AcceptReplacement).await.unwrap();
    running.in_force(&["pod d/b 1"]).await;
    home.replace("b.yaml", "pod d/b 2");
    running.in_force(&["pod d/b 2"]).await;
    running.stop().await;
}

#[tokio::test]
async fn a_directory_or_file_that_others_can_write_changes_nothing_until_it_is_mended() {
    let home = Home::new();
    home.write("a.yaml", "pod d/a 1");
    let mut running = Running::start(&home);
    running.in_force(&["pod d/a 1"]).await;
    let chmod =
        |path: PathBuf, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    chmod(home.manifests(), 0o777);
    running
        .until("chmod 0755", |view| {
            view.trouble
                .as_ref()
                .is_some_and(|why| why.contains("chmod 0755"))
        })
        .await;
    home.replace("a.yaml", "pod d/a 2");
    running.in_force(&["pod d/a 1"]).await;
    chmod(home.manifests(), 0o755);
    running.in_force(&["pod d/a 2"]).await;
    chmod(home.at("a.yaml"), 0o646);
    running.status("a.yaml", Status::Refused).await;
    chmod(home.at("a.yaml"), 0o644);
    running.status("a.yaml", Status::Ok).await;
    running.in_force(&["pod d/a 2"]).await;
    running.stop().await;
}

#[tokio::test]
async fn a_file_system_that_hangs_is_told_and_neither_stops_the_source_nor_its_end() {
    let home = Home::new();
    home.write("a.yaml", "pod d/a 1");
    let mut settings = settings(&home, home.manifests(), Duration::from_millis(300));
    settings.timing.hang = Duration::from_millis(50);
    let server = Arc::new(tokio::sync::Mutex::new(()));
    let reads = Arc::clone(&server);
    let mut running = Running::of(&settings, |folder| {
        let look = Arc::clone(&folder.look);
        folder.look = Arc::new(move |path, filter, scope, started, agent| {
            let _answers = reads.blocking_lock();
            look(path, filter, scope, started, agent)
        });
    });
    running.in_force(&["pod d/a 1"]).await;
    let away = server.lock().await;
    running
        .until("a hang", |view| {
            let why = view.trouble.as_deref().unwrap_or_default();
            why.contains("has not answered")
        })
        .await;
    running.in_force(&["pod d/a 1"]).await;
    drop(away);
    running
        .until("an answer", |view| view.trouble.is_none())
        .await;
    let away = server.lock().await;
    running.until("a hang", |view| view.trouble.is_some()).await;
    running.stop().await;
    drop(away);
}

#[tokio::test]
async fn a_swap_of_dot_dot_data_is_noticed_without_a_rescan() {
    let home = Home::new();
    for (version, text) in [("..1", "pod d/a 1"), ("..2", "pod d/a 2")] {
        fs::create_dir(home.at(version)).unwrap();
        fs::write(home.at(version).join("a.yaml"), text).unwrap();
    }
    symlink("..1", home.at("..data")).unwrap();
    symlink("..data/a.yaml", home.at("a.yaml")).unwrap();
    let mut running = Running::start(&home);
    running.in_force(&["pod d/a 1"]).await;
    symlink("..2", home.at("..data_tmp")).unwrap();
    fs::rename(home.at("..data_tmp"), home.at("..data")).unwrap();
    running.in_force(&["pod d/a 2"]).await;
    assert_eq!(running.removed(), 0);
    running.stop().await;
}

#[tokio::test]
async fn after_a_restart_what_is_kept_runs_while_the_source_is_away() {
    let home = Home::new();
    home.write("a.yaml", "pod d/a 1");
    home.write("b.yaml", "pod d/b 1");
    let mut running = Running::start(&home);
    running.in_force(&["pod d/a 1", "pod d/b 1"]).await;
    running.stop().await;

    home.write("a.yaml", "broken !");
    let aside = home.home.path().join("aside");
    fs::rename(home.manifests(), &aside).unwrap();
    let mut running = Running::start(&home);
    running
        .until("trouble", |view| view.trouble.is_some())
        .await;
    running.in_force(&["pod d/a 1", "pod d/b 1"]).await;
    assert!(!running.view.borrow().ready);
    assert_eq!(running.damaged, 0);
    fs::remove_file(aside.join("b.yaml")).unwrap();
    fs::rename(&aside, home.manifests()).unwrap();
    running.ready().await;
    running.in_force(&["pod d/a 1"]).await;
    running.status("a.yaml", Status::Refused).await;
    running.stop().await;
}

#[tokio::test]
async fn a_store_that_fails_is_told_and_stops_nothing() {
    let home = Home::new();
    let mut running = Running::start(&home);
    running.ready().await;
    fs::remove_dir_all(home.root()).unwrap();
    home.write("a.yaml", "pod d/a 1");
    running.in_force(&["pod d/a 1"]).await;
    let changes = Arc::clone(&running.changes);
    let told = || {
        let changes = changes.lock().unwrap();
        changes
            .iter()
            .any(|change| matches!(change, Change::Kept(Some(why)) if why.contains("disk")))
    };
    for edit in 0.. {
        if told() {
            break;
        }
        home.replace("b.yaml", &format!("pod d/b {edit}"));
        running
            .in_force(&["pod d/a 1", &format!("pod d/b {edit}")])
            .await;
    }
    running.stop().await;
}

#[tokio::test]
async fn a_thousand_files_and_ten_thousand_edits_end_in_what_the_directory_says() {
    const FILES: usize = 1_000;
    const EDITS: usize = 10_000;
    let home = Home::new();
    let name = |file: usize| format!("{file:04}.yaml");
    for file in 0..FILES {
        home.write(&name(file), &format!("pod d/{file} 0"));
    }
    let mut running = Running::start(&home);
    running
        .until("all", |view| view.ready && view.in_force.len() == FILES)
        .await;
    let mut last = vec![0; FILES];
    for edit in 1..=EDITS {
        let file = edit * 7919 % FILES;
        last[file] = edit;
        home.replace(&name(file), &format!("pod d/{file} {edit}"));
        if edit % 500 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let texts: Vec<String> = (0..FILES)
        .map(|file| format!("pod d/{file} {}", last[file]))
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    running.in_force(&texts).await;
    assert_eq!(running.removed(), 0);
    let changes = running.changes.lock().unwrap().len();
    assert!(changes <= 2 * (FILES + EDITS) + 10, "{changes}");
    running.stop().await;
}
