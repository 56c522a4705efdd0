//! From a manifest to a pod of one node.

use thiserror::Error;

use crate::{
    api,
    identity::{Origin, PodKey},
    reading::{Manifest, Pod},
};

/// The annotation that holds the uid.
pub const CONFIG_HASH: &str = "kubernetes.io/config.hash";
/// The annotation that says `file` or `http`.
pub const CONFIG_SOURCE: &str = "kubernetes.io/config.source";
/// The annotation that says when the agent saw this revision first.
pub const CONFIG_SEEN: &str = "kubernetes.io/config.seen";

/// Who runs the pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Trimmed and in lower case, as kubelets have it.
    pub name: String,
    /// Whether names of pods end in `-<name>`, as under a kubelet. Without, a node may change its
    /// name and keep its pods.
    pub suffix: bool,
}

/// Why a pod cannot have a name on this node.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NamingError {
    /// Host names are long sometimes.
    #[error(
        "the name of pod {0} with the node's name behind it is longer than 253 characters: shorten \
         it, or switch the suffix off"
    )]
    TooLong(PodKey),
    /// Namespace, name and uid are the name of a directory.
    #[error(
        "namespace, name and uid of pod {0} are longer than 253 characters together, and its \
         directory of logs is called after them: shorten the name"
    )]
    LogDirectory(PodKey),
}

const LONGEST: usize = 253;

/// Gives a manifest its final name and what its source adds. `seen` is when this revision was
/// seen first.
///
/// # Errors
///
/// The name is too long with the suffix, or for a directory.
pub fn name(manifest: &Manifest, node: &Node, seen: &api::Time) -> Result<Pod, NamingError> {
    let mut key = manifest.key.clone();
    if node.suffix {
        key.name = format!("{}-{}", key.name, node.name.to_ascii_lowercase());
    }
    if key.name.len() > LONGEST {
        return Err(NamingError::TooLong(manifest.key.clone()));
    }
    if key.namespace.len() + key.name.len() + manifest.uid.len() > LONGEST {
        return Err(NamingError::LogDirectory(manifest.key.clone()));
    }
    let mut pod = manifest.pod.clone();
    pod.metadata.name = Some(key.name.clone());
    pod.metadata.namespace = Some(key.namespace.clone());
    pod.metadata.uid = Some(manifest.uid.clone());
    let annotations = pod.metadata.annotations.get_or_insert_default();
    for (annotation, value) in [
        (CONFIG_HASH, manifest.uid.clone()),
        (CONFIG_SOURCE, manifest.origin.source().to_owned()),
        (CONFIG_SEEN, seen.0.to_string()),
    ] {
        let _ = annotations.insert(annotation.to_owned(), value);
    }
    let spec = pod.spec.get_or_insert_default();
    spec.node_name = Some(node.name.clone());
    if matches!(manifest.origin, Origin::File(_)) {
        tolerate_eviction(spec.tolerations.get_or_insert_default());
    }
    pod.status = Some(api::PodStatus {
        phase: Some("Pending".to_owned()),
        ..api::PodStatus::default()
    });
    Ok(Pod {
        origin: manifest.origin.clone(),
        key,
        uid: manifest.uid.clone(),
        revision: manifest.revision.clone(),
        api: pod,
    })
}

/// A kubelet adds it to pods from files and not to those from a URL.
fn tolerate_eviction(tolerations: &mut Vec<api::Toleration>) {
    let toleration = api::Toleration {
        operator: Some("Exists".to_owned()),
        effect: Some("NoExecute".to_owned()),
        ..api::Toleration::default()
    };
    let same = |other: &&mut api::Toleration| {
        other.key.as_deref().unwrap_or_default().is_empty()
            && other.operator == toleration.operator
            && other.effect == toleration.effect
            && other.value.as_deref().unwrap_or_default().is_empty()
    };
    match tolerations.iter_mut().find(same) {
        Some(known) => *known = toleration,
        None => tolerations.push(toleration),
    }
}

#[cfg(test)]
mod tests;
