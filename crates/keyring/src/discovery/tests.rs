//! The bounds of what discovery remembers.

use super::*;
use crate::testing::{created, metadata, scope, snapshot};
use memory::{DERIVED_MAX, REFRESHES, REFUSED_MAX};

const WINDOW: Duration = Duration::from_secs(30);

fn memory() -> Memory {
    Memory::new(scope(), "0.1.0".to_owned(), WINDOW)
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn what_is_derived_equals_what_the_registry_would_derive() {
    let mut memory = memory();
    assert_eq!(memory.add(&metadata(&[1, 2]), at(0)), 2);
    assert_eq!(memory.add(&metadata(&[1, 2]), at(0)), 0);
    let expected = snapshot(2);
    let found = memory.find(&expected.key_id, Sighting::Once);
    assert_eq!(found, Some(expected));
    assert_eq!(memory.find(&snapshot(3).key_id, Sighting::Once), None);
}

#[test]
fn a_refresh_takes_nothing_away_and_a_probe_does() {
    let mut memory = memory();
    memory.add(&metadata(&[1, 2, 3]), at(0));
    memory.add(&metadata(&[1]), at(0));
    assert!(memory.has_seen(&snapshot(3).key_id));
    // Seconds of the probes, and whether version 3 is still served after each.
    for (second, stays) in [(0, true), (1, true), (2, true), (3, true), (4, false)] {
        memory.replace(&metadata(&[1, 2]), at(second));
        assert_eq!(memory.has_seen(&snapshot(3).key_id), stays, "{second}");
    }
    assert_eq!(memory.sizes().0, 2);
}

#[test]
fn a_probe_that_lists_a_version_again_starts_the_count_of_its_absence_anew() {
    let mut memory = memory();
    memory.add(&metadata(&[1, 2]), at(0));
    for (second, versions) in [(0, 1), (2, 1), (4, 2), (6, 1), (8, 1)] {
        let versions: Vec<u64> = (1..=versions).collect();
        memory.replace(&metadata(&versions), at(second));
        assert!(memory.has_seen(&snapshot(2).key_id), "{second}");
    }
}

#[test]
fn the_same_version_with_another_creation_second_is_another_key_id() {
    let mut memory = memory();
    memory.replace(&metadata(&[2]), at(0));
    let mut recreated = metadata(&[2]);
    recreated.creation_times.insert(2, created(2) + 1);
    memory.add(&recreated, at(0));
    assert_eq!(memory.sizes().0, 2);
    memory.replace(&recreated, at(0));
    assert!(!memory.has_seen(&snapshot(2).key_id));
}

#[test]
fn impossible_versions_and_times_derive_nothing() {
    let mut memory = memory();
    let mut odd = metadata(&[]);
    odd.creation_times
        .extend([(0, 1_700_000_000), (1, 0), (2, -5)]);
    assert_eq!(memory.add(&odd, at(0)), 0);
}

#[test]
fn a_second_sighting_confirms_and_one_of_a_probe_does_at_once() {
    let mut memory = memory();
    let key_id = snapshot(2).key_id.clone();
    memory.add(&metadata(&[2]), at(0));
    assert!(memory.find(&key_id, Sighting::Confirmed).is_none());
    memory.add(&metadata(&[2]), at(1));
    assert!(
        memory.find(&key_id, Sighting::Confirmed).is_none(),
        "too soon"
    );
    memory.add(&metadata(&[2]), at(2));
    assert!(memory.find(&key_id, Sighting::Confirmed).is_some());
    memory.replace(&metadata(&[3]), at(0));
    let probed = snapshot(3).key_id.clone();
    assert!(memory.find(&probed, Sighting::Confirmed).is_some());
}

#[test]
fn the_budget_holds_in_every_window_of_time() {
    let mut memory = memory();
    let granted: Vec<u64> = (0..300).filter(|s| memory.take_refresh(at(*s))).collect();
    assert_eq!(granted.len(), 300 / 30 * REFRESHES);
    assert_eq!(
        granted[REFRESHES],
        WINDOW.as_secs(),
        "as soon as it is over"
    );
    for pair in granted.windows(REFRESHES + 1) {
        assert!(pair[REFRESHES] - pair[0] >= WINDOW.as_secs(), "{pair:?}");
    }
}

#[test]
fn refusals_end_after_a_window_and_never_outgrow_their_bound() {
    let mut memory = memory();
    let key_id = snapshot(7).key_id.clone();
    memory.refuse(&key_id, at(0));
    assert!(memory.is_refused(&key_id, at(29)));
    assert!(!memory.is_refused(&key_id, at(30)));
    // Refused anew: the old entry of the order must not end the new one.
    memory.refuse(&key_id, at(29));
    memory.refuse(&snapshot(8).key_id, at(31));
    assert!(memory.is_refused(&key_id, at(58)));
    for version in 100..100 + 2 * REFUSED_MAX as u64 {
        memory.refuse(&KeyId::derive(&scope(), version, 1), at(40));
    }
    let (_, refused, order) = memory.sizes();
    assert_eq!((refused, order), (REFUSED_MAX, REFUSED_MAX));
    memory.refuse(&key_id, at(100));
    assert_eq!(memory.sizes().1, 1, "what is over is forgotten");
    memory.refuse(&snapshot(8).key_id, at(100) + WINDOW);
    assert_eq!(memory.sizes().1, 1, "and so is what is over just now");
}

#[test]
fn what_a_reading_derives_is_refused_no_longer() {
    let mut memory = memory();
    memory.refuse(&snapshot(7).key_id, at(0));
    memory.add(&metadata(&[7]), at(0));
    assert!(!memory.is_refused(&snapshot(7).key_id, at(1)));
}

#[test]
fn of_a_key_with_very_many_versions_the_newest_are_kept() {
    let mut memory = memory();
    let last = DERIVED_MAX as u64 + 10;
    let versions: Vec<u64> = (1..=last).collect();
    memory.replace(&metadata(&versions), at(0));
    assert_eq!(memory.sizes().0, DERIVED_MAX);
    assert!(memory.has_seen(&snapshot(last).key_id));
    assert!(!memory.has_seen(&snapshot(10).key_id));
    assert_eq!(memory.add(&metadata(&[5]), at(1)), 0, "there is no room");
    assert_eq!(memory.sizes().0, DERIVED_MAX);
}
