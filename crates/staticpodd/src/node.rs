//! Facts about this machine that pods are told or limited by.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::Path,
};

use cri::{
    Runtime,
    v1::{CgroupDriver, StatusResponse},
};
use launch::node::{Cgroups, Driver};
use pod::{RuntimeFeatures, quantity::Amount};
use serde_json::Value;

/// Where the kernel shows cgroups.
pub(crate) const CGROUPS: &str = "/sys/fs/cgroup";

/// What of the machine never changes while it runs.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) memory: u64,
    pub(crate) allocatable: BTreeMap<String, Amount>,
    pub(crate) huge_pages: Vec<String>,
    pub(crate) masked_paths: Vec<String>,
    pub(crate) selinux: bool,
    /// Version 2 alone is mounted.
    pub(crate) unified: bool,
    pub(crate) swap: bool,
}

impl Machine {
    /// Looks. What cannot be seen is taken as absent.
    pub(crate) fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let memory = memory(&read("/proc/meminfo"));
        let whole = |units: u64| Amount::whole(i64::try_from(units).unwrap_or(i64::MAX));
        let allocatable = [
            ("cpu", whole(processors(&read("/proc/cpuinfo")))),
            ("memory", whole(memory)),
        ];
        let processors = names("/sys/devices/system/cpu").into_iter();
        let throttles =
            processors.map(|cpu| format!("/sys/devices/system/cpu/{cpu}/thermal_throttle"));
        let unified = Path::new(CGROUPS).join("cgroup.controllers").exists();
        let huge = names("/sys/kernel/mm/hugepages");
        Self {
            memory,
            allocatable: allocatable
                .map(|(name, amount)| (name.to_owned(), amount))
                .into(),
            huge_pages: huge.iter().filter_map(|name| huge_page(name)).collect(),
            masked_paths: throttles.filter(|path| Path::new(path).exists()).collect(),
            selinux: Path::new("/sys/fs/selinux/enforce").exists(),
            unified,
            swap: if unified {
                // The root has no such file; whatever the boot made below it does.
                names(CGROUPS).iter().any(|name| {
                    Path::new(CGROUPS)
                        .join(name)
                        .join("memory.swap.max")
                        .exists()
                })
            } else {
                Path::new(CGROUPS)
                    .join("memory/memory.memsw.limit_in_bytes")
                    .exists()
            },
        }
    }
}

fn names(directory: &str) -> Vec<String> {
    let listed = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = listed
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Bytes, from `/proc/meminfo`.
fn memory(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default().saturating_mul(1024)
}

/// From `/proc/cpuinfo`, at least one.
fn processors(text: &str) -> u64 {
    let is_one = |line: &&str| {
        line.split(':')
            .next()
            .is_some_and(|key| key.trim() == "processor")
    };
    let count = text.lines().filter(is_one).count();
    u64::try_from(count.max(1)).unwrap_or(1)
}

/// `hugepages-2048kB` is `2MB`.
fn huge_page(name: &str) -> Option<String> {
    let kib = name.strip_prefix("hugepages-")?.strip_suffix("kB")?;
    let mut size: u64 = kib.parse().ok()?;
    let mut units = ["KB", "MB", "GB"].into_iter();
    let mut unit = units.next()?;
    while size >= 1024 && size.is_multiple_of(1024) {
        let Some(next) = units.next() else {
            break;
        };
        size /= 1024;
        unit = next;
    }
    Some(format!("{size}{unit}"))
}

/// The node's addresses: as configured, or the one that a packet to elsewhere would come from.
pub(crate) fn addresses(configured: &[IpAddr]) -> Vec<IpAddr> {
    if !configured.is_empty() {
        return configured.to_vec();
    }
    // Addresses of documentation. Nothing is sent: the kernel only chooses a way.
    let ways = [
        (
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9)),
        ),
        (
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
            SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9)),
        ),
    ];
    let own = ways.into_iter().find_map(|(any, elsewhere)| {
        let socket = UdpSocket::bind(any).ok()?;
        socket.connect(elsewhere).ok()?;
        Some(socket.local_addr().ok()?.ip())
    });
    own.into_iter().collect()
}

/// What the runtime can do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Abilities {
    pub(crate) driver: Option<Driver>,
    pub(crate) recursive_read_only: bool,
    pub(crate) strict_groups: bool,
    /// The image of sandboxes, where the runtime tells it.
    pub(crate) sandbox_image: Option<String>,
}

impl Abilities {
    /// Asks it. What it does not tell it does not do, and names of cgroups are its own then.
    pub(crate) async fn ask(runtime: &dyn Runtime) -> Result<Self, cri::Error> {
        let status = runtime.status(true).await?;
        let driver = match runtime.cgroup_driver().await {
            Ok(CgroupDriver::Systemd) => Some(Driver::Systemd),
            Ok(CgroupDriver::Cgroupfs) => Some(Driver::Cgroupfs),
            Err(_) => told_driver(&status),
        };
        let mut handlers = status.runtime_handlers.iter();
        let usual = handlers.find(|handler| handler.name.is_empty());
        let features = usual.and_then(|handler| handler.features);
        Ok(Self {
            driver,
            sandbox_image: told_sandbox_image(&status),
            recursive_read_only: features.is_some_and(|f| f.recursive_read_only_mounts),
            strict_groups: status
                .features
                .is_some_and(|features| features.supplemental_groups_policy),
        })
    }

    pub(crate) fn features(&self) -> RuntimeFeatures {
        RuntimeFeatures {
            recursive_read_only: self.recursive_read_only,
            strict_groups: self.strict_groups,
            ..RuntimeFeatures::default()
        }
    }

    pub(crate) fn cgroups(&self, machine: &Machine) -> Cgroups {
        Cgroups {
            driver: self.driver,
            unified: machine.unified,
            swap: machine.swap,
        }
    }
}

/// containerd shows its configuration to who asks verbosely.
fn told_driver(status: &StatusResponse) -> Option<Driver> {
    let config: Value = serde_json::from_str(status.info.get("config")?).ok()?;
    let containerd = config.get("containerd")?;
    let usual = containerd.get("defaultRuntimeName")?.as_str()?;
    let options = containerd.get("runtimes")?.get(usual)?.get("options")?;
    let systemd = options.get("SystemdCgroup").and_then(Value::as_bool);
    Some(match systemd {
        Some(true) => Driver::Systemd,
        Some(false) | None => Driver::Cgroupfs,
    })
}

/// As above. containerd 2 tells it elsewhere, and pins it.
fn told_sandbox_image(status: &StatusResponse) -> Option<String> {
    let config: Value = serde_json::from_str(status.info.get("config")?).ok()?;
    let image = config.get("sandboxImage")?.as_str()?;
    Some(image.to_owned()).filter(|image| !image.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_texts_are_read() {
        assert_eq!(memory("MemTotal:       16 kB\nMemFree: 1 kB\n"), 16_384);
        assert_eq!(memory(""), 0);
        assert_eq!(
            processors("processor\t: 0\nmodel\t: a\nprocessor\t: 1\n"),
            2
        );
        assert_eq!(processors(""), 1);
        for (name, size) in [
            ("hugepages-2048kB", Some("2MB")),
            ("hugepages-1048576kB", Some("1GB")),
            ("hugepages-64kB", Some("64KB")),
            ("other", None),
        ] {
            assert_eq!(huge_page(name).as_deref(), size);
        }
    }

    #[test]
    fn the_driver_is_what_the_usual_runtime_is_configured_with() {
        let driver = |config: &str| {
            told_driver(&StatusResponse {
                info: [("config".to_owned(), config.to_owned())].into(),
                ..StatusResponse::default()
            })
        };
        let with = |options: &str| {
            driver(&format!(
                r#"{{"containerd":{{"defaultRuntimeName":"a","runtimes":{{"a":{{"options":{options}}}}}}}}}"#
            ))
        };
        assert_eq!(with(r#"{"SystemdCgroup":true}"#), Some(Driver::Systemd));
        assert_eq!(with(r#"{"SystemdCgroup":false}"#), Some(Driver::Cgroupfs));
        assert_eq!(with("{}"), Some(Driver::Cgroupfs));
        assert_eq!(driver("{}"), None);
        assert_eq!(driver(""), None);
    }

    #[test]
    fn configured_addresses_win() {
        let configured = [IpAddr::from([10, 0, 0, 1])];
        assert_eq!(addresses(&configured), configured);
    }
}
