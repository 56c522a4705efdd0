//! Volumes: of the host, of the pod, and of its own facts.

use super::row::{Object, Row, no, reference, yes};

const fn plain(field: &'static str) -> Row {
    yes(field, "")
}

const REMOTE: &str = "remote volumes are not mounted; mount it on the host and use a hostPath";
const GONE: &str = "its driver left Kubernetes";
const OWNER: &str = "files belong to root and to fsGroup";

pub(super) const VOLUME: Object = Object {
    name: "Volume",
    rows: &[
        no("awsElasticBlockStore", REMOTE),
        no("azureDisk", REMOTE),
        reference("azureFile", "its credentials are a Secret"),
        no("cephfs", REMOTE),
        no("cinder", REMOTE),
        reference("configMap", ""),
        reference("csi", "its driver is known to an API server only"),
        yes("downwardAPI", ""),
        yes("emptyDir", "also of a volume without any source"),
        reference("ephemeral", "it makes a claim"),
        no("fc", REMOTE),
        no("flexVolume", REMOTE),
        no("flocker", GONE),
        no("gcePersistentDisk", REMOTE),
        no("gitRepo", "an init container can clone"),
        reference("glusterfs", "its endpoints are an object of an API server"),
        yes(
            "hostPath",
            "checked before each start of a container, never created unless its type says so",
        ),
        no("image", "images are not mounted as volumes"),
        no("iscsi", REMOTE),
        plain("name"),
        no("nfs", REMOTE),
        reference("persistentVolumeClaim", ""),
        no("photonPersistentDisk", GONE),
        no("portworxVolume", REMOTE),
        yes("projected", "of downward API sources"),
        no("quobyte", GONE),
        no("rbd", REMOTE),
        no("scaleIO", GONE),
        reference("secret", ""),
        no("storageos", GONE),
        no("vsphereVolume", REMOTE),
    ],
};

pub(super) const HOST_PATH: Object = Object {
    name: "HostPathVolumeSource",
    rows: &[
        plain("path"),
        yes(
            "type",
            "all of them; a FIFO has none and needs the empty one",
        ),
    ],
};

pub(super) const EMPTY_DIR: Object = Object {
    name: "EmptyDirVolumeSource",
    rows: &[
        yes("medium", "disk or Memory; huge pages are refused"),
        no("mode", "the directory has mode 0777"),
        yes(
            "sizeLimit",
            "of Memory; nothing is evicted for what it writes to disk",
        ),
    ],
};

pub(super) const DOWNWARD: Object = Object {
    name: "DownwardAPIVolumeSource",
    rows: &[
        yes("defaultMode", "0644 unless set"),
        no("defaultUser", OWNER),
        plain("items"),
    ],
};

pub(super) const DOWNWARD_FILE: Object = Object {
    name: "DownwardAPIVolumeFile",
    rows: &[
        plain("fieldRef"),
        plain("mode"),
        plain("path"),
        plain("resourceFieldRef"),
        no("user", OWNER),
    ],
};

pub(super) const PROJECTED: Object = Object {
    name: "ProjectedVolumeSource",
    rows: &[
        yes("defaultMode", "0644 unless set"),
        no("defaultUser", OWNER),
        plain("sources"),
    ],
};

pub(super) const PROJECTION: Object = Object {
    name: "VolumeProjection",
    rows: &[
        reference("clusterTrustBundle", ""),
        reference("configMap", ""),
        plain("downwardAPI"),
        reference("podCertificate", "an API server signs it"),
        reference("secret", ""),
        reference("serviceAccountToken", "an API server issues it"),
    ],
};

pub(super) const DOWNWARD_PROJECTION: Object = Object {
    name: "DownwardAPIProjection",
    rows: &[plain("items")],
};
