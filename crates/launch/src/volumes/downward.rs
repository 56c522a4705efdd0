//! Files about a pod: `downwardAPI`, and the same within `projected`.

use std::path::PathBuf;

use pod::{
    api,
    env::{Facts, field, resource},
};

use crate::writer::{Content, Files};

const DEFAULT_MODE: i32 = 0o644;

/// A file and the mode that it has unless it says otherwise.
pub(crate) type Item<'a> = (&'a api::DownwardAPIVolumeFile, i32);

pub(crate) fn of_volume(source: &api::DownwardAPIVolumeSource) -> Option<Vec<Item<'_>>> {
    let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
    let items = source.items.iter().flatten();
    Some(items.map(|item| (item, mode)).collect())
}

/// `None` where a source needs an API server.
pub(crate) fn of_projected(source: &api::ProjectedVolumeSource) -> Option<Vec<Item<'_>>> {
    let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
    let mut all = Vec::new();
    for source in source.sources.iter().flatten() {
        let items = source.downward_api.as_ref()?.items.iter().flatten();
        all.extend(items.map(|item| (item, mode)));
    }
    Some(all)
}

/// Contents, or the path of the first file that has none.
pub(crate) fn files(items: &[Item<'_>], pod: &api::Pod, facts: &Facts) -> Result<Files, String> {
    let mut files = Files::new();
    for (item, mode) in items {
        let text = content(item, pod, facts).ok_or_else(|| item.path.clone())?;
        let mode = item.mode.unwrap_or(*mode);
        let content = Content {
            bytes: text.into_bytes(),
            mode: u32::try_from(mode).map_err(|_| item.path.clone())? & 0o777,
        };
        let _ = files.insert(PathBuf::from(&item.path), content);
    }
    Ok(files)
}

fn content(item: &api::DownwardAPIVolumeFile, pod: &api::Pod, facts: &Facts) -> Option<String> {
    if let Some(selector) = &item.field_ref {
        return field(pod, facts, &selector.field_path);
    }
    // A file always names the container; without one this is never looked at.
    let container = pod.spec.as_ref()?.containers.first()?;
    resource(pod, container, facts, item.resource_field_ref.as_ref()?)
}
