//! Name, namespace, labels and annotations.

use super::text::{is_label, is_label_value, is_qualified_name, is_subdomain};
use crate::{api, report::Report};

/// All annotations together, in bytes.
const ANNOTATIONS: usize = 256 * 1024;

pub(super) fn check(meta: &api::ObjectMeta, report: &mut Report<'_>) {
    match meta.name.as_deref() {
        None | Some("") => report.error(
            "metadata.name",
            "is required and missing",
            "add a name; generateName needs an API server",
        ),
        Some(name) if !is_subdomain(name) => report.error(
            "metadata.name",
            "must be a DNS name: lower-case letters, digits, '-' and '.'",
            "write it in lower case, beginning and ending with a letter or digit",
        ),
        Some(_) => {}
    }
    if let Some(namespace) = meta.namespace.as_deref()
        && !namespace.is_empty()
        && !is_label(namespace)
    {
        report.error(
            "metadata.namespace",
            "must be a DNS label: at most 63 lower-case letters, digits and '-'",
            "write the namespace's name, for example kube-system",
        );
    }
    for (key, value) in meta.labels.iter().flatten() {
        let field = || format!("metadata.labels[{key}]");
        if !is_qualified_name(key) {
            report.error(field(), "has a key that is no label name", LABEL);
        }
        if !is_label_value(value) {
            report.error(
                field(),
                "has a value that a label cannot have",
                "at most 63 letters, digits, '-', '_' and '.'; longer text belongs into an annotation",
            );
        }
    }
    let mut size = 0;
    for (key, value) in meta.annotations.iter().flatten() {
        size += key.len() + value.len();
        if !is_qualified_name(&key.to_ascii_lowercase()) {
            report.error(
                format!("metadata.annotations[{key}]"),
                "has a key that is no annotation name",
                LABEL,
            );
        }
    }
    if size > ANNOTATIONS {
        report.error(
            "metadata.annotations",
            "are longer than 256 KiB together",
            "keep such data in a file",
        );
    }
}

const LABEL: &str = "write 'name' or 'prefix.example/name': at most 63 letters, digits, '-', '_' \
                     and '.' behind the slash";
