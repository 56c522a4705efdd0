//! The rules of `check`, by the names that reports give them. Names are stable.

use crate::finding::Level;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    /// As in reports.
    pub(crate) name: &'static str,
    /// What a finding under this name usually is; the finding itself says what it is.
    pub(crate) level: Level,
    /// One sentence.
    pub(crate) about: &'static str,
}

const fn error(name: &'static str, about: &'static str) -> Rule {
    Rule {
        name,
        level: Level::Error,
        about,
    }
}

const fn warning(name: &'static str, about: &'static str) -> Rule {
    Rule {
        name,
        level: Level::Warning,
        about,
    }
}

/// The text is no Pod.
pub(crate) const DOCUMENT: &str = "document";
/// The Pod cannot run as it is written.
pub(crate) const INVALID: &str = "invalid-pod";
/// The Pod names what only an API server has.
pub(crate) const REFERENCE: &str = "api-reference";
/// The Pod asks for what static pods do not have.
pub(crate) const UNSUPPORTED: &str = "unsupported-field";
/// Two manifests, one pod.
pub(crate) const DUPLICATE: &str = "duplicate-pod";
/// No name on this node.
pub(crate) const NAME: &str = "pod-name";
/// Others can write it.
pub(crate) const UNTRUSTED: &str = "untrusted";
/// The system does not hand it out.
pub(crate) const UNREADABLE: &str = "unreadable";
/// Not looked at.
pub(crate) const IGNORED: &str = "ignored-file";
/// Nothing to look at.
pub(crate) const EMPTY: &str = "no-manifests";

/// All of them.
pub(crate) const ALL: &[Rule] = &[
    error(
        DOCUMENT,
        "The text is not one Pod: no YAML or JSON, not UTF-8, another kind, or a second document.",
    ),
    error(
        INVALID,
        "The pod has an unknown field, or breaks a rule of the Kubernetes API.",
    ),
    error(
        REFERENCE,
        "The pod refers to an object of an API server, such as a Secret.",
    ),
    error(
        UNSUPPORTED,
        "The pod sets a field that static pods cannot have.",
    ),
    error(
        DUPLICATE,
        "Another manifest has the same namespace and name; the first in order wins.",
    ),
    error(
        NAME,
        "The name of the pod with the node's name behind it, or that of its directory of logs, is too long.",
    ),
    error(
        UNTRUSTED,
        "Somebody other than root or this user can write to the file or the directory: who writes manifests is root on the node.",
    ),
    error(UNREADABLE, "The file, directory or URL cannot be read."),
    warning(EMPTY, "The directory holds no manifest."),
    Rule {
        name: IGNORED,
        level: Level::Note,
        about: "The agent does not look at this file, because of its name or its kind.",
    },
    warning(
        "ignored-field",
        "The field has no effect without an API server, or none in a static pod.",
    ),
    warning(
        "priority-number",
        "A critical priority class without its number does not count at the node's shutdown.",
    ),
    warning("image-latest", "The image has no tag but latest."),
    warning("image-digest", "The image has a tag and no digest."),
    warning(
        "pull-always",
        "The image is pulled at every start, which needs its registry.",
    ),
    warning(
        "writable-root",
        "The container can write to the root file system of its image.",
    ),
    warning("root-user", "The container runs as root, or may."),
    warning("privileged", "The container has the whole node."),
    warning(
        "host-namespace",
        "The pod shares the node's processes or its shared memory.",
    ),
    warning(
        "fraction-of-a-byte",
        "Memory or storage is counted in fractions of a byte, as in 64m for 64Mi.",
    ),
    warning(
        "capability-prefix",
        "The capability has the prefix CAP_, which runtimes may not know.",
    ),
    warning("probe-host", "A probe under hostNetwork names no host."),
    warning(
        "file-replaced",
        "A single file is mounted that is usually replaced by renaming.",
    ),
    warning(
        "socket-replaced",
        "A socket is mounted that its program makes anew at every start.",
    ),
    warning(
        "gate-without-condition",
        "An annotation says how to wait, and none says for what.",
    ),
    warning("host-path-untyped", "The hostPath has no type."),
    warning(
        "host-path-missing",
        "The path does not exist on this machine.",
    ),
    warning(
        "host-path-type",
        "What lies at the path on this machine is of another type.",
    ),
    warning(
        "host-path-unseen",
        "This user may not look at the path on this machine.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> String {
        let mut text = String::from("| rule | level | meaning |\n|---|---|---|\n");
        for rule in ALL {
            let (name, level) = (rule.name, rule.level.word());
            text.push_str(&format!("| `{name}` | {level} | {} |\n", rule.about));
        }
        text
    }

    #[test]
    fn no_name_is_given_twice() {
        for (at, rule) in ALL.iter().enumerate() {
            assert!(
                ALL.iter().skip(at + 1).all(|other| other.name != rule.name),
                "{}",
                rule.name
            );
        }
    }

    #[test]
    fn the_documentation_has_the_table_of_rules() {
        let page = include_str!("../../../docs/staticpodd.md");
        assert!(
            page.contains(&table()),
            "docs/staticpodd.md should hold:\n{}",
            table()
        );
    }
}
