//! A disk whose power can go at any step, and which can fail at any step and go on.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use registry::store::{Store, StoreError};
use rustix::io::Errno;
use secret::disk::{Disk, OsDisk, Owner};
use tempfile::TempDir;

use crate::documents::scope;

/// Names and contents of the files in the state directory.
pub(crate) type Picture = BTreeMap<String, Vec<u8>>;

#[derive(Default)]
struct Content {
    written: Vec<u8>,
    durable: Vec<u8>,
    /// A sync has failed. The kernel reports that once and takes the pages for clean, so that
    /// the next sync succeeds and proves nothing.
    given_up: bool,
}

enum Change {
    Link(String, usize),
    Unlink(String),
}

fn apply(names: &mut BTreeMap<String, usize>, change: &Change) {
    match change {
        Change::Link(name, file) => drop(names.insert(name.clone(), *file)),
        Change::Unlink(name) => drop(names.remove(name)),
    }
}

/// The step that goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    /// Counted from 0.
    pub(crate) step: usize,
    /// Whether all later steps fail as well: the power is off, or the disk stays full.
    pub(crate) stays: bool,
    /// What the system says; `None` when the process or the power is gone, and nobody hears it.
    pub(crate) errno: Option<Errno>,
}

impl Fault {
    /// The power goes at this step.
    pub(crate) fn cut(step: usize) -> Self {
        Self {
            step,
            stays: true,
            errno: None,
        }
    }

    /// The system refuses this step, and the next ones work.
    pub(crate) fn once(step: usize, errno: Errno) -> Self {
        Self {
            step,
            stays: false,
            errno: Some(errno),
        }
    }

    pub(crate) fn never() -> Self {
        Self::cut(usize::MAX)
    }
}

/// Works on the real disk and remembers what would survive a power cut.
pub(crate) struct FragileDisk {
    contents: RefCell<Vec<Content>>,
    durable_names: RefCell<BTreeMap<String, usize>>,
    names: RefCell<BTreeMap<String, usize>>,
    /// Changes of names that no sync has made durable, oldest first.
    unsynced: RefCell<Vec<Change>>,
    /// How many of those no sync will make durable by itself, because one has failed.
    given_up: Cell<usize>,
    steps: Cell<usize>,
    fault: Cell<Fault>,
    /// Every temporary file that was made, with its real name.
    created: RefCell<Vec<PathBuf>>,
}

impl FragileDisk {
    pub(crate) fn new(picture: &Picture, fault: Fault) -> Self {
        let names: BTreeMap<_, _> = picture.keys().cloned().zip(0..).collect();
        let content = |bytes: &Vec<u8>| Content {
            written: bytes.clone(),
            durable: bytes.clone(),
            given_up: false,
        };
        Self {
            contents: RefCell::new(picture.values().map(content).collect()),
            durable_names: RefCell::new(names.clone()),
            names: RefCell::new(names),
            unsynced: RefCell::default(),
            given_up: Cell::new(0),
            steps: Cell::new(0),
            fault: Cell::new(fault),
            created: RefCell::default(),
        }
    }

    /// A disk to which somebody has copied `picture`, and synced nothing.
    pub(crate) fn unsynced(picture: &Picture, fault: Fault) -> Self {
        let disk = Self::new(picture, fault);
        for content in disk.contents.borrow_mut().iter_mut() {
            content.durable.clear();
        }
        let names = disk.durable_names.take();
        let link = |(name, file)| Change::Link(name, file);
        disk.unsynced.replace(names.into_iter().map(link).collect());
        disk
    }

    /// Another process on the same disk; steps count from 0 again.
    pub(crate) fn set_fault(&self, fault: Fault) {
        self.steps.set(0);
        self.fault.set(fault);
    }

    /// Steps so far, those that failed included.
    pub(crate) fn steps(&self) -> usize {
        self.steps.get()
    }

    pub(crate) fn created(&self) -> Vec<PathBuf> {
        self.created.borrow().clone()
    }

    fn step(&self) -> io::Result<()> {
        let step = self.steps.replace(self.steps.get() + 1);
        let fault = self.fault.get();
        if step == fault.step || (fault.stays && step > fault.step) {
            return Err(fault.errno.unwrap_or(Errno::IO).into());
        }
        Ok(())
    }

    /// Whether a failure is one that the system reports to a process that goes on.
    fn is_heard(&self) -> bool {
        self.fault.get().errno.is_some()
    }

    fn change(&self, change: Change) {
        apply(&mut self.names.borrow_mut(), &change);
        self.unsynced.borrow_mut().push(change);
    }

    fn id(&self, path: &Path) -> usize {
        self.names.borrow()[&name(path)]
    }

    fn harden(&self, id: usize) {
        let content = &mut self.contents.borrow_mut()[id];
        if !content.given_up {
            content.durable.clone_from(&content.written);
        }
    }

    fn sync_content(&self, id: usize) -> io::Result<()> {
        let result = self.step();
        match result {
            Ok(()) => self.harden(id),
            Err(_) => self.contents.borrow_mut()[id].given_up = self.is_heard(),
        }
        result
    }

    /// What the running system shows.
    pub(crate) fn shown(&self) -> Picture {
        let contents = self.contents.borrow();
        let names = self.names.borrow();
        let content = |(name, &id): (&String, &usize)| (name.clone(), contents[id].written.clone());
        names.iter().map(content).collect()
    }

    /// Everything that the disk may hold when the power comes back.
    pub(crate) fn pictures(&self) -> BTreeSet<Picture> {
        let contents = self.contents.borrow();
        let unsynced = self.unsynced.borrow();
        assert!(
            unsynced.len() < 12,
            "too many changes without a sync to try all choices"
        );
        // Of what was not synced: as of the last sync, everything, the half, and nothing.
        let reads: [fn(&Content) -> &[u8]; 4] = [
            |content| &content.durable,
            |content| &content.written,
            |content| torn(content, 2),
            |content| torn(content, usize::MAX),
        ];
        let mut pictures = BTreeSet::new();
        for choice in 0..1_usize << unsynced.len() {
            let mut names = self.durable_names.borrow().clone();
            let chosen = |index: &usize| choice & (1 << index) != 0;
            for index in (0..unsynced.len()).filter(chosen) {
                apply(&mut names, &unsynced[index]);
            }
            pictures.extend(reads.map(|read| -> Picture {
                names
                    .iter()
                    .map(|(name, &id)| (name.clone(), read(&contents[id]).to_vec()))
                    .collect()
            }));
        }
        pictures
    }
}

fn torn(content: &Content, part: usize) -> &[u8] {
    let end = content.written.len();
    let synced = content.durable == content.written;
    &content.written[..if synced { end } else { end / part }]
}

/// Without the random end of a temporary name, so that equal pictures are equal.
fn name(path: &Path) -> String {
    let name = path.file_name().unwrap().to_str().unwrap();
    match name.split_once(".tmp-") {
        Some((target, _)) => format!("{target}.tmp-"),
        None => name.to_owned(),
    }
}

/// A file that is open for writing, and its number.
pub(crate) struct Open(File, usize);

impl Disk for &FragileDisk {
    type File = Open;

    fn create(&self, path: &Path) -> io::Result<Open> {
        // A name that is taken changes nothing on disk, so it is no step.
        if path.exists() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.step()?;
        let file = OsDisk.create(path)?;
        self.created.borrow_mut().push(path.to_owned());
        let mut contents = self.contents.borrow_mut();
        contents.push(Content::default());
        self.change(Change::Link(name(path), contents.len() - 1));
        Ok(Open(file, contents.len() - 1))
    }

    fn set_owner(&self, _: &Open, _: Owner) -> io::Result<()> {
        self.step()
    }

    fn set_mode(&self, file: &Open, mode: u32) -> io::Result<()> {
        self.step()?;
        OsDisk.set_mode(&file.0, mode)
    }

    fn write(&self, file: &mut Open, bytes: &[u8]) -> io::Result<()> {
        let (half, rest) = bytes.split_at(bytes.len() / 2);
        for part in [half, rest] {
            self.step()?;
            OsDisk.write(&mut file.0, part)?;
            let content = &mut self.contents.borrow_mut()[file.1];
            content.written.extend_from_slice(part);
            content.given_up = false;
        }
        Ok(())
    }

    fn sync(&self, file: &Open) -> io::Result<()> {
        self.sync_content(file.1)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        OsDisk.rename(from, to)?;
        // Two entries of the directory: a cut between them leaves both names.
        let id = self.id(from);
        self.change(Change::Link(name(to), id));
        self.change(Change::Unlink(name(from)));
        Ok(())
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        let mut unsynced = self.unsynced.borrow_mut();
        if let Err(error) = self.step() {
            if self.is_heard() {
                self.given_up.set(unsynced.len());
            }
            return Err(error);
        }
        // A change since then makes the directory dirty again, and all of it is written.
        if unsynced.len() > self.given_up.get() {
            let mut durable = self.durable_names.borrow_mut();
            durable.clone_from(&self.names.borrow());
            unsynced.clear();
            self.given_up.set(0);
        }
        Ok(())
    }

    fn sync_existing(&self, path: &Path) -> io::Result<()> {
        self.sync_content(self.id(path))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        OsDisk.remove(path)?;
        self.change(Change::Unlink(name(path)));
        Ok(())
    }
}

/// A directory in memory, where the system has such a place: nothing here relies on what the
/// real disk keeps.
pub(crate) fn memory() -> TempDir {
    let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    home.unwrap()
}

/// A state directory that holds `picture`, and the path of its state file.
pub(crate) fn home(picture: &Picture) -> (TempDir, PathBuf) {
    let home = memory();
    for (name, content) in picture {
        let path = home.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    }
    let path = home.path().join("key-registry.json");
    (home, path)
}

/// Opens the pair on a disk that holds `picture`.
pub(crate) fn with_store<T>(
    picture: &Picture,
    disk: &FragileDisk,
    run: impl FnOnce(Result<Store<&FragileDisk>, StoreError>) -> T,
) -> T {
    let (_home, path) = home(picture);
    run(Store::open_on(disk, &path, &scope()))
}
