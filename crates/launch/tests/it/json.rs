//! Configs as JSON in which every field has its place, so that none can change unseen.

use cri::v1::{
    Capability, ContainerConfig, KeyValue, LinuxContainerConfig, LinuxContainerResources,
    LinuxContainerSecurityContext, LinuxPodSandboxConfig, LinuxSandboxSecurityContext, Mount,
    NamespaceOption, PodSandboxConfig, SeLinuxOption, SecurityProfile,
};
use serde_json::{Value, json};

/// Drops what a runtime would not see: zeros, and what is empty.
fn kept(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(_, value)| {
                let zero = [
                    json!(null),
                    json!(""),
                    json!(0),
                    json!(false),
                    json!([]),
                    json!({}),
                ];
                !zero.contains(value)
            });
            kept.collect()
        }
        other => other,
    }
}

pub(crate) fn sandbox(config: &PodSandboxConfig) -> Value {
    let PodSandboxConfig {
        metadata,
        hostname,
        log_directory,
        dns_config,
        port_mappings,
        labels,
        annotations,
        linux,
    } = config;
    let metadata = metadata.as_ref().map(|metadata| {
        json!([
            metadata.namespace,
            metadata.name,
            metadata.uid,
            metadata.attempt
        ])
    });
    let dns = dns_config.as_ref().map(|dns| {
        kept(json!({
            "servers": dns.servers, "searches": dns.searches, "options": dns.options,
        }))
    });
    let ports: Vec<Value> = port_mappings
        .iter()
        .map(|port| {
            json!([
                port.protocol().as_str_name(),
                port.container_port,
                port.host_port,
                port.host_ip
            ])
        })
        .collect();
    kept(json!({
        "metadata": metadata, "hostname": hostname, "log_directory": log_directory,
        "dns_config": dns, "port_mappings": ports, "labels": labels, "annotations": annotations,
        "linux": linux.as_ref().map(linux_sandbox),
    }))
}

fn linux_sandbox(linux: &LinuxPodSandboxConfig) -> Value {
    let LinuxPodSandboxConfig {
        cgroup_parent,
        security_context,
        sysctls,
        overhead,
        resources: whole,
    } = linux;
    let security = security_context.as_ref().map(|context| {
        let LinuxSandboxSecurityContext {
            namespace_options,
            selinux_options,
            run_as_user,
            readonly_rootfs,
            supplemental_groups,
            privileged,
            run_as_group,
            seccomp,
            apparmor,
            supplemental_groups_policy: _,
        } = context;
        kept(json!({
            "namespaces": namespace_options.as_ref().map(namespaces),
            "selinux": selinux_options.as_ref().map(selinux),
            "run_as_user": run_as_user.map(|user| user.value.to_string()),
            "run_as_group": run_as_group.map(|group| group.value.to_string()),
            "readonly_rootfs": readonly_rootfs, "supplemental_groups": supplemental_groups,
            "groups_policy": context.supplemental_groups_policy().as_str_name(),
            "privileged": privileged,
            "seccomp": seccomp.as_ref().map(profile), "apparmor": apparmor.as_ref().map(profile),
        }))
    });
    kept(json!({
        "cgroup_parent": cgroup_parent, "security_context": security, "sysctls": sysctls,
        "overhead": overhead.as_ref().map(resources), "resources": whole.as_ref().map(resources),
    }))
}

pub(crate) fn container(config: &ContainerConfig) -> Value {
    let ContainerConfig {
        metadata,
        image,
        command,
        args,
        working_dir,
        envs,
        mounts,
        devices,
        labels,
        annotations,
        log_path,
        stdin,
        stdin_once,
        tty,
        linux,
    } = config;
    assert_eq!(*devices, []);
    let metadata = metadata
        .as_ref()
        .map(|metadata| json!([metadata.name, metadata.attempt]));
    let image = image.as_ref().map(|image| {
        json!([
            image.image,
            image.user_specified_image,
            image.runtime_handler
        ])
    });
    let variable = |variable: &KeyValue| {
        format!(
            "{}={}",
            variable.key,
            String::from_utf8_lossy(&variable.value)
        )
    };
    let envs: Vec<String> = envs.iter().map(variable).collect();
    let mounts: Vec<Value> = mounts.iter().map(mount).collect();
    kept(json!({
        "metadata": metadata, "image": image, "command": command, "args": args,
        "working_dir": working_dir, "envs": envs, "mounts": mounts, "labels": labels,
        "annotations": annotations, "log_path": log_path, "stdin": stdin,
        "stdin_once": stdin_once, "tty": tty, "linux": linux.as_ref().map(linux_container),
    }))
}

fn mount(mount: &Mount) -> Value {
    let Mount {
        container_path,
        host_path,
        readonly,
        selinux_relabel,
        propagation: _,
        uid_mappings,
        gid_mappings,
        recursive_read_only,
    } = mount;
    assert_eq!((uid_mappings.len(), gid_mappings.len()), (0, 0));
    kept(json!({
        "container_path": container_path, "host_path": host_path, "readonly": readonly,
        "selinux_relabel": selinux_relabel, "propagation": mount.propagation().as_str_name(),
        "recursive_read_only": recursive_read_only,
    }))
}

fn linux_container(linux: &LinuxContainerConfig) -> Value {
    let LinuxContainerConfig {
        resources: own,
        security_context,
    } = linux;
    json!({
        "resources": own.as_ref().map(resources),
        "security_context": security_context.as_ref().map(security),
    })
}

fn resources(own: &LinuxContainerResources) -> Value {
    let LinuxContainerResources {
        cpu_period,
        cpu_quota,
        cpu_shares,
        memory_limit_in_bytes,
        oom_score_adj,
        cpuset_cpus,
        cpuset_mems,
        hugepage_limits,
        unified,
        memory_swap_limit_in_bytes,
    } = own;
    let pages: Vec<Value> = hugepage_limits
        .iter()
        .map(|limit| json!([limit.page_size, limit.limit]))
        .collect();
    kept(json!({
        "cpu_period": cpu_period, "cpu_quota": cpu_quota, "cpu_shares": cpu_shares,
        "memory_limit_in_bytes": memory_limit_in_bytes, "oom_score_adj": oom_score_adj,
        "cpuset_cpus": cpuset_cpus, "cpuset_mems": cpuset_mems, "hugepage_limits": pages,
        "unified": unified, "memory_swap_limit_in_bytes": memory_swap_limit_in_bytes,
    }))
}

fn security(context: &LinuxContainerSecurityContext) -> Value {
    let LinuxContainerSecurityContext {
        capabilities,
        privileged,
        namespace_options,
        selinux_options,
        run_as_user,
        run_as_username,
        readonly_rootfs,
        supplemental_groups,
        no_new_privs,
        run_as_group,
        masked_paths,
        readonly_paths,
        seccomp,
        apparmor,
        supplemental_groups_policy: _,
    } = context;
    let capabilities = capabilities.as_ref().map(|all| {
        let Capability {
            add_capabilities,
            drop_capabilities,
            add_ambient_capabilities,
        } = all;
        kept(json!({
            "add": add_capabilities, "drop": drop_capabilities,
            "ambient": add_ambient_capabilities,
        }))
    });
    kept(json!({
        "capabilities": capabilities, "privileged": privileged,
        "namespaces": namespace_options.as_ref().map(namespaces),
        "selinux": selinux_options.as_ref().map(selinux),
        "run_as_user": run_as_user.map(|user| user.value.to_string()),
        "run_as_username": run_as_username,
        "run_as_group": run_as_group.map(|group| group.value.to_string()),
        "readonly_rootfs": readonly_rootfs, "supplemental_groups": supplemental_groups,
        "groups_policy": context.supplemental_groups_policy().as_str_name(),
        "no_new_privs": no_new_privs, "masked_paths": masked_paths,
        "readonly_paths": readonly_paths, "seccomp": seccomp.as_ref().map(profile),
        "apparmor": apparmor.as_ref().map(profile),
    }))
}

fn namespaces(options: &NamespaceOption) -> Value {
    assert_eq!(
        (options.target_id.as_str(), options.userns_options.is_some()),
        ("", false)
    );
    json!({
        "network": options.network().as_str_name(), "ipc": options.ipc().as_str_name(),
        "pid": options.pid().as_str_name(),
    })
}

fn selinux(options: &SeLinuxOption) -> Value {
    json!([options.user, options.role, options.r#type, options.level])
}

fn profile(profile: &SecurityProfile) -> Value {
    json!([profile.profile_type().as_str_name(), profile.localhost_ref])
}
