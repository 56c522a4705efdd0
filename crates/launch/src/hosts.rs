//! The text of a pod's `/etc/hosts`.

use pod::{Pod, api};

use crate::{hostname::HostName, mounts::HOSTS};

/// The first line; tests of clusters look for these words.
const MANAGED: &str = "# Kubernetes-managed hosts file.\n";
const ON_HOST: &str = "# Kubernetes-managed hosts file (host network).\n";
const ALIASES: &str = "\n# Entries added by HostAliases.\n";

/// Names that every pod knows.
const LOCAL: &str = "\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
";

/// Whether a container gets the file: not where it mounts something of its own in its place.
#[must_use]
pub fn are_wanted(container: &api::Container) -> bool {
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    mounts.iter().all(|mount| mount.mount_path != HOSTS)
}

/// The file of a pod with a network of its own.
#[must_use]
pub fn of_pod(pod: &Pod, host: &HostName, pod_ips: &[String]) -> String {
    let mut text = format!("{MANAGED}{LOCAL}");
    for ip in pod_ips {
        let HostName { name, domain } = host;
        text += &match domain.as_str() {
            "" => format!("{ip}\t{name}\n"),
            domain => format!("{ip}\t{name}.{domain}\t{name}\n"),
        };
    }
    text + &aliases(pod)
}

/// The file of a pod on the node's network: the node's own, and the pod's aliases.
#[must_use]
pub fn on_host(pod: &Pod, of_node: &str) -> String {
    format!("{ON_HOST}{of_node}{}", aliases(pod))
}

fn aliases(pod: &Pod) -> String {
    let spec = pod.api.spec.as_ref();
    let aliases = spec.and_then(|spec| spec.host_aliases.as_deref());
    let lines: String = aliases
        .unwrap_or_default()
        .iter()
        .map(|alias| {
            let names = alias.hostnames.as_deref().unwrap_or_default();
            format!("{}\t{}\n", alias.ip, names.join("\t"))
        })
        .collect();
    if lines.is_empty() {
        lines
    } else {
        format!("{ALIASES}{lines}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::pod;
    use serde_json::json;

    const TWO: &str = "\n# Entries added by HostAliases.\n\
        10.0.0.1\tone\tuno\n10.0.0.2\ttwo\n";

    fn aliased() -> Pod {
        pod(
            "web",
            json!({"hostAliases": [
                {"ip": "10.0.0.1", "hostnames": ["one", "uno"]},
                {"ip": "10.0.0.2", "hostnames": ["two"]},
            ]}),
        )
    }

    fn host(domain: &str) -> HostName {
        HostName {
            name: "web".into(),
            domain: domain.into(),
        }
    }

    #[test]
    fn a_pod_knows_itself_by_each_address_and_its_aliases() {
        let ips = ["10.1.0.4".to_owned(), "fd00::4".to_owned()];
        let plain = pod("web", json!({}));
        let head = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n\
            ::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n\
            fe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n";
        let own = "10.1.0.4\tweb\nfd00::4\tweb\n";
        assert_eq!(of_pod(&plain, &host(""), &ips), format!("{head}{own}"));
        assert_eq!(
            of_pod(&aliased(), &host(""), &ips),
            format!("{head}{own}{TWO}")
        );
        assert_eq!(
            of_pod(&plain, &host("s.ns.svc"), &ips),
            format!("{head}10.1.0.4\tweb.s.ns.svc\tweb\nfd00::4\tweb.s.ns.svc\tweb\n")
        );
    }

    #[test]
    fn on_the_nodes_network_the_nodes_file_is_kept_word_for_word() {
        let node = "# mine\n127.0.0.1 localhost\n192.0.2.1 gateway";
        assert_eq!(
            on_host(&aliased(), node),
            format!("# Kubernetes-managed hosts file (host network).\n{node}{TWO}")
        );
    }

    #[test]
    fn a_container_that_mounts_the_file_itself_gets_no_other() {
        let with = |path: &str| api::Container {
            volume_mounts: Some(vec![api::VolumeMount {
                mount_path: path.into(),
                ..api::VolumeMount::default()
            }]),
            ..api::Container::default()
        };
        assert!(are_wanted(&api::Container::default()));
        assert!(are_wanted(&with("/etc")));
        assert!(!are_wanted(&with("/etc/hosts")));
    }
}
