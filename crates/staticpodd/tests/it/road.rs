//! From a manifest in a directory to a container on containerd, and back.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "the test looks at other processes now and then, and ends by panicking"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use cri::{
    Runtime as _,
    v1::{
        ContainerState, LinuxPodSandboxConfig, LinuxSandboxSecurityContext, NamespaceMode,
        NamespaceOption, PodSandboxConfig, PodSandboxMetadata, RunPodSandboxRequest,
    },
};
use fake_cri::{
    containerd::{Network, Rig, can_run},
    programs::stock,
};
use serde_json::Value;

/// For anything to happen, on a machine that does other things besides.
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(50);
const PORT: u16 = 8080;

/// A machine with a runtime, a directory of manifests and, now and then, an agent.
struct Road {
    agent: Option<Child>,
    starts: usize,
    home: PathBuf,
    rig: Rig,
}

/// No test leaves an agent behind, however it ends.
impl Drop for Road {
    fn drop(&mut self) {
        self.kill();
        // What a test that failed has left is not the machine's to keep.
        self.rig.power_off();
        for uid in self.names("root/pods") {
            for cgroup in cgroups_of(&uid) {
                let _ = fs::remove_dir(cgroup);
            }
        }
        // Shared with other pods of the machine, if there are any: only empty ones go.
        for tree in fs::read_dir("/sys/fs/cgroup")
            .into_iter()
            .flatten()
            .flatten()
        {
            for place in ["kubepods/besteffort", "kubepods"] {
                let _ = fs::remove_dir(tree.path().join(place));
            }
        }
    }
}

impl Road {
    fn new() -> Self {
        let rig = Rig::start(Network::Own).unwrap();
        let home = rig.scratch();
        for folder in ["manifests", "log"] {
            fs::create_dir_all(home.join(folder)).unwrap();
            crate::mode(&home.join(folder), 0o755);
        }
        Self {
            agent: None,
            starts: 0,
            home,
            rig,
        }
    }

    fn command(&self, log: &Path) -> std::process::Command {
        let mut command = self.rig.enter(env!("CARGO_BIN_EXE_staticpodd"));
        command
            .arg("run")
            .arg("--pod-manifest-path")
            .arg(self.home.join("manifests"))
            .arg("--root-dir")
            .arg(self.home.join("root"))
            .arg("--pod-logs-dir")
            .arg(self.home.join("log/pods"))
            .arg("--socket")
            .arg(self.home.join("agent.sock"))
            .args([
                "--hostname-override",
                "Road",
                "--file-check-frequency",
                "1s",
            ])
            .arg("--container-runtime-endpoint")
            .arg(self.rig.endpoint().to_string())
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(log).unwrap());
        command
    }

    fn log(&self) -> PathBuf {
        self.home.join(format!("agent-{}.log", self.starts))
    }

    fn start(&mut self) {
        self.starts += 1;
        let log = self.log();
        self.agent = Some(self.command(&log).spawn().unwrap());
        self.until("the agent reads", |road| road.has("source.read"));
    }

    /// As `kill -9` does.
    fn kill(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }

    /// What the agent of now has written.
    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.log()).unwrap();
        let lines = text.lines();
        lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    fn has(&self, event: &str) -> bool {
        self.lines().iter().any(|line| line["message"] == event)
    }

    fn until(&self, what: &str, mut test: impl FnMut(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !test(self) {
            if Instant::now() > end {
                let log = fs::read_to_string(self.log()).unwrap_or_default();
                panic!("not within {PATIENCE:?}: {what}; the agent says:\n{log}");
            }
            std::thread::sleep(LOOK);
        }
    }

    fn put(&self, name: &str, text: &str) {
        // As editors do it, so that no half of it is ever seen.
        let folder = self.home.join("manifests");
        let temporary = folder.join(format!(".{name}"));
        fs::write(&temporary, text).unwrap();
        crate::mode(&temporary, 0o644);
        fs::rename(temporary, folder.join(name)).unwrap();
    }

    fn answer(&self) -> String {
        let script = format!(
            "exec 3<>/dev/tcp/127.0.0.1/{PORT} && \
             printf 'GET / HTTP/1.0\\r\\nHost: a\\r\\n\\r\\n' >&3 && cat <&3"
        );
        let mut asking = self.rig.enter("timeout");
        let asked = asking.args(["5", "bash", "-c", &script]).output().unwrap();
        let text = String::from_utf8_lossy(&asked.stdout).into_owned();
        text.rsplit("\r\n")
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned()
    }

    fn until_answer(&self, text: &str) {
        self.until(text, |road| road.answer() == text);
    }

    /// Id, restart count and process of each container that runs.
    fn running(&self) -> Vec<(String, u32, String)> {
        let containers = self.ask(async |client| client.list_containers(None).await.unwrap());
        let tasks = self.rig.ctr(&["tasks", "ls"]).unwrap();
        let pid = |id: &str| {
            let line = tasks.lines().find(|line| line.starts_with(id))?;
            Some(line.split_whitespace().nth(1)?.to_owned())
        };
        containers
            .into_iter()
            .filter(|container| container.state() == ContainerState::ContainerRunning)
            .filter_map(|container| {
                let pid = pid(&container.id)?;
                Some((container.id, container.metadata?.attempt, pid))
            })
            .collect()
    }

    fn ask<T>(&self, question: impl AsyncFnOnce(cri::Client) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async { question(self.rig.client()).await })
    }

    /// Names below a folder of this road.
    fn names(&self, folder: &str) -> BTreeSet<String> {
        let listed = fs::read_dir(self.home.join(folder));
        let names = listed.into_iter().flatten().flatten();
        names
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect()
    }

    fn stop(&mut self) {
        let mut agent = self.agent.take().unwrap();
        let pid = i32::try_from(agent.id()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!(agent.wait().unwrap().code(), Some(0));
    }

    /// An agent that must not start; what it says at its end.
    fn refused(&self) -> String {
        let log = self.home.join("refused.log");
        let mut agent = self.command(&log).spawn().unwrap();
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
            std::thread::sleep(LOOK);
        };
        assert_eq!(status.code(), Some(3));
        let said = fs::read_to_string(log).unwrap();
        let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        assert_eq!(last["message"], "process.failed", "{said}");
        last["reason"].as_str().unwrap().to_owned()
    }
}

fn web(text: &str) -> String {
    let image = &stock().unwrap().workload.name;
    format!(
        "apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 20
  containers:
  - name: web
    image: {image}
    imagePullPolicy: Never
    args: ['drain=300', 'out=hello', 'serve=127.0.0.1:{PORT}={text}', 'hang']
    volumeMounts:
    - name: scratch
      mountPath: /scratch
  volumes:
  - name: scratch
    emptyDir: {{}}
"
    )
}

fn cgroups_of(uid: &str) -> Vec<PathBuf> {
    let trees = fs::read_dir("/sys/fs/cgroup")
        .into_iter()
        .flatten()
        .flatten();
    let roots = trees
        .map(|tree| tree.path())
        .chain([PathBuf::from("/sys/fs/cgroup")]);
    let places = roots.map(|root| root.join(format!("kubepods/besteffort/pod{uid}")));
    places.filter(|place| place.exists()).collect()
}

#[test]
fn a_manifest_becomes_a_container_that_outlives_its_agent_and_goes_with_its_manifest() {
    if !can_run() {
        return;
    }
    let mut road = Road::new();
    road.start();
    assert!(road.refused().contains("another agent holds"));

    // It runs.
    road.put("web.yaml", &web("one"));
    road.until_answer("one");
    let first = road.running();
    assert_eq!(first.len(), 1, "{first:?}");
    let pods = road.names("log/pods");
    let uid = |pods: &BTreeSet<String>| {
        let pod = pods.iter().next().unwrap();
        pod.strip_prefix("default_web-road_").unwrap().to_owned()
    };
    let uid_of_first = uid(&pods);
    assert_eq!(road.names("root/pods"), [uid_of_first.clone()].into());
    assert!(!cgroups_of(&uid_of_first).is_empty());
    let log = road
        .home
        .join(format!("log/pods/{}/web/0.log", pods.first().unwrap()));
    assert!(fs::read_to_string(log).unwrap().contains("hello"));
    road.until("the log is linked", |road| {
        road.names("log/containers").len() == 1
    });

    // An edit: the old one is gone before the new one is there.
    road.put("web.yaml", &web("two"));
    road.until_answer("two");
    let second = road.running();
    assert_eq!(second.len(), 1, "{second:?}");
    assert_ne!(second, first);
    let lives: Vec<String> = road
        .lines()
        .iter()
        .filter_map(|line| line["message"].as_str().map(str::to_owned))
        .filter(|event| event == "container.started" || event == "container.stopped")
        .collect();
    let in_turn = [
        "container.started",
        "container.stopped",
        "container.started",
    ];
    assert!(
        in_turn.starts_with(
            lives
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .as_slice()
        )
    );
    road.until("the old one is cleaned up", |road| {
        road.names("root/pods").len() == 1 && !road.names("root/pods").contains(&uid_of_first)
    });
    assert_eq!(cgroups_of(&uid_of_first), Vec::<PathBuf>::new());

    // The agent is killed; the next one takes over what runs, and hears of a broken edit.
    road.kill();
    assert_eq!(road.running(), second);
    road.start();
    road.put("web.yaml", &web("three").replace("image:", "imag:"));
    road.until("the edit is refused", |road| road.has("manifest.refused"));
    assert_eq!(road.running(), second);
    assert_eq!(road.answer(), "two");
    road.put("web.yaml", &web("two"));

    assert!(!road.has("container.stopping"));

    // The container is killed, and starts again.
    road.rig.kill_task(&second[0].0).unwrap();
    road.until("it is restarted", |road| {
        let now = road.running();
        now.len() == 1 && now[0].1 == 1 && now[0].0 != second[0].0
    });
    road.until_answer("two");

    // A stop of the agent stops no pod.
    let third = road.running();
    road.stop();
    assert_eq!(road.running(), third);
    road.start();

    // Without its manifest it goes, and nothing of it stays.
    let uid_of_second = uid(&road.names("log/pods"));
    fs::remove_file(road.home.join("manifests/web.yaml")).unwrap();
    road.until("the sandbox is removed", |road| {
        road.ask(async |client| client.list_pod_sandbox(None).await.unwrap())
            .is_empty()
    });
    road.until("everything is cleaned up", |road| {
        ["root/pods", "root/state", "log/pods", "log/containers"]
            .iter()
            .all(|folder| road.names(folder).is_empty())
    });
    assert_eq!(cgroups_of(&uid_of_second), Vec::<PathBuf>::new());
    road.stop();

    // Where a kubelet has pods, no agent starts.
    road.ask(async |client| {
        let request = RunPodSandboxRequest {
            config: Some(of_kubelet(&road.rig.cgroup())),
            ..RunPodSandboxRequest::default()
        };
        client.run_pod_sandbox(request).await.unwrap()
    });
    let why = road.refused();
    assert!(
        why.contains("static pods of a kubelet (kube-system/etcd-n1)"),
        "{why}"
    );
}

fn of_kubelet(cgroup: &str) -> PodSandboxConfig {
    let mut options = NamespaceOption::default();
    options.set_network(NamespaceMode::Node);
    PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: "etcd-n1".into(),
            uid: "u".into(),
            namespace: "kube-system".into(),
            attempt: 0,
        }),
        annotations: [("kubernetes.io/config.source".into(), "file".into())].into(),
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: format!("{cgroup}/podu"),
            security_context: Some(LinuxSandboxSecurityContext {
                namespace_options: Some(options),
                ..LinuxSandboxSecurityContext::default()
            }),
            ..LinuxPodSandboxConfig::default()
        }),
        ..PodSandboxConfig::default()
    }
}
