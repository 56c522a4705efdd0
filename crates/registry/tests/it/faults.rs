//! The disk refuses one step, or all of them for a while, and the process goes on.
//!
//! After a sync that failed the kernel takes the pages for clean, so the disk below answers
//! the next sync of the same with success and keeps nothing: only what is written anew counts.

use std::{
    collections::BTreeSet,
    error::Error as _,
    fs, io,
    path::{Path, PathBuf},
};

use registry::{
    document::Document,
    store::{Notice, Store, StoreError, Written},
};
use rustix::io::Errno;
use secret::replace::ReplaceError;

use crate::{
    crash::{
        STATE,
        fragile::{Fault, FragileDisk, Picture, home},
        loaded, pair_of,
    },
    documents::{after, first, life, scope},
};

const ERRORS: [Errno; 3] = [Errno::IO, Errno::NOSPC, Errno::ROFS];

/// What the system said, as far as an error has kept it.
fn errno_of(error: &StoreError) -> Option<i32> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return error.raw_os_error();
        }
        cause = error.source();
    }
    None
}

/// A store that holds `before`, on a disk that has done nothing else yet.
fn opened<'d>(
    before: Option<&Document>,
    path: &Path,
    disk: &'d FragileDisk,
) -> Store<&'d FragileDisk> {
    let store = Store::open_on(disk, path, &scope()).unwrap();
    assert_eq!(store.document(), before);
    store
}

fn start_of(before: Option<&Document>) -> Picture {
    before.map_or_else(Picture::new, pair_of)
}

fn temporaries(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path.parent().unwrap()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.to_str().unwrap().contains(".tmp-"))
        .collect()
}

/// The change in force, for everybody who looks: the process, the files, and the disk after a
/// power cut.
fn assert_in_force(store: &Store<&FragileDisk>, disk: &FragileDisk, path: &Path, next: &Document) {
    assert_eq!(store.document(), Some(next));
    assert_eq!(fs::read(path).unwrap(), next.render());
    let peeked = Store::peek(path, &scope()).unwrap();
    assert_eq!(peeked.document.as_ref(), Some(next));
    for picture in disk.pictures() {
        assert_eq!(loaded(&picture).as_ref(), Some(next));
    }
}

/// One change, of which `step` is refused with `errno`. Returns false when the change has no
/// such step.
fn refused_once(before: Option<&Document>, next: &Document, step: usize, errno: Errno) -> bool {
    let (_home, path) = home(&start_of(before));
    let disk = FragileDisk::new(&start_of(before), Fault::never());
    let mut store = opened(before, &path, &disk);
    disk.set_fault(Fault::once(step, errno));
    let result = store.write(next);
    let reached = disk.steps() > step;
    let first_temporaries: BTreeSet<_> = disk.created().into_iter().collect();
    match result {
        Ok(Written::Both) => {
            assert!(!reached, "step {step} was refused and nobody heard it");
            return false;
        }
        Ok(Written::StateOnly(error)) => {
            assert_eq!(errno_of(&error), Some(errno.raw_os_error()));
            assert!(error.to_string().contains(".checkpoint: "), "{error}");
            assert_eq!(store.document(), Some(next));
            for picture in disk.pictures() {
                assert_eq!(loaded(&picture).as_ref(), Some(next), "step {step}");
            }
        }
        Err(error) => {
            assert_eq!(errno_of(&error), Some(errno.raw_os_error()));
            assert!(error.to_string().starts_with(path.to_str().unwrap()));
            assert!(error.to_string().contains("disk's space"), "{error}");
            assert_eq!(store.document(), before, "step {step}: not in force");
            // Only the last step leaves it open which of the two is on disk; both are whole.
            let peeked = Store::peek(&path, &scope()).unwrap().document;
            let last = matches!(&error, StoreError::Write(ReplaceError { step, .. })
                if *step == "syncing its directory");
            assert!(peeked.as_ref() == before || last && peeked.as_ref() == Some(next));
            for picture in disk.pictures() {
                let now = loaded(&picture);
                assert!(now.as_ref() == before || last && now.as_ref() == Some(next));
            }
        }
    }
    assert!(temporaries(&path).is_empty());
    // The same again, or what follows, into files that are new: a second sync proves nothing.
    let again = match store.document() {
        now if now == before => next.clone(),
        _ => after(next, 1),
    };
    assert!(matches!(store.write(&again), Ok(Written::Both)));
    assert_in_force(&store, &disk, &path, &again);
    let fresh = disk.created().len() - first_temporaries.len();
    assert_eq!(fresh, 2, "a temporary file each for state and checkpoint");
    true
}

#[test]
fn a_step_that_is_refused_once_costs_one_change_and_the_next_one_is_whole_and_durable() {
    let mut before: Option<Document> = None;
    for (name, next) in life() {
        // What the error is makes no difference here, so one change hears of all.
        let errors = if name == "a promotion" {
            &ERRORS[..]
        } else {
            &ERRORS[..1]
        };
        for &errno in errors {
            let steps = (0..).take_while(|step| refused_once(before.as_ref(), &next, *step, errno));
            let steps = steps.count();
            // Twice: create, mode, two halves of a write, sync, rename, sync of the directory.
            assert!(steps >= 14, "{name}: {steps}");
        }
        before = Some(next);
    }
}

#[test]
fn another_change_may_take_the_generation_of_one_that_was_refused() {
    for step in 0..8 {
        let (_home, path) = home(&pair_of(&first()));
        let disk = FragileDisk::new(&pair_of(&first()), Fault::never());
        let mut store = opened(Some(&first()), &path, &disk);
        disk.set_fault(Fault::once(step, Errno::IO));
        if store.write(&after(&first(), 0)).is_ok() {
            assert!(step >= 7, "{step}");
            continue;
        }
        let other = after(&first(), 1);
        assert!(matches!(store.write(&other), Ok(Written::Both)));
        assert_in_force(&store, &disk, &path, &other);
        drop(store);
        let mut store = opened(Some(&other), &path, &disk);
        let third = after(&other, 0);
        assert!(matches!(store.write(&third), Ok(Written::Both)));
        assert_eq!(third.previous_hash(), Some(other.current_hash()));
    }
}

#[test]
fn a_disk_that_stays_full_or_read_only_holds_changes_back_and_tears_nothing() {
    for errno in ERRORS {
        // From each step on nothing works any more, removing included.
        for step in 0..8 {
            let (_home, path) = home(&pair_of(&first()));
            let disk = FragileDisk::new(&pair_of(&first()), Fault::never());
            let mut store = opened(Some(&first()), &path, &disk);
            disk.set_fault(Fault {
                stays: true,
                ..Fault::once(step, errno)
            });
            let next = after(&first(), 0);
            let mut in_force = first();
            for _ in 0..3 {
                if store.document() == Some(&first()) && store.write(&next).is_ok() {
                    in_force = next.clone();
                }
                assert_eq!(store.document(), Some(&in_force));
                let peeked = Store::peek(&path, &scope()).unwrap().document.unwrap();
                assert!(peeked == in_force || peeked == next);
            }
            disk.set_fault(Fault::never());
            let healed = after(&in_force, 7);
            assert!(matches!(store.write(&healed), Ok(Written::Both)));
            assert_in_force(&store, &disk, &path, &healed);
            drop(store);
            let left = temporaries(&path).len();
            let store = opened(Some(&healed), &path, &disk);
            let cleaned = |notice: &&Notice| matches!(notice, Notice::LeftoverRemoved(_));
            assert_eq!(store.notices().iter().filter(cleaned).count(), left);
            assert_eq!(temporaries(&path).len(), 0);
        }
    }
}

#[test]
fn after_a_refused_sync_of_the_directory_the_next_process_does_not_rely_on_a_second_one() {
    let mut before: Option<Document> = None;
    for (name, next) in life() {
        let mut refused = 0;
        for step in 0..10 {
            let (_home, path) = home(&start_of(before.as_ref()));
            let disk = FragileDisk::new(&start_of(before.as_ref()), Fault::never());
            let mut store = opened(before.as_ref(), &path, &disk);
            disk.set_fault(Fault::once(step, Errno::IO));
            refused += usize::from(store.write(&next).is_err());
            drop(store);
            // What it names now must still be there after a cut.
            let store = Store::open_on(&disk, &path, &scope()).unwrap();
            for picture in disk.pictures() {
                assert_eq!(
                    loaded(&picture).as_ref(),
                    store.document(),
                    "{name}, {step}"
                );
            }
        }
        assert!(refused >= 7, "{name}: {refused}");
        before = Some(next);
    }
}

#[test]
fn a_start_on_a_disk_that_refuses_a_step_uses_the_pair_or_says_why_not() {
    let second = after(&first(), 0);
    let mut behind = pair_of(&second);
    behind.extend(
        pair_of(&first())
            .into_iter()
            .filter(|(name, _)| name != STATE),
    );
    for errno in ERRORS {
        let mut refused = BTreeSet::new();
        for step in 0..20 {
            let disk = FragileDisk::new(&behind, Fault::once(step, errno));
            let (_home, path) = home(&behind);
            match Store::open_on(&disk, &path, &scope()) {
                Ok(store) => assert_eq!(store.document(), Some(&second), "step {step}"),
                Err(error) => {
                    assert_eq!(errno_of(&error), Some(errno.raw_os_error()));
                    assert_eq!(error.class(), "state_unusable");
                    refused.insert(error.to_string().split(": ").nth(1).unwrap().to_owned());
                }
            }
            for picture in disk.pictures() {
                assert_eq!(loaded(&picture).as_ref(), Some(&second), "step {step}");
            }
        }
        assert!(refused.contains("making it durable failed"), "{refused:?}");
        assert!(refused.contains("creating it failed"), "{refused:?}");
    }
}

/// A report reads both files while a writer is between them: the newer one must be the state.
#[test]
fn a_report_beside_a_writer_never_takes_its_work_for_a_rollback() {
    let (_home, path) = home(&pair_of(&first()));
    std::thread::scope(|scope_of_threads| {
        let writer = scope_of_threads.spawn(|| {
            let mut store = Store::open(&path, &scope()).unwrap();
            for _ in 0..400 {
                let next = after(store.document().unwrap(), 0);
                assert!(matches!(store.write(&next), Ok(Written::Both)));
            }
        });
        while !writer.is_finished() {
            let pair = Store::peek(&path, &scope()).unwrap();
            assert!(pair.document.is_some());
        }
    });
}
