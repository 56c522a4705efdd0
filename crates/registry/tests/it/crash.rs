//! The power is cut between any two steps, and again while the pair is being repaired.
//!
//! The disk below keeps two pictures: what a running process sees, and what is durable.
//! After a cut a directory may hold any choice of its unsynced changes, and a file whatever
//! was synced, or all that was written, or the half of it. From every such
//! picture the pair must load, and never at a generation below one that was acknowledged.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::Mutex,
};

use registry::{
    document::Document,
    store::{Notice, Store, StoreError, Written},
};
use secret::disk::{Disk, OsDisk, Owner};

use crate::documents::{after, first, scope};

/// Names and contents of the files in the state directory.
type Picture = BTreeMap<String, Vec<u8>>;

#[derive(Default)]
struct Content {
    written: Vec<u8>,
    durable: Vec<u8>,
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

/// Works on the real disk and remembers what would survive a power cut.
struct FragileDisk {
    contents: RefCell<Vec<Content>>,
    durable_names: RefCell<BTreeMap<String, usize>>,
    names: RefCell<BTreeMap<String, usize>>,
    /// Changes of names that no sync has made durable, oldest first.
    unsynced: RefCell<Vec<Change>>,
    steps: Cell<usize>,
    fails_at: Cell<usize>,
    /// Whether everything after the failing step fails as well.
    stays_dead: bool,
}

impl FragileDisk {
    fn new(picture: &Picture, fails_at: usize, stays_dead: bool) -> Self {
        let names: BTreeMap<_, _> = picture.keys().cloned().zip(0..).collect();
        let content = |bytes: &Vec<u8>| Content {
            written: bytes.clone(),
            durable: bytes.clone(),
        };
        Self {
            contents: RefCell::new(picture.values().map(content).collect()),
            durable_names: RefCell::new(names.clone()),
            names: RefCell::new(names),
            unsynced: RefCell::default(),
            steps: Cell::new(0),
            fails_at: Cell::new(fails_at),
            stays_dead,
        }
    }

    fn step(&self) -> io::Result<()> {
        let step = self.steps.replace(self.steps.get() + 1);
        let fails_at = self.fails_at.get();
        if step == fails_at || (self.stays_dead && step > fails_at) {
            return Err(io::Error::other("the power is off"));
        }
        Ok(())
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
        content.durable.clone_from(&content.written);
    }

    /// Everything that the disk may hold when the power comes back.
    fn pictures(&self) -> BTreeSet<Picture> {
        let contents = self.contents.borrow();
        let unsynced = self.unsynced.borrow();
        assert!(
            unsynced.len() < 12,
            "too many changes without a sync to try all choices"
        );
        let reads: [fn(&Content) -> &[u8]; 3] = [
            |content| &content.durable,
            |content| &content.written,
            |content| {
                let synced = content.durable == content.written;
                let end = content.written.len();
                &content.written[..if synced { end } else { end / 2 }]
            },
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

/// Without the random end of a temporary name, so that equal pictures are equal.
fn name(path: &Path) -> String {
    let name = path.file_name().unwrap().to_str().unwrap();
    match name.split_once(".tmp-") {
        Some((target, _)) => format!("{target}.tmp-"),
        None => name.to_owned(),
    }
}

/// A file that is open for writing, and its number.
struct Open(File, usize);

impl Disk for &FragileDisk {
    type File = Open;

    fn create(&self, path: &Path) -> io::Result<Open> {
        // A name that is taken changes nothing on disk, so it is no step.
        if path.exists() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.step()?;
        let file = OsDisk.create(path)?;
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
            self.contents.borrow_mut()[file.1]
                .written
                .extend_from_slice(part);
        }
        Ok(())
    }

    fn sync(&self, file: &Open) -> io::Result<()> {
        self.step()?;
        self.harden(file.1);
        Ok(())
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
        self.step()?;
        self.durable_names
            .borrow_mut()
            .clone_from(&self.names.borrow());
        self.unsynced.borrow_mut().clear();
        Ok(())
    }

    fn sync_existing(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        self.harden(self.id(path));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        OsDisk.remove(path)?;
        self.change(Change::Unlink(name(path)));
        Ok(())
    }
}

const NEVER: usize = usize::MAX;

/// Opens the pair on a disk that holds `picture`.
fn with_store<T>(
    picture: &Picture,
    disk: &FragileDisk,
    run: impl FnOnce(Result<Store<&FragileDisk>, StoreError>) -> T,
) -> T {
    let home = tempfile::tempdir().unwrap();
    for (name, content) in picture {
        let path = home.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    }
    run(Store::open_on(
        disk,
        &home.path().join("key-registry.json"),
        &scope(),
    ))
}

/// Opens `picture` without any fault and returns the generation, 0 for none.
fn generation_of(picture: &Picture) -> u64 {
    static KNOWN: Mutex<BTreeMap<Picture, u64>> = Mutex::new(BTreeMap::new());
    if let Some(&known) = KNOWN.lock().unwrap().get(picture) {
        return known;
    }
    let disk = FragileDisk::new(picture, NEVER, true);
    let generation = with_store(picture, &disk, |store| {
        let store = store.unwrap();
        store.document().map_or(0, Document::generation)
    });
    KNOWN.lock().unwrap().insert(picture.clone(), generation);
    generation
}

/// Writes generations until one fails or `last` is there; returns the one in force.
fn write_up_to(last: u64, store: &mut Store<&FragileDisk>) -> u64 {
    loop {
        let next = match store.document() {
            None => first(),
            Some(document) if document.generation() < last => after(document, 0),
            Some(document) => return document.generation(),
        };
        if store.write(&next).is_err() {
            return store.document().map_or(0, Document::generation);
        }
    }
}

/// Every step at which the power can go, until the whole history fits before it; with the
/// pictures that each cut may leave and the generation that was acknowledged.
fn cuts(start: &Picture) -> Vec<(usize, u64, BTreeSet<Picture>)> {
    let mut found = Vec::new();
    for step in 0.. {
        let disk = FragileDisk::new(start, step, true);
        let acknowledged = with_store(start, &disk, |store| match store {
            Ok(mut store) => Some(write_up_to(3, &mut store)),
            Err(_) => None,
        });
        found.push((
            step,
            acknowledged.unwrap_or(generation_of(start)),
            disk.pictures(),
        ));
        if disk.steps.get() <= step {
            break;
        }
    }
    found
}

#[test]
fn after_a_power_cut_at_any_step_the_pair_loads_and_never_goes_back() {
    let found = cuts(&Picture::new());
    assert!(found.len() > 40, "{}", found.len());
    let mut seen = BTreeSet::new();
    for (step, acknowledged, pictures) in found {
        for picture in pictures {
            let loaded = generation_of(&picture);
            assert!(
                (acknowledged..=acknowledged + 1).contains(&loaded),
                "cut at step {step}: generation {loaded}, acknowledged {acknowledged}"
            );
            seen.insert(loaded);
        }
    }
    assert_eq!(seen, BTreeSet::from([0, 1, 2, 3]));
}

#[test]
fn a_second_power_cut_during_the_repair_changes_nothing_about_that() {
    let mut pictures = BTreeSet::new();
    for (_, _, left) in cuts(&Picture::new()) {
        pictures.extend(left);
    }
    let mut checked = 0;
    for picture in pictures {
        let before = generation_of(&picture);
        // Opening takes few steps; the writes behind it are the other test's subject.
        for step in 0..12 {
            let disk = FragileDisk::new(&picture, step, true);
            let acknowledged = with_store(&picture, &disk, |store| {
                store.map_or(before, |store| {
                    store.document().map_or(0, Document::generation)
                })
            });
            for left in disk.pictures() {
                assert!(generation_of(&left) >= acknowledged, "cut at step {step}");
                checked += 1;
            }
            if disk.steps.get() <= step {
                break;
            }
        }
    }
    assert!(checked > 100, "{checked}");
}

/// Lets one process die at step `first` and cuts the power at step `second` of the next one.
/// Returns whether each got past its end.
fn die_then_cut(first_dies: usize, second_cut: usize) -> (bool, bool) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("key-registry.json");
    let disk = FragileDisk::new(&Picture::new(), first_dies, true);
    let mut in_force = 0;
    if let Ok(mut store) = Store::open_on(&disk, &path, &scope()) {
        in_force = write_up_to(2, &mut store);
    }
    let first_done = disk.steps.replace(0) <= first_dies;
    disk.fails_at.set(second_cut);
    if let Ok(store) = Store::open_on(&disk, &path, &scope()) {
        in_force = store.document().map_or(0, Document::generation);
    }
    for picture in disk.pictures() {
        let loaded = generation_of(&picture);
        assert!(
            loaded >= in_force,
            "died at {first_dies}, cut at {second_cut}: {loaded}"
        );
    }
    (first_done, disk.steps.get() <= second_cut)
}

#[test]
fn what_a_dead_process_left_unsynced_is_durable_before_the_next_one_uses_it() {
    for first in 0.. {
        let second = (0..).find(|&second| die_then_cut(first, second).1);
        let second = second.unwrap();
        assert!(second < 20, "{second}");
        if die_then_cut(first, second).0 {
            break;
        }
    }
}

#[test]
fn a_step_that_fails_once_costs_one_change_and_no_generation_ever_has_two_contents_that_count() {
    for step in 0..60 {
        let disk = FragileDisk::new(&Picture::new(), step, false);
        let (acknowledged, pictures) = with_store(&Picture::new(), &disk, |store| {
            // A failure while the lock file is made ends the process; nothing is lost.
            let Ok(mut store) = store else {
                return (0, disk.pictures());
            };
            for attempt in 0..6 {
                let next = store
                    .document()
                    .map_or_else(first, |now| after(now, attempt));
                let before = store.document().cloned();
                match store.write(&next) {
                    Ok(_) => assert_eq!(store.document(), Some(&next)),
                    Err(_) => assert_eq!(store.document(), before.as_ref()),
                }
                let acknowledged = store.document().map_or(0, Document::generation);
                for picture in disk.pictures() {
                    assert!(generation_of(&picture) >= acknowledged, "step {step}");
                }
            }
            (
                store.document().map_or(0, Document::generation),
                disk.pictures(),
            )
        });
        for picture in pictures {
            assert_eq!(generation_of(&picture), acknowledged, "step {step}");
        }
    }
}

#[test]
fn a_checkpoint_that_cannot_be_written_is_reported_and_made_good_by_the_next_change() {
    let mut reported = 0;
    for step in 0..30 {
        let disk = FragileDisk::new(&Picture::new(), step, false);
        with_store(&Picture::new(), &disk, |store| {
            let Ok(mut store) = store else { return };
            let Ok(Written::StateOnly(error)) = store.write(&first()) else {
                return;
            };
            assert!(error.to_string().contains(".checkpoint"), "{error}");
            reported += 1;
            assert!(matches!(
                store.write(&after(&first(), 0)),
                Ok(Written::Both)
            ));
        });
    }
    // Create, mode, two halves of a write, sync, rename, sync of the directory; as root also
    // the owner.
    let owner = usize::from(rustix::process::geteuid().is_root());
    assert_eq!(reported, 7 + owner);
}

#[test]
fn a_pair_opens_for_reading_although_its_checkpoint_cannot_be_repaired() {
    let picture = Picture::from([("key-registry.json".to_owned(), first().render())]);
    let mut unwritten = 0;
    for step in 0..14 {
        let disk = FragileDisk::new(&picture, step, true);
        with_store(&picture, &disk, |store| {
            let Ok(store) = store else { return };
            assert_eq!(store.document(), Some(&first()));
            let unwritten_now = store
                .notices()
                .iter()
                .any(|notice| matches!(notice, Notice::CheckpointUnwritten(_)));
            unwritten += usize::from(unwritten_now);
        });
    }
    assert!(unwritten >= 7, "{unwritten}");
    let disk = FragileDisk::new(&picture, NEVER, true);
    with_store(&picture, &disk, |store| drop(store.unwrap()));
    let repaired = disk.pictures().into_iter().next_back().unwrap();
    let checkpoint = &repaired["key-registry.json.checkpoint"];
    assert_eq!(*checkpoint, first().checkpoint().render());
}
