//! The power is cut between any two steps, and again while the pair is being repaired.
//!
//! The disk below keeps two pictures: what a running process sees, and what is durable.
//! After a cut a directory may hold any choice of its unsynced changes, and a file whatever
//! was synced, or all that was written, or a part of it. From every such picture the pair must
//! load, as the generation before the change or as the one after it, and never below what was
//! acknowledged.

pub(crate) mod fragile;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use registry::{
    document::Document,
    store::{Notice, Store, StoreError, Written},
};

use self::fragile::{Fault, FragileDisk, Picture, home, with_store};
use rustix::io::Errno;

use crate::documents::{after, first, life, loses_nothing, scope};

pub(crate) const STATE: &str = "key-registry.json";
const CHECKPOINT: &str = "key-registry.json.checkpoint";
const LOCK: &str = "key-registry.json.lock";

/// A change, and one of the pairs that it can begin with.
struct Case {
    name: String,
    start: Picture,
    before: Option<Document>,
    after: Document,
}

/// Every change of a life, beginning with a pair whose checkpoint is current, behind or missing.
fn cases() -> Vec<Case> {
    let life = life();
    let mut cases = Vec::new();
    for (index, (name, after)) in life.iter().enumerate() {
        let before = index.checked_sub(1).map(|i| life[i].1.clone());
        let older = index.checked_sub(2).map(|i| &life[i].1);
        for (word, checkpoint) in [
            ("current", before.as_ref()),
            ("behind", older),
            ("missing", None),
        ] {
            if before.is_some() && checkpoint.is_none() && word != "missing"
                || before.is_none() && word != "current"
            {
                continue;
            }
            let mut start = before.as_ref().map_or_else(Picture::new, state_only);
            if let Some(document) = checkpoint {
                start.insert(CHECKPOINT.to_owned(), document.checkpoint().render());
            }
            cases.push(Case {
                name: format!("{name}, checkpoint {word}"),
                start,
                before: before.clone(),
                after: after.clone(),
            });
        }
    }
    assert_eq!(cases.len(), 30);
    cases
}

fn state_only(document: &Document) -> Picture {
    Picture::from([(STATE.to_owned(), document.render())])
}

pub(crate) fn pair_of(document: &Document) -> Picture {
    let mut pair = state_only(document);
    pair.insert(CHECKPOINT.to_owned(), document.checkpoint().render());
    pair
}

/// Opens `picture` without any fault: what it loads, after a look at what it leaves on disk.
pub(crate) fn loaded(picture: &Picture) -> Option<Document> {
    static KNOWN: Mutex<BTreeMap<Picture, Option<Document>>> = Mutex::new(BTreeMap::new());
    if let Some(known) = KNOWN.lock().unwrap().get(picture) {
        return known.clone();
    }
    let disk = FragileDisk::new(picture, Fault::never());
    let document = with_store(picture, &disk, |store| store.unwrap().document().cloned());
    let mut expected = document.as_ref().map_or_else(Picture::new, pair_of);
    expected.insert(LOCK.to_owned(), Vec::new());
    assert_eq!(disk.shown(), expected, "left-overs of {picture:?}");
    let mut known = KNOWN.lock().unwrap();
    known.insert(picture.clone(), document.clone());
    document
}

/// Opens and makes the change, until a fault stops it. What was acknowledged, which is what
/// Status may have been told: nothing at all, the loaded generation, or the written one.
fn make(case: &Case, start: &Picture, disk: &FragileDisk) -> Option<Document> {
    with_store(start, disk, |store| {
        let mut store = store.ok()?;
        if store.document() == case.before.as_ref() {
            let _ = store.write(&case.after);
        }
        store.document().cloned()
    })
}

/// What must hold of a picture that a cut has left.
fn check(case: &Case, picture: &Picture, acknowledged: Option<&Document>) {
    let name = &case.name;
    let now = loaded(picture);
    let known = now == case.before || now.as_ref() == Some(&case.after);
    assert!(known, "{name}: neither the old generation nor the new one");
    let Some(acknowledged) = acknowledged else {
        return;
    };
    let now = now.unwrap();
    assert!(now.generation() >= acknowledged.generation(), "{name}");
    let (shown, active) = (acknowledged.active().version, now.active().version);
    assert!(active >= shown, "{name}: the write key went back");
    assert!(loses_nothing(acknowledged, &now), "{name}");
}

/// Each step of a change at which the power can go, until the change fits before it: what was
/// acknowledged, and what the cut may leave.
fn cuts(case: &Case, start: &Picture) -> Vec<(Option<Document>, BTreeSet<Picture>)> {
    let mut found = Vec::new();
    for step in 0.. {
        let disk = FragileDisk::new(start, Fault::cut(step));
        let acknowledged = make(case, start, &disk);
        found.push((acknowledged, disk.pictures()));
        if disk.steps() <= step {
            return found;
        }
    }
    unreachable!("a change has an end")
}

#[test]
fn after_a_power_cut_at_any_step_of_any_change_the_pair_loads_and_never_goes_back() {
    for case in cases() {
        let found = cuts(&case, &case.start);
        // State and checkpoint: create, mode, two halves, sync, rename, sync the directory.
        assert!(found.len() > 14, "{}: {}", case.name, found.len());
        let mut seen = BTreeSet::new();
        for (acknowledged, pictures) in &found {
            for picture in pictures {
                check(&case, picture, acknowledged.as_ref());
                seen.insert(loaded(picture).map_or(0, |now| now.generation()));
            }
        }
        let generation = case.after.generation();
        assert_eq!(seen, BTreeSet::from([generation - 1, generation]));
        let (last, _) = found.last().unwrap();
        assert_eq!(last.as_ref(), Some(&case.after));
    }
}

/// One change of each kind: a new pair, new records, a repair, an operator's hand.
fn chosen_cases() -> impl Iterator<Item = Case> {
    let chosen = [
        "the bootstrap, checkpoint current",
        "a promotion, checkpoint current",
        "a promotion, checkpoint behind",
        "a retirement, checkpoint current",
    ];
    let is_chosen = move |case: &Case| chosen.contains(&case.name.as_str());
    cases().into_iter().filter(is_chosen)
}

#[test]
fn a_second_power_cut_during_the_recovery_changes_nothing_about_that() {
    let mut checked = 0;
    for case in chosen_cases() {
        let first = cuts(&case, &case.start);
        let left: BTreeSet<_> = first.into_iter().flat_map(|(_, left)| left).collect();
        for start in left {
            let before = loaded(&start);
            for (acknowledged, pictures) in cuts(&case, &start) {
                for picture in pictures {
                    check(&case, &picture, acknowledged.as_ref().or(before.as_ref()));
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 1000, "{checked}");
}

/// Lets one process die at step `first_dies` of a change and cuts the power at step
/// `second_cut` of the next one. Returns whether each got past its end.
fn die_then_cut(case: &Case, first_dies: usize, second_cut: usize) -> (bool, bool) {
    let (_home, path) = home(&case.start);
    let disk = FragileDisk::new(&case.start, Fault::cut(first_dies));
    let mut in_force = None;
    if let Ok(mut store) = Store::open_on(&disk, &path, &scope()) {
        let _ = store.write(&case.after);
        in_force = store.document().cloned();
    }
    let first_done = disk.steps() <= first_dies;
    disk.set_fault(Fault::cut(second_cut));
    if let Ok(store) = Store::open_on(&disk, &path, &scope()) {
        in_force = store.document().cloned();
    }
    for picture in disk.pictures() {
        check(case, &picture, in_force.as_ref());
    }
    (first_done, disk.steps() <= second_cut)
}

#[test]
fn what_a_dead_process_left_unsynced_is_durable_before_the_next_one_uses_it() {
    for case in chosen_cases() {
        for first in 0.. {
            let second = (0..).find(|&second| die_then_cut(&case, first, second).1);
            let second = second.unwrap();
            assert!(second < 20, "{second}");
            if die_then_cut(&case, first, second).0 {
                break;
            }
        }
    }
}

#[test]
fn a_pair_that_was_copied_there_is_durable_before_it_is_used() {
    let second = after(&first(), 0);
    let mut behind = pair_of(&second);
    behind.insert(CHECKPOINT.to_owned(), first().checkpoint().render());
    for start in [pair_of(&second), behind, state_only(&second)] {
        for step in 0.. {
            let disk = FragileDisk::unsynced(&start, Fault::cut(step));
            let opened = with_store(&start, &disk, |store| store.is_ok());
            for picture in disk.pictures() {
                if opened {
                    assert_eq!(loaded(&picture).as_ref(), Some(&second), "step {step}");
                }
            }
            if disk.steps() <= step {
                assert!(opened);
                break;
            }
        }
    }
}

#[test]
fn a_pair_opens_for_reading_although_its_checkpoint_cannot_be_repaired() {
    let picture = state_only(&first());
    let mut unwritten = 0;
    for step in 0..14 {
        let disk = FragileDisk::new(&picture, Fault::cut(step));
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
}

#[test]
fn no_row_of_faults_ever_gives_one_generation_two_contents_that_count() {
    for step in 0..60 {
        let fault = Fault::once(step, Errno::IO);
        let disk = FragileDisk::new(&Picture::new(), fault);
        let (acknowledged, pictures) = with_store(&Picture::new(), &disk, |store| {
            // A failure while the lock file is made ends the process; nothing is lost.
            let Ok(mut store) = store else {
                return (None, disk.pictures());
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
                    let now = loaded(&picture).map_or(0, |now| now.generation());
                    assert!(now >= acknowledged, "step {step}");
                }
            }
            (store.document().cloned(), disk.pictures())
        });
        for picture in pictures {
            assert_eq!(loaded(&picture), acknowledged, "step {step}");
        }
    }
}

#[test]
fn a_checkpoint_that_cannot_be_written_is_reported_and_made_good_by_the_next_change() {
    let mut reported = 0;
    for step in 0..30 {
        let fault = Fault::once(step, Errno::IO);
        let disk = FragileDisk::new(&Picture::new(), fault);
        with_store(&Picture::new(), &disk, |store: Result<_, StoreError>| {
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
