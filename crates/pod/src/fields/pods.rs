//! The pod itself: metadata, specification, network names, groups of users.

use super::row::{Object, Row, no, reference, void, yes};

const SCHEDULED: &str = "nothing is scheduled: the manifest is on its node already";
const WRITTEN: &str = "only an API server writes it";

pub(super) const POD: Object = Object {
    name: "Pod",
    rows: &[
        yes("apiVersion", "must be v1"),
        yes("kind", "must be Pod"),
        yes("metadata", ""),
        yes("spec", ""),
        void("status", "what runs is told by the runtime"),
    ],
};

pub(super) const METADATA: Object = Object {
    name: "ObjectMeta",
    rows: &[
        yes(
            "annotations",
            "given to the sandbox unchanged; those under staticpodd/ order and gate pods; the old ones of AppArmor become fields, those of seccomp are refused",
        ),
        void("creationTimestamp", WRITTEN),
        void("deletionGracePeriodSeconds", WRITTEN),
        void("deletionTimestamp", "remove the file to delete the pod"),
        void("finalizers", "nobody would finalize"),
        void("generateName", "a static pod's name is written out"),
        void("generation", WRITTEN),
        yes(
            "labels",
            "given to the sandbox; containers carry only the labels of the CRI",
        ),
        void("managedFields", WRITTEN),
        yes(
            "name",
            "required; the node's name is added unless that is switched off",
        ),
        yes(
            "namespace",
            "default unless set; it need not exist anywhere",
        ),
        void("ownerReferences", "nothing owns a static pod"),
        void("resourceVersion", WRITTEN),
        void("selfLink", WRITTEN),
        yes(
            "uid",
            "taken as it is; derived from content and source unless set",
        ),
    ],
};

pub(super) const SPEC: Object = Object {
    name: "PodSpec",
    rows: &[
        yes("activeDeadlineSeconds", "counted from the start of the pod"),
        void("affinity", SCHEDULED),
        reference(
            "automountServiceAccountToken",
            "true asks for a token of an API server; false is what always happens",
        ),
        yes("containers", ""),
        yes("dnsConfig", ""),
        yes(
            "dnsPolicy",
            "ClusterFirst is Default where no cluster DNS is configured or the pod is on the host's network",
        ),
        void(
            "enableServiceLinks",
            "no services are known without an API server",
        ),
        no(
            "ephemeralContainers",
            "they are added to running pods by an API server",
        ),
        void("evictionResponders", "nothing evicts a static pod"),
        yes("hostAliases", ""),
        yes("hostIPC", ""),
        yes("hostNetwork", ""),
        yes("hostPID", ""),
        yes(
            "hostUsers",
            "false where the runtime has user namespaces, else refused",
        ),
        yes("hostname", ""),
        yes("hostnameOverride", ""),
        reference(
            "imagePullSecrets",
            "credentials come from the runtime's own configuration",
        ),
        yes(
            "initContainers",
            "with restartPolicy Always they are sidecars",
        ),
        void("nodeName", "the node that runs it stands there"),
        void("nodeSelector", SCHEDULED),
        yes("os", "linux only"),
        void(
            "overhead",
            "what a sandbox costs beside its containers is not accounted",
        ),
        void("preemptionPolicy", SCHEDULED),
        yes("priority", "orders the stop of all pods"),
        yes(
            "priorityClassName",
            "system-node-critical protects from the OOM killer; no class is resolved to a number",
        ),
        no(
            "readinessGates",
            "only an API server could open them, so the pod would never be ready",
        ),
        reference("resourceClaims", ""),
        no(
            "resources",
            "limits of a whole pod are not enforced; set them for each container",
        ),
        yes("restartPolicy", ""),
        yes(
            "runtimeClassName",
            "looked up in the agent's own table, else refused",
        ),
        void("schedulerName", SCHEDULED),
        no("schedulingGates", "only an API server could open them"),
        void("schedulingGroup", SCHEDULED),
        yes("securityContext", ""),
        reference("serviceAccount", "older name of serviceAccountName"),
        reference("serviceAccountName", ""),
        yes("setHostnameAsFQDN", ""),
        yes("shareProcessNamespace", ""),
        yes("subdomain", ""),
        yes("terminationGracePeriodSeconds", ""),
        void("tolerations", "no taint stops a static pod"),
        void("topologySpreadConstraints", SCHEDULED),
        yes("volumes", ""),
    ],
};

const ANY: &str = "";

const fn plain(field: &'static str) -> Row {
    yes(field, ANY)
}

pub(super) const DNS_CONFIG: Object = Object {
    name: "PodDNSConfig",
    rows: &[
        yes("nameservers", "at most 3 in all"),
        plain("options"),
        yes("searches", "at most 32 and 2048 characters in all"),
    ],
};

pub(super) const DNS_OPTION: Object = Object {
    name: "PodDNSConfigOption",
    rows: &[plain("name"), plain("value")],
};

pub(super) const HOST_ALIAS: Object = Object {
    name: "HostAlias",
    rows: &[plain("hostnames"), plain("ip")],
};

pub(super) const OS: Object = Object {
    name: "PodOS",
    rows: &[yes("name", "linux; others are refused")],
};
