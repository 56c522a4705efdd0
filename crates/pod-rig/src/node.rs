//! The node: a runtime, directories, and now and then an agent.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use cri::{
    Client, Runtime as _,
    v1::{PodSandbox, PodSandboxState},
};
use fake_cri::containerd::{Network, Rig};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::sight::{Instance, instances};

/// For anything to happen, on a machine that does other things besides.
pub const PATIENCE: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(20);
const CGROUPS: &str = "/sys/fs/cgroup";
const CLASSES: [&str; 3] = ["kubepods", "kubepods/besteffort", "kubepods/burstable"];

/// How a node is made.
pub struct Builder {
    program: PathBuf,
    name: String,
    flags: Vec<OsString>,
    rig: Option<Rc<Rig>>,
    network: Network,
}

impl Builder {
    /// A node named `n1` on a containerd of its own, whose agent is this `staticpodd`.
    #[must_use]
    pub fn new(program: &Path) -> Self {
        Self {
            program: program.to_owned(),
            name: "n1".to_owned(),
            flags: Vec::new(),
            rig: None,
            network: Network::Own,
        }
    }

    /// Under this name, which ends the names of its pods.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// On a network other than [`Network::Own`].
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// On a containerd that others use, too.
    #[must_use]
    pub fn on(mut self, rig: &Rc<Rig>) -> Self {
        self.rig = Some(Rc::clone(rig));
        self
    }

    /// One more word on the agent's command line.
    #[must_use]
    pub fn flag(mut self, flag: impl Into<OsString>) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// Starts containerd, where there is none yet, and makes the directories.
    ///
    /// # Panics
    /// Where that is impossible.
    #[must_use]
    pub fn build(self) -> Node {
        let shared = self.rig.is_some();
        let rig = self
            .rig
            .unwrap_or_else(|| Rc::new(Rig::start(self.network).expect("containerd")));
        let home = rig.scratch().join(&self.name);
        for folder in ["manifests", "log"] {
            let folder = home.join(folder);
            fs::create_dir_all(&folder).unwrap();
            mode(&folder, 0o755);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let client = {
            let _inside = runtime.enter();
            rig.client()
        };
        Node {
            program: self.program,
            name: self.name,
            flags: RefCell::new(self.flags),
            agent: None,
            starts: 0,
            home,
            shared,
            client,
            runtime,
            rig,
        }
    }
}

/// A machine with a runtime, a directory of manifests and, now and then, an agent. Dropped, it
/// takes everything away, however the test ends.
pub struct Node {
    program: PathBuf,
    name: String,
    flags: RefCell<Vec<OsString>>,
    agent: Option<Child>,
    starts: usize,
    home: PathBuf,
    /// Others use the containerd, too.
    shared: bool,
    client: Client,
    runtime: Runtime,
    rig: Rc<Rig>,
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        // What a test that failed has left is not the machine's to keep.
        let uids: BTreeSet<String> = self.names("root/pods");
        if self.shared {
            self.remove_pods();
        } else {
            self.rig.power_off();
        }
        for uid in uids {
            for cgroup in self.cgroups_of(&uid) {
                let _ = fs::remove_dir(cgroup);
            }
        }
        // Shared with other pods of the machine, if there are any: only empty ones go.
        for class in CLASSES.iter().rev() {
            for tree in trees() {
                let _ = fs::remove_dir(tree.join(class));
            }
        }
    }
}

fn trees() -> impl Iterator<Item = PathBuf> {
    let listed = fs::read_dir(CGROUPS).into_iter().flatten().flatten();
    let below = listed.map(|tree| tree.path());
    below.chain([PathBuf::from(CGROUPS)])
}

impl Node {
    /// A node on a containerd and a network of its own.
    ///
    /// # Panics
    /// Where that is impossible; ask [`crate::can_run`] first.
    #[must_use]
    pub fn new(program: &Path) -> Self {
        Builder::new(program).build()
    }

    /// A node on a containerd that others use, too. Its ports are the others' ports.
    ///
    /// # Panics
    /// Where its directories cannot be made.
    #[must_use]
    pub fn on(rig: &Rc<Rig>, program: &Path, name: &str) -> Self {
        Builder::new(program).on(rig).name(name).build()
    }

    /// Its containerd.
    #[must_use]
    pub fn rig(&self) -> &Rc<Rig> {
        &self.rig
    }

    /// Where `manifests`, `root` and `log` lie.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The directory of manifests.
    #[must_use]
    pub fn manifests(&self) -> PathBuf {
        self.home.join("manifests")
    }

    /// Adds a word to the command line of the agents to come.
    pub fn flag(&self, flag: impl Into<OsString>) {
        self.flags.borrow_mut().push(flag.into());
    }

    /// The agent's command, with all that every agent here is told.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = self.rig.enter(&self.program);
        command
            .arg("run")
            .arg("--pod-manifest-path")
            .arg(self.manifests())
            .arg("--root-dir")
            .arg(self.home.join("root"))
            .arg("--pod-logs-dir")
            .arg(self.home.join("log/pods"))
            .args(["--hostname-override", &self.name])
            .args(["--file-check-frequency", "1s"])
            .arg("--container-runtime-endpoint")
            .arg(self.rig.endpoint().to_string())
            .args(&*self.flags.borrow())
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// The log of the agent of now.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.home.join(format!("agent-{}.log", self.starts))
    }

    /// Starts the agent; does not wait for anything.
    ///
    /// # Panics
    /// Where there is one already, or the program cannot be started.
    pub fn launch(&mut self) {
        assert!(self.agent.is_none(), "there is an agent already");
        self.starts += 1;
        let log = fs::File::create(self.log()).unwrap();
        self.agent = Some(self.command().stderr(log).spawn().expect("staticpodd"));
    }

    /// Starts the agent and waits until it has read its manifests.
    ///
    /// # Panics
    /// Where it does not.
    pub fn start(&mut self) {
        self.launch();
        self.until("the agent reads", |node| node.has("source.read"));
    }

    /// As `kill -9` does. Nothing happens where no agent runs.
    pub fn kill(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }

    /// As `systemctl stop` does.
    ///
    /// # Panics
    /// Where it does not end with 0.
    pub fn stop(&mut self) {
        let mut agent = self.agent.take().expect("an agent");
        self.signal(&agent, Signal::TERM);
        assert_eq!(agent.wait().unwrap().code(), Some(0));
    }

    fn signal(&self, agent: &Child, signal: Signal) {
        let pid = i32::try_from(agent.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process"), signal).unwrap();
    }

    /// The process of the agent of now. It is what `nsenter` became.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.agent.as_ref().map(Child::id)
    }

    /// An agent that must not start; what it says at its end.
    ///
    /// # Panics
    /// Where it starts.
    #[must_use]
    pub fn refused(&self) -> String {
        let log = self.home.join("refused.log");
        let file = fs::File::create(&log).unwrap();
        let mut agent = self.command().stderr(file).spawn().expect("staticpodd");
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = agent.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > end {
                let _ = agent.kill();
                let _ = agent.wait();
                panic!("it started: {}", fs::read_to_string(log).unwrap());
            }
            thread::sleep(LOOK);
        };
        assert_eq!(status.code(), Some(3));
        let said = fs::read_to_string(log).unwrap();
        let last: Value = serde_json::from_str(said.lines().last().unwrap_or_default()).unwrap();
        assert_eq!(last["message"], "process.failed", "{said}");
        last["reason"].as_str().unwrap_or_default().to_owned()
    }

    /// What the agent of now has written.
    #[must_use]
    pub fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        let lines = text.lines();
        lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Whether the agent of now has told of an event.
    #[must_use]
    pub fn has(&self, event: &str) -> bool {
        self.lines().iter().any(|line| line["message"] == event)
    }

    /// Whether a line of an event has these words in its reason.
    #[must_use]
    pub fn said(&self, event: &str, words: &str) -> bool {
        self.lines().iter().any(|line| {
            let reason = line["reason"].as_str().unwrap_or_default();
            line["message"] == event && reason.contains(words)
        })
    }

    /// Waits for a condition; how long it took.
    ///
    /// # Panics
    /// Where it takes longer than [`PATIENCE`].
    pub fn until(&self, what: &str, mut test: impl FnMut(&Self) -> bool) -> Duration {
        let began = Instant::now();
        while !test(self) {
            if began.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.log()).unwrap_or_default();
                panic!("not within {PATIENCE:?}: {what}; the agent says:\n{log}");
            }
            thread::sleep(LOOK);
        }
        began.elapsed()
    }

    /// Writes a manifest `NAME.yaml` as careful editors do it: no half of it is ever seen.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn put(&self, name: &str, manifest: &Value) {
        self.put_text(&format!("{name}.yaml"), &manifest.to_string());
    }

    /// Writes a file into the directory of manifests, in one piece.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn put_text(&self, file: &str, text: &str) {
        let folder = self.manifests();
        let temporary = folder.join(format!(".{file}"));
        fs::write(&temporary, text).unwrap();
        mode(&temporary, 0o644);
        fs::rename(temporary, folder.join(file)).unwrap();
    }

    /// Removes the manifest `NAME.yaml`.
    ///
    /// # Panics
    /// Where it is not there.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.manifests().join(format!("{name}.yaml"))).unwrap();
    }

    /// Asks a web server in the node's network; the whole answer, empty without one.
    #[must_use]
    pub fn get(&self, address: &str, path: &str) -> String {
        let Some((host, port)) = address.rsplit_once(':') else {
            return String::new();
        };
        let script = format!(
            "exec 3<>/dev/tcp/{host}/{port} && \
             printf 'GET {path} HTTP/1.0\\r\\nHost: {host}\\r\\n\\r\\n' >&3 && cat <&3"
        );
        let mut asking = self.rig.enter("timeout");
        let asked = asking.args(["5", "bash", "-c", &script]).output();
        let text = asked.map(|asked| asked.stdout).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Puts a question to the runtime.
    pub fn ask<T>(&self, question: impl AsyncFnOnce(&Client) -> T) -> T {
        self.runtime.block_on(question(&self.client))
    }

    fn is_ours(&self, pod: &str) -> bool {
        pod.ends_with(&format!("-{}", self.name))
    }

    /// This node's containers in whatever state; none where the runtime does not answer.
    #[must_use]
    pub fn instances(&self) -> Vec<Instance> {
        let all = self.ask(async |client| instances(client).await);
        let all = all.unwrap_or_default().into_iter();
        let mut ours: Vec<Instance> = all.filter(|one| self.is_ours(&one.pod)).collect();
        ours.sort();
        ours
    }

    /// Those of its containers that run.
    #[must_use]
    pub fn running(&self) -> Vec<Instance> {
        let mut running = self.instances();
        running.retain(|instance| instance.runs);
        running
    }

    /// The running container of a pod, by the name in its manifest.
    #[must_use]
    pub fn runs(&self, pod: &str, container: &str) -> Option<Instance> {
        let whole = format!("{pod}-{}", self.name);
        let mut running = self.running().into_iter();
        running.find(|one| one.pod == whole && one.container == container)
    }

    /// Waits until the container of a pod runs.
    ///
    /// # Panics
    /// As [`Node::until`].
    #[must_use]
    pub fn until_runs(&self, pod: &str, container: &str) -> Instance {
        let mut found = None;
        self.until(&format!("{pod}/{container} runs"), |node| {
            found = node.runs(pod, container);
            found.is_some()
        });
        found.expect("was found")
    }

    /// This node's sandboxes in whatever state; none where the runtime does not answer.
    #[must_use]
    pub fn sandboxes(&self) -> Vec<PodSandbox> {
        let all = self.ask(async |client| client.list_pod_sandbox(None).await);
        let mut ours = all.unwrap_or_default();
        ours.retain(|sandbox| {
            let metadata = sandbox.metadata.as_ref();
            metadata.is_some_and(|metadata| self.is_ours(&metadata.name))
        });
        ours
    }

    /// The ready sandbox of a pod, by the name in its manifest.
    #[must_use]
    pub fn sandbox_of(&self, pod: &str) -> Option<PodSandbox> {
        let whole = format!("{pod}-{}", self.name);
        let mut sandboxes = self.sandboxes().into_iter();
        sandboxes.find(|sandbox| {
            let metadata = sandbox.metadata.as_ref();
            metadata.is_some_and(|metadata| metadata.name == whole)
                && sandbox.state() == PodSandboxState::SandboxReady
        })
    }

    /// Waits until nothing of its pods is left: in the runtime, on the disk, in the cgroups.
    ///
    /// # Panics
    /// As [`Node::until`].
    pub fn until_empty(&self) -> Duration {
        let uids = self.names("root/pods");
        let took = self.until("nothing is left", |node| {
            node.sandboxes().is_empty()
                && ["root/pods", "root/state", "log/pods", "log/containers"]
                    .iter()
                    .all(|folder| node.names(folder).is_empty())
        });
        for uid in uids {
            assert_eq!(self.cgroups_of(&uid), Vec::<PathBuf>::new());
        }
        took
    }

    /// What a container has written, without the stamps in front; of its newest instance.
    #[must_use]
    pub fn output(&self, pod: &str, container: &str) -> Vec<String> {
        let start = format!("_{pod}-{}_", self.name);
        let pods = self.names("log/pods");
        let Some(pod) = pods.iter().rev().find(|name| name.contains(&start)) else {
            return Vec::new();
        };
        let folder = format!("log/pods/{pod}/{container}");
        let number = |name: &String| name.strip_suffix(".log")?.parse::<u32>().ok();
        let newest = self.names(&folder).iter().filter_map(number).max();
        let file = newest.map(|number| self.home.join(format!("{folder}/{number}.log")));
        let text = file.and_then(|file| fs::read_to_string(file).ok());
        let text = text.unwrap_or_default();
        let words = |line: &str| line.splitn(4, ' ').nth(3).map(str::to_owned);
        text.lines().filter_map(words).collect()
    }

    /// Names below a folder of this node's home.
    #[must_use]
    pub fn names(&self, folder: &str) -> BTreeSet<String> {
        let listed = fs::read_dir(self.home.join(folder));
        let names = listed.into_iter().flatten().flatten();
        names
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }

    /// The cgroups of a pod.
    #[must_use]
    pub fn cgroups_of(&self, uid: &str) -> Vec<PathBuf> {
        let places = trees()
            .flat_map(|tree| CLASSES.map(|class| tree.join(class).join(format!("pod{uid}"))));
        places.filter(|place| place.exists()).collect()
    }

    fn remove_pods(&self) {
        for sandbox in self.sandboxes() {
            self.ask(async |client| {
                let _ = client.stop_pod_sandbox(&sandbox.id).await;
                let _ = client.remove_pod_sandbox(&sandbox.id).await;
            });
        }
    }
}
