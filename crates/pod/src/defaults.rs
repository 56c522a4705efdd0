//! The defaults that the API gives a pod.

use std::collections::BTreeMap;

use crate::{api, image::Reference};

/// Fills in what the API server would. It changes nothing that is set.
pub(crate) fn apply(pod: &mut api::Pod) {
    let Some(spec) = &mut pod.spec else { return };
    set(&mut spec.restart_policy, "Always");
    set(&mut spec.dns_policy, "ClusterFirst");
    set(&mut spec.scheduler_name, "default-scheduler");
    let _ = spec.termination_grace_period_seconds.get_or_insert(30);
    let _ = spec.enable_service_links.get_or_insert(true);
    let _ = spec.security_context.get_or_insert_default();
    let host_network = spec.host_network.unwrap_or_default();
    for volume in spec.volumes.iter_mut().flatten() {
        apply_volume(volume);
    }
    let init = spec.init_containers.iter_mut().flatten();
    for container in init.chain(&mut spec.containers) {
        apply_container(container, host_network);
    }
}

fn set(field: &mut Option<String>, default: &str) {
    if field.as_deref().unwrap_or_default().is_empty() {
        *field = Some(default.to_owned());
    }
}

fn apply_container(container: &mut api::Container, host_network: bool) {
    set(
        &mut container.termination_message_path,
        "/dev/termination-log",
    );
    set(&mut container.termination_message_policy, "File");
    let latest = container
        .image
        .as_deref()
        .and_then(|image| image.parse::<Reference>().ok())
        .is_some_and(|reference| reference.is_latest());
    let policy = if latest { "Always" } else { "IfNotPresent" };
    set(&mut container.image_pull_policy, policy);
    for port in container.ports.iter_mut().flatten() {
        set(&mut port.protocol, "TCP");
        if host_network && port.host_port.unwrap_or_default() == 0 {
            port.host_port = Some(port.container_port);
        }
    }
    if let Some(resources) = &mut container.resources
        && let Some(limits) = &resources.limits
    {
        let requests = resources.requests.get_or_insert_with(BTreeMap::new);
        for (name, limit) in limits {
            let _ = requests
                .entry(name.clone())
                .or_insert_with(|| limit.clone());
        }
    }
    if let Some(context) = &mut container.security_context {
        set(&mut context.proc_mount, "Default");
    }
    for variable in container.env.iter_mut().flatten() {
        if let Some(source) = &mut variable.value_from {
            apply_field(source.field_ref.as_mut());
        }
    }
    let probes = [
        &mut container.liveness_probe,
        &mut container.readiness_probe,
        &mut container.startup_probe,
    ];
    probes.into_iter().flatten().for_each(apply_probe);
    if let Some(lifecycle) = &mut container.lifecycle {
        let hooks = [&mut lifecycle.post_start, &mut lifecycle.pre_stop];
        for hook in hooks.into_iter().flatten() {
            apply_http(hook.http_get.as_mut());
        }
    }
}

fn apply_probe(probe: &mut api::Probe) {
    for (field, default) in [
        (&mut probe.timeout_seconds, 1),
        (&mut probe.period_seconds, 10),
        (&mut probe.success_threshold, 1),
        (&mut probe.failure_threshold, 3),
    ] {
        if field.unwrap_or_default() == 0 {
            *field = Some(default);
        }
    }
    apply_http(probe.http_get.as_mut());
    if let Some(grpc) = &mut probe.grpc {
        let _ = grpc.service.get_or_insert_default();
    }
}

fn apply_http(action: Option<&mut api::HTTPGetAction>) {
    if let Some(action) = action {
        set(&mut action.path, "/");
        set(&mut action.scheme, "HTTP");
    }
}

fn apply_field(selector: Option<&mut api::ObjectFieldSelector>) {
    if let Some(selector) = selector {
        set(&mut selector.api_version, "v1");
    }
}

/// Of the files of a downward API volume.
const MODE: i32 = 0o644;

fn apply_volume(volume: &mut api::Volume) {
    if has_no_source(volume) {
        volume.empty_dir = Some(api::EmptyDirVolumeSource::default());
    }
    if let Some(path) = &mut volume.host_path {
        let _ = path.type_.get_or_insert_default();
    }
    if let Some(downward) = &mut volume.downward_api {
        let _ = downward.default_mode.get_or_insert(MODE);
        for file in downward.items.iter_mut().flatten() {
            apply_field(file.field_ref.as_mut());
        }
    }
    if let Some(projected) = &mut volume.projected {
        let _ = projected.default_mode.get_or_insert(MODE);
        for source in projected.sources.iter_mut().flatten() {
            let items = source
                .downward_api
                .iter_mut()
                .flat_map(|api| &mut api.items);
            for file in items.flatten() {
                apply_field(file.field_ref.as_mut());
            }
        }
    }
}

fn has_no_source(volume: &api::Volume) -> bool {
    let bare = api::Volume {
        name: volume.name.clone(),
        ..api::Volume::default()
    };
    *volume == bare
}

#[cfg(test)]
mod tests;
