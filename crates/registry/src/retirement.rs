//! What an operator does to the registry by hand: takes old versions out of decryption, and
//! brings them back.
//!
//! Pure, in two steps. [`plan`] shows what a request would do to the generation in force and
//! names that generation by its hash; [`apply`] makes the next generation, for the one that
//! was looked at and no other. Whoever holds the store writes it, and publishes it once it
//! is on disk. Nothing else in the program removes a version or brings one back.

use std::{collections::BTreeSet, ops::RangeInclusive};

use crate::{
    document::{Document, ProgressError},
    record::{Record, RecordState},
    state_hash::StateHash,
};

/// What the operator wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Take every retired version below this one out of decryption. Must not be above the
    /// write key's version, nor above that of a pending one.
    RetireBefore(u64),
    /// Bring these versions back into decryption. Each must have a removed record.
    Restore(BTreeSet<u64>),
}

/// What a request would do to one generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Names the generation that was looked at; [`apply`] wants it back.
    pub expected: StateHash,
    /// The records that would change, as they are now: `retired` or `removed` ones, newest
    /// first. Empty when there is nothing to do.
    pub changes: Vec<Record>,
    /// Versions below the limit of a retirement that no record knows, ascending. It cannot
    /// take them out of decryption: the key's metadata derive them as long as OpenBao keeps
    /// them.
    pub unrecorded: Vec<RangeInclusive<u64>>,
}

/// Why a request is refused. Nothing is written then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RetirementError {
    /// The registry has changed since the plan was made, or belongs to another node.
    #[error(
        "the registry is at {in_force} and the plan was made for {expected}; make a new plan and read it before applying it"
    )]
    Stale {
        /// `currentHash` in force.
        in_force: StateHash,
        /// The hash that was given.
        expected: StateHash,
    },
    /// The registry's rules forbid it.
    #[error("{0}; nothing was changed")]
    Refused(ProgressError),
}

/// Shows what `request` would do to `document`, the generation in force.
///
/// # Errors
/// [`RetirementError::Refused`] where a retirement reaches the active or a pending version,
/// or a version is to be restored that has no removed record.
pub fn plan(document: &Document, request: &Request) -> Result<Plan, RetirementError> {
    let next = successor(document, request)?;
    let changes = |next: &Document| {
        let differs = |before: &&Record| next.get(&before.key_id) != Some(*before);
        document.records().iter().filter(differs).cloned().collect()
    };
    Ok(Plan {
        expected: document.current_hash().clone(),
        changes: next.as_ref().map_or_else(Vec::new, changes),
        unrecorded: match request {
            Request::RetireBefore(before) => unrecorded_below(document, *before),
            Request::Restore(_) => Vec::new(),
        },
    })
}

/// The generation that follows `document`, the one in force, when `request` is granted.
/// `None` when there is nothing to do.
///
/// `expected` is what the plan said. Asking again with the same hash, after an answer that
/// was lost on its way, is answered with `None`.
///
/// # Errors
/// [`RetirementError::Refused`] as for [`plan`], [`RetirementError::Stale`] when another
/// generation is in force than the one that `expected` names.
pub fn apply(
    document: &Document,
    request: &Request,
    expected: &StateHash,
) -> Result<Option<Document>, RetirementError> {
    let in_force = document.current_hash();
    if in_force == expected {
        return successor(document, request);
    }
    if document.previous_hash() == Some(expected) && is_done(document, request) {
        return Ok(None);
    }
    Err(RetirementError::Stale {
        in_force: in_force.clone(),
        expected: expected.clone(),
    })
}

fn successor(document: &Document, request: &Request) -> Result<Option<Document>, RetirementError> {
    let next = match request {
        Request::RetireBefore(before) => document.retire_before(*before),
        Request::Restore(versions) => document.restore(versions),
    };
    match next {
        Ok(next) => Ok(Some(next)),
        Err(ProgressError::NoChange) => Ok(None),
        Err(error) => Err(RetirementError::Refused(error)),
    }
}

/// Whether every record is already what the request makes of it.
fn is_done(document: &Document, request: &Request) -> bool {
    let records = document.records();
    match request {
        Request::RetireBefore(before) => !records
            .iter()
            .any(|record| record.version < *before && record.state.decrypts()),
        Request::Restore(versions) => versions.iter().all(|version| {
            let mut same = records.iter().filter(|record| record.version == *version);
            same.any(|record| record.state == RecordState::Retired)
        }),
    }
}

/// The gaps between the recorded versions from 1 up to, and without, `before`.
fn unrecorded_below(document: &Document, before: u64) -> Vec<RangeInclusive<u64>> {
    let recorded: BTreeSet<u64> = document.records().iter().map(|r| r.version).collect();
    let mut gaps = Vec::new();
    let mut from = 1;
    for version in recorded.into_iter().chain([before]) {
        let end = version.min(before).saturating_sub(1);
        if from <= end {
            gaps.push(from..=end);
        }
        from = from.max(version.saturating_add(1));
    }
    gaps
}

#[cfg(test)]
mod tests;
