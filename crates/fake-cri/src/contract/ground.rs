//! What a contract stands on, and the small steps that its scenarios are made of.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use cri::{
    Error, Runtime,
    v1::{
        ContainerConfig, ContainerMetadata, ContainerState, ContainerStatus,
        CreateContainerRequest, ImageSpec, KeyValue, LinuxContainerConfig, LinuxContainerResources,
        LinuxContainerSecurityContext, LinuxPodSandboxConfig, LinuxSandboxSecurityContext,
        NamespaceMode, NamespaceOption, PodSandboxConfig, PodSandboxMetadata, PodSandboxState,
        RunPodSandboxRequest,
    },
};

/// How long anything may take that is to happen by itself.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(10);

/// A runtime that a contract is put to, and the hand of fate beside it.
pub trait Ground: Send + Sync {
    /// The runtime.
    fn runtime(&self) -> &dyn Runtime;
    /// The image with the test program, as the runtime knows it.
    fn image(&self) -> String;
    /// A folder for logs.
    fn scratch(&self) -> PathBuf;
    /// A cgroup for pods.
    fn cgroup(&self) -> String;
    /// Gives the runtime an image of the test program under this name (with a tag), whose digest
    /// is that name's alone; the name with the digest.
    fn import(&self, name: &str) -> String;
    /// Kills the first process of a container or a sandbox.
    fn kill_task(&self, id: &str);
    /// Kills what stands between the runtime and one sandbox.
    fn kill_shim(&self, sandbox: &str);
    /// Kills the runtime; its containers live on.
    fn kill_runtime(&self);
    /// Starts it again, and waits until it answers.
    fn start_runtime(&self);
    /// Kills everything, as a power cut does, and boots.
    fn reboot(&self);
    /// Lets happen what is due. What is real does that by itself.
    fn settle(&self) {}
}

/// A pod of a scenario.
pub(super) struct Pod<'a> {
    pub(super) ground: &'a dyn Ground,
    pub(super) config: PodSandboxConfig,
    pub(super) id: String,
}

/// The config of a sandbox on the node's network, with a name and a uid that nobody else has.
pub(super) fn sandbox(ground: &dyn Ground, name: &str) -> PodSandboxConfig {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let uid = format!("{:032x}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let logs = ground.scratch().join(format!("kube-system_{name}_{uid}"));
    fs::create_dir_all(&logs).expect("a folder for logs");
    PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: name.to_owned(),
            uid: uid.clone(),
            namespace: "kube-system".to_owned(),
            attempt: 0,
        }),
        log_directory: logs.to_string_lossy().into_owned(),
        labels: [("io.kubernetes.pod.uid".to_owned(), uid.clone())].into(),
        annotations: [("staticpodd/revision".to_owned(), "r1".to_owned())].into(),
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: format!("{}/pod{uid}", ground.cgroup()),
            security_context: Some(LinuxSandboxSecurityContext {
                namespace_options: Some(namespaces()),
                ..LinuxSandboxSecurityContext::default()
            }),
            ..LinuxPodSandboxConfig::default()
        }),
        ..PodSandboxConfig::default()
    }
}

/// The node's network, and processes that no other container sees.
fn namespaces() -> NamespaceOption {
    NamespaceOption {
        network: NamespaceMode::Node.into(),
        pid: NamespaceMode::Container.into(),
        ..NamespaceOption::default()
    }
}

/// The config of a container that runs the test program with these words.
pub(super) fn container(ground: &dyn Ground, name: &str, words: &[&str]) -> ContainerConfig {
    ContainerConfig {
        metadata: Some(ContainerMetadata {
            name: name.to_owned(),
            attempt: 0,
        }),
        image: Some(ImageSpec {
            image: ground.image(),
            ..ImageSpec::default()
        }),
        args: words.iter().map(|word| (*word).to_owned()).collect(),
        envs: vec![KeyValue {
            key: "COLOUR".to_owned(),
            value: b"blue".to_vec(),
        }],
        labels: [("io.kubernetes.container.name".to_owned(), name.to_owned())].into(),
        annotations: [(
            "io.kubernetes.container.restartCount".to_owned(),
            "0".to_owned(),
        )]
        .into(),
        log_path: format!("{name}.log"),
        linux: Some(LinuxContainerConfig {
            resources: Some(LinuxContainerResources {
                oom_score_adj: 1000,
                ..LinuxContainerResources::default()
            }),
            security_context: Some(LinuxContainerSecurityContext {
                namespace_options: Some(namespaces()),
                ..LinuxContainerSecurityContext::default()
            }),
        }),
        ..ContainerConfig::default()
    }
}

impl<'a> Pod<'a> {
    pub(super) async fn run(ground: &'a dyn Ground, name: &str) -> Self {
        let config = sandbox(ground, name);
        let request = RunPodSandboxRequest {
            config: Some(config.clone()),
            runtime_handler: String::new(),
        };
        let id = ground.runtime().run_pod_sandbox(request).await;
        let id = id.expect("a sandbox runs");
        Self { ground, config, id }
    }

    pub(super) fn runtime(&self) -> &'a dyn Runtime {
        self.ground.runtime()
    }

    pub(super) fn uid(&self) -> String {
        let name = self.config.metadata.clone().unwrap_or_default();
        name.uid
    }

    pub(super) async fn create(&self, config: ContainerConfig) -> Result<String, Error> {
        let request = CreateContainerRequest {
            pod_sandbox_id: self.id.clone(),
            config: Some(config),
            sandbox_config: Some(self.config.clone()),
        };
        self.runtime().create_container(request).await
    }

    /// A container that runs these words.
    pub(super) async fn start(&self, name: &str, words: &[&str]) -> String {
        let config = container(self.ground, name, words);
        let id = self.create(config).await.expect("a container is created");
        self.runtime()
            .start_container(&id)
            .await
            .expect("a container starts");
        id
    }

    /// A container that runs these words, when it has ended.
    pub(super) async fn ended(&self, name: &str, words: &[&str]) -> ContainerStatus {
        let id = self.start(name, words).await;
        self.end_of(&id).await
    }

    pub(super) async fn status(&self, id: &str) -> ContainerStatus {
        let status = self.runtime().container_status(id, false).await;
        status.expect("a container has a status").status
    }

    pub(super) async fn state(&self, id: &str) -> ContainerState {
        self.status(id).await.state()
    }

    pub(super) async fn end_of(&self, id: &str) -> ContainerStatus {
        eventually("a container ends", async || {
            let status = self.status(id).await;
            (status.state() == ContainerState::ContainerExited).then_some(status)
        })
        .await
    }

    pub(super) async fn sandbox_state(&self) -> PodSandboxState {
        let status = self.runtime().pod_sandbox_status(&self.id, false).await;
        status.expect("a sandbox has a status").status.state()
    }

    /// The text of a container's log so far.
    pub(super) fn log(&self, name: &str) -> String {
        self.ground.settle();
        let path = PathBuf::from(&self.config.log_directory).join(format!("{name}.log"));
        fs::read_to_string(path).unwrap_or_default()
    }

    /// Waits until the log of a container holds this.
    pub(super) async fn says(&self, name: &str, text: &str) {
        eventually(&format!("{name} says {text:?}"), async || {
            self.log(name).contains(text).then_some(())
        })
        .await;
    }

    /// Waits until the runtime answers: a connection may have died in silence.
    pub(super) async fn answered(&self) {
        eventually("the runtime answers", async || {
            self.runtime().version().await.ok()
        })
        .await;
    }

    pub(super) async fn remove(self) {
        let runtime = self.runtime();
        runtime.stop_pod_sandbox(&self.id).await.expect("it stops");
        runtime
            .remove_pod_sandbox(&self.id)
            .await
            .expect("it is removed");
    }
}

/// Asks until there is an answer.
pub(super) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "in vain: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// `unwrap_err` that says what was expected.
pub(super) fn refused<T>(outcome: Result<T, Error>, what: &str) -> Error {
    match outcome {
        Ok(_) => panic!("not refused: {what}"),
        Err(fault) => fault,
    }
}

/// Words of a command.
pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
