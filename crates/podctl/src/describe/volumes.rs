//! The volumes of a pod.

use pod::api::{PodSpec, Volume};

use super::sheet::Sheet;

pub(crate) fn describe(sheet: &mut Sheet, spec: &PodSpec) {
    let volumes = spec.volumes.as_deref().unwrap_or_default();
    if volumes.is_empty() {
        return;
    }
    sheet.heading(0, "Volumes:");
    for volume in volumes {
        sheet.heading(1, &format!("{}:", volume.name));
        of(sheet, volume);
    }
}

fn of(sheet: &mut Sheet, volume: &Volume) {
    if let Some(path) = &volume.host_path {
        sheet.line(2, "Type", "HostPath (bare host directory volume)");
        sheet.line(2, "Path", &path.path);
        sheet.line(2, "HostPathType", path.type_.as_deref().unwrap_or_default());
    } else if let Some(directory) = &volume.empty_dir {
        let kind = "EmptyDir (a temporary directory that shares a pod's lifetime)";
        sheet.line(2, "Type", kind);
        sheet.line(2, "Medium", directory.medium.as_deref().unwrap_or_default());
        let limit = directory.size_limit.as_ref().map(|limit| limit.0.clone());
        sheet.line(2, "SizeLimit", limit.as_deref().unwrap_or("<unset>"));
    } else if let Some(downward) = &volume.downward_api {
        let kind = "DownwardAPI (a volume populated by information about the pod)";
        sheet.line(2, "Type", kind);
        let items = downward.items.iter().flatten();
        let items = items.map(|item| match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => format!("{} -> {}", field.field_path, item.path),
            (None, Some(resource)) => format!("{} -> {}", resource.resource, item.path),
            (None, None) => item.path.clone(),
        });
        sheet.line(2, "Items", items.collect::<Vec<_>>().join("\n"));
    } else if volume.projected.is_some() {
        sheet.line(
            2,
            "Type",
            "Projected (a volume that contains injected data)",
        );
    } else {
        sheet.line(2, "Type", "<unknown>");
    }
}
