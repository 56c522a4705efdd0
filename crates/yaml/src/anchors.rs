//! Anchors, aliases and merge keys of a manifest, within a budget.
//!
//! Ten lines of aliases to lists of aliases are a gigabyte when written out. Copies are paid for
//! from a budget that no honest manifest exhausts.

use std::collections::BTreeMap;

use crate::{
    fault::{Fault, Show},
    node::{Entry, Kind, Node},
    source::Place,
};

/// What all copies together may hold.
const NODES: usize = 50_000;
const BYTES: usize = 2 * 1024 * 1024;

/// Why an alias or an anchor is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Unknown,
    Budget,
    Depth,
}

impl Refused {
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Unknown => "is an alias (*name) of nothing that stands before it",
            Self::Budget => "repeats more by aliases than a manifest may hold",
            Self::Depth => "has too many levels once its aliases are written out",
        }
    }

    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::Unknown => "define the anchor (&name) first, or write the value out",
            Self::Budget | Self::Depth => "write the values out",
        }
    }
}

/// The anchored values so far.
pub(crate) struct Anchors {
    kept: BTreeMap<usize, Node>,
    nodes: usize,
    bytes: usize,
    nesting: usize,
}

impl Anchors {
    pub(crate) fn new(nesting: usize) -> Self {
        Self {
            kept: BTreeMap::new(),
            nodes: NODES,
            bytes: BYTES,
            nesting,
        }
    }

    /// Keeps a copy for aliases that come later.
    pub(crate) fn keep(&mut self, anchor: usize, node: &Node) -> Result<(), Refused> {
        self.pay(node)?;
        let _ = self.kept.insert(anchor, node.clone());
        Ok(())
    }

    /// A copy of the anchored value. An alias within the value itself finds nothing: its end has
    /// not come yet.
    pub(crate) fn take(&mut self, anchor: usize) -> Result<Kind, Refused> {
        let node = self.kept.remove(&anchor).ok_or(Refused::Unknown)?;
        let paid = self.pay(&node);
        let kind = node.kind.clone();
        let _ = self.kept.insert(anchor, node);
        paid.map(|()| kind)
    }

    fn pay(&mut self, node: &Node) -> Result<(), Refused> {
        let size = node.size();
        if size.depth > self.nesting {
            return Err(Refused::Depth);
        }
        let rest = (
            self.nodes.checked_sub(size.nodes),
            self.bytes.checked_sub(size.bytes),
        );
        let (Some(nodes), Some(bytes)) = rest else {
            // What did not fit once ends the matter: many small copies may not follow.
            (self.nodes, self.bytes) = (0, 0);
            return Err(Refused::Budget);
        };
        (self.nodes, self.bytes) = (nodes, bytes);
        Ok(())
    }
}

/// A mapping with what it merges (`<<`): own keys win, and of several merged mappings the first.
///
/// Readers differ on a key that stands before the merge and in it, too; such a manifest would
/// mean different things to different readers. `before` is the number of entries before the merge.
pub(crate) fn merge(
    entries: Vec<Entry>,
    merged: Option<(usize, Node)>,
    faults: &mut Vec<Fault>,
) -> Vec<Entry> {
    let mut all = entries;
    let Some((before, node)) = merged else {
        return all;
    };
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for (at, entry) in all.iter().enumerate() {
        let _ = known.entry(entry.key.clone()).or_insert(at);
    }
    let sources = match node.kind {
        Kind::List(nodes) => nodes,
        _ => vec![node],
    };
    for source in sources {
        match source.kind {
            Kind::Map(inherited) => {
                for entry in inherited {
                    match known.get(&entry.key) {
                        None => {
                            let _ = known.insert(entry.key.clone(), usize::MAX);
                            all.push(entry);
                        }
                        Some(at) if *at < before => {
                            faults.extend(all.get(*at).map(ambiguous));
                        }
                        Some(_) => {}
                    }
                }
            }
            Kind::Broken => {}
            _ => faults.push(fault(
                source.place,
                "is merged (<<) and no mapping",
                "merge an alias of a mapping, or write the fields out",
            )),
        }
    }
    all
}

fn ambiguous(entry: &Entry) -> Fault {
    fault(
        entry.key_place.clone(),
        "is set before a merge (<<) that sets it, too: readers differ on which of the two counts",
        "move the line with '<<' to the top of its mapping",
    )
}

fn fault(place: Place, message: &str, advice: &str) -> Fault {
    Fault {
        field: String::new(),
        place,
        message: message.into(),
        advice: advice.into(),
        show: Show::Hidden,
    }
}
