//! What is written on sandboxes and containers, so that the next run of the agent, and tools that
//! know a kubelet's, can read it.

use std::{collections::BTreeMap, path::Path, time::Duration};

use cri::v1::{ContainerConfig, ContainerMetadata, PodSandboxConfig, PodSandboxMetadata};
use plan::Owner;
use pod::{
    Pod, api,
    marks::{
        BOOT, CONTAINER_NAME, GRACE, OWNER, POD_NAME, POD_NAMESPACE, POD_UID, PORTS, PRE_STOP,
        RESTART_COUNT, REVISION, SIDECAR, SOURCE,
    },
    naming::CONFIG_SOURCE,
};
use sha2::{Digest as _, Sha256};

/// Labels or annotations.
pub(crate) type Marks = BTreeMap<String, String>;

/// The value of our ownership annotation: one agent is one root directory and one endpoint.
#[must_use]
pub fn owner(root: &Path, endpoint: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"staticpodd owner v1\0");
    hash.update(root.as_os_str().as_encoded_bytes());
    hash.update(b"\0");
    hash.update(endpoint);
    let hex: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    hex.chars().take(32).collect()
}

/// What a sandbox tells about itself beside its pod.
pub(crate) struct Stamp<'a> {
    pub(crate) owner: &'a str,
    pub(crate) source: &'a str,
    pub(crate) boot: &'a str,
    pub(crate) attempt: u32,
}

/// Writes name and marks onto a sandbox to be made. They overwrite what a manifest may claim.
pub(crate) fn stamp_sandbox(config: &mut PodSandboxConfig, pod: &Pod, stamp: &Stamp<'_>) {
    config.metadata = Some(PodSandboxMetadata {
        name: pod.key.name.clone(),
        namespace: pod.key.namespace.clone(),
        uid: pod.uid.clone(),
        attempt: stamp.attempt,
    });
    mark_pod(&mut config.labels, pod);
    for (mark, value) in [
        (OWNER, stamp.owner),
        (REVISION, &pod.revision),
        (SOURCE, stamp.source),
        (BOOT, stamp.boot),
    ] {
        put(&mut config.annotations, mark, value);
    }
}

/// Writes name and marks onto a container to be made.
pub(crate) fn stamp_container(
    config: &mut ContainerConfig,
    pod: &Pod,
    spec: &api::Container,
    attempt: u32,
    sidecar: Option<u32>,
) {
    config.metadata = Some(ContainerMetadata {
        name: spec.name.clone(),
        attempt,
    });
    mark_pod(&mut config.labels, pod);
    put(&mut config.labels, CONTAINER_NAME, &spec.name);
    let marks = &mut config.annotations;
    put(marks, RESTART_COUNT, &attempt.to_string());
    let grace = pod.api.spec.as_ref();
    let grace = grace.and_then(|spec| spec.termination_grace_period_seconds);
    put(marks, GRACE, &grace.unwrap_or(30).to_string());
    let hook = spec.lifecycle.as_ref();
    put_json(
        marks,
        PRE_STOP,
        hook.and_then(|hook| hook.pre_stop.as_ref()),
    );
    put_json(marks, PORTS, spec.ports.as_ref());
    if let Some(place) = sidecar {
        put(marks, SIDECAR, &place.to_string());
    }
}

fn mark_pod(labels: &mut Marks, pod: &Pod) {
    put(labels, POD_NAME, &pod.key.name);
    put(labels, POD_NAMESPACE, &pod.key.namespace);
    put(labels, POD_UID, &pod.uid);
}

fn put(marks: &mut Marks, mark: &str, value: &str) {
    let _ = marks.insert(mark.to_owned(), value.to_owned());
}

fn put_json(marks: &mut Marks, mark: &str, value: Option<&impl serde::Serialize>) {
    // Types of the API can always be written.
    if let Some(Ok(text)) = value.map(serde_json::to_string) {
        put(marks, mark, &text);
    }
}

fn text(marks: &Marks, mark: &str) -> String {
    marks.get(mark).cloned().unwrap_or_default()
}

/// Who made a sandbox.
pub(crate) fn owner_of(marks: &Marks, ours: &str) -> Owner {
    match (marks.get(OWNER), marks.get(CONFIG_SOURCE)) {
        (Some(owner), _) if owner == ours => Owner::Us,
        (Some(owner), _) => Owner::Foreign(format!("the agent {owner}")),
        (None, Some(source)) if source == "file" || source == "http" => Owner::Kubelet,
        (None, Some(_)) => Owner::Foreign("a kubelet, for the API server".to_owned()),
        (None, None) => Owner::Foreign("somebody who left no name".to_owned()),
    }
}

pub(crate) fn revision(marks: &Marks) -> String {
    text(marks, REVISION)
}

pub(crate) fn source(marks: &Marks) -> String {
    text(marks, SOURCE)
}

pub(crate) fn boot(marks: &Marks) -> Option<String> {
    marks.get(BOOT).cloned()
}

pub(crate) fn sidecar(marks: &Marks) -> Option<u32> {
    marks.get(SIDECAR)?.parse().ok()
}

pub(crate) fn grace(marks: &Marks) -> Option<Duration> {
    marks.get(GRACE)?.parse().ok().map(Duration::from_secs)
}

pub(crate) fn has_pre_stop(marks: &Marks) -> bool {
    marks.contains_key(PRE_STOP)
}

/// The preStop hook that a container was made with; its manifest may be another one by now.
pub(crate) fn pre_stop(marks: &Marks) -> Option<api::LifecycleHandler> {
    serde_json::from_str(marks.get(PRE_STOP)?).ok()
}

/// The ports that a container was made with: hooks may name one.
pub(crate) fn ports(marks: &Marks) -> Option<Vec<api::ContainerPort>> {
    serde_json::from_str(marks.get(PORTS)?).ok()
}
