//! The recovery guide quotes what the program prints, so that an operator can search for it.

use std::path::PathBuf;

use registry::{
    finding::{Finding, Floor},
    store::{Notice, StoreError},
    verdict::{Corruption, LoadError, PairFile},
};
use secret::file::FileError;

const GUIDE: &str = include_str!("../../../../docs/recovery.md");

/// One message of each kind that sends its reader to the guide.
fn messages() -> Vec<String> {
    let path = || PathBuf::from("/state/key-registry.json");
    let corrupt = |file| LoadError::Corrupt {
        file,
        fault: Corruption::Hash,
    };
    let mut messages: Vec<String> = [
        corrupt(PairFile::State),
        corrupt(PairFile::Checkpoint),
        LoadError::Rollback {
            state: 3,
            checkpoint: 4,
        },
        LoadError::Forked { generation: 3 },
        LoadError::Scope {
            version: 2,
            field: "clusterId",
        },
        LoadError::StateMissing,
    ]
    .into_iter()
    .map(|fault| {
        StoreError::Load {
            path: path(),
            fault,
        }
        .to_string()
    })
    .collect();
    messages.extend([
        StoreError::File(FileError::Missing { path: path() }).to_string(),
        StoreError::Locked { path: path() }.to_string(),
        StoreError::TooLarge {
            path: path(),
            limit: 1_048_576,
        }
        .to_string(),
        Notice::CheckpointMissing(path()).to_string(),
        Finding::NotVirgin {
            latest: 3,
            available: 0,
            decryption: 1,
            encryption: 0,
        }
        .to_string(),
        Finding::RetainedShutOut {
            floor: Floor::Decryption,
            value: 3,
            version: 2,
        }
        .to_string(),
    ]);
    messages
}

/// What stands in the guide as `*"..."*`, on one line each.
fn quotes() -> Vec<String> {
    let guide = GUIDE.split_whitespace().collect::<Vec<_>>().join(" ");
    guide
        .split("*\"")
        .skip(1)
        .map(|rest| rest.split_once("\"*").unwrap().0.to_owned())
        .collect()
}

/// Whether the parts around each `...` stand in the message, one after the other.
fn fits(quote: &str, message: &str) -> bool {
    quote
        .split("...")
        .try_fold(message, |rest, part| {
            rest.find(part).map(|at| &rest[at + part.len()..])
        })
        .is_some()
}

#[test]
fn every_message_that_the_guide_quotes_is_printed() {
    let (quotes, messages) = (quotes(), messages());
    assert!(quotes.len() >= 10, "{quotes:?}");
    for quote in quotes {
        assert!(
            messages.iter().any(|message| fits(&quote, message)),
            "nothing prints: {quote}"
        );
    }
}

#[test]
fn every_message_that_points_to_the_guide_is_found_in_it() {
    let quotes = quotes();
    for message in messages() {
        assert!(
            quotes.iter().any(|quote| fits(quote, &message)),
            "not in the guide: {message}"
        );
    }
}
