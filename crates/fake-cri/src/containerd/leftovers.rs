//! What a containerd leaves on a machine, and how it goes away: processes, mounts, cgroups.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// How long the kernel may take to end a process that was killed.
const DYING: Duration = Duration::from_secs(10);
/// How often the processes of a rig are looked for.
const ROUNDS: u32 = 5;

/// The shims of the containerd behind `socket`, each with the sandbox it keeps.
pub(super) fn shims(socket: &Path) -> Vec<(u32, String)> {
    let socket = socket.as_os_str().as_encoded_bytes();
    let mut found = Vec::new();
    for pid in processes() {
        let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else {
            continue;
        };
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        let after = |name: &[u8]| {
            let at = words.iter().position(|word| *word == name)?;
            words.get(at + 1).copied()
        };
        let is_shim = words
            .first()
            .is_some_and(|program| program.ends_with(b"containerd-shim-runc-v2"));
        if is_shim && after(b"-address") == Some(socket) {
            let sandbox = after(b"-id").unwrap_or_default();
            found.push((pid, String::from_utf8_lossy(sandbox).into_owned()));
        }
    }
    found
}

/// Every process.
fn processes() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    names
        .filter_map(|name| name.to_str()?.parse().ok())
        .collect()
}

/// The process and all that it started, the youngest last.
pub(super) fn family(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        next += 1;
        let Ok(threads) = fs::read_dir(format!("/proc/{parent}/task")) else {
            continue;
        };
        for thread in threads.flatten() {
            let children = fs::read_to_string(thread.path().join("children"));
            let children = children.unwrap_or_default();
            let children = children
                .split_whitespace()
                .filter_map(|id| id.parse::<u32>().ok());
            found.extend(children);
        }
    }
    found
}

/// Waits with the whole thread, as all of a rig does.
#[expect(
    clippy::disallowed_methods,
    reason = "a rig is taken down in a destructor, where nothing can be awaited"
)]
pub(super) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Kills them and waits until they are gone, or are nothing but an entry that nobody collects.
pub(super) fn kill(pids: &[u32]) {
    for pid in pids {
        if let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw) {
            // One that is gone already is no fault.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    let began = Instant::now();
    while pids.iter().any(|pid| lives(*pid)) && began.elapsed() < DYING {
        pause(Duration::from_millis(2));
    }
}

/// Whether a process runs: a zombie does not.
pub(super) fn lives(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    // The name before may hold anything, closing brackets too.
    let state = stat.rsplit(')').next().unwrap_or_default();
    !matches!(state.trim_start().chars().next(), Some('Z' | 'X') | None)
}

/// The cgroups of these processes, but for the root.
fn cgroups(pids: &[u32]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for pid in pids {
        let lines = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let paths = lines.lines().filter_map(|line| line.splitn(3, ':').nth(2));
        found.extend(paths.filter(|path| *path != "/").map(str::to_owned));
    }
    found
}

/// Removes a cgroup, and what is below it, from every hierarchy. One that is in use stays.
pub(super) fn remove_cgroup(path: &str) {
    let mount = Path::new("/sys/fs/cgroup");
    let mut hierarchies = vec![mount.to_owned()];
    if let Ok(entries) = fs::read_dir(mount) {
        hierarchies.extend(entries.flatten().map(|entry| entry.path()));
    }
    for hierarchy in hierarchies {
        let folder = hierarchy.join(path.trim_start_matches('/'));
        if folder != hierarchy && folder.is_dir() {
            remove_folders(&folder);
        }
    }
}

/// The kernel's files in a cgroup go with its folder.
fn remove_folders(folder: &Path) {
    if let Ok(entries) = fs::read_dir(folder) {
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                remove_folders(&entry.path());
            }
        }
    }
    let _ = fs::remove_dir(folder);
}

/// Takes away every mount below a folder, the last one first.
pub(super) fn unmount_below(folder: &Path) {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let places = table.lines().filter_map(|line| line.split(' ').nth(4));
    let mut below: Vec<PathBuf> = places
        .map(PathBuf::from)
        .filter(|place| place.starts_with(folder))
        .collect();
    below.reverse();
    if !below.is_empty() {
        let _ = Command::new("umount").arg("-l").args(below).output();
    }
}

/// Ends every process that has `home` on its command line or lives in the cgroup `mark`, with all
/// that it started, but for one; and removes their cgroups.
pub(super) fn end_related(home: &Path, mark: &str, spared: Option<u32>) {
    // What is being killed may just have started something.
    for _ in 0..ROUNDS {
        let mut doomed = related(home, mark);
        doomed.retain(|pid| Some(*pid) != spared && lives(*pid));
        if doomed.is_empty() {
            break;
        }
        let cgroups = cgroups(&doomed);
        kill(&doomed);
        for cgroup in cgroups {
            remove_cgroup(&cgroup);
        }
    }
}

fn related(home: &Path, mark: &str) -> Vec<u32> {
    let home = home.as_os_str().as_encoded_bytes();
    let mut found = BTreeSet::new();
    for pid in processes() {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let named = line.windows(home.len()).any(|part| part == home);
        if named || groups.split(['/', '\n']).any(|part| part == mark) {
            found.extend(family(pid));
        }
    }
    found.remove(&std::process::id());
    found.into_iter().collect()
}

/// What a shim and runc keep below `/run/containerd`, whatever the state folder is: the shim's
/// socket, of which its bundle says where it is, and runc's own folder.
pub(super) fn remove_traces(bundle: &Path) {
    remove_socket(address(bundle));
    if let Some(id) = bundle.file_name() {
        let _ = fs::remove_dir_all(Path::new("/run/containerd/runc/k8s.io").join(id));
    }
}

/// Where the shim of a bundle listens.
pub(super) fn address(bundle: &Path) -> Option<PathBuf> {
    let address = fs::read_to_string(bundle.join("address")).ok()?;
    address.trim().strip_prefix("unix://").map(PathBuf::from)
}

pub(super) fn remove_socket(socket: Option<PathBuf>) {
    if let Some(socket) = socket {
        let _ = fs::remove_file(socket);
    }
}

/// [`remove_traces`] of every bundle.
pub(super) fn remove_all_traces(bundles: &Path) {
    let Ok(entries) = fs::read_dir(bundles) else {
        return;
    };
    for entry in entries.flatten() {
        remove_traces(&entry.path());
    }
}

/// What the network's plugins remember of pods that they were never asked to forget.
pub(super) fn remove_network(name: &str) {
    let Ok(entries) = fs::read_dir("/var/lib/cni/results") else {
        return;
    };
    for entry in entries.flatten() {
        let file = entry.file_name();
        if file.to_string_lossy().starts_with(&format!("{name}-")) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
