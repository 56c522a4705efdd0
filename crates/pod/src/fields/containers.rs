//! Containers: what they run, with which environment, resources, probes and hooks.

use super::row::{Object, Row, no, reference, void, yes};

const fn plain(field: &'static str) -> Row {
    yes(field, "")
}

pub(super) const CONTAINER: Object = Object {
    name: "Container",
    rows: &[
        yes("args", "$(VAR) is expanded"),
        yes(
            "command",
            "$(VAR) is expanded; no shell unless it names one",
        ),
        yes("env", "in the order of the manifest"),
        yes(
            "envFrom",
            "its sources are refused: both are objects of an API server",
        ),
        yes("image", "a digest keeps what runs the same"),
        yes(
            "imagePullPolicy",
            "Always for :latest and no tag, else IfNotPresent",
        ),
        plain("lifecycle"),
        yes("livenessProbe", "not of plain init containers"),
        plain("name"),
        yes(
            "ports",
            "host ports through the network plug-in, or directly on the host's network",
        ),
        yes("readinessProbe", "not of plain init containers"),
        void(
            "resizePolicy",
            "a changed manifest is a new pod; nothing is resized in place",
        ),
        plain("resources"),
        yes(
            "restartPolicy",
            "its own instead of the pod's; Always makes an init container a sidecar",
        ),
        yes("restartPolicyRules", "by exit code"),
        plain("securityContext"),
        yes("startupProbe", "not of plain init containers"),
        plain("stdin"),
        plain("stdinOnce"),
        plain("terminationMessagePath"),
        plain("terminationMessagePolicy"),
        plain("tty"),
        no(
            "volumeDevices",
            "block devices come from claims; use a hostPath of type BlockDevice",
        ),
        plain("volumeMounts"),
        plain("workingDir"),
    ],
};

pub(super) const RESTART_RULE: Object = Object {
    name: "ContainerRestartRule",
    rows: &[plain("action"), plain("exitCodes")],
};

pub(super) const EXIT_CODES: Object = Object {
    name: "ContainerRestartRuleOnExitCodes",
    rows: &[plain("operator"), plain("values")],
};

pub(super) const PORT: Object = Object {
    name: "ContainerPort",
    rows: &[
        plain("containerPort"),
        plain("hostIP"),
        yes("hostPort", "the container port on the host's network"),
        yes("name", "probes and hooks may refer to it"),
        yes("protocol", "TCP unless set"),
    ],
};

pub(super) const RESOURCES: Object = Object {
    name: "ResourceRequirements",
    rows: &[
        reference("claims", "they name claims of an API server"),
        yes(
            "limits",
            "cpu, memory and hugepages to cgroups; ephemeral-storage has no cgroup",
        ),
        yes(
            "requests",
            "to CPU shares and OOM scores; as the limits unless set",
        ),
    ],
};

pub(super) const MOUNT: Object = Object {
    name: "VolumeMount",
    rows: &[
        no(
            "bindMountOptions",
            "the runtime's interface has no room for noexec, nodev and nosuid",
        ),
        plain("mountPath"),
        yes(
            "mountPropagation",
            "Bidirectional only for privileged containers",
        ),
        plain("name"),
        plain("readOnly"),
        yes(
            "recursiveReadOnly",
            "Enabled where the runtime has it, else refused; IfPossible as far as possible",
        ),
        yes(
            "subPath",
            "created when missing, never followed out of the volume",
        ),
        yes(
            "subPathExpr",
            "$(VAR) is expanded; an unknown name is an error",
        ),
    ],
};

pub(super) const ENV: Object = Object {
    name: "EnvVar",
    rows: &[
        plain("name"),
        yes("value", "$(VAR) is expanded with what stands before"),
        plain("valueFrom"),
    ],
};

pub(super) const ENV_SOURCE: Object = Object {
    name: "EnvVarSource",
    rows: &[
        reference("configMapKeyRef", ""),
        yes(
            "fieldRef",
            "of the pod: name, namespace, uid, labels, annotations, node, addresses",
        ),
        yes(
            "fileKeyRef",
            "a file in an emptyDir that an init container wrote",
        ),
        yes(
            "resourceFieldRef",
            "rounded up; without a limit what the node has",
        ),
        reference("secretKeyRef", ""),
    ],
};

pub(super) const ENV_FROM: Object = Object {
    name: "EnvFromSource",
    rows: &[
        reference("configMapRef", ""),
        void("prefix", "of a source that is refused"),
        reference("secretRef", ""),
    ],
};

pub(super) const FIELD_REF: Object = Object {
    name: "ObjectFieldSelector",
    rows: &[
        yes("apiVersion", "v1"),
        yes(
            "fieldPath",
            "whole maps of labels and annotations only in volumes",
        ),
    ],
};

pub(super) const RESOURCE_REF: Object = Object {
    name: "ResourceFieldSelector",
    rows: &[
        yes("containerName", "required in volumes"),
        yes("divisor", "1 unless set"),
        plain("resource"),
    ],
};

pub(super) const FILE_REF: Object = Object {
    name: "FileKeySelector",
    rows: &[
        plain("key"),
        plain("optional"),
        plain("path"),
        yes("volumeName", "an emptyDir"),
    ],
};

pub(super) const PROBE: Object = Object {
    name: "Probe",
    rows: &[
        yes("exec", "without a shell; exit code 0 is success"),
        yes("failureThreshold", "3 unless set"),
        yes("grpc", "the health protocol"),
        yes("httpGet", "200 to 399 is success"),
        plain("initialDelaySeconds"),
        yes("periodSeconds", "10 unless set"),
        yes(
            "successThreshold",
            "1 unless set, and always for liveness and startup",
        ),
        plain("tcpSocket"),
        yes("terminationGracePeriodSeconds", "not for readiness"),
        yes("timeoutSeconds", "1 unless set"),
    ],
};

pub(super) const LIFECYCLE: Object = Object {
    name: "Lifecycle",
    rows: &[
        yes("postStart", "before the next container starts"),
        yes("preStop", "within the grace period"),
        no(
            "stopSignal",
            "the runtime's interface may drop it silently; the image's STOPSIGNAL decides",
        ),
    ],
};

pub(super) const HANDLER: Object = Object {
    name: "LifecycleHandler",
    rows: &[
        yes("exec", "without a shell and without $(VAR)"),
        yes("httpGet", "only a failure to get any answer counts"),
        yes("sleep", ""),
        no("tcpSocket", "a kubelet accepts it and fails at every start"),
    ],
};

pub(super) const EXEC: Object = Object {
    name: "ExecAction",
    rows: &[plain("command")],
};

pub(super) const GRPC: Object = Object {
    name: "GRPCAction",
    rows: &[
        no("mode", "the probe speaks plaintext, which is the default"),
        plain("port"),
        plain("service"),
    ],
};

pub(super) const HTTP: Object = Object {
    name: "HTTPGetAction",
    rows: &[
        yes(
            "host",
            "the pod's address unless set; 127.0.0.1 on the host's network",
        ),
        plain("httpHeaders"),
        yes("path", "/ unless set"),
        yes("port", "a number or the name of a port of this container"),
        no("protocol", "probes speak HTTP/1.1, which is the default"),
        yes("scheme", "HTTP unless set; HTTPS is not verified"),
    ],
};

pub(super) const HTTP_HEADER: Object = Object {
    name: "HTTPHeader",
    rows: &[plain("name"), plain("value")],
};

pub(super) const TCP: Object = Object {
    name: "TCPSocketAction",
    rows: &[
        yes(
            "host",
            "the pod's address unless set; 127.0.0.1 on the host's network",
        ),
        yes("port", "a number or the name of a port of this container"),
    ],
};

pub(super) const SLEEP: Object = Object {
    name: "SleepAction",
    rows: &[plain("seconds")],
};
