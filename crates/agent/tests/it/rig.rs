//! An agent, a runtime of memory and a host that is plain.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use agent::{
    Agent, ContainerRequest, Handle, Launch, Launched, Loaded, Manifests, PodView, Refused, Said,
    SandboxRequest, Settings, Source,
};
use cri::{
    Call, Runtime as _,
    v1::{
        ContainerConfig, ContainerState, ContainerStatus, LinuxPodSandboxConfig,
        LinuxSandboxSecurityContext, NamespaceMode, NamespaceOption, PodSandboxConfig,
        PodSandboxState,
    },
};
use fake_cri::fake::{Fake, FakeImage, TokioClock};
use futures_util::future::BoxFuture;
use manifests::view::Decoder as _;
use pace::Clock;
use plan::PodKey;
use pod::{Node, Pod, api};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// A host on which nothing has to be prepared; notes what it is asked.
#[derive(Default)]
pub(crate) struct Plain {
    pub(crate) cleaned: Mutex<Vec<(String, bool)>>,
    pub(crate) broken: Mutex<BTreeSet<String>>,
    pub(crate) leftovers: Mutex<BTreeSet<String>>,
    pub(crate) logged: Mutex<BTreeMap<String, u32>>,
}

fn spec(pod: &Pod) -> api::PodSpec {
    pod.api.spec.clone().unwrap()
}

impl Launch for Plain {
    fn sandbox(
        &self,
        request: SandboxRequest,
    ) -> BoxFuture<'_, Result<Launched<PodSandboxConfig>, Refused>> {
        Box::pin(async move {
            if self.broken.lock().unwrap().contains(&request.pod.key.name) {
                return Err(Refused {
                    reason: "FailedMount".into(),
                    message: "nothing there".into(),
                });
            }
            let on_node = spec(&request.pod).host_network == Some(true);
            let mut options = NamespaceOption::default();
            options.set_network(match on_node {
                true => NamespaceMode::Node,
                false => NamespaceMode::Pod,
            });
            let security = LinuxSandboxSecurityContext {
                namespace_options: Some(options),
                ..LinuxSandboxSecurityContext::default()
            };
            let linux = LinuxPodSandboxConfig {
                security_context: Some(security),
                ..LinuxPodSandboxConfig::default()
            };
            Ok(Launched {
                config: PodSandboxConfig {
                    linux: Some(linux),
                    ..PodSandboxConfig::default()
                },
                handler: String::new(),
            })
        })
    }

    fn container(
        &self,
        request: ContainerRequest,
    ) -> BoxFuture<'_, Result<Launched<ContainerConfig>, Refused>> {
        Box::pin(async move {
            let spec = spec(&request.pod);
            let mut all = spec
                .init_containers
                .iter()
                .flatten()
                .chain(&spec.containers);
            let container = all.find(|c| c.name == request.name).unwrap();
            Ok(Launched {
                config: ContainerConfig {
                    command: container.command.clone().unwrap_or_default(),
                    args: container.args.clone().unwrap_or_default(),
                    ..ContainerConfig::default()
                },
                handler: String::new(),
            })
        })
    }

    fn started(&self, _: ContainerRequest, _: String) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn last_words(&self, status: ContainerStatus, containers: usize) -> BoxFuture<'_, String> {
        let name = status.metadata.unwrap_or_default().name;
        Box::pin(async move { format!("{name} said this, one of {containers}") })
    }

    fn clean(&self, uid: String, logs: bool) -> BoxFuture<'_, Result<(), Refused>> {
        Box::pin(async move {
            self.leftovers.lock().unwrap().remove(&uid);
            self.cleaned.lock().unwrap().push((uid, logs));
            Ok(())
        })
    }

    fn logged(&self, _: Arc<Pod>) -> BoxFuture<'_, BTreeMap<String, u32>> {
        Box::pin(async move { self.logged.lock().unwrap().clone() })
    }

    fn leftovers(&self) -> BoxFuture<'_, BTreeSet<String>> {
        Box::pin(async move { self.leftovers.lock().unwrap().clone() })
    }
}

pub(crate) struct Rig {
    pub(crate) fake: Fake,
    pub(crate) host: Arc<Plain>,
    pub(crate) clock: Arc<TokioClock>,
    pub(crate) events: Arc<Mutex<Vec<String>>>,
    pub(crate) root: tempfile::TempDir,
    pub(crate) take_over: bool,
    pub(crate) pulls: Option<usize>,
    says: watch::Sender<Said>,
    manifests: BTreeMap<String, Loaded>,
    decoder: Manifests,
    running: Option<(JoinHandle<()>, Handle)>,
}

pub(crate) const IMAGE: &str = "registry.example/work:1";

impl Rig {
    /// Without an agent.
    pub(crate) fn new() -> Self {
        let clock = Arc::new(TokioClock::new(1_700_000_000));
        let fake = Fake::new(Arc::clone(&clock) as Arc<dyn Clock>).without_logs();
        fake.add_image(FakeImage::workload(IMAGE, &["hang"]));
        let node = Node {
            name: "n1".into(),
            suffix: true,
        };
        let says = watch::Sender::new(Said {
            complete: true,
            ..Said::default()
        });
        Self {
            fake,
            host: Arc::default(),
            events: Arc::default(),
            take_over: false,
            pulls: None,
            // In memory where there is such a place: thousands of small files are synced.
            root: tempfile::tempdir_in("/dev/shm")
                .or_else(|_| tempfile::tempdir())
                .unwrap(),
            says,
            manifests: BTreeMap::new(),
            decoder: Manifests::new(
                "/m".into(),
                node,
                None,
                Arc::clone(&clock) as Arc<dyn Clock>,
            ),
            clock,
            running: None,
        }
    }

    /// With an agent.
    pub(crate) async fn started() -> Self {
        let mut rig = Self::new();
        rig.start().await;
        rig
    }

    pub(crate) fn open(&self) -> Result<Agent, agent::OpenError> {
        let boot = format!("boot{}", self.fake.boots());
        let mut settings = Settings::new(self.root.path().to_owned(), "unix:///fake".into(), boot);
        settings.take_over = self.take_over;
        settings.pulls = self.pulls;
        let events = Arc::clone(&self.events);
        let listener: agent::Listener = Arc::new(move |event| {
            events.lock().unwrap().push(format!("{event:?}"));
        });
        let source = Source::Given("/m".into(), self.says.subscribe());
        let (agent, damaged) = Agent::new(
            settings,
            Arc::new(self.fake.clone()),
            Arc::clone(&self.host) as Arc<dyn Launch>,
            vec![source],
            Arc::clone(&self.clock) as Arc<dyn Clock>,
            listener,
        )?;
        assert!(damaged.is_empty(), "{damaged:?}");
        Ok(agent)
    }

    pub(crate) async fn start(&mut self) {
        assert!(self.running.is_none());
        // A write that the killed agent began may hold the lock for a moment more.
        let agent = loop {
            match self.open() {
                Ok(agent) => break agent,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let handle = agent.handle();
        let task = tokio::spawn(async move {
            agent.run(std::future::pending()).await.unwrap();
        });
        self.running = Some((task, handle));
    }

    /// As `kill -9` does.
    pub(crate) async fn kill(&mut self) {
        if let Some((task, _)) = self.running.take() {
            task.abort();
            let _ = task.await;
        }
    }

    pub(crate) fn handle(&self) -> Handle {
        self.running.as_ref().unwrap().1.clone()
    }

    pub(crate) fn load(&self, name: &str, text: &str) -> Result<Loaded, String> {
        let path = format!("/m/{name}.yaml");
        self.decoder.file(Path::new(&path), text.as_bytes())
    }

    /// Writes a manifest without telling anybody.
    pub(crate) fn write(&mut self, name: &str, spec: &str) {
        let text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n{}",
            indented(spec)
        );
        let loaded = self.load(name, &text).unwrap();
        self.manifests.insert(name.to_owned(), loaded);
    }

    pub(crate) fn add(&mut self, name: &str, loaded: Loaded) {
        self.replace(name, loaded);
        self.tell();
    }

    pub(crate) fn replace(&mut self, name: &str, loaded: Loaded) {
        self.manifests.insert(name.to_owned(), loaded);
    }

    /// What was written last under a name.
    pub(crate) fn written(&self, name: &str) -> Loaded {
        self.manifests[name].clone()
    }

    pub(crate) fn forget(&mut self, name: &str) {
        self.manifests.remove(name);
    }

    /// Tells the agent what is written.
    pub(crate) fn tell(&self) {
        self.say(true);
    }

    pub(crate) fn say(&self, complete: bool) {
        self.says.send_replace(Said {
            complete,
            pods: self.manifests.values().cloned().collect(),
            ..Said::default()
        });
    }

    pub(crate) fn put(&mut self, name: &str, spec: &str) {
        self.write(name, spec);
        self.tell();
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.forget(name);
        self.tell();
    }

    pub(crate) async fn pod(&self, name: &str) -> Option<PodView> {
        let key = PodKey::new("default", format!("{name}-n1"));
        let view = self.handle().view().await.unwrap();
        view.pods.into_iter().find(|pod| pod.key == key)
    }

    pub(crate) async fn phase(&self, name: &str) -> String {
        let pod = self.pod(name).await;
        pod.and_then(|pod| pod.status.phase).unwrap_or_default()
    }

    pub(crate) async fn ready(&self, name: &str) -> bool {
        self.pod(name).await.is_some_and(|pod| pod.ready)
    }

    /// Waits until `true`; how long that took.
    pub(crate) async fn until(
        &self,
        what: &str,
        mut test: impl AsyncFnMut(&Self) -> bool,
    ) -> Duration {
        let began = Instant::now();
        let limit = Duration::from_secs(1200);
        let all = async {
            while !test(self).await {
                sleep(Duration::from_millis(5).max(began.elapsed() / 20)).await;
            }
        };
        if timeout(limit, all).await.is_err() {
            let events = self.events.lock().unwrap();
            let last = events.iter().rev().take(12).rev().cloned();
            panic!("not {what}: {:#?}", last.collect::<Vec<_>>());
        }
        began.elapsed()
    }

    pub(crate) async fn until_ready(&self, name: &str) -> Duration {
        self.until(&format!("{name} ready"), async |rig: &Self| {
            rig.ready(name).await
        })
        .await
    }

    /// Lets time pass.
    pub(crate) async fn pass(&self, seconds: u64) {
        sleep(Duration::from_secs(seconds)).await;
    }

    /// Ids of containers that run, by `pod/container`. Each name at most once, or it panics.
    pub(crate) async fn running(&self) -> BTreeMap<String, String> {
        let sandboxes = self.fake.list_pod_sandbox(None).await.unwrap();
        let mut ready = BTreeSet::new();
        for sandbox in &sandboxes {
            if sandbox.state() == PodSandboxState::SandboxReady {
                let name = sandbox.metadata.clone().unwrap().name;
                assert!(
                    ready.insert(name.clone()),
                    "two sandboxes of {name} are ready"
                );
            }
        }
        let mut running = BTreeMap::new();
        for container in self.fake.list_containers(None).await.unwrap() {
            if container.state() == ContainerState::ContainerRunning {
                let room = sandboxes.iter().find(|s| s.id == container.pod_sandbox_id);
                let pod = room.unwrap().metadata.clone().unwrap().name;
                let name = format!("{pod}/{}", container.metadata.unwrap().name);
                let twice = running.insert(name.clone(), container.id);
                assert!(twice.is_none(), "{name} runs twice");
            }
        }
        running
    }

    pub(crate) fn state_files(&self) -> usize {
        std::fs::read_dir(self.root.path().join("state"))
            .unwrap()
            .count()
    }

    /// How often something was called.
    pub(crate) fn count(&self, call: Call) -> usize {
        self.fake
            .calls()
            .iter()
            .filter(|(of, _)| *of == call)
            .count()
    }

    /// Calls that change something, in their order.
    pub(crate) fn deeds(&self) -> Vec<(Call, String)> {
        let changes = |call: &Call| {
            matches!(
                call,
                Call::RunPodSandbox
                    | Call::StopPodSandbox
                    | Call::RemovePodSandbox
                    | Call::CreateContainer
                    | Call::StartContainer
                    | Call::StopContainer
                    | Call::RemoveContainer
            )
        };
        self.fake
            .calls()
            .into_iter()
            .filter(|(call, _)| changes(call))
            .collect()
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// One container with the test program.
pub(crate) fn work(words: &str) -> String {
    format!("containers:\n- {{name: main, image: {IMAGE}, args: [{words}]}}\n")
}
