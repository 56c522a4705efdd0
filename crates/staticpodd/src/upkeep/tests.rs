use std::{fs, path::Path};

use agent::{Manifests, PodView};
use cri::v1::{
    ContainerConfig, ContainerMetadata, CreateContainerRequest, ImageSpec, LinuxPodSandboxConfig,
    LinuxSandboxSecurityContext, NamespaceMode, NamespaceOption, PodSandboxConfig,
    PodSandboxMetadata, RunPodSandboxRequest,
};
use fake_cri::fake::{Fake, FakeImage, Plan, TokioClock, Trouble};
use manifests::view::Decoder as _;
use plan::{Owner, PodKey, Seen, SeenContainer, SeenSandbox};
use pod::Pod;

use super::*;

const WALL: i64 = 1_767_225_600;
const MIB: u64 = 1 << 20;

struct Stage {
    fake: Fake,
    home: tempfile::TempDir,
    upkeep: Upkeep,
    overview: Overview,
}

fn pod(image: &str) -> Arc<Pod> {
    let node = pod::Node {
        name: "n1".into(),
        suffix: true,
    };
    let clock: Arc<dyn Clock> = Arc::new(TokioClock::new(WALL));
    let decoder = Manifests::new("/m".into(), node, None, clock);
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: web, uid: u1}}\n\
         spec: {{hostNetwork: true, containers: [{{name: c, image: '{image}'}}]}}\n"
    );
    let loaded = decoder.file(Path::new("/m/web.yaml"), text.as_bytes());
    loaded.unwrap().pod
}

impl Stage {
    /// A fake runtime with four images: in use, in a manifest, pinned, and free.
    async fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::new(WALL));
        let fake = Fake::new(Arc::clone(&clock));
        for name in ["used", "wanted", "pause", "free"] {
            let mut image = FakeImage::workload(&format!("a.example/{name}:1"), &["hang"]);
            image.pinned = name == "pause";
            let _ = fake.add_image(image);
        }
        let home = tempfile::tempdir().unwrap();
        let logs = Logs {
            pods: home.path().join("pods"),
            links: home.path().join("containers"),
        };
        let upkeep = Upkeep::new(Tools {
            runtime: Arc::new(fake.clone()),
            clock,
            meter: Arc::default(),
            logs,
            log_limits: logs::Limits {
                bytes: 50,
                files: 2,
            },
            image_limits: Limits::default(),
            sandbox_image: None,
        });
        let mut stage = Self {
            fake,
            home,
            upkeep,
            overview: Overview {
                pods: Vec::new(),
                sources: Vec::new(),
                runtime_down: None,
                store_trouble: None,
                passes: agent::Passes::default(),
                halted: false,
                wall: WALL,
            },
        };
        let container = stage.start().await;
        stage.overview.pods.push(view(container));
        stage
    }

    fn log(&self) -> PathBuf {
        self.home.path().join("pods/default_web-n1_u1/c/3.log")
    }

    /// Runs a container in the fake; its id.
    async fn start(&self) -> String {
        let directory = self.log().parent().unwrap().parent().unwrap().to_owned();
        fs::create_dir_all(directory.join("c")).unwrap();
        let mut options = NamespaceOption::default();
        options.set_network(NamespaceMode::Node);
        let sandbox = PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: "web-n1".into(),
                uid: "u1".into(),
                namespace: "default".into(),
                attempt: 0,
            }),
            log_directory: directory.to_str().unwrap().into(),
            linux: Some(LinuxPodSandboxConfig {
                security_context: Some(LinuxSandboxSecurityContext {
                    namespace_options: Some(options),
                    ..LinuxSandboxSecurityContext::default()
                }),
                ..LinuxPodSandboxConfig::default()
            }),
            ..PodSandboxConfig::default()
        };
        let request = RunPodSandboxRequest {
            config: Some(sandbox.clone()),
            ..RunPodSandboxRequest::default()
        };
        let id = self.fake.run_pod_sandbox(request).await.unwrap();
        let container = ContainerConfig {
            metadata: Some(ContainerMetadata {
                name: "c".into(),
                attempt: 3,
            }),
            image: Some(ImageSpec {
                image: "a.example/used:1".into(),
                ..ImageSpec::default()
            }),
            args: vec!["count=9".into(), "hang".into()],
            log_path: "c/3.log".into(),
            ..ContainerConfig::default()
        };
        let request = CreateContainerRequest {
            pod_sandbox_id: id,
            config: Some(container),
            sandbox_config: Some(sandbox),
        };
        let id = self.fake.create_container(request).await.unwrap();
        self.fake.start_container(&id).await.unwrap();
        self.fake.settle();
        id
    }

    async fn names(&self) -> Vec<String> {
        let images = self.fake.list_images().await.unwrap();
        let tags = images.iter().flat_map(|image| &image.repo_tags);
        let mut names: Vec<String> = tags
            .filter_map(|tag| tag.strip_prefix("a.example/")?.strip_suffix(":1"))
            .map(str::to_owned)
            .collect();
        names.sort();
        names
    }

    async fn round(&mut self, disk: Disk) -> Result<(), String> {
        let images = self.upkeep.images(&self.overview).await?;
        self.upkeep.collect_from(&images, disk).await
    }
}

fn view(container: String) -> PodView {
    let seen = SeenContainer {
        id: container,
        name: "c".into(),
        attempt: 3,
        state: ContainerState::Running { started: 1 },
        pre_stop: false,
        sidecar: None,
        created: 1,
        image: String::new(),
        image_id: String::new(),
    };
    let sandbox = SeenSandbox {
        id: "s".into(),
        owner: Owner::Us,
        uid: "u1".into(),
        revision: String::new(),
        source: "/m".into(),
        boot: None,
        attempt: 0,
        ready: true,
        created: 1,
        host_network: true,
        ips: None,
        grace: None,
        containers: vec![seen],
    };
    PodView {
        key: PodKey::new("default", "web-n1"),
        pod: Some(pod("a.example/wanted:1")),
        status: pod::api::PodStatus::default(),
        ready: true,
        stopping: false,
        seen: Some(Seen {
            sandboxes: vec![sandbox],
            ..Seen::default()
        }),
        waits: Vec::new(),
        source: Some("/m".into()),
    }
}

fn full() -> Disk {
    Disk {
        capacity: 100 * MIB,
        available: 4 * MIB,
    }
}

#[tokio::test]
async fn a_full_log_of_a_container_that_runs_gets_a_new_file() {
    let mut stage = Stage::new().await;
    let overview = stage.overview.clone();
    let before = fs::read_to_string(stage.log()).unwrap();
    assert!(before.len() > 50, "{before}");
    stage.upkeep.turn_logs(&overview).await;
    assert_eq!(fs::read_to_string(stage.log()).unwrap(), "");
    let folder = stage.log().parent().unwrap().to_owned();
    assert_eq!(fs::read_dir(folder).unwrap().count(), 2);
    stage.upkeep.turn_logs(&overview).await;
    let counts = stage.upkeep.tools.meter.read();
    assert_eq!((counts.logs_rotated, counts.logs_unrotated), (1, 0));
}

#[tokio::test]
async fn a_log_that_is_not_opened_anew_has_its_name_again_and_is_told_once() {
    let mut stage = Stage::new().await;
    let overview = stage.overview.clone();
    let before = fs::read_to_string(stage.log()).unwrap();
    let trouble = Trouble::Fail(cri::Fault::Refused {
        code: "UNKNOWN",
        message: "not now".into(),
    });
    stage
        .fake
        .plan(Plan::new(cri::Call::ReopenContainerLog, trouble));
    for _ in 0..2 {
        stage.upkeep.turn_logs(&overview).await;
        assert_eq!(fs::read_to_string(stage.log()).unwrap(), before);
    }
    assert_eq!(stage.upkeep.tools.meter.read().logs_unrotated, 2);
    assert_eq!(stage.upkeep.said.len(), 1);
    stage.fake.calm();
    stage.upkeep.turn_logs(&overview).await;
    assert!(stage.upkeep.said.is_empty());
}

#[tokio::test]
async fn a_pod_on_its_way_out_keeps_its_log_as_it_is() {
    let mut stage = Stage::new().await;
    let mut overview = stage.overview.clone();
    overview.pods[0].pod = None;
    stage.upkeep.turn_logs(&overview).await;
    assert!(!fs::read_to_string(stage.log()).unwrap().is_empty());
}

#[tokio::test]
async fn links_to_logs_that_are_gone_are_removed() {
    let mut stage = Stage::new().await;
    let pod = pod("a.example/wanted:1");
    let logs = stage.upkeep.tools.logs.clone();
    let alive = logs.link(&pod, "c", "aa", &stage.log()).unwrap();
    let gone = stage.log().with_file_name("0.log");
    let dead = logs.link(&pod, "c", "bb", &gone).unwrap();
    let overview = stage.overview.clone();
    stage.upkeep.drop_links(&overview).await;
    assert!(fs::symlink_metadata(alive).is_ok());
    assert!(fs::symlink_metadata(dead).is_err());
}

#[tokio::test(start_paused = true)]
async fn only_an_image_that_nothing_needs_goes_and_only_from_a_full_disk() {
    let mut stage = Stage::new().await;
    let empty = Disk {
        available: 90 * MIB,
        ..full()
    };
    stage.round(empty).await.unwrap();
    assert!(stage.round(full()).await.is_err(), "all are new");
    assert_eq!(stage.names().await, ["free", "pause", "used", "wanted"]);
    sleep(Duration::from_secs(300)).await;
    stage.round(empty).await.unwrap();
    assert_eq!(stage.names().await.len(), 4);
    let why = stage.round(full()).await.unwrap_err();
    assert!(
        why.contains("16 MiB should go, and images of 1 MiB"),
        "{why}"
    );
    assert_eq!(stage.names().await, ["pause", "used", "wanted"]);
    assert_eq!(stage.upkeep.tools.meter.read().images_collected, 1);
}

#[tokio::test(start_paused = true)]
async fn without_the_image_of_sandboxes_nothing_is_collected() {
    let mut stage = Stage::new().await;
    let pinned = stage.fake.list_images().await.unwrap();
    let pinned = pinned.iter().find(|image| image.pinned).unwrap();
    stage.fake.remove_image(&pinned.id).await.unwrap();
    let why = stage.round(full()).await.unwrap_err();
    assert!(why.contains("that of its sandboxes"), "{why}");
    // One that the runtime tells is as good as pinned.
    stage.upkeep.tools.sandbox_image = Some("a.example/free:1".into());
    stage.round(full()).await.unwrap_err();
    sleep(Duration::from_secs(300)).await;
    let why = stage.round(full()).await.unwrap_err();
    assert!(why.contains("images of 0 MiB"), "{why}");
    assert_eq!(stage.names().await, ["free", "used", "wanted"]);
}
