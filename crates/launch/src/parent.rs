//! The cgroup under which a runtime puts what belongs to a pod.

use pod::Pod;

use crate::{
    node::{Cgroups, Driver},
    qos::{self, Class},
};

/// As the runtime's driver writes it, and empty where the runtime chooses.
#[must_use]
pub fn of(pod: &Pod, cgroups: Cgroups) -> String {
    let Some(driver) = cgroups.driver else {
        return String::new();
    };
    let class = pod.api.spec.as_ref().map_or(Class::BestEffort, qos::class);
    let class = match class {
        Class::Guaranteed => None,
        Class::Burstable => Some("burstable"),
        Class::BestEffort => Some("besteffort"),
    };
    path(driver, class, &format!("pod{}", pod.uid))
}

/// All that [`of`] could have said of a pod of which only the uid is known.
#[must_use]
pub fn every(uid: &str, cgroups: Cgroups) -> Vec<String> {
    let Some(driver) = cgroups.driver else {
        return Vec::new();
    };
    let own = format!("pod{uid}");
    [None, Some("burstable"), Some("besteffort")]
        .into_iter()
        .map(|class| path(driver, class, &own))
        .collect()
}

fn path(driver: Driver, class: Option<&str>, own: &str) -> String {
    let parts = ["kubepods"].into_iter().chain(class).chain([own]);
    match driver {
        Driver::Cgroupfs => parts.map(|part| format!("/{part}")).collect(),
        Driver::Systemd => slices(parts),
    }
}

/// systemd reads a dash in the name of a slice as a step down: each slice repeats all above it.
fn slices<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    let (mut path, mut name) = (String::new(), String::new());
    for part in parts {
        if !name.is_empty() {
            name.push('-');
        }
        name += &part.replace('-', "_");
        path += &format!("/{name}.slice");
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::pod;
    use serde_json::{Value, json};

    fn parent(resources: Value, driver: Option<Driver>) -> String {
        let mut spec = json!({"containers": [{"name": "a", "image": "web:1"}]});
        spec["containers"][0]["resources"] = resources;
        let cgroups = Cgroups {
            driver,
            ..Cgroups::default()
        };
        of(&pod("web", spec), cgroups)
    }

    #[test]
    fn each_class_has_its_place_under_both_drivers() {
        let all = json!({"cpu": "1", "memory": "1Gi"});
        for (resources, cgroupfs, systemd) in [
            (
                json!({"requests": all, "limits": all}),
                "/kubepods/podu-1",
                "/kubepods.slice/kubepods-podu_1.slice",
            ),
            (
                json!({"requests": {"cpu": "1"}}),
                "/kubepods/burstable/podu-1",
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podu_1.slice",
            ),
            (
                json!({}),
                "/kubepods/besteffort/podu-1",
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podu_1.slice",
            ),
        ] {
            assert_eq!(parent(resources.clone(), Some(Driver::Cgroupfs)), cgroupfs);
            assert_eq!(parent(resources.clone(), Some(Driver::Systemd)), systemd);
            assert_eq!(parent(resources, None), "");
        }
    }
}
