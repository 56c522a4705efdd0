//! Kubelets of this machine: whether two would do the same work.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use cri::{
    Endpoint,
    v1::{Container, ContainerState, PodSandbox, PodSandboxState},
};
use pod::{marks, naming::CONFIG_SOURCE};
use yaml::source::Source;

use crate::kubelet_config::{self, Configuration};

/// Where installers put a kubelet's configuration.
pub(crate) const USUAL_CONFIG: &str = "/var/lib/kubelet/config.yaml";
/// Where the kernel shows processes.
const PROCESSES: &str = "/proc";

/// A kubelet that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    pid: u32,
    /// Its runtime's socket; `None` where it does not say.
    socket: Option<PathBuf>,
    /// Its directory of manifests.
    folder: Option<PathBuf>,
}

/// What there is of kubelets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kubelets {
    /// Processes that use our runtime, or may.
    pub(crate) processes: Vec<u32>,
    /// Whose directory of manifests is ours: how messages name it.
    pub(crate) rivals: Vec<String>,
    /// Static pods of a kubelet that run on our runtime.
    pub(crate) pods: BTreeSet<String>,
}

/// Why this agent must not start beside a kubelet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rivalry {
    /// Its pods run here.
    #[error(
        "the runtime at {endpoint} runs static pods of a kubelet ({pods}): stop and disable that kubelet, then start this agent with --take-over, which stops them one by one and starts its own instead"
    )]
    Pods {
        /// Where.
        endpoint: String,
        /// Some of them.
        pods: String,
    },
    /// It reads the same manifests.
    #[error(
        "{folder} is also the manifest directory of {who}: name another one, or stop and disable that kubelet and start this agent with --take-over"
    )]
    Folder {
        /// Ours.
        folder: PathBuf,
        /// Whose it is too.
        who: String,
    },
    /// It would fight for what is taken over.
    #[error(
        "a kubelet runs as process {pid} on the runtime at {endpoint}: what is taken over must not be started by it again, so stop and disable it first (systemctl disable --now kubelet)"
    )]
    Alive {
        /// Its process.
        pid: u32,
        /// Where.
        endpoint: String,
    },
}

impl Kubelets {
    /// Looks at the processes, at the usual configuration, and at what the runtime has.
    pub(crate) fn look(
        endpoint: &Endpoint,
        folder: Option<&Path>,
        sandboxes: &[PodSandbox],
        containers: &[Container],
    ) -> Self {
        let mut found = Self {
            pods: pods(sandboxes, containers),
            ..Self::default()
        };
        for process in processes(Path::new(PROCESSES)) {
            let root = Path::new(PROCESSES)
                .join(process.pid.to_string())
                .join("root");
            let seen = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
            let socket = process.socket.as_deref();
            let ours = endpoint.path();
            let is_ours = |theirs: &Path| match fs::metadata(seen(theirs)) {
                Ok(_) => is_same(&seen(theirs), ours),
                // What cannot be seen is called as it is where it is.
                Err(_) => theirs == ours,
            };
            if socket.is_none_or(is_ours) {
                found.processes.push(process.pid);
            }
            if let (Some(theirs), Some(ours)) = (&process.folder, folder)
                && is_same(&seen(theirs), ours)
            {
                let who = format!("the kubelet that runs as process {}", process.pid);
                found.rivals.push(who);
            }
        }
        if found.rivals.is_empty()
            && let Some(theirs) = configured(Path::new(USUAL_CONFIG)).folder
            && folder.is_some_and(|ours| is_same(&theirs, ours))
        {
            let who = format!("the kubelet that {USUAL_CONFIG} configures");
            found.rivals.push(who);
        }
        found
    }

    /// Whether the agent may start.
    ///
    /// # Errors
    /// [`Rivalry`].
    pub(crate) fn judge(
        &self,
        take_over: bool,
        endpoint: &Endpoint,
        folder: Option<&Path>,
    ) -> Result<(), Rivalry> {
        let endpoint = endpoint.to_string();
        if take_over {
            return match self.processes.first() {
                Some(pid) => Err(Rivalry::Alive {
                    pid: *pid,
                    endpoint,
                }),
                None => Ok(()),
            };
        }
        if !self.pods.is_empty() {
            let pods = some(&self.pods);
            return Err(Rivalry::Pods { endpoint, pods });
        }
        match (self.rivals.first(), folder) {
            (Some(who), Some(folder)) => Err(Rivalry::Folder {
                folder: folder.to_owned(),
                who: who.clone(),
            }),
            _ => Ok(()),
        }
    }
}

fn some(names: &BTreeSet<String>) -> String {
    let shown: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
    let shown = shown.join(", ");
    match names.len().saturating_sub(3) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Pods that a kubelet made from a file or a URL, that nobody else claims, and of which anything
/// runs.
fn pods(sandboxes: &[PodSandbox], containers: &[Container]) -> BTreeSet<String> {
    let inhabited: BTreeSet<&str> = containers
        .iter()
        .filter(|container| container.state() == ContainerState::ContainerRunning)
        .map(|container| container.pod_sandbox_id.as_str())
        .collect();
    let of_kubelet = sandboxes.iter().filter(|sandbox| {
        let source = sandbox.annotations.get(CONFIG_SOURCE);
        let runs = sandbox.state() == PodSandboxState::SandboxReady
            || inhabited.contains(sandbox.id.as_str());
        runs && !sandbox.annotations.contains_key(marks::OWNER)
            && source.is_some_and(|source| source == "file" || source == "http")
    });
    of_kubelet
        .filter_map(|sandbox| sandbox.metadata.as_ref())
        .map(|name| format!("{}/{}", name.namespace, name.name))
        .collect()
}

/// Whether two paths lead to the same thing.
fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    match (identity(one), identity(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// What a kubelet's configuration says, however wrong it is elsewhere.
fn configured(path: &Path) -> Configuration {
    let Ok(text) = kubelet_config::text(path) else {
        return Configuration::default();
    };
    let source = Source::new(path.to_string_lossy(), text);
    let folder = path.parent().unwrap_or(Path::new("/"));
    kubelet_config::read(&source, folder).0
}

/// Every kubelet below a directory like `/proc`.
fn processes(all: &Path) -> Vec<Process> {
    let listed = fs::read_dir(all).into_iter().flatten().flatten();
    let process = |entry: fs::DirEntry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let words: Vec<String> = line
            .split(|byte| *byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        let flags = flags(&words)?;
        let root = entry.path().join("root");
        let config = flags.config.map(|path| match path.strip_prefix("/") {
            Ok(inner) => root.join(inner),
            Err(_) => entry.path().join("cwd").join(path),
        });
        let said = config.as_deref().map(configured).unwrap_or_default();
        // Relative paths in the file were taken from where it was found.
        let inside = |path: PathBuf| match path.strip_prefix(&root) {
            Ok(inner) => Path::new("/").join(inner),
            Err(_) => path,
        };
        let socket = flags.endpoint.or(said.endpoint);
        Some(Process {
            pid,
            socket: socket.map(|text| {
                let path = text.strip_prefix("unix://").unwrap_or(&text);
                PathBuf::from(path)
            }),
            folder: flags.folder.or(said.folder).map(inside),
        })
    };
    let mut found: Vec<Process> = listed.filter_map(process).collect();
    found.sort_by_key(|process| process.pid);
    found
}

/// What a kubelet was told on its command line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Flags {
    config: Option<PathBuf>,
    endpoint: Option<String>,
    folder: Option<PathBuf>,
}

/// The flags of a command line, if it is a kubelet's.
fn flags(words: &[String]) -> Option<Flags> {
    let name = |word: &String| word.rsplit('/').next().map(str::to_owned);
    let (first, rest) = words.split_first()?;
    match name(first)?.as_str() {
        "kubelet" | "kubelite" => {}
        "hyperkube" if rest.first().is_some_and(|word| word == "kubelet") => {}
        _ => return None,
    }
    let mut flags = Flags::default();
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix("--") else {
            continue;
        };
        let (flag, value) = match flag.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (flag, None),
        };
        let mut value = || value.clone().or_else(|| words.next().cloned());
        match flag {
            "config" => flags.config = value().map(PathBuf::from),
            "container-runtime-endpoint" => flags.endpoint = value(),
            "pod-manifest-path" => flags.folder = value().map(PathBuf::from),
            _ => {}
        }
    }
    Some(flags)
}

#[cfg(test)]
mod tests;
