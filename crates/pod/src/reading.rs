//! What was read: manifests with their faults, and pods with their final names.

use yaml::{fault::Fault, source::Source};

use crate::{
    api,
    identity::{Origin, PodKey},
    places::Places,
    report::Warning,
};

/// The largest text that is read, in bytes; a kubelet has the same limit.
pub const MAX_BYTES: usize = 10 * 1024 * 1024;

/// All that was found in one text: one item for a Pod, one for each pod of a `PodList`.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The text under the name that messages give it.
    pub source: Source,
    /// What concerns the text as a whole: no YAML, not UTF-8, no Pod, a second document. Nothing
    /// was read when this is not empty.
    pub faults: Vec<Fault>,
    /// One for each pod. Empty without faults only for a `PodList` that says `items: []`.
    pub items: Vec<Item>,
}

impl Reading {
    /// Whether there is no error: each item has a manifest.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty() && self.items.iter().all(|item| item.manifest.is_ok())
    }

    /// Every error of the text, in no particular order; `yaml::fault::render` sorts them.
    #[must_use]
    pub fn errors(&self) -> Vec<Fault> {
        let of_items = self
            .items
            .iter()
            .filter_map(|item| item.manifest.as_ref().err());
        self.faults
            .iter()
            .chain(of_items.flatten())
            .cloned()
            .collect()
    }

    /// Every warning of the text.
    pub fn warnings(&self) -> impl Iterator<Item = &Warning> {
        self.items.iter().flat_map(|item| &item.warnings)
    }
}

/// One pod of a text.
#[derive(Debug, Clone)]
pub struct Item {
    /// Namespace and name as far as they could be read, the name without the node's suffix; for
    /// messages, and to keep the last good version of the same pod.
    pub key: PodKey,
    /// The manifest, or every error in it.
    pub manifest: Result<Manifest, Vec<Fault>>,
    /// What is unwise or without effect.
    pub warnings: Vec<Warning>,
}

/// One sound pod, with the API's defaults and still without a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Where it came from.
    pub origin: Origin,
    /// Namespace and name as written; the namespace is `default` when none was.
    pub key: PodKey,
    /// The pod, with the API's defaults. Its uid and revision are not written into it.
    pub pod: api::Pod,
    /// The manifest's uid, or 32 lower-case hexadecimal digits that depend on content and origin.
    pub uid: String,
    /// 32 lower-case hexadecimal digits that depend on the content alone.
    pub revision: String,
    /// Where each field stands in the text.
    pub places: Places,
}

/// A pod as a node runs it: with its final name, its annotations and the defaults of its source.
#[derive(Debug, Clone, PartialEq)]
pub struct Pod {
    /// Where it came from.
    pub origin: Origin,
    /// Namespace and final name.
    pub key: PodKey,
    /// As in the manifest, or derived.
    pub uid: String,
    /// Of the manifest's content.
    pub revision: String,
    /// The complete pod: `metadata` holds the final name, the namespace, the uid and the
    /// annotations of a static pod.
    pub api: api::Pod,
}
