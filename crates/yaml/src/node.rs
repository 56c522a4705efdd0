//! A text as a tree of places, keys and untyped values.

use crate::source::Place;

/// A value and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
}

/// What a value is, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    /// Text, not yet typed.
    Scalar {
        /// After unescaping.
        text: String,
        /// Neither quoted nor a block scalar, so that it may also be a number or a boolean.
        plain: bool,
    },
    /// `- a` or `[a]`.
    List(Vec<Node>),
    /// `a: 1` or `{a: 1}`; in the order of the text, duplicates included.
    Map(Vec<Entry>),
    /// Something that was reported already.
    Broken,
}

/// One pair of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// After unescaping.
    pub key: String,
    /// Where the key stands.
    pub key_place: Place,
    /// What stands behind the key.
    pub value: Node,
}

/// What copying a tree costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// Values, each mapping and list included.
    pub(crate) nodes: usize,
    /// Of texts and keys.
    pub(crate) bytes: usize,
    /// Mappings and lists within each other.
    pub(crate) depth: usize,
}

impl Node {
    pub(crate) fn size(&self) -> Size {
        let mut size = Size {
            nodes: 1,
            bytes: 0,
            depth: 0,
        };
        match &self.kind {
            Kind::Null | Kind::Broken => {}
            Kind::Scalar { text, .. } => size.bytes = text.len(),
            Kind::List(items) => items.iter().for_each(|item| size.hold(item)),
            Kind::Map(entries) => {
                for entry in entries {
                    size.bytes += entry.key.len();
                    size.hold(&entry.value);
                }
            }
        }
        size
    }
}

impl Size {
    fn hold(&mut self, inner: &Node) {
        let inner = inner.size();
        self.nodes += inner.nodes;
        self.bytes += inner.bytes;
        self.depth = self.depth.max(inner.depth + 1);
    }
}
