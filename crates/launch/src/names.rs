//! Names by which tools find what is on the disk: directories and files of logs.

use pod::{Pod, api};

use crate::reason::Reason;

/// The longest name of a file, in bytes.
const LONGEST: usize = 255;

/// Checks that a uid, which a manifest may choose, can be the name of a directory and nothing
/// else.
///
/// # Errors
///
/// It is empty, too long, a path, or has letters that need care.
pub fn check_uid(uid: &str) -> Result<(), Reason> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let fits = (1..=128).contains(&uid.len()) && uid.bytes().all(plain) && !uid.starts_with('.');
    fits.then_some(())
        .ok_or_else(|| Reason::Uid(uid.to_owned()))
}

/// `<namespace>_<name>_<uid>`, below the directory of all logs.
#[must_use]
pub fn pod_logs(pod: &Pod) -> String {
    format!("{}_{}_{}", pod.key.namespace, pod.key.name, pod.uid)
}

/// `<container>/<restart count>.log`, below the pod's directory of logs.
#[must_use]
pub fn container_log(container: &str, restart_count: u32) -> String {
    format!("{container}/{restart_count}.log")
}

/// The highest restart count that the files of a container's log directory speak of: `3.log`,
/// `3.log.20240102-030405`, `3.log.20240102-030405.gz`. What does not look like a log is skipped.
#[must_use]
pub fn highest_logged<'a>(files: impl IntoIterator<Item = &'a str>) -> Option<u32> {
    let count = |file: &str| -> Option<u32> {
        let (count, rest) = file.split_once('.')?;
        let is_log = rest == "log" || rest.starts_with("log.");
        let digits = count.bytes().all(|byte| byte.is_ascii_digit());
        (is_log && digits).then_some(count)?.parse().ok()
    };
    files.into_iter().filter_map(count).max()
}

/// The name of the link to a container's log that log shippers look for: pod, namespace,
/// container and id, cut so that it can be a name.
#[must_use]
pub fn log_link(pod: &Pod, container: &str, id: &str) -> String {
    const END: &str = ".log";
    let key = &pod.key;
    let mut link = format!("{}_{}_{container}-{id}", key.name, key.namespace);
    link.truncate(link.floor_char_boundary(LONGEST - END.len()));
    link + END
}

/// Whether an init container goes on beside the others.
#[must_use]
pub fn is_sidecar(container: &api::Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// The place of a container among the init containers, if it is a sidecar. (A regular container
/// may say `Always` too, and is none.)
#[must_use]
pub fn sidecar_place(spec: &api::PodSpec, container: &str) -> Option<usize> {
    let mut init = spec.init_containers.iter().flatten();
    init.position(|other| other.name == container && is_sidecar(other))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixtures::pod;
    use serde_json::json;

    #[test]
    fn logs_lie_where_log_shippers_look() {
        let pod = pod("web-n1", json!({}));
        assert_eq!(pod_logs(&pod), "ns_web-n1_u-1");
        assert_eq!(container_log("main", 3), "main/3.log");
        assert_eq!(log_link(&pod, "main", "0a1b"), "web-n1_ns_main-0a1b.log");
    }

    #[test]
    fn the_last_restart_count_is_found_among_logs() {
        let files = [
            "2.log",
            "10.log.20260102-030405.gz",
            "9.log.20260102-030405",
            "x",
        ];
        assert_eq!(highest_logged(files), Some(10));
        let others = [
            ".log",
            "+3.log",
            "3.logs",
            "a.log",
            "3",
            "99999999999.log",
            "3.txt.log",
        ];
        assert_eq!(highest_logged(others), None);
    }

    proptest! {
        #[test]
        fn a_link_has_a_name_that_a_file_may_have(
            name in "[a-z0-9.-]{1,253}",
            container in "[a-z0-9-]{1,63}",
            id in "[0-9a-f]{0,64}|[é]{0,40}",
        ) {
            let link = log_link(&pod(&name, json!({})), &container, &id);
            prop_assert!(link.len() <= 255 && link.ends_with(".log"));
            let whole = format!("{name}_ns_{container}-{id}.log");
            let cut = link.strip_suffix(".log").unwrap_or_default();
            prop_assert!(whole.starts_with(cut));
            prop_assert!(whole.len() > 255 || whole == link);
        }

        #[test]
        fn no_accepted_uid_leaves_its_directory(uid in "[a-z./ é-]{0,6}") {
            if check_uid(&uid).is_ok() {
                prop_assert!(!uid.contains('/') && !uid.starts_with('.') && !uid.is_empty());
            }
        }
    }
}
