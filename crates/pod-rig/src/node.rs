//! The node: a runtime, directories, and now and then an agent.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use cri::Client;
use fake_cri::containerd::Rig;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::mounts::unmount_below;

/// For anything to happen, on a machine that does other things besides.
pub const PATIENCE: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(50);
const CGROUPS: &str = "/sys/fs/cgroup";
pub(crate) const CLASSES: [&str; 3] = ["kubepods", "kubepods/besteffort", "kubepods/burstable"];

/// A machine with a runtime, a directory of manifests and, now and then, an agent. Dropped, it
/// takes everything away, however the test ends.
pub struct Node {
    pub(crate) program: PathBuf,
    pub(crate) name: String,
    pub(crate) flags: RefCell<Vec<OsString>>,
    pub(crate) agent: Option<Child>,
    pub(crate) starts: usize,
    pub(crate) home: PathBuf,
    /// Others use the containerd, too.
    pub(crate) shared: bool,
    pub(crate) outside: bool,
    /// Which boot this is; zero where the machine's boot counts.
    pub(crate) boots: u32,
    pub(crate) client: Client,
    pub(crate) runtime: Runtime,
    pub(crate) rig: Arc<Rig>,
}

pub(crate) fn mode(path: &Path, mode: u32) {
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

pub(crate) fn trees() -> impl Iterator<Item = PathBuf> {
    let listed = fs::read_dir(CGROUPS).into_iter().flatten().flatten();
    let below = listed.map(|tree| tree.path());
    below.chain([PathBuf::from(CGROUPS)])
}

impl Node {
    /// Its containerd.
    #[must_use]
    pub fn rig(&self) -> &Arc<Rig> {
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

    /// Where its agent is asked.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.home.join("run/agent.sock")
    }

    /// Adds a word to the command line of the agents to come.
    pub fn flag(&self, flag: impl Into<OsString>) {
        self.flags.borrow_mut().push(flag.into());
    }

    /// Takes such a word away again.
    pub fn unflag(&self, flag: &str) {
        self.flags.borrow_mut().retain(|known| known != flag);
    }

    /// The agent's program, where it is to run.
    fn enter(&self) -> Command {
        let outer = |program: &Path| match self.outside {
            true => Command::new(program),
            false => self.rig.enter(program),
        };
        if self.boots == 0 {
            return outer(&self.program);
        }
        // What the agent mounts must be seen outside, but not this mount.
        let script = "mount --make-private /proc && \
             mount --bind \"$0\" /proc/sys/kernel/random/boot_id && exec \"$@\"";
        let mut command = outer(Path::new("unshare"));
        command
            .args(["--mount", "--propagation", "unchanged", "sh", "-c", script])
            .arg(self.home.join("boot_id"))
            .arg(&self.program);
        command
    }

    /// What a power cut does: agent, runtime and all processes are gone, and what lies below `/run`;
    /// then the runtime starts again. The agent does not.
    ///
    /// # Panics
    /// Where others use the containerd, or the node was not built to boot.
    pub fn reboot(&mut self) {
        assert!(!self.shared && self.boots > 0, "this node cannot boot");
        self.kill();
        self.rig.power_off();
        unmount_below(&self.home.join("root"));
        self.boots += 1;
        write_boot(&self.home, self.boots);
        self.rig.start_containerd().expect("containerd");
    }

    /// The agent's command, with all that every agent here is told.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = self.enter();
        command
            .arg("run")
            .arg("--pod-manifest-path")
            .arg(self.manifests())
            .arg("--root-dir")
            .arg(self.home.join("root"))
            .arg("--pod-logs-dir")
            .arg(self.home.join("log/pods"))
            .arg("--socket")
            .arg(self.socket())
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

    /// As `systemctl reload` does.
    ///
    /// # Panics
    /// Where no agent runs.
    pub fn hang_up(&self) {
        self.signal(self.agent.as_ref().expect("an agent"), Signal::HUP);
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
}

pub(crate) fn write_boot(home: &Path, number: u32) {
    let id = format!("00000000-0000-4000-8000-{number:012}\n");
    fs::write(home.join("boot_id"), id).unwrap();
}
