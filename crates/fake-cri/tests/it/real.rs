//! Real containerd.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use cri::{Client, Runtime};
use fake_cri::{
    containerd::{Network, Rig, can_run, sweep},
    contract::{CALM, Ground, ROUGH, broken, broken_in_turn},
    programs::{stock, workload_image},
};

struct Real {
    rig: Rig,
    client: Client,
}

impl Real {
    fn start() -> Self {
        let rig = Rig::start(Network::Own).unwrap();
        let client = rig.client();
        Self { rig, client }
    }

    /// Takes it down.
    fn leave(self) {
        let home = self.rig.scratch();
        let cgroup = self.rig.cgroup();
        drop(self);
        nothing_is_left(home.parent().unwrap(), &cgroup);
    }
}

fn nothing_is_left(home: &Path, cgroup: &str) {
    assert!(!home.exists(), "files");
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let home = home.to_str().unwrap();
    assert!(!mounts.contains(home), "mounts: {mounts}");
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        assert!(!line.contains(home), "process: {line}");
    }
    for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        let folder = hierarchy.path().join(cgroup.trim_start_matches('/'));
        assert!(!folder.exists(), "{}", folder.display());
    }
}

impl Ground for Real {
    fn runtime(&self) -> &dyn Runtime {
        &self.client
    }

    fn image(&self) -> String {
        stock().unwrap().workload.name.clone()
    }

    fn scratch(&self) -> PathBuf {
        self.rig.scratch()
    }

    fn cgroup(&self) -> String {
        self.rig.cgroup()
    }

    fn import(&self, name: &str) -> String {
        let image = workload_image().unwrap().label("name", name);
        let built = image.build(name).unwrap();
        self.rig.import(&built).unwrap();
        built.pinned()
    }

    fn kill_task(&self, id: &str) {
        self.rig.kill_task(id).unwrap();
    }

    fn kill_shim(&self, sandbox: &str) {
        self.rig.kill_shim(sandbox).unwrap();
    }

    fn kill_runtime(&self) {
        self.rig.kill_containerd();
    }

    fn start_runtime(&self) {
        self.rig.start_containerd().unwrap();
    }

    fn reboot(&self) {
        self.rig.reboot().unwrap();
    }
}

#[tokio::test]
async fn containerd_keeps_the_calm_contract() {
    if !can_run() {
        return;
    }
    let real = Real::start();
    assert_eq!(broken(CALM, &real).await, [""; 0]);
    real.leave();
}

#[tokio::test]
async fn containerd_keeps_the_rough_contract() {
    if !can_run() {
        return;
    }
    let real = Real::start();
    assert_eq!(broken_in_turn(ROUGH, &real).await, [""; 0]);
    real.leave();
}

/// In the process that the next test starts and kills; nothing otherwise.
#[test]
fn a_rig_of_a_test_that_is_killed() {
    if std::env::var_os("RIG_IS_KILLED").is_none() {
        return;
    }
    let real = Rig::start(Network::Own).unwrap();
    println!("RIG {} {}", real.scratch().display(), real.cgroup());
    loop {
        std::thread::park();
    }
}

#[test]
fn what_a_killed_test_left_is_swept_away() {
    if !can_run() {
        return;
    }
    let mut killed = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "real::a_rig_of_a_test_that_is_killed",
            "--nocapture",
        ])
        .env("RIG_IS_KILLED", "yes")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(killed.stdout.take().unwrap()).lines();
    let line = lines.map(Result::unwrap).find(|line| line.contains("RIG "));
    let line = line.expect("a rig has started");
    let mut words = line
        .split_whitespace()
        .skip_while(|word| *word != "RIG")
        .skip(1);
    let (scratch, cgroup) = (PathBuf::from(words.next().unwrap()), words.next().unwrap());
    let home = scratch.parent().unwrap();
    sweep();
    assert!(home.exists(), "it lives");
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(home.exists(), "nobody took it away");
    sweep();
    nothing_is_left(home, cgroup);
}

#[tokio::test]
async fn a_pod_with_a_network_of_its_own_is_reached_inside_the_rig() {
    use cri::v1::{
        ContainerConfig, ContainerMetadata, CreateContainerRequest, ImageSpec, PodSandboxConfig,
        PodSandboxMetadata, RunPodSandboxRequest,
    };
    if !can_run() {
        return;
    }
    let rig = Rig::start(Network::Bridge).unwrap();
    let client = rig.client();
    let config = PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: "web".to_owned(),
            uid: "u".to_owned(),
            namespace: "n".to_owned(),
            attempt: 0,
        }),
        ..PodSandboxConfig::default()
    };
    let request = RunPodSandboxRequest {
        config: Some(config.clone()),
        ..RunPodSandboxRequest::default()
    };
    let sandbox = client.run_pod_sandbox(request).await.unwrap();
    let status = client.pod_sandbox_status(&sandbox, false).await.unwrap();
    let address = status.status.network.unwrap().ip;
    let request = CreateContainerRequest {
        pod_sandbox_id: sandbox.clone(),
        config: Some(ContainerConfig {
            metadata: Some(ContainerMetadata {
                name: "web".to_owned(),
                attempt: 0,
            }),
            image: Some(ImageSpec {
                image: stock().unwrap().workload.pinned(),
                ..ImageSpec::default()
            }),
            args: vec!["serve=0.0.0.0:80=hello".to_owned(), "hang".to_owned()],
            ..ContainerConfig::default()
        }),
        sandbox_config: Some(config),
    };
    let container = client.create_container(request).await.unwrap();
    client.start_container(&container).await.unwrap();
    let heard = get(&rig, &address);
    assert!(heard.ends_with("hello"), "{heard}");
    client.stop_pod_sandbox(&sandbox).await.unwrap();
    client.remove_pod_sandbox(&sandbox).await.unwrap();
}

/// What a web server in the rig's network says; the shell of the system has what it needs.
fn get(rig: &Rig, address: &str) -> String {
    let talk = format!(
        "for i in $(seq 200); do \
           if exec 3<>/dev/tcp/{address}/80; then \
             printf 'GET / HTTP/1.1\\r\\n\\r\\n' >&3; cat <&3; exit 0; \
           fi 2>/dev/null; sleep 0.05; \
         done; exit 1"
    );
    let output = rig
        .enter(Path::new("bash"))
        .args(["-c", &talk])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
