//! Who a pod is: where its manifest came from, its key, its uid and its revision.

use std::fmt;

/// Where a manifest came from. It is part of a pod's identity unless the manifest names a uid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The absolute path of a file, as configured and not resolved.
    File(String),
    /// A URL, as configured.
    Url(String),
}

impl Origin {
    /// The value of the annotation `kubernetes.io/config.source`.
    #[must_use]
    pub fn source(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Url(_) => "http",
        }
    }
}

/// What no two pods of a node may share: namespace and name, the name with its suffix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodKey {
    /// `default` unless the manifest says otherwise.
    pub namespace: String,
    /// With the node's suffix, unless that is switched off.
    pub name: String,
}

impl fmt::Display for PodKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
