//! Cgroups of pods: made with their limits where the driver is `cgroupfs` (systemd makes its
//! slices itself), and removed after the pod, because no runtime removes them.
//!
//! On version 1 each controller has a tree of its own; a pod has a directory in each.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

use rustix::{
    io::Errno,
    process::{Pid, Signal, getpid, kill_process},
};
use thiserror::Error;

use crate::host::{HostError, names};

/// The trees of cgroups on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trees {
    /// Version 1: one for each controller, and beside them perhaps one of version 2.
    split: Vec<PathBuf>,
    /// Version 2 alone.
    unified: Option<PathBuf>,
}

/// What a pod may use at most, all its containers together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Relative weight, 2 to 262144.
    pub shares: Option<u64>,
    /// Microseconds of each 100 ms.
    pub quota: Option<u64>,
    /// Bytes.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

/// A cgroup was not made or not removed.
#[derive(Debug, Error)]
pub enum CgroupError {
    /// Something that is not of a pod is never removed.
    #[error("{0:?} is no cgroup of a pod: the agent touches none but kubepods/…/pod<uid>")]
    Foreign(String),
    /// Killed processes take a moment, and those that wait for a device take longer.
    #[error("{} still has processes: the agent tries again", path.display())]
    Alive {
        /// The cgroup.
        path: PathBuf,
    },
    /// The system refused it.
    #[error(transparent)]
    Host(#[from] HostError),
}

const PERIOD: u64 = 100_000;

/// Files and what is written to them.
type Values = Vec<(&'static str, String)>;

impl Trees {
    /// Looks at where cgroups are mounted, by default `/sys/fs/cgroup`.
    ///
    /// # Errors
    /// It cannot be listed.
    pub fn find(mount: &Path) -> Result<Self, HostError> {
        if mount.join("cgroup.controllers").exists() {
            return Ok(Self {
                split: Vec::new(),
                unified: Some(mount.to_owned()),
            });
        }
        let mut split = Vec::new();
        for name in names(mount)? {
            let path = mount.join(name);
            // `cpu` may be a symlink to `cpu,cpuacct`: once is enough.
            if fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
                split.push(path);
            }
        }
        split.sort();
        Ok(Self {
            split,
            unified: None,
        })
    }

    /// Makes the cgroup of a pod with its limits, or sets those of one that is there. `cgroup` is
    /// the path that the runtime is told, of the driver `cgroupfs`.
    ///
    /// # Errors
    /// The system refused it, or the path is not of a pod.
    pub fn make(&self, cgroup: &str, limits: Limits) -> Result<(), CgroupError> {
        let cgroup = of_pod(cgroup)?;
        if let Some(tree) = &self.unified {
            let list = tree.join("cgroup.controllers");
            let available = fs::read_to_string(&list)
                .map_err(HostError::io(&list, "reading which controllers there are"))?;
            let path = make_below(tree, cgroup, &handed_down(&available))?;
            write_all(&path, &unified(limits, &available))?;
            return Ok(());
        }
        for tree in &self.split {
            let values = split(tree, limits);
            if !values.is_empty() {
                let path = make_below(tree, cgroup, "")?;
                write_all(&path, &values)?;
            }
        }
        Ok(())
    }

    /// Kills what still runs in the cgroup of a pod and removes its directories from all trees.
    /// One that is not there is fine. For pods whose sandbox is gone.
    ///
    /// # Errors
    /// Something still runs: to be tried again in a moment.
    pub fn remove(&self, cgroup: &str) -> Result<(), CgroupError> {
        let cgroup = of_pod(cgroup)?;
        let trees = || self.split.iter().chain(&self.unified);
        for tree in trees() {
            let _ = kill(&tree.join(cgroup))?;
        }
        let mut alive = None;
        for tree in trees() {
            let path = tree.join(cgroup);
            match remove_empty(&path) {
                Ok(()) => {}
                Err(error) if Errno::from_io_error(&error) == Some(Errno::BUSY) => {
                    let _ = alive.get_or_insert(path);
                }
                Err(error) => {
                    return Err(HostError::io(&path, "removing the cgroup")(error).into());
                }
            }
        }
        alive.map_or(Ok(()), |path| Err(CgroupError::Alive { path }))
    }
}

/// A relative path, of which it is certain that it is a pod's: `…kubepods…/…pod<uid>`.
fn of_pod(cgroup: &str) -> Result<&Path, CgroupError> {
    let foreign = || CgroupError::Foreign(cgroup.to_owned());
    let path = Path::new(cgroup.trim_start_matches('/'));
    let parts: Option<Vec<&str>> = path
        .components()
        .map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    let parts = parts.ok_or_else(foreign)?;
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        return Err(foreign());
    };
    let is_top = matches!(*first, "kubepods" | "kubepods.slice");
    let own = match last.strip_suffix(".slice") {
        Some(slice) => slice.rsplit_once('-').map_or(slice, |(_, own)| own),
        None => last,
    };
    let is_pod = own.strip_prefix("pod").is_some_and(|uid| !uid.is_empty());
    if is_top && is_pod && parts.len() > 1 {
        Ok(path)
    } else {
        Err(foreign())
    }
}

/// What each level of version 2 hands down: a kernel without one of the controllers would refuse
/// all of them.
fn handed_down(available: &str) -> String {
    let wanted = available
        .split_whitespace()
        .filter(|controller| matches!(*controller, "cpu" | "memory" | "pids"));
    let wanted: Vec<String> = wanted.map(|controller| format!("+{controller}")).collect();
    wanted.join(" ")
}

/// What version 2 is told. Where a controller is missing, only a limit that is wanted is an error.
fn unified(limits: Limits, available: &str) -> Values {
    let mut values = Values::new();
    if let Some(shares) = limits.shares {
        // As runtimes convert it: 2..=262144 to 1..=10000.
        let weight = 1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142;
        values.push(("cpu.weight", weight.to_string()));
    }
    let quota = limits
        .quota
        .map_or("max".to_owned(), |quota| quota.to_string());
    values.push(("cpu.max", format!("{quota} {PERIOD}")));
    let or_max = |limit: Option<u64>| limit.map_or("max".to_owned(), |limit| limit.to_string());
    values.push(("memory.max", or_max(limits.memory)));
    values.push(("pids.max", or_max(limits.pids)));
    values.retain(|(file, value)| {
        let controller = file.split('.').next().unwrap_or(file);
        let is_there = available.split_whitespace().any(|name| name == controller);
        is_there || !(value.starts_with("max") || *file == "cpu.weight")
    });
    values
}

/// What the tree of a controller of version 1 is told; nothing if it limits nothing of a pod.
fn split(tree: &Path, limits: Limits) -> Values {
    let name = tree.file_name().and_then(|name| name.to_str());
    let controllers = name.unwrap_or_default().split(',');
    let or_none = |limit: Option<u64>| limit.map_or("-1".to_owned(), |limit| limit.to_string());
    let mut values = Values::new();
    for controller in controllers {
        match controller {
            "cpu" => {
                values.extend(
                    limits
                        .shares
                        .map(|shares| ("cpu.shares", shares.to_string())),
                );
                values.push(("cpu.cfs_period_us", PERIOD.to_string()));
                values.push(("cpu.cfs_quota_us", or_none(limits.quota)));
            }
            "memory" => values.push(("memory.limit_in_bytes", or_none(limits.memory))),
            "pids" => {
                let limit = limits
                    .pids
                    .map_or("max".to_owned(), |pids| pids.to_string());
                values.push(("pids.max", limit));
            }
            _ => {}
        }
    }
    values
}

/// On version 2 each level must hand controllers down before the next can use them.
fn make_below(tree: &Path, cgroup: &Path, hands_down: &str) -> Result<PathBuf, HostError> {
    let mut path = tree.to_owned();
    for part in cgroup.components() {
        if !hands_down.is_empty() {
            let control = path.join("cgroup.subtree_control");
            write(&control, hands_down)?;
        }
        path.push(part);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(HostError::io(&path, "making the cgroup")(error));
            }
            _ => {}
        }
    }
    Ok(path)
}

fn write_all(path: &Path, values: &Values) -> Result<(), HostError> {
    values
        .iter()
        .try_for_each(|(file, value)| write(&path.join(file), value))
}

fn write(path: &Path, value: &str) -> Result<(), HostError> {
    fs::write(path, value).map_err(HostError::io(path, "writing a limit of the cgroup"))
}

/// Kills all processes in a cgroup and below it, and says which. None where there is none.
fn kill(path: &Path) -> Result<BTreeSet<i32>, HostError> {
    let mut killed = BTreeSet::new();
    if !path.is_dir() {
        return Ok(killed);
    }
    for below in directories(path)? {
        killed.extend(kill(&below)?);
    }
    let list = path.join("cgroup.procs");
    let pids = match fs::read_to_string(&list) {
        Ok(pids) => pids,
        Err(error) if is_gone(&error) => return Ok(killed),
        Err(error) => return Err(HostError::io(&list, "reading processes")(error)),
    };
    let own = getpid();
    // 0 is a process of another namespace, which cannot be named from here.
    let pids = pids
        .lines()
        .filter_map(|pid| pid.parse().ok())
        .filter(|pid| *pid > 0)
        .filter_map(Pid::from_raw);
    for pid in pids.filter(|pid| *pid != own && !pid.is_init()) {
        match kill_process(pid, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {
                let _ = killed.insert(pid.as_raw_nonzero().get());
            }
            Err(error) => return Err(HostError::io(&list, "killing a left-over process")(error)),
        }
    }
    Ok(killed)
}

/// The kernel's own files in a cgroup go with it.
fn remove_empty(path: &Path) -> io::Result<()> {
    let below = match directories(path) {
        Ok(below) => below,
        Err(HostError::Io { source, .. }) => return Err(source),
        Err(error) => return Err(io::Error::other(error)),
    };
    for below in below {
        remove_empty(&below)?;
    }
    match fs::remove_dir(path) {
        Err(error) if !is_gone(&error) => Err(error),
        _ => Ok(()),
    }
}

/// The directories in a cgroup, but not in what is mounted there.
fn directories(path: &Path) -> Result<Vec<PathBuf>, HostError> {
    let Ok(own) = fs::symlink_metadata(path) else {
        return Ok(Vec::new());
    };
    let is_inside = |path: &PathBuf| {
        fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.dev() == own.dev())
    };
    let all = names(path)?.into_iter().map(|name| path.join(name));
    Ok(all.filter(is_inside).collect())
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NOENT | Errno::NODEV)
    )
}

#[cfg(test)]
mod tests;
