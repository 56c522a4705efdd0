//! What a running agent tells about itself, in one versioned document.
//!
//! Fields may be added to it, never changed or taken away. Times are RFC 3339, in UTC.

use pod::api;
use serde::{Deserialize, Serialize};

/// The version of [`State`].
pub const API_VERSION: &str = "agent.staticpodd/v1alpha1";

/// Everything there is to know at one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// [`API_VERSION`].
    pub api_version: String,
    /// `State`.
    pub kind: String,
    /// When this was true.
    pub time: api::Time,
    /// The node's name, with which the names of pods end.
    pub node: String,
    /// The agent's version.
    pub version: String,
    /// Where the runtime listens.
    pub runtime: String,
    /// Why the runtime does not answer, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_trouble: Option<String>,
    /// Why what is remembered cannot be written down, if it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_trouble: Option<String>,
    /// Everything was told to stop, and nothing is started.
    pub halted: bool,
    /// In the order of their names.
    pub pods: Vec<PodState>,
    /// In the order of the configuration.
    pub sources: Vec<SourceState>,
}

/// One pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodState {
    /// As a kubelet would show it. Without its manifest it has a name and no containers.
    pub pod: api::Pod,
    /// Its manifest is there.
    pub wanted: bool,
    /// Ready, or ended well.
    pub ready: bool,
    /// Something of it is being stopped.
    pub stopping: bool,
    /// The source of its manifest, by its configured path or URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The file or URL of its manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The hash of its manifest's content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Why nothing more happens now.
    pub waits: Vec<WaitState>,
    /// What the runtime has of it, the newest first.
    pub sandboxes: Vec<SandboxState>,
    /// What happened to it, the oldest first; only a few, and only in this run of the agent.
    pub events: Vec<EventState>,
}

/// One thing that a pod waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitState {
    /// The container it is about, if not the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// In one word, such as `CrashLoopBackOff` or `Gate`.
    pub reason: String,
    /// In a sentence.
    pub message: String,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<api::Time>,
}

/// One sandbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxState {
    /// The runtime's id.
    pub id: String,
    /// Which pod of that name, if the manifest was edited.
    pub uid: String,
    /// Its place in the row of sandboxes of the uid.
    pub attempt: u32,
    /// The runtime calls it ready.
    pub ready: bool,
    /// This agent made it.
    pub ours: bool,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<api::Time>,
    /// Its addresses.
    pub ips: Vec<String>,
    /// The newest of each name first.
    pub containers: Vec<ContainerState>,
}

/// One instance of a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerState {
    /// Its name in the pod.
    pub name: String,
    /// The runtime's id.
    pub id: String,
    /// Its restart count.
    pub attempt: u32,
    /// `created`, `running`, `exited` or `unknown`.
    pub state: String,
}

/// Something that happened to a pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventState {
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub kind: String,
    /// In one word.
    pub reason: String,
    /// In a sentence.
    pub message: String,
    /// How often in a row.
    pub count: u32,
    /// When it happened first.
    pub first: api::Time,
    /// When it happened last.
    pub last: api::Time,
}

/// One source of manifests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceState {
    /// Its configured path or URL.
    pub name: String,
    /// Everything in it was read: what it does not name is gone.
    pub complete: bool,
    /// Why it cannot be read as a whole now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Its files, or the one body of its URL.
    pub files: Vec<FileState>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileState {
    /// Its path, or the URL.
    pub path: String,
    /// `ok`, `refused`, `half-written`, `unreadable`, `duplicate`, `kept` or `ignored`.
    pub status: String,
    /// `namespace/name` of its last good content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// When that was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<api::Time>,
    /// Why it is not `ok`; several lines if its text has faults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
