//! A process that really dies, on the real disk, at any step of any change.
//!
//! Here and not beside the other tests of the store, because starting a process hands it every
//! open file for a moment, the locks of tests in other threads among them. No other test of
//! this binary holds one.
//!
//! This binary starts itself again as that process. It ends by SIGKILL, so that nothing runs
//! after the step: no destructor, no handler at exit, no flush of a buffer.

use std::{
    cell::Cell,
    env,
    fs::{self, File},
    io,
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::{Signal, getpid, kill_process};
use secret::disk::{Disk, OsDisk, Owner};

use self::documents::{life, loses_nothing, scope};
use crate::{document::Document, store::Store};

#[path = "../tests/it/documents.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod documents;

const STATE: &str = "key-registry.json";
const CHECKPOINT: &str = "key-registry.json.checkpoint";
const LOCK: &str = "key-registry.json.lock";
/// Beside the state directory, which is where the process that is to die is started:
/// `<change> <step>`.
const ORDER: &str = "order-to-die";
/// Beside the state directory: the generation that the process would have told Status.
const SHOWN: &str = "shown";
/// The place of the first promotion in a life.
const PROMOTION: usize = 4;

/// The real disk, until the step. Syncs are steps that do nothing: what a dead process has
/// written is there without them as long as the power is, and the test is faster.
struct MortalDisk {
    left: Cell<usize>,
}

impl MortalDisk {
    fn step(&self) {
        let Some(left) = self.left.get().checked_sub(1) else {
            kill_process(getpid(), Signal::KILL).unwrap();
            unreachable!("it is dead");
        };
        self.left.set(left);
    }
}

impl Disk for MortalDisk {
    type File = File;

    fn create(&self, path: &Path) -> io::Result<File> {
        self.step();
        OsDisk.create(path)
    }
    fn set_owner(&self, file: &File, owner: Owner) -> io::Result<()> {
        self.step();
        OsDisk.set_owner(file, owner)
    }
    fn set_mode(&self, file: &File, mode: u32) -> io::Result<()> {
        self.step();
        OsDisk.set_mode(file, mode)
    }
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        let (half, rest) = bytes.split_at(bytes.len() / 2);
        for part in [half, rest] {
            self.step();
            OsDisk.write(file, part)?;
        }
        Ok(())
    }
    fn sync(&self, _: &File) -> io::Result<()> {
        self.step();
        Ok(())
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step();
        OsDisk.rename(from, to)
    }
    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        self.step();
        Ok(())
    }
    fn sync_existing(&self, _: &Path) -> io::Result<()> {
        self.step();
        Ok(())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step();
        OsDisk.remove(path)
    }
}

/// The body of the process that dies; without an order it has nothing to do.
#[test]
fn a_process_that_was_given_an_order_dies_at_its_step() {
    let Ok(order) = fs::read_to_string(Path::new("..").join(ORDER)) else {
        return;
    };
    let (change, step) = order.split_once(' ').unwrap();
    let (_, next) = &life()[change.parse::<usize>().unwrap()];
    let disk = MortalDisk {
        left: Cell::new(step.parse().unwrap()),
    };
    let mut store = Store::open_on(disk, Path::new(STATE), &scope()).unwrap();
    let show = |document: Option<&Document>| {
        let generation = document.map_or(0, Document::generation);
        fs::write(Path::new("..").join(SHOWN), generation.to_string()).unwrap();
    };
    show(store.document());
    if store.document().map(Document::generation) < Some(next.generation()) {
        let _ = store.write(next).unwrap();
        show(store.document());
    }
}

fn pair_of(document: &Document) -> [(&'static str, Vec<u8>); 2] {
    [
        (STATE, document.render()),
        (CHECKPOINT, document.checkpoint().render()),
    ]
}

/// A state directory in which processes die.
struct Grave {
    /// What generation 1 to the last look like.
    life: Vec<Document>,
    change: usize,
    _home: tempfile::TempDir,
    directory: PathBuf,
}

impl Grave {
    /// The pair before the change, complete or without its checkpoint.
    fn new(change: usize, complete: bool) -> Self {
        let life: Vec<_> = life().into_iter().map(|(_, document)| document).collect();
        let before = change.checked_sub(1).map(|before| &life[before]);
        // In memory where the system has such a place: what the disk keeps is not tried here.
        let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let home = home.unwrap();
        let directory = home.path().join("state");
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o750)).unwrap();
        for (name, content) in before.into_iter().flat_map(pair_of) {
            if name == CHECKPOINT && !complete {
                continue;
            }
            let path = directory.join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        }
        Self {
            life,
            change,
            _home: home,
            directory,
        }
    }

    /// Whether the process died at `step`; otherwise it came to its end.
    fn dies(&self, step: usize) -> bool {
        let order = format!("{} {step}", self.change);
        fs::write(self.directory.join("..").join(ORDER), order).unwrap();
        let name = "killed::a_process_that_was_given_an_order_dies_at_its_step";
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", name, "--test-threads=1"])
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let killed = output.status.signal() == Some(Signal::KILL.as_raw());
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(killed || output.status.success(), "{text}");
        assert!(killed || text.contains("1 passed"), "{text}");
        killed
    }

    fn shown(&self) -> u64 {
        let shown = fs::read_to_string(self.directory.join("..").join(SHOWN));
        shown.map_or(0, |generation| generation.parse().unwrap())
    }

    /// The next start, and what it must find and leave.
    fn rises(&self, died_at: &[usize]) {
        let path = self.directory.join(STATE);
        let mut store = Store::open(&path, &scope()).unwrap();
        let next = &self.life[self.change];
        let before = self.change.checked_sub(1).map(|before| &self.life[before]);
        let found = store.document();
        assert!(found == before || found == Some(next), "{died_at:?}");
        let generation = found.map_or(0, Document::generation);
        assert!(generation >= self.shown(), "{died_at:?}: goes back");
        if let Some(before) = before {
            assert!(loses_nothing(before, found.unwrap()), "{died_at:?}");
        }
        if found != Some(next) {
            let _ = store.write(next).unwrap();
        }
        for (name, content) in pair_of(next) {
            assert_eq!(fs::read(self.directory.join(name)).unwrap(), content);
        }
        let entries = fs::read_dir(&self.directory).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [STATE, CHECKPOINT, LOCK], "{died_at:?}");
    }
}

#[test]
fn the_promotion_stands_where_it_is_looked_for() {
    assert_eq!(life()[PROMOTION].0, "a promotion");
}

#[test]
fn a_process_killed_at_any_step_of_any_change_leaves_a_pair_that_the_next_one_goes_on_with() {
    let changes = (0..life().len()).map(|change| (change, true));
    for (change, complete) in changes.chain([(PROMOTION, false)]) {
        for step in 0.. {
            let grave = Grave::new(change, complete);
            let died = grave.dies(step);
            grave.rises(&[step]);
            if !died {
                assert!(step > 14, "change {change} has {step} steps only");
                break;
            }
        }
    }
}

#[test]
fn a_process_killed_while_it_cleans_up_after_a_killed_one_does_no_more_harm() {
    let mut step = 0;
    while Grave::new(PROMOTION, true).dies(step) {
        // Cleaning takes few steps; what follows is the change again.
        for second in 0..6 {
            let grave = Grave::new(PROMOTION, true);
            assert!(grave.dies(step));
            let died = grave.dies(second);
            grave.rises(&[step, second]);
            if !died {
                break;
            }
        }
        step += 1;
    }
}
