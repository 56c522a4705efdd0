//! What is written on sandboxes and containers: labels and annotations. The next run of the
//! agent reads it, and so do tools that know a kubelet's.

/// Label: the pod's name.
pub const POD_NAME: &str = "io.kubernetes.pod.name";
/// Label: the pod's namespace.
pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// Label: the pod's uid.
pub const POD_UID: &str = "io.kubernetes.pod.uid";
/// Label: the container's name.
pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";

/// Annotation of a container: a hash of its definition.
pub const HASH: &str = "io.kubernetes.container.hash";
/// Annotation of a container: how many there were before it.
pub const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
/// Annotation of a container: where it leaves its last words.
pub const MESSAGE_PATH: &str = "io.kubernetes.container.terminationMessagePath";
/// Annotation of a container: `File` or `FallbackToLogsOnError`.
pub const MESSAGE_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
/// Annotation of a container: its hook before the end, as JSON.
pub const PRE_STOP: &str = "io.kubernetes.container.preStopHandler";
/// Annotation of a container: its ports, as JSON.
pub const PORTS: &str = "io.kubernetes.container.ports";
/// Annotation of a container: seconds that it has to stop, after a request to delete.
pub const DELETION_GRACE: &str = "io.kubernetes.pod.deletionGracePeriod";
/// Annotation of a container: seconds that it has to stop.
pub const GRACE: &str = "io.kubernetes.pod.terminationGracePeriod";

/// What begins every annotation of our own.
pub const PREFIX: &str = "staticpodd/";
/// Annotation of a sandbox: which agent made it.
pub const OWNER: &str = "staticpodd/owner";
/// Annotation of a sandbox: which content of a manifest it was made from.
pub const REVISION: &str = "staticpodd/revision";
/// Annotation of a sandbox: in which boot it was made.
pub const BOOT: &str = "staticpodd/boot";
/// Annotation of a sandbox: the configured path or URL of the source, whose completeness decides
/// whether a pod without a manifest is an orphan.
pub const SOURCE: &str = "staticpodd/source";
/// Annotation of a container: its place among the init containers, if it is a sidecar.
pub const SIDECAR: &str = "staticpodd/sidecar";

/// Those of our own that the agent writes; a manifest must not.
pub const WRITTEN: [&str; 5] = [OWNER, REVISION, BOOT, SOURCE, SIDECAR];
