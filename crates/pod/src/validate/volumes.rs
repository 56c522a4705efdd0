//! Volumes.

use std::collections::BTreeSet;

use super::{
    containers::{field_reference, resource_reference},
    each, one_of,
    text::{is_label, steps_back},
};
use crate::{api, report::Report};

/// What a file of the downward API can hold beyond single labels and annotations.
const FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "metadata.labels",
    "metadata.annotations",
];

pub(super) fn check(spec: &api::PodSpec, report: &mut Report<'_>) {
    let mut names = BTreeSet::new();
    for (field, volume) in each(spec.volumes.as_ref(), "spec.volumes") {
        if !is_label(&volume.name) {
            report.error(
                format!("{field}.name"),
                "must be a DNS label: at most 63 lower-case letters, digits and '-'",
                "name the volume",
            );
        } else if !names.insert(volume.name.as_str()) {
            report.error(
                format!("{field}.name"),
                "is the name of another volume of this pod",
                "give each volume a name of its own",
            );
        }
        if let Some(host) = &volume.host_path {
            host_path(&format!("{field}.hostPath"), host, report);
        }
        if let Some(empty) = &volume.empty_dir {
            empty_dir(&format!("{field}.emptyDir"), empty, report);
        }
        if let Some(downward) = &volume.downward_api {
            let field = format!("{field}.downwardAPI");
            mode(
                downward.default_mode,
                format!("{field}.defaultMode"),
                report,
            );
            files(&field, downward.items.as_ref(), report);
        }
        if let Some(projected) = &volume.projected {
            let field = format!("{field}.projected");
            mode(
                projected.default_mode,
                format!("{field}.defaultMode"),
                report,
            );
            for (field, source) in each(projected.sources.as_ref(), &format!("{field}.sources")) {
                if let Some(downward) = &source.downward_api {
                    files(
                        &format!("{field}.downwardAPI"),
                        downward.items.as_ref(),
                        report,
                    );
                }
            }
        }
    }
}

fn host_path(field: &str, host: &api::HostPathVolumeSource, report: &mut Report<'_>) {
    if host.path.is_empty() {
        report.error(
            format!("{field}.path"),
            "is required and missing",
            "write an absolute path of the node",
        );
    } else if steps_back(&host.path) {
        report.error(
            format!("{field}.path"),
            "must not contain '..'",
            "write the path that is meant",
        );
    } else if !host.path.starts_with('/') {
        report.error(
            format!("{field}.path"),
            "must be absolute",
            "begin it with '/'",
        );
    }
    one_of(
        host.type_.as_deref().filter(|kind| !kind.is_empty()),
        &[
            "DirectoryOrCreate",
            "Directory",
            "FileOrCreate",
            "File",
            "Socket",
            "CharDevice",
            "BlockDevice",
        ],
        || format!("{field}.type"),
        report,
    );
}

fn empty_dir(field: &str, empty: &api::EmptyDirVolumeSource, report: &mut Report<'_>) {
    let medium = empty.medium.as_deref().unwrap_or_default();
    if !matches!(medium, "" | "Memory" | "HugePages") && !medium.starts_with("HugePages-") {
        report.error(
            format!("{field}.medium"),
            "must be empty, Memory or HugePages",
            "remove it for a directory on disk, or write Memory",
        );
    }
}

fn files(field: &str, items: Option<&Vec<api::DownwardAPIVolumeFile>>, report: &mut Report<'_>) {
    let mut paths = BTreeSet::new();
    for (field, item) in each(items, &format!("{field}.items")) {
        if item.path.is_empty()
            || item.path.starts_with('/')
            || steps_back(&item.path)
            || item.path.starts_with("..")
        {
            report.error(
                format!("{field}.path"),
                "must be a path inside the volume",
                "write it without a leading '/' and without '..'",
            );
        } else if !paths.insert(item.path.as_str()) {
            report.error(
                format!("{field}.path"),
                "is the path of another file of this volume",
                "give each file a path of its own",
            );
        }
        mode(item.mode, format!("{field}.mode"), report);
        match (&item.field_ref, &item.resource_field_ref) {
            (Some(reference), None) => field_reference(
                &reference.field_path,
                FIELDS,
                format!("{field}.fieldRef.fieldPath"),
                report,
            ),
            (None, Some(reference)) => {
                if reference
                    .container_name
                    .as_deref()
                    .unwrap_or_default()
                    .is_empty()
                {
                    report.error(
                        format!("{field}.resourceFieldRef.containerName"),
                        "is required in a volume",
                        "name the container whose resources are meant",
                    );
                }
                resource_reference(
                    &reference.resource,
                    format!("{field}.resourceFieldRef.resource"),
                    report,
                );
            }
            _ => report.error(
                field,
                "must have exactly one of fieldRef and resourceFieldRef",
                "keep one of the two",
            ),
        }
    }
}

fn mode(mode: Option<i32>, field: String, report: &mut Report<'_>) {
    if mode.is_some_and(|mode| !(0..=0o777).contains(&mode)) {
        report.error(
            field,
            "must be a file mode from 0 to 0777",
            "write it in octal, for example 0440",
        );
    }
}
