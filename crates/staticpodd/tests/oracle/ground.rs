//! A machine with a runtime and one agent: ours, or a real kubelet.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use fake_cri::{
    containerd::{Network, Rig},
    programs::stock,
};
use serde_json::json;

/// Ends the names of pods.
pub(crate) const NODE: &str = "oracle";
/// The node's address, of those that are for documentation.
const ADDRESS: &str = "192.0.2.10";
const CLUSTER_DNS: &str = "10.96.0.10";
/// What a kubelet sets on the whole machine.
const KERNEL: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];
/// Where a kubelet links logs, whatever it is told.
const LINKS: &str = "/var/log/containers";

/// Who runs the pods.
#[derive(Debug, Clone)]
pub(crate) enum Agent {
    /// `staticpodd run`.
    Ours,
    /// The kubelet at this path, without an API server.
    Kubelet(PathBuf),
}

/// Dropped, it takes everything away, however the test ends.
pub(crate) struct Ground {
    pub(crate) agent: Agent,
    process: Option<Child>,
    events: Option<Child>,
    kernel: Vec<(PathBuf, String)>,
    pub(crate) home: PathBuf,
    pub(crate) rig: Rig,
}

impl Drop for Ground {
    fn drop(&mut self) {
        for mut process in [self.process.take(), self.events.take()]
            .into_iter()
            .flatten()
        {
            let _ = process.kill();
            let _ = process.wait();
        }
        for (path, text) in &self.kernel {
            let _ = fs::write(path, text);
        }
        self.rig.power_off();
        self.remove_links();
        self.remove_cgroups();
    }
}

impl Ground {
    pub(crate) fn new(agent: Agent) -> Self {
        let rig = Rig::start(Network::Bridge).unwrap();
        let home = rig.scratch();
        let mut ground = Self {
            agent,
            process: None,
            events: None,
            kernel: Vec::new(),
            home,
            rig,
        };
        ground.furnish();
        ground
    }

    fn furnish(&mut self) {
        let home = &self.home;
        for folder in [
            "manifests",
            "log/pods",
            "there/sub",
            "root/seccomp/profiles",
        ] {
            fs::create_dir_all(home.join(folder)).unwrap();
        }
        for folder in ["manifests", "there", "root"] {
            mode(&home.join(folder), 0o755);
        }
        fs::write(home.join("there/regular"), "regular").unwrap();
        let profile = json!({"defaultAction": "SCMP_ACT_ALLOW"}).to_string();
        fs::write(home.join("root/seccomp/profiles/allow.json"), profile).unwrap();
        let mut address = self.rig.enter("ip");
        address.args(["address", "add", &format!("{ADDRESS}/32"), "dev", "lo"]);
        assert!(address.status().unwrap().success());
        let events = fs::File::create(home.join("events")).unwrap();
        let listening = Command::new("ctr")
            .arg("-a")
            .arg(self.rig.endpoint().path())
            .args(["-n", "k8s.io", "events"])
            .stdin(Stdio::null())
            .stdout(events)
            .stderr(Stdio::null())
            .spawn();
        self.events = Some(listening.unwrap());
        // Nothing that matters happens before somebody listens.
        let image = &stock().unwrap().workload.name;
        let heard = || fs::metadata(home.join("events")).is_ok_and(|file| file.len() > 0);
        for number in 0.. {
            if heard() {
                break;
            }
            let label = format!("oracle={number}");
            self.rig.ctr(&["images", "label", image, &label]).unwrap();
            pause();
        }
    }

    /// The cgroup below which the agent puts those of pods.
    pub(crate) fn cgroups(&self) -> String {
        match self.agent {
            Agent::Ours => "/kubepods".to_owned(),
            // It kills whatever it does not know there, so it gets a place of its own.
            Agent::Kubelet(_) => format!("/oracle-{}", std::process::id()),
        }
    }

    pub(crate) fn links(&self) -> PathBuf {
        match self.agent {
            Agent::Ours => self.home.join("log/containers"),
            Agent::Kubelet(_) => PathBuf::from(LINKS),
        }
    }

    /// What the agent has said.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.home.join("agent.log")).unwrap_or_default()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        let process = self.process.as_mut();
        process.is_none_or(|process| matches!(process.try_wait(), Ok(Some(_))))
    }

    pub(crate) fn start(&mut self) {
        let mut command = match self.agent.clone() {
            Agent::Ours => self.ours(),
            Agent::Kubelet(program) => self.kubelet(&program),
        };
        let log = fs::File::create(self.home.join("agent.log")).unwrap();
        let started = command
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.process = Some(started.unwrap());
    }

    fn ours(&self) -> Command {
        let mut command = self.rig.enter(env!("CARGO_BIN_EXE_staticpodd"));
        command
            .arg("run")
            .arg("--pod-manifest-path")
            .arg(self.home.join("manifests"))
            .arg("--root-dir")
            .arg(self.home.join("root"))
            .arg("--pod-logs-dir")
            .arg(self.home.join("log/pods"))
            .args(["--hostname-override", NODE, "--node-ip", ADDRESS])
            .args(["--cluster-dns", CLUSTER_DNS])
            .args(["--cluster-domain", "cluster.local"])
            .args(["--file-check-frequency", "1s"])
            .arg("--container-runtime-endpoint")
            .arg(self.rig.endpoint().to_string());
        command
    }

    fn kubelet(&mut self, program: &Path) -> Command {
        for name in KERNEL {
            let path = Path::new("/proc/sys").join(name);
            if let Ok(text) = fs::read_to_string(&path) {
                self.kernel.push((path, text));
            }
        }
        for tree in trees() {
            let _ = fs::create_dir(tree.join(self.cgroups().trim_start_matches('/')));
        }
        let home = &self.home;
        let config = json!({
            "kind": "KubeletConfiguration",
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "staticPodPath": home.join("manifests"),
            "podLogsDir": home.join("log/pods"),
            "containerRuntimeEndpoint": self.rig.endpoint().to_string(),
            "volumePluginDir": home.join("plugins"),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": self.cgroups(),
            "enforceNodeAllocatable": [],
            "failSwapOn": false,
            "oomScoreAdj": 0,
            "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
            "authorization": {"mode": "AlwaysAllow"},
            "fileCheckFrequency": "1s",
            "syncFrequency": "2s",
            "makeIPTablesUtilChains": false,
            "evictionHard": {},
            "imageGCHighThresholdPercent": 100,
            "clusterDNS": [CLUSTER_DNS],
            "clusterDomain": "cluster.local",
            "resolvConf": "/etc/resolv.conf",
        });
        fs::write(home.join("kubelet.json"), config.to_string()).unwrap();
        let mut command = self.rig.enter(program);
        command
            .arg("--config")
            .arg(home.join("kubelet.json"))
            .arg("--root-dir")
            .arg(home.join("root"))
            .arg("--cert-dir")
            .arg(home.join("pki"))
            .args(["--hostname-override", NODE, "--node-ip", ADDRESS, "--v=2"]);
        command
    }

    /// A file of `pods/` as a manifest, in one step, as careful editors do it.
    pub(crate) fn put(&self, manifest: &str, file: &str) {
        let pods = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/pods");
        let text = fs::read_to_string(pods.join(file)).unwrap();
        let text = text
            .replace("@IMAGE@", &stock().unwrap().workload.name)
            .replace("@HOME@", &self.home.to_string_lossy());
        let folder = self.home.join("manifests");
        let temporary = folder.join(format!(".{manifest}.new"));
        fs::write(&temporary, text).unwrap();
        mode(&temporary, 0o644);
        fs::rename(temporary, folder.join(manifest)).unwrap();
    }

    pub(crate) fn remove(&self, manifest: &str) {
        fs::remove_file(self.home.join("manifests").join(manifest)).unwrap();
    }

    pub(crate) fn mkdir(&self, name: &str) {
        fs::create_dir(self.home.join(name)).unwrap();
    }

    /// What is left of pods that are gone.
    pub(crate) fn left(&self, uids: &[String]) -> Vec<PathBuf> {
        let mut places = vec![self.home.join("root/pods"), self.home.join("log/pods")];
        let below = self.cgroups();
        let below = below.trim_start_matches('/');
        let below = match self.agent {
            Agent::Ours => below.to_owned(),
            Agent::Kubelet(_) => format!("{below}/kubepods"),
        };
        for class in ["", "burstable", "besteffort"] {
            places.extend(trees().iter().map(|tree| tree.join(&below).join(class)));
        }
        let found = places.iter().flat_map(fs::read_dir).flatten().flatten();
        let is_of = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            uids.iter().any(|uid| name.ends_with(uid.as_str()))
        };
        found.map(|entry| entry.path()).filter(is_of).collect()
    }

    /// Ours shares a place with other agents of the machine: only what is its own goes, and what
    /// is empty.
    fn remove_cgroups(&self) {
        let below = self.cgroups();
        let below = below.trim_start_matches('/');
        let pods = fs::read_dir(self.home.join("root/pods"));
        let pods: Vec<_> = pods.into_iter().flatten().flatten().collect();
        for tree in trees() {
            let tree = tree.join(below);
            for class in ["kubepods/burstable", "kubepods/besteffort", "kubepods"]
                .into_iter()
                .chain(["burstable", "besteffort", ""])
            {
                for pod in &pods {
                    let name = format!("pod{}", pod.file_name().display());
                    let _ = fs::remove_dir(tree.join(class).join(name));
                }
                let _ = fs::remove_dir(tree.join(class));
            }
        }
    }

    /// A kubelet's links lie where those of others do.
    fn remove_links(&self) {
        for link in fs::read_dir(LINKS).into_iter().flatten().flatten() {
            let target = fs::read_link(link.path());
            if target.is_ok_and(|target| target.starts_with(&self.home)) {
                let _ = fs::remove_file(link.path());
            }
        }
    }
}

/// The hierarchies of cgroups.
pub(crate) fn trees() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let listed = fs::read_dir(root).into_iter().flatten().flatten();
    let below = listed.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    below.map(|entry| entry.path()).collect()
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Between two looks at what the agent has done.
#[expect(clippy::disallowed_methods, reason = "the test looks now and then")]
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(100));
}
